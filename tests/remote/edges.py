"""Edges for tests: a router of Zenoh in this process, on a free port of this machine, and a Share in a thread."""

import contextlib
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import isotp
from isotp.remote import Access, Offer, Share
from isotp.remote.sessions import client_config, config_of, open_session

from ..conformance.blocking import LoopThread

zenoh: Any = pytest.importorskip("zenoh", reason="eclipse-zenoh is not installed (to do: pip install isotp[remote])")
CAR = isotp.Address.normal(rxid=0x7E8, txid=0x7E0)
ECU = isotp.Address.normal(rxid=0x7E0, txid=0x7E8)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def router(endpoint: str, **settings: Any) -> Any:
    return open_session(config_of({"mode": "router", "listen/endpoints": [endpoint]} | settings))


def session(endpoint: str) -> Any:
    """Of a client."""
    return open_session(client_config({"connect/endpoints": [endpoint]}))


class Edge:
    """A Share on a VirtualBus, with its own router and its own event loop.

    Args:
        offers: made of its bus.
        access: who may do what.
        settings: of the router.
    """

    def __init__(
        self,
        offers: Callable[[isotp.VirtualBus], Iterable[Offer]],
        access: Access | None = None,
        endpoint: str | None = None,
        settings: dict[str, Any] | None = None,
        bus: isotp.VirtualBus | None = None,
    ) -> None:
        self.endpoint = endpoint or f"tcp/127.0.0.1:{free_port()}"
        self.bus = bus or isotp.VirtualBus()
        self.router = router(self.endpoint, **settings or {})
        self.start(offers, access)

    def start(self, offers: Callable[[isotp.VirtualBus], Iterable[Offer]], access: Access | None = None) -> None:
        self.loop = LoopThread()
        self.share = self.loop.run(lambda: self._start(offers, access))

    async def _start(self, offers: Callable[[isotp.VirtualBus], Iterable[Offer]], access: Access | None) -> Share:
        return await Share(self.router, offers(self.bus), access).__aenter__()

    @property
    def where(self) -> dict[str, Any]:
        """For a client."""
        return {"connect/endpoints": [self.endpoint]}

    def session(self) -> Any:
        return session(self.endpoint)

    def stop(self) -> None:
        self.loop.run(self.share.close)
        self.loop.close()

    def close(self) -> None:
        self.stop()
        self.router.close()


def one_link(bus: isotp.VirtualBus) -> list[Offer]:
    return [Offer("garage/car7/engine", lambda _: isotp.AsyncSoftSocket(bus), CAR)]


def whole_bus(bus: isotp.VirtualBus, link: str = "garage/any") -> list[Offer]:
    return [Offer(link, lambda _: isotp.AsyncSoftSocket(bus), any=("all",), options=("all",))]


@contextlib.contextmanager
def edge(*given: Any, **how: Any) -> Iterator[Edge]:
    with contextlib.closing(Edge(*given, **how)) as made:
        yield made
