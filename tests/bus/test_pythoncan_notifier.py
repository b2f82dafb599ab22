"""PythonCanBus where a `can.Notifier` reads the bus of python-can."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame

from ..waiting import until

can: Any = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")

tells = pytest.mark.skipif(
    not hasattr(can.Notifier, "find_instances"), reason="python-can older than 4.6 does not tell who reads a bus"
)
Make = Callable[..., Any]


@pytest.fixture
def adapter(request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a bus of python-can; those with the same `channel` are connected."""
    with ExitStack() as stack:

        def make(channel: str = "", kind: Any = can.Bus, **options: Any) -> Any:
            bus = kind(interface="virtual", channel=f"{request.node.nodeid} {channel}", **options)
            stack.callback(bus.shutdown)
            return bus

        yield make


@pytest.fixture
def notifier() -> Iterator[Make]:
    """Makes a notifier."""
    with ExitStack() as stack:

        def make(*args: Any, **options: Any) -> Any:
            new = can.Notifier(*args, **{"timeout": 0.01, **options})
            stack.callback(new.stop)
            return new

        yield make


def bound(bus: isotp.PythonCanBus, rxid: int, txid: int) -> isotp.SoftSocket:
    s = isotp.SoftSocket(bus, 30)
    try:
        s.bind(rxid=rxid, txid=txid)
    except BaseException:
        s.close()
        raise
    return s


def message(data: bytes = b"\1x", arbitration_id: int = 1) -> Any:
    return can.Message(arbitration_id=arbitration_id, data=data, is_extended_id=False)


def received(bus: isotp.PythonCanBus) -> list[bytes]:
    """The data of the frames that arrive at an open bus until one of the identifier 0x7FF does."""
    frames: list[CanFrame] = []

    def has_ended() -> bool:
        frames.extend(bus.receive().frames)
        return any(frame.can_id == 0x7FF for frame in frames)

    until(has_ended)
    return [frame.data for frame in frames if frame.can_id != 0x7FF]


@pytest.mark.parametrize("kind", [can.Bus, can.ThreadSafeBus])
def test_a_notifier_hands_on_every_frame(adapter: Make, notifier: Make, kind: Any) -> None:
    ours, theirs = adapter(kind=kind), adapter()
    logged: list[Any] = []
    shared = notifier(ours, [logged.append])
    bus = isotp.PythonCanBus(ours, notifier=shared)
    with bound(bus, 1, 2) as a, bound(isotp.PythonCanBus(theirs), 2, 1) as b:
        names = [thread.name for thread in threading.enumerate()]
        assert names.count(f"isotp reads {bus.name}") == 1, "that of the other bus"
        for size in range(1, 400, 20):
            a.send(bytes(size))
            assert b.recv() == bytes(size)
            b.send(bytes(size))
            assert a.recv() == bytes(size)
    assert shared.listeners == [logged.append]
    until(lambda: sum(one.data[0] >> 4 == 3 for one in logged) == 19)


def test_frames_sent_ourselves_are_echoes_from_a_notifier_too(adapter: Make, notifier: Make) -> None:
    ours = adapter(receive_own_messages=True)
    bus = isotp.PythonCanBus(ours, notifier=notifier(ours, []), echoes=True)
    with bound(bus, 1, 2) as a, bound(isotp.PythonCanBus(adapter()), 2, 1) as b, bound(bus, 2, 3) as c:
        a.send(bytes(500))
        assert b.recv() == c.recv() == bytes(500)


def test_a_notifier_of_an_event_loop(adapter: Make, notifier: Make) -> None:
    ours, theirs = adapter(), adapter()

    async def test() -> None:
        shared = notifier(ours, [], loop=asyncio.get_running_loop())
        bus, other = isotp.PythonCanBus(ours, notifier=shared), isotp.PythonCanBus(theirs)
        async with isotp.AsyncSoftSocket(bus, 30) as a, isotp.AsyncSoftSocket(other, 30) as b:
            a.bind(rxid=1, txid=2)
            b.bind(rxid=2, txid=1)
            for size in (1, 500):
                await a.send(bytes(size))
                assert await b.recv() == bytes(size)
                await b.send(bytes(size))
                assert await a.recv() == bytes(size)
            waiting = asyncio.create_task(a.recv())
            await asyncio.sleep(0)
            shared.stop()
            with pytest.raises(isotp.InterfaceError, match=r"its can\.Notifier was stopped"):
                await waiting

    asyncio.run(test())


