"""When messages of a SoftSocket were received: their frames say so, and not the moment at which they are handled."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.engine import Event, MessageSent

from ..waiting import until

FRAMES = [CanFrame(1, bytes.fromhex(data)) for data in ("1008000102030405", "210607")]


class Held:
    """Stops the thread of a bus in a callback, from the first event of a kind until `go`."""

    def __init__(self, kind: type = object) -> None:
        self.is_there, self._may_go, self._kind = threading.Event(), threading.Event(), kind

    def __call__(self, event: Event) -> None:
        if isinstance(event, self._kind):
            self.is_there.set()
            assert self._may_go.wait(30)

    def go(self) -> None:
        """Let the thread go on, later than now."""
        now_ns = time.time_ns()
        until(lambda: time.time_ns() > now_ns + 1_000_000)
        self._may_go.set()


@pytest.fixture
def python_can(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """Makes buses of python-can that hear each other."""
    can = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    with ExitStack() as stack:
        yield lambda: stack.enter_context(can.Bus(interface="virtual", channel=request.node.nodeid))


def between(bus: isotp.bus.Bus, send: Callable[[CanFrame], object]) -> None:
    """Receive a message while the thread of `bus` is held up; `send` returns when the bus has the frame."""
    held = Held()
    with isotp.SoftSocket(bus, 30, on_event=held) as s:
        s.bind(rxid=1, txid=2)
        send(CanFrame(1, b"\x01x"))
        assert held.is_there.wait(30)
        times_ns = [time.time_ns()]
        for frame in FRAMES:
            send(frame)
            times_ns.append(time.time_ns())
        held.go()
        assert s.recv() == b"x"
        message = s.recv_message()
    assert message.data == bytes(range(8))
    assert message.begin_ns is not None
    assert times_ns[0] <= message.begin_ns <= times_ns[1] <= message.timestamp_ns <= times_ns[2]


def test_virtual_bus() -> None:
    bus = isotp.VirtualBus()
    between(bus, bus.inject)


def test_python_can_bus(python_can: Callable[[], Any]) -> None:
    import can

    bus, theirs = isotp.PythonCanBus(python_can()), python_can()
    count = 0

    def send(frame: CanFrame) -> None:
        nonlocal count
        theirs.send(can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=False))
        assert bus._reader is not None
        if count:  # the first one is received at once
            until(lambda: bus._reader is not None and len(bus._reader.messages) == count)
        count += 1

    between(bus, send)


def test_frames_between_links_of_a_bus_without_echo(python_can: Callable[[], Any]) -> None:
    bus, held = isotp.PythonCanBus(python_can()), Held(MessageSent)
    with isotp.SoftSocket(bus, 30, on_event=held) as a, isotp.SoftSocket(bus, 30) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        before_ns = time.time_ns()
        a.send(b"x")
        assert held.is_there.wait(30)
        after_ns = time.time_ns()
        held.go()
        assert before_ns <= b.recv_message().timestamp_ns <= after_ns


class OwnBus(isotp.bus.Bus):
    """As a user writes it: it does not say when frames arrived."""

    def open(self, wake: Callable[[], None]) -> None:
        self.arrived: list[CanFrame] = []
        self.wake = wake

    def close(self) -> None:
        pass

    def send(self, frames: Any) -> int:
        return len(frames)

    def receive(self) -> isotp.bus.Received:
        frames, self.arrived = self.arrived, []
        return isotp.bus.Received(frames, [])


def test_a_bus_that_does_not_say() -> None:
    bus = OwnBus()
    with isotp.SoftSocket(bus, 30) as s:
        s.bind(rxid=1, txid=2)
        before_ns = time.time_ns()
        bus.arrived.append(CanFrame(1, b"\x01x"))
        bus.wake()
        message = s.recv_message()
    assert before_ns <= message.timestamp_ns <= time.time_ns()
    assert message.begin_ns == message.timestamp_ns
