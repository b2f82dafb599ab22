"""Where a gateway listens, and with which certificate."""

import ipaddress
import socket
import ssl
from typing import Any

from ..errors import OptionError
from .settings import UDP_AND_TCP_PORT, Tls


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only.

    Raises:
        OptionError: it is no IP address.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        raise OptionError(f"host={host!r}: needed is an IP address, such as 127.0.0.1 or 0.0.0.0") from None


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens, for asyncio.

    Raises:
        OSError: that is not possible.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.create_server((host, port), family=family, backlog=128)
    sock.setblocking(False)
    return sock


def broadcast_of(host: str) -> tuple[str, int] | None:
    """Where announcements go: the broadcast address of the network of `host`; None: IPv6 has none."""
    if ":" in host:
        return None
    return ("127.255.255.255" if is_loopback(host) else "255.255.255.255"), UDP_AND_TCP_PORT


def tls_context(files: Tls) -> ssl.SSLContext:
    """The TLS of a gateway: 1.2 or newer, and testers show a certificate if there is an authority for them.

    Raises:
        OSError: a file cannot be read, or has no certificate or key in it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    name = files.certificate
    try:
        context.load_cert_chain(files.certificate, files.key)
        if files.clients is not None:
            name = files.clients
            context.load_verify_locations(files.clients)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as e:  # which all of ssl are
        raise OSError(e.errno, f"TLS with {name}: {e.strerror or e}") from None
    return context


def common_name(certificate: Any) -> str | None:
    """The common name in what `ssl` says of a certificate; None: there is no certificate."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None
