"""Listening: where an edge can be reached, and the configuration of Zenoh that follows; closed by default."""

from dataclasses import dataclass
from typing import Any, Final

from ..errors import OptionError
from .access import Access
from .sessions import LOOPBACK, common_name, config_of

_LIMITS: Final = {
    "transport/link/rx/max_message_size": 1 << 26,
    "transport/unicast/accept_pending": 100,
    "transport/link/tx/queue/congestion_control/block/wait_before_close": 1_000_000,  # microseconds
}


@dataclass(frozen=True)
class Tls:
    """Files in PEM.

    Args:
        ca: the certificate that has signed those of all others.
        certificate: the edge's own.
        key: its private key.
    """

    ca: str
    certificate: str
    key: str


@dataclass(frozen=True)
class Listening:
    """Where an edge can be reached.

    Args:
        listen: endpoints of Zenoh to listen on; without them and `connect` this machine only.
        connect: endpoints of routers to connect to.
        tls: certificates.
        insecure: whether others than programs of this machine may come without a certificate.
    """

    listen: tuple[str, ...] = ()
    connect: tuple[str, ...] = ()
    tls: Tls | None = None
    insecure: bool = False

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where it listens."""
        return self.listen or (() if self.connect else (LOOPBACK,))

    def settings(self, access: Access) -> dict[str, Any]:
        """The settings of Zenoh.

        Raises:
            OptionError: anybody in the network could come in.
        """
        for endpoint in (*self.endpoints, *self.connect):
            if not self.insecure and _is_plain(endpoint) and not _is_loopback(endpoint):
                raise OptionError(
                    f"{endpoint}: everybody who reaches it reaches the bus",
                    remedy="use tls/ with certificates ([tls] and [[client]] in the edge file), or say --insecure",
                )
        is_secure = any(not _is_plain(endpoint) for endpoint in (*self.endpoints, *self.connect))
        found: dict[str, Any] = {
            "mode": "router" if self.endpoints else "client",
            "listen/endpoints": list(self.endpoints),
            "connect/endpoints": list(self.connect),
        } | _LIMITS  # fmt: skip
        if is_secure:
            if self.tls is None or access.is_open:
                raise OptionError(
                    "TLS needs certificates and the names of those who may come in: one of them is missing",
                    remedy="write [tls] (ca, certificate, key) and a [[client]] for each name into the edge file",
                )
            found["transport/link/tls"] = {
                "root_ca_certificate": self.tls.ca, "enable_mtls": True,
                "listen_certificate": self.tls.certificate, "listen_private_key": self.tls.key,
                "connect_certificate": self.tls.certificate, "connect_private_key": self.tls.key,
            }  # fmt: skip
            if self.endpoints:
                found["access_control"] = access.control()
        return found

    def config(self, access: Access) -> Any:
        """The configuration of Zenoh; errors as `settings`."""
        return config_of(self.settings(access))

    def router_control(self, access: Access) -> dict[str, Any]:
        """The access control of the router that this edge connects to."""
        if self.tls is None:
            return access.control()
        with open(self.tls.certificate, encoding="ascii") as file:
            return access.control((common_name(file.read()),))


def _is_plain(endpoint: str) -> bool:
    return endpoint.partition("/")[0] not in ("tls", "quic")


def _is_loopback(endpoint: str) -> bool:
    protocol, _, address = endpoint.partition("/")
    host = address.partition("?")[0].partition("#")[0].rpartition(":")[0].strip("[]")
    return protocol.startswith(("unixsock", "unixpipe")) or host in ("127.0.0.1", "::1", "localhost")