def test_several_buses_on_one_notifier(adapter: Make, notifier: Make) -> None:
    """They do not hear each other, since an adapter does not hear itself; each hears the third node."""
    ours, theirs = adapter(), adapter()
    shared = notifier(ours, [])
    one, two = (isotp.PythonCanBus(ours, notifier=shared) for _ in range(2))
    with bound(one, 1, 2) as a, bound(two, 3, 4) as b, bound(isotp.PythonCanBus(theirs), 2, 1) as peer:
        peer.send(bytes(300))
        assert a.recv() == bytes(300)
        theirs.send(message(arbitration_id=3))
        assert b.recv() == b"x"


def test_no_listener_misses_a_message_when_a_socket_is_closed(adapter: Make, notifier: Make) -> None:
    ours, theirs = adapter(), adapter()
    shared = notifier(ours, [])
    closing, staying = (isotp.PythonCanBus(ours, notifier=shared) for _ in range(2))
    closing.open(lambda: None)
    shared.add_listener(lambda _: closing.close())  # while the notifier is at it
    staying.open(lambda: None)
    theirs.send(message())
    theirs.send(message(arbitration_id=0x7FF))
    assert received(staying) == [b"\1x"]
    staying.close()


def test_a_bus_opened_again_has_no_old_messages(adapter: Make, notifier: Make) -> None:
    ours, theirs = adapter(), adapter()
    logged: list[Any] = []
    shared = notifier(ours, [])
    bus = isotp.PythonCanBus(ours, notifier=shared)
    shared.add_listener(logged.append)
    bus.open(lambda: None)
    theirs.send(message(b"old"))
    until(lambda: logged)
    bus.close()
    bus.open(lambda: None)
    theirs.send(message(b"new"))
    theirs.send(message(arbitration_id=0x7FF))
    assert received(bus) == [b"new"]
    bus.close()


# --- a notifier of several buses


def test_only_messages_of_our_bus(adapter: Make, notifier: Make) -> None:
    ours = {channel: adapter(channel) for channel in "xy"}
    theirs = {channel: adapter(channel) for channel in "xy"}
    shared = notifier(list(ours.values()), [])
    buses = {channel: isotp.PythonCanBus(bus, notifier=shared) for channel, bus in ours.items()}
    for bus in buses.values():
        bus.open(lambda: None)
    for channel, node in theirs.items():
        node.send(message(channel.encode()))
        node.send(message(arbitration_id=0x7FF))
    assert {channel: received(bus) for channel, bus in buses.items()} == {"x": [b"x"], "y": [b"y"]}
    for bus in buses.values():
        bus.close()


def test_two_links_on_one_notifier(adapter: Make, notifier: Make) -> None:
    """The same identifiers on both buses."""
    ours = [adapter(channel) for channel in "xy"]
    theirs = [adapter(channel) for channel in "xy"]
    shared = notifier(ours, [])
    with ExitStack() as stack:
        pairs = [
            (
                stack.enter_context(bound(isotp.PythonCanBus(mine, notifier=shared), 1, 2)),
                stack.enter_context(bound(isotp.PythonCanBus(other), 2, 1)),
            )
            for mine, other in zip(ours, theirs, strict=True)
        ]
        for a, b in pairs:
            a.send(bytes(100), confirm=False)
            b.send(bytes([1]) * 100, confirm=False)
        for a, b in pairs:
            assert (a.recv(), b.recv()) == (bytes([1]) * 100, bytes(100))


def test_two_buses_of_one_channel_are_refused(adapter: Make, notifier: Make) -> None:
    ours = adapter()
    shared = notifier([ours, adapter()], [])
    with pytest.raises(isotp.InterfaceError, match="reads other buses") as e:
        bound(isotp.PythonCanBus(ours, notifier=shared), 1, 2)
    assert e.value.remedy == "give each bus a can.Notifier of its own"
    assert shared.listeners == []


class Unnamed(can.BusABC):  # type: ignore[misc]
    """A bus whose messages have no channel; reading raises what it is told to."""

    def __init__(self, channel: Any) -> None:
        super().__init__("x")
        self.channel_info = "an adapter"
        self.channel = channel
        self.messages: list[Any] = []
        self.fault: Exception | None = None
        self.faults = 0

    def send(self, msg: Any, timeout: float | None = None) -> None:
        raise NotImplementedError

    def _recv_internal(self, timeout: float | None) -> tuple[Any, bool]:
        if self.fault is not None:
            self.faults += 1
            raise self.fault
        time.sleep(0.001)
        return (self.messages.pop() if self.messages else None), False


def test_messages_that_do_not_tell_where_they_are_from(adapter: Make, notifier: Make) -> None:
    silent, ours = Unnamed("elsewhere"), adapter()
    with bound(isotp.PythonCanBus(ours, notifier=notifier([ours, silent], [])), 1, 2) as a:
        silent.messages.append(message())
        with pytest.raises(isotp.InterfaceError, match="do not tell which: channel None"):
            a.recv()
    silent.shutdown()


