"""Sessions of Zenoh: how they are opened, what they are called, and how questions are asked in them."""

import asyncio
import base64
import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import InterfaceDownError, OptionError, not_installed
from ..task_lock import settle
from . import keys, wire

if TYPE_CHECKING:
    import zenoh

LOOPBACK: Final = "tcp/127.0.0.1:7447"
_OPEN_S: Final = 5.0
_COMMON_NAME: Final = bytes.fromhex("0603550403")


def load_zenoh() -> Any:
    """The package zenoh; UnavailableError if it is not installed."""
    try:
        import zenoh
    except ImportError:
        raise not_installed("eclipse-zenoh") from None
    return zenoh


def config_of(settings: dict[str, Any]) -> Any:
    """A configuration of Zenoh with `settings`, by their paths; it looks for nobody by itself."""
    config = load_zenoh().Config()
    quiet = {
        "scouting/multicast/enabled": False, "scouting/gossip/enabled": False, "scouting/delay": 0,
        "adminspace/enabled": False, "transport/shared_memory/enabled": False,
    }  # fmt: skip
    for path, value in (quiet | settings).items():
        config.insert_json5(path, json.dumps(value))
    return config


def client_config(given: Any) -> Any:
    """The configuration of a client: a zenoh.Config, a file of Zenoh, a dict of settings by their paths, or None.

    None is what the file in ZENOH_CONFIG says, or a client of a router or edge on this machine.
    """
    zenoh = load_zenoh()
    if isinstance(given, zenoh.Config):
        return given
    if given is None and (path := os.environ.get("ZENOH_CONFIG")):
        given = path
    if isinstance(given, str | os.PathLike):
        return zenoh.Config.from_file(Path(given))
    if given is not None and not isinstance(given, dict):
        raise TypeError(f"needed is a session or configuration of zenoh, a path, a dict or None, not {given!r}")
    client = {"mode": "client", "connect/endpoints": [LOOPBACK], "connect/timeout_ms": round(_OPEN_S * 1000)}
    return config_of(client | (given or {}))


def open_session(config: Any) -> Any:
    """A session of Zenoh.

    Raises:
        InterfaceDownError: nobody answers, or refuses us.
        OptionError: the configuration is wrong.
    """
    zenoh = load_zenoh()
    try:
        return zenoh.open(config)
    except zenoh.ZError as e:
        what = re.sub(r" at /.*", "", str(e))
        raise InterfaceDownError(
            f"no session of Zenoh: {what}",
            remedy="does the edge run (isotp share)? does its address and, with TLS, the certificate fit?",
        ) from e
    except (TypeError, ValueError) as e:
        raise OptionError(f"the configuration of Zenoh is wrong: {e}") from e


def name_in(config: Any) -> str:
    """What a client with this configuration is called: by its certificate, or else by the user."""
    with contextlib.suppress(Exception):  # keys that this configuration does not have
        tls = json.loads(config.get_json("transport/link/tls"))
        if path := tls.get("connect_certificate"):
            return common_name(Path(path).read_text(encoding="ascii"))
    return keys.user_name()


def common_name(pem: str) -> str:
    """The common name of the subject of a certificate; ValueError if it has none."""
    found = re.search(r"-----BEGIN CERTIFICATE-----(.*?)-----END", pem, re.DOTALL)
    if found is None:
        raise ValueError("no certificate in PEM")
    tbs, _ = _content(*_content(base64.b64decode(found[1]))[:1])
    names, rest = b"", tbs
    for _ in range(4 + (tbs[0] == 0xA0)):  # version, serial number, algorithm, issuer, validity; then the subject
        names, rest = _content(rest)
    names, _ = _content(rest)
    at = names.rfind(_COMMON_NAME)
    if at < 0:
        raise ValueError("the certificate has no common name")
    return _content(names[at + len(_COMMON_NAME) :])[0].decode("utf-8")


def _content(der: bytes) -> tuple[bytes, bytes]:
    """The content of the first element, and what follows it (X.690)."""
    length, begin = der[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[2:begin], "big")
    return der[begin : begin + length], der[begin + length :]


OnReply = Callable[[dict[str, Any], bytes], object]


async def ask(
    session: "zenoh.Session", key: str, header: dict[str, Any], data: bytes, timeout: float, on_reply: OnReply
) -> None:
    """Ask, and return when all replies have come or none can come any more.

    `on_reply` is called in this event loop with each reply.
    """
    import zenoh
    from zenoh.handlers import Callback

    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def take(reply: "zenoh.Reply") -> None:
        if reply.ok is not None:
            try:
                said = wire.unpack(reply.ok.attachment)
            except ValueError:
                return
            _call_in(loop, on_reply, said, bytes(reply.ok.payload))

    def end() -> None:
        _call_in(loop, settle, done, None)

    with contextlib.suppress(zenoh.ZError):  # the session is closed: nobody answers
        session.get(
            key,
            Callback(take, end, indirect=False),
            attachment=wire.pack(header),
            payload=data,
            timeout=timeout,
            consolidation=zenoh.ConsolidationMode.NONE,
            congestion_control=zenoh.CongestionControl.BLOCK,
            express=True,
        )
        await done


def _call_in(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: Any) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
        loop.call_soon_threadsafe(call, *args)
