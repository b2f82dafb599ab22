"""The implementations that the suite runs against, one `World` each."""

import contextlib
import gc
import importlib.util
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

import isotp
from isotp.sockets import IsoTpSocket
from isotp.testing import FakeClock, SimulatedSocket

from ..kernel.conftest import Links, need_kernel
from ..loops import new_uvloop
from .blocking import LoopThread, blocking


class World(Protocol):
    """A place where ISO-TP sockets live, all on one bus."""

    clock: Any = time
    """The time there; a `FakeClock` has no other threads."""

    def open(self, timeout: float | None, watch_begin: bool = False) -> IsoTpSocket:
        """An unbound socket; `watch_begin`: for `begins_within`, which costs a kernel socket a second one."""

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        """Bind a socket of this world."""

    def ask(self, sender: Any, receivers: list[Any], data: bytes, **how: Any) -> list[isotp.Reply]:
        """Make a functional request."""
        return isotp.functional_request(sender, receivers, data, **how)

    def close(self) -> None:
        """Give the bus back."""


class Soft(World):
    """SoftSocket on VirtualBus."""

    def __init__(self, bus: Any = None) -> None:
        self._bus = bus or isotp.VirtualBus()

    def open(self, timeout: float | None, watch_begin: bool = False) -> IsoTpSocket:
        return isotp.SoftSocket(self._bus, timeout)

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        sock.bind(address, **ids)

    def close(self) -> None:
        pass


