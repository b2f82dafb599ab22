"""The implementations that the suite runs against, one `World` each."""

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

import isotp
from isotp.anysocket import IsoTpSocket


class World(Protocol):
    """A place where ISO-TP sockets live, all on one bus."""

    def open(self, timeout: float | None) -> IsoTpSocket:
        """An unbound socket."""

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        """Bind a socket of this world."""

    def close(self) -> None:
        """Give the bus back."""


class Soft:
    """SoftSocket on VirtualBus."""

    def __init__(self, bus: Any = None) -> None:
        self._bus = bus or isotp.VirtualBus()

    def open(self, timeout: float | None) -> IsoTpSocket:
        return isotp.SoftSocket(self._bus, timeout)

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        sock.bind(address, **ids)

    def close(self) -> None:
        pass


WORLDS: dict[str, Callable[[pytest.FixtureRequest], World]] = {
    "soft-virtual": lambda _: Soft(),
}


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    threads, files = threading.enumerate(), os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    yield
    gc.collect()
    assert threading.enumerate() == threads, "threads left running"
    if files:
        assert len(os.listdir("/proc/self/fd")) == len(files), "descriptors left open"


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[World]:
    with contextlib.closing(WORLDS[request.param](request)) as world:
        yield world


class Sockets:
    """Opens sockets of a world and closes them at the end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._stack = contextlib.ExitStack()

    def __call__(self, timeout: float | None = 5.0) -> IsoTpSocket:
        """An unbound socket."""
        return self._stack.enter_context(self.world.open(timeout))

    def pair(
        self, configure: Callable[[IsoTpSocket], object] | None = None, timeout: float | None = 5.0
    ) -> tuple[IsoTpSocket, IsoTpSocket]:
        """Two bound sockets that are each other's peer, both configured first."""
        a, b = self(timeout), self(timeout)
        if configure:
            configure(a)
            configure(b)
        self.world.bind(a, rxid=0x7E8, txid=0x7E0)
        self.world.bind(b, rxid=0x7E0, txid=0x7E8)
        return a, b

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def sockets(world: World) -> Iterator[Sockets]:
    with contextlib.closing(Sockets(world)) as sockets:
        yield sockets