# --- what is refused


@tells
def test_bind_says_that_a_notifier_reads_the_bus(adapter: Make, notifier: Make) -> None:
    ours = adapter()
    shared = notifier(ours, [])
    bus = isotp.PythonCanBus(ours)
    with pytest.raises(isotp.InterfaceError, match=r"is read by a can\.Notifier") as e:
        bound(bus, 1, 2)
    assert e.value.remedy == "PythonCanBus(bus, notifier=notifier)"
    shared.stop()
    bound(bus, 1, 2).close()


@tells
def test_a_notifier_that_comes_later_is_told_too(adapter: Make, notifier: Make) -> None:
    ours, theirs = adapter(), adapter()
    with bound(isotp.PythonCanBus(ours), 1, 2) as s:
        shared = notifier(ours, [])
        with pytest.raises(isotp.InterfaceError, match=r"is read by a can\.Notifier"):
            s.recv()
        shared.stop()
        until(lambda: told(s) == [])
        theirs.send(message())
        assert s.recv() == b"x"


def told(s: isotp.SoftSocket) -> list[Exception]:
    """What a call that does not wait raises, except that there is nothing."""
    try:
        s.recv_message(isotp.MSG_DONTWAIT)
    except BlockingIOError:
        return []
    except isotp.InterfaceError as e:
        return [e]
    raise AssertionError("a message has arrived")


@tells
def test_a_notifier_that_does_not_read_the_bus(adapter: Make, notifier: Make) -> None:
    bus = isotp.PythonCanBus(adapter(), notifier=notifier(adapter("another"), []))
    with pytest.raises(isotp.InterfaceError, match=r"is not read by the can\.Notifier given"):
        bound(bus, 1, 2)


def test_a_bus_with_notifier_beside_one_without(adapter: Make, notifier: Make) -> None:
    ours = adapter()
    with bound(isotp.PythonCanBus(ours), 1, 2):
        bus = isotp.PythonCanBus(ours, notifier=notifier(ours, []))
        with pytest.raises(isotp.InterfaceError, match="is read by a PythonCanBus without notifier"):
            bound(bus, 3, 4)
    bound(bus, 3, 4).close()


def test_what_is_no_notifier(adapter: Make) -> None:
    with pytest.raises(TypeError, match=r"notifier must be a can\.Notifier, not"):
        isotp.PythonCanBus(adapter(), notifier=print)


# --- a notifier that ends


def test_a_notifier_that_is_stopped_reaches_the_callers(adapter: Make, notifier: Make) -> None:
    ours, theirs = adapter(), adapter()
    shared = notifier(ours, [])
    bus = isotp.PythonCanBus(ours, notifier=shared)
    with bound(bus, 1, 2) as a, bound(bus, 3, 4) as b:
        theirs.send(message())
        until(lambda: a.recv_message(isotp.MSG_PEEK))
        shared.stop()
        assert a.recv() == b"x", "it came before"
        for s in (a, b):
            with pytest.raises(isotp.InterfaceError, match=r"its can\.Notifier was stopped"):
                s.recv()
            with pytest.raises(isotp.InterfaceError, match=r"its can\.Notifier was stopped"):
                s.send(b"x")
    if hasattr(shared, "stopped"):
        with pytest.raises(isotp.InterfaceError, match="or no more"):
            bound(bus, 1, 2)
    with bound(isotp.PythonCanBus(ours, notifier=notifier(ours, [])), 1, 2) as a:
        theirs.send(message())
        assert a.recv() == b"x"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # as without our listener
@pytest.mark.parametrize("in_loop", [False, True])
def test_a_notifier_that_fails_reaches_the_callers(notifier: Make, in_loop: bool) -> None:
    broken = Unnamed("x")

    def recv(s: isotp.SoftSocket) -> None:
        with pytest.raises(isotp.InterfaceError, match="has failed: unplugged"):
            s.recv()

    async def test() -> None:
        shared = notifier(broken, [], loop=asyncio.get_running_loop() if in_loop else None)
        bus = isotp.PythonCanBus(broken, notifier=shared)
        with bound(bus, 1, 2) as s:
            broken.fault = can.CanOperationError("unplugged")
            await asyncio.to_thread(recv, s)
            with pytest.raises(isotp.InterfaceError, match="has failed: unplugged") as e:
                s.send(b"x")
            assert e.value.__cause__ is not None
        assert shared.listeners == []
        with pytest.raises(isotp.InterfaceError, match="has failed: unplugged"):
            bound(bus, 1, 2)

    asyncio.run(test())
    assert broken.faults == 1, "it reads on, as fast as it can"
    broken.shutdown()
