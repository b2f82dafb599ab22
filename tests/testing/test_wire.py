"""Wire: it carries the frames of each bus to the other one, with faults; on kernel interfaces: tests/kernel."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

import isotp
from isotp import Faults, VirtualBus
from isotp.bus import CanFrame
from isotp.bus.virtual import Fate
from isotp.testing.outages import bus_down
from isotp.testing.wire import Wire

from ..waiting import until


class Node:
    """Another node on a VirtualBus."""

    def __init__(self, bus: VirtualBus) -> None:
        self.bus = bus
        self.heard: list[CanFrame] = []
        bus.listen(self.heard.append)

    def say(self, *frames: CanFrame) -> None:
        """Send frames."""
        for frame in frames:
            self.bus.inject(frame)


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    threads, files = threading.enumerate(), len(os.listdir("/proc/self/fd"))
    yield
    assert threading.enumerate() == threads
    assert len(os.listdir("/proc/self/fd")) == files


@contextmanager
def wire(faults: Fate | None = None, **of_a: int) -> Iterator[tuple[Wire, Node, Node]]:
    """A wire between two buses, and a node on each."""
    a, b = VirtualBus("a", **of_a), VirtualBus("b")  # type: ignore[arg-type]
    with Wire(a, b, faults) as made:
        yield made, Node(a), Node(b)


FRAMES = [CanFrame(n, bytes((n,))) for n in range(200)]
FD = CanFrame(0x18DAF110 | isotp.CAN_EFF_FLAG, bytes(64), True, True)


def test_all_frames_pass_in_both_directions_and_once() -> None:
    with wire() as (_, a, b):
        a.say(*FRAMES[:100], FD)
        until(lambda: len(b.heard) >= 101)
        b.say(*FRAMES[100:])
        until(lambda: len(a.heard) >= 201)
    assert b.heard == a.heard == [*FRAMES[:100], FD, *FRAMES[100:]]


def test_faults_are_for_both_directions() -> None:
    faults = Faults().lose("001: ..").delay("002: ..", seconds=0.05)
    with wire(faults) as (_, a, b):
        a.say(FRAMES[2], FRAMES[1], FRAMES[3])
        until(lambda: FRAMES[2] in b.heard)
        assert b.heard == [FRAMES[3], FRAMES[2]]
        b.say(FRAMES[1], FRAMES[4])
        until(lambda: FRAMES[4] in a.heard)
    assert FRAMES[1] not in a.heard[3:]
    assert [fault.frame for fault in faults.done].count(FRAMES[1]) == 2


def test_nothing_passes_while_it_is_down() -> None:
    with wire(Faults().delay("001: ..", seconds=0.01)) as (made, a, b):
        for _ in range(200):
            a.say(FRAMES[1])
            made.down()
            a.say(FRAMES[2])
            made.up()
        a.say(FRAMES[1], FRAMES[4])
        until(lambda: FRAMES[1] in b.heard)
        assert b.heard == [FRAMES[4], FRAMES[1]]


def test_it_may_be_down_from_the_beginning() -> None:
    made = Wire(VirtualBus("a"), VirtualBus("b"))
    made.down()
    with made:
        a, b = (Node(bus) for bus in made._buses if isinstance(bus, VirtualBus))
        a.say(FRAMES[1])
        made.up()
        a.say(FRAMES[2])
        until(lambda: FRAMES[2] in b.heard)
    assert b.heard == [FRAMES[2]]
    made.down()
    made.up()


def test_frames_that_take_their_time_on_a_bus_arrive() -> None:
    with wire(frame_ns=20_000_000) as (_, a, b):
        a.say(*FRAMES[:3])
        until(lambda: b.heard == FRAMES[:3])


def test_only_the_frame_that_a_bus_does_not_take_is_lost() -> None:
    class Classical(VirtualBus):
        def send(self, frames: Sequence[CanFrame]) -> int:
            for frame in frames:
                if frame.is_fd:
                    raise isotp.InterfaceError(f"{self.name} does not take CAN FD")
                super().send([frame])
            return len(frames)

    ready = threading.Event()

    def hold(frame: CanFrame) -> list[tuple[int, CanFrame]]:
        ready.wait(10)
        return [(0, frame)]

    a, b = VirtualBus("a"), Classical("b")
    with Wire(a, b, hold):
        node, other = Node(a), Node(b)
        node.say(FRAMES[1], FRAMES[2], FD, FRAMES[3])
        ready.set()
        until(lambda: FRAMES[3] in other.heard)
    assert other.heard == FRAMES[1:4]


def test_a_full_bus_is_waited_for() -> None:
    with wire(frame_ns=100_000, queue_length=1) as (_, a, b):
        b.say(*FRAMES)
        until(lambda: len(a.heard) == len(FRAMES))
        assert a.heard == FRAMES


def test_frames_to_a_bus_that_is_down_are_lost() -> None:
    with wire() as (_, a, b):
        with bus_down(b.bus):
            a.say(FRAMES[1])
            until(lambda: not a.bus._arrived and not a.bus._under_way)
            a.say(FRAMES[2])
            until(lambda: not a.bus._arrived and not a.bus._under_way)
        a.say(FRAMES[3])
        until(lambda: FRAMES[3] in b.heard)


def test_what_faults_raise_comes_out_at_the_end() -> None:
    def faulty(frame: CanFrame) -> list[tuple[int, CanFrame]]:
        raise LookupError("in the faults")

    def use() -> None:
        with wire(faulty) as (made, a, _):
            a.say(FRAMES[1])
            until(lambda: not made._thread.is_alive())

    with pytest.raises(LookupError, match="in the faults"):
        use()


def test_a_bus_is_for_sockets_or_for_a_wire() -> None:
    a, b = VirtualBus("a"), VirtualBus("b")
    with isotp.SoftSocket(b) as s:
        with Wire(a, b):
            with pytest.raises(isotp.InterfaceError, match="b is in use"):
                s.bind(rxid=1, txid=2)
            with pytest.raises(isotp.InterfaceError, match="a is in use"), Wire(a, VirtualBus("c")):
                pass
        s.bind(rxid=1, txid=2)
        with pytest.raises(isotp.InterfaceError, match="b is in use"), Wire(a, b):
            pass


def test_it_can_be_used_again() -> None:
    made = Wire(VirtualBus("a"), VirtualBus("b"))
    assert repr(made) == "<isotp.testing.Wire a - b>"
    for _ in range(2):
        with made:
            assert any("isotp.testing.Wire" in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize("a", ["nocan0", VirtualBus()])
def test_an_interface_that_is_not_there(a: str | VirtualBus) -> None:
    made = Wire(a, "nocan1")
    files = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        with pytest.raises((isotp.InterfaceNotFoundError, isotp.UnavailableError)), made:
            pass
        assert len(os.listdir("/proc/self/fd")) == files


def test_faults_may_break_the_wire() -> None:
    def breaks(frame: CanFrame) -> list[tuple[int, CanFrame]]:
        made.down()
        return [(0, frame)]

    made = Wire(VirtualBus("a"), VirtualBus("b"), breaks)
    with made:
        a, b = (Node(bus) for bus in made._buses if isinstance(bus, VirtualBus))
        a.say(FRAMES[1])
        until(lambda: not made._is_up)
    assert b.heard == []