class Simulated(Soft):
    """SimulatedSocket on VirtualBus."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        super().__init__(isotp.VirtualBus(clock=self.clock))

    def open(self, timeout: float | None, watch_begin: bool = False) -> IsoTpSocket:
        return SimulatedSocket(self._bus, timeout)


def python_can_buses(request: pytest.FixtureRequest) -> tuple[list[isotp.PythonCanBus], list[Callable[[], object]]]:
    """Two buses of python-can on one channel, read by a notifier and by a thread, and what to call at the end."""
    can: Any = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    one, two = (can.Bus(interface="virtual", channel=request.node.nodeid) for _ in range(2))
    notifier = can.Notifier(one, [], timeout=0.01)
    buses = [isotp.PythonCanBus(one, notifier=notifier, can_fd=True), isotp.PythonCanBus(two, can_fd=True)]
    return buses, [notifier.stop, one.shutdown, two.shutdown]


def soft_on_python_can(request: pytest.FixtureRequest) -> World:
    return TwoBuses(*python_can_buses(request))


class TwoBuses(World):
    """SoftSocket on several buses of one channel, in turn: two programs on one real bus."""

    def __init__(self, buses: list[Any], closing: list[Callable[[], object]]) -> None:
        self._buses = itertools.cycle(buses)
        self._closing = closing

    def open(self, timeout: float | None, watch_begin: bool = False) -> IsoTpSocket:
        return isotp.SoftSocket(next(self._buses), timeout)

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        sock.bind(address, **ids)

    def close(self) -> None:
        for close in self._closing:
            close()


def watching(watch_begin: bool) -> dict[str, Any]:
    """The argument of a kernel socket."""
    return {"watch_begin": True} if watch_begin else {}


class OnVcan(World):
    """Sockets on a virtual CAN interface of the kernel, each implementation with its own way to be bound."""

    def __init__(self, name: str, soft: bool) -> None:
        self._name = name
        self._bus = isotp.SocketCanBus(name) if soft else None

    def open(self, timeout: float | None, watch_begin: bool = False) -> IsoTpSocket:
        if self._bus is not None:
            return isotp.SoftSocket(self._bus, timeout)
        return isotp.socket(timeout, **watching(watch_begin))

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        if self._bus is None:
            sock.bind(self._name, address, **ids)
        else:
            sock.bind(address, **ids)

    def close(self) -> None:
        pass


class InLoop(World):
    """The asyncio sockets of another world, behind the interface of the blocking ones."""

    def __init__(
        self,
        open_socket: Callable[[float | None, bool], Any],
        bind: Callable[..., None],
        loop: LoopThread,
        closing: Callable[[], object] = lambda: None,
    ) -> None:
        self._open_socket, self._bind, self._loop, self._closing = open_socket, bind, loop, closing

    def open(self, timeout: float | None, watch_begin: bool = False) -> IsoTpSocket:
        sock: IsoTpSocket = blocking(self._loop, self._loop.run(lambda: self._open_socket(timeout, watch_begin)))
        return sock

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        self._loop.run(lambda: self._bind(sock._sock, address, **ids))

    def ask(self, sender: Any, receivers: list[Any], data: bytes, **how: Any) -> list[isotp.Reply]:
        ecus = [receiver._sock for receiver in receivers]
        replies = self._loop.run(lambda: isotp.async_functional_request(sender._sock, ecus, data, **how))
        assert isinstance(replies, list)
        return replies

    def close(self) -> None:
        self._loop.close()
        self._closing()


def async_soft(loop: LoopThread, *buses: Any, closing: Callable[[], object] = lambda: None) -> World:
    """AsyncSoftSocket on several buses of one channel, in turn."""
    turns = itertools.cycle(buses)
    return InLoop(
        lambda timeout, _: isotp.AsyncSoftSocket(next(turns), timeout), isotp.AsyncSoftSocket.bind, loop, closing
    )


def async_on_python_can(request: pytest.FixtureRequest) -> World:
    buses, closing = python_can_buses(request)
    return async_soft(LoopThread(), *buses, closing=lambda: [close() for close in closing])


def async_on_socketcan(vcan: str) -> World:
    return async_soft(LoopThread(), isotp.SocketCanBus(vcan))


def async_on_vcan(vcan: str, loop: LoopThread) -> World:
    return InLoop(
        lambda timeout, watch_begin: isotp.AsyncSocket(timeout, **watching(watch_begin)),
        lambda sock, address, **ids: sock.bind(vcan, address, **ids),
        loop,
    )


class Remote(World):
    """RemoteSocket over a router of Zenoh and an edge, which shares a VirtualBus."""

    _numbers = itertools.count()

    def __init__(self, network: Any) -> None:
        self.session, self._router = network
        self.link = f"garage/any{next(self._numbers)}"
        self._loop, bus = LoopThread(), isotp.VirtualBus()
        offer = isotp.remote.Offer(self.link, lambda _: isotp.AsyncSoftSocket(bus), any=("all",), options=("all",))
        self._share = self._loop.run(lambda: isotp.remote.Share(self._router, [offer]).__aenter__())

    def open(self, timeout: float | None, watch_begin: bool = False) -> IsoTpSocket:
        return isotp.RemoteSocket(self.session, self.link, timeout, **watching(watch_begin))

    def bind(self, sock: Any, address: object = None, **ids: int) -> None:
        if address is None and not ids:
            raise isotp.AddressError("a remote socket without address takes that of its link, and this one has none")
        sock.bind(address, **ids)

    def close(self) -> None:
        self._loop.run(self._share.close)
        self._loop.close()


@pytest.fixture(scope="session", autouse=True)
def network() -> Iterator[Any]:
    """A router of Zenoh and a session of a client, opened before tests look for leaks; None where there is no Zenoh."""
    if importlib.util.find_spec("zenoh") is None:
        yield None
        return
    from ..remote.edges import free_port, router, session

    endpoint = f"tcp/127.0.0.1:{free_port()}"
    with router(endpoint) as routing, session(endpoint) as asking:
        yield asking, routing


def remote(request: pytest.FixtureRequest) -> Remote:
    network = request.getfixturevalue("network")
    if network is None:
        pytest.skip("eclipse-zenoh is not installed (to do: pip install isotp[remote])")
    return Remote(network)


def async_remote(request: pytest.FixtureRequest) -> World:
    one = remote(request)
    return InLoop(
        lambda timeout, watch: isotp.AsyncRemoteSocket(one.session, one.link, timeout, watch_begin=watch),
        one.bind,
        LoopThread(),
        one.close,
    )


WORLDS: dict[str, Callable[[pytest.FixtureRequest], World]] = {
    "soft-virtual": lambda _: Soft(),
    "simulated": lambda _: Simulated(),
    "soft-python-can": soft_on_python_can,
    "soft-socketcan": lambda request: OnVcan(request.getfixturevalue("vcan"), soft=True),
    "kernel": lambda request: OnVcan(request.getfixturevalue("vcan"), soft=False),
    "remote": remote,
    "async-remote": async_remote,
    "async-soft-virtual": lambda _: async_soft(LoopThread(), isotp.VirtualBus()),
    "async-soft-virtual-uvloop": lambda _: async_soft(LoopThread(new_uvloop), isotp.VirtualBus()),
    "async-soft-python-can": async_on_python_can,
    "async-soft-socketcan": lambda request: async_on_socketcan(request.getfixturevalue("vcan")),
    "async-kernel": lambda request: async_on_vcan(request.getfixturevalue("vcan"), LoopThread()),
    "async-kernel-uvloop": lambda request: async_on_vcan(request.getfixturevalue("vcan"), LoopThread(new_uvloop)),
}
IN_KERNEL = ("soft-socketcan", "kernel", "async-soft-socketcan", "async-kernel", "async-kernel-uvloop")


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    threads, files = threading.enumerate(), os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd") else []
    yield
    gc.collect()
    assert threading.enumerate() == threads, "threads left running"
    if files:
        assert len(os.listdir("/proc/self/fd")) == len(files), "descriptors left open"


@pytest.fixture
def vcan(no_leaks: None) -> Iterator[str]:
    """A virtual CAN interface; skips where there is none to be had."""
    need_kernel()
    with contextlib.closing(Links()) as links:
        yield links()


@pytest.fixture(params=[pytest.param(n, marks=pytest.mark.kernel if n in IN_KERNEL else ()) for n in WORLDS])
def world(request: pytest.FixtureRequest, no_leaks: None) -> Iterator[World]:
    with contextlib.closing(WORLDS[request.param](request)) as world:
        yield world


class Task:
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._outcome: list[Any] = []
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(call,))
        self._thread.start()
        assert self._started.wait(30)

    def _run(self, call: Callable[[], Any]) -> None:
        self._started.set()
        try:
            self._outcome.append(call())
        except OSError as e:
            self._outcome.append(e)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def outcome(self) -> Any:
        self._thread.join(30)
        assert not self._thread.is_alive()
        return self._outcome[0]


class Sockets:
    """Opens sockets of a world and closes them at the end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._stack = contextlib.ExitStack()

    def __call__(self, timeout: float | None = 30.0, watch_begin: bool = False) -> IsoTpSocket:
        """An unbound socket."""
        return self._stack.enter_context(self.world.open(timeout, watch_begin))

    def pair(
        self,
        configure: Callable[[IsoTpSocket], object] | None = None,
        timeout: float | None = 30.0,
        watch_begin: bool = False,
    ) -> tuple[IsoTpSocket, IsoTpSocket]:
        """Two bound sockets that are each other's peer, both configured first."""
        a, b = self(timeout), self(timeout, watch_begin)
        if configure:
            configure(a)
            configure(b)
        self.world.bind(a, rxid=0x7E8, txid=0x7E0)
        self.world.bind(b, rxid=0x7E0, txid=0x7E8)
        return a, b

    def task(self, call: Callable[[], Any]) -> Task:
        """Make a call in a thread of its own, where the world has threads."""
        if self.world.clock is not time:
            pytest.skip("simulated time has one thread")
        return Task(call)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def sockets(world: World) -> Iterator[Sockets]:
    with contextlib.closing(Sockets(world)) as sockets:
        yield sockets
