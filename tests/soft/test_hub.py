"""The hub in simulated time: no thread, no sleep, every nanosecond decided here."""

import contextlib
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import Mock, patch

import pytest

import isotp
from isotp.bus.virtual import VirtualBus
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import Event, MessageReceived, MessageSent, TransferFailed
from isotp.engine.params import Params
from isotp.errors import InterfaceError
from isotp.linux.timerfd import NEVER
from isotp.soft.hub import Hub
from isotp.soft.link import Link
from isotp.testing import FakeClock
from isotp.testing.notation import parse
from isotp.testing.simulated import SimulatedDriver

MS = 1_000_000
LONG = bytes(i % 251 for i in range(100))


class End:
    """A link and what it was told."""

    def __init__(self, bench: "Bench | LateSleeper", rxid: int, txid: int, params: Params | None = None) -> None:
        self.events: list[Event] = []
        self.failures: list[InterfaceError] = []
        self.engine = Engine(isotp.Address.normal(rxid=rxid, txid=txid), params)
        self.link = Link(self.engine, weakref.ref(self))
        self._bench = bench
        bench.hub.add(self.link)

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_bus_failure(self, error: InterfaceError) -> None:
        self.failures.append(error)

    def on_fork(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        self.engine.send(data, self._bench.clock())
        self._bench.post(lambda: self._bench.hub.touch(self.link))


class Bench:
    """A bus in simulated time, its hub, and every frame with the time when it was on the bus."""

    def __init__(self, bus: type[VirtualBus] = VirtualBus, **how: Any) -> None:
        self.clock = FakeClock()
        self.bus = bus(clock=self.clock, **how)
        self.driver = SimulatedDriver(self.bus)
        self.hub = self.driver.hub
        self.frames: list[tuple[int, CanFrame]] = []
        self.bus.listen(lambda frame: self.frames.append((self.clock(), frame)))

    def post(self, function: Callable[[], None]) -> None:
        self.driver.post(function)

    @property
    def is_running(self) -> bool:
        """Whether the driver makes turns."""
        return self.driver in self.clock._parts

    def run(self, is_over: Callable[[], object] | None = None) -> None:
        """Turn whenever something is due, until `is_over()`; None: until nothing is due."""
        over = is_over or (lambda: self.hub.next_ns() == NEVER)
        self.clock.wait(lambda: bool(over()), 60.0)
        assert over(), "there is no end to it"


@pytest.mark.parametrize("stmin", [0, 1, 127, 0xF1, 0xF9, 0x80])
def test_stmin_is_kept_to_the_nanosecond(stmin: int) -> None:
    bench = Bench()
    a, b = End(bench, 2, 1), End(bench, 1, 2, Params(stmin=stmin))
    a.send(LONG)
    bench.run()
    assert MessageReceived(LONG) in b.events
    times = [at for at, frame in bench.frames if frame.data[0] >> 4 == 2]
    gap = isotp.STmin(stmin).ns if stmin != 0x80 else 127 * MS
    assert [b - a for a, b in itertools.pairwise(times)] == [gap] * (len(times) - 1)


class LateSleeper:
    """A hub in real time whose driver sleeps 60 us longer than asked; each look at the clock takes 1 us."""

    late_ns = 60_000

    def __init__(self, bus: type[VirtualBus] = VirtualBus, **how: Any) -> None:
        self._now_ns = 0
        self.bus = bus(clock=self.clock, **how)
        self.hub = Hub(self.bus, self.bus.clock, Mock())
        self.hub._ahead_ns = 100_000  # as with the clock of the system

    def clock(self) -> int:
        self._now_ns += 1000
        return self._now_ns

    def post(self, function: Callable[[], None]) -> None:
        """As a driver."""
        function()

    def run(self) -> None:
        """Turn until nothing is due."""
        while (due_ns := self.hub.next_ns()) != NEVER:
            if due_ns > self._now_ns:
                self._now_ns = due_ns + self.late_ns
            self.hub.turn()


@pytest.mark.parametrize("stmin", [1, 0xF1, 0xF3])
@pytest.mark.parametrize("frame_ns", [0, 116_000])
def test_a_driver_that_sleeps_too_long_does_not_make_gaps_longer(stmin: int, frame_ns: int) -> None:
    bench = LateSleeper(frame_ns=frame_ns)
    ends: list[int] = []
    bench.bus.listen(lambda frame: ends.append(bench._now_ns) if frame.data[0] >> 4 == 2 else None)
    a, b = End(bench, 2, 1), End(bench, 1, 2, Params(stmin=stmin))
    a.send(LONG)
    bench.run()
    assert MessageReceived(LONG) in b.events
    gaps = [later - earlier - frame_ns for earlier, later in itertools.pairwise(ends)]
    assert len(gaps) == 13
    assert all(-5000 <= gap - isotp.STmin(stmin).ns <= 20_000 for gap in gaps), "what looks take"


def test_a_bus_with_a_descriptor_is_read_when_its_timer_is_due() -> None:
    class Timed(VirtualBus):
        def fileno(self) -> int:
            return 1000  # only the driver would use it

    bench = Bench(Timed, frame_ns=MS)
    End(bench, 2, 1).send(b"x")
    assert not bench.hub.must_read()
    bench.clock._now_ns = MS
    assert bench.hub.must_read()


def test_nobody_answers() -> None:
    bench = Bench()
    a = End(bench, 2, 1, Params(n_bs_ns=700 * MS))
    a.send(LONG)
    assert bench.hub.next_ns() == bench.clock() + 700 * MS
    bench.clock.sleep(0.7 - 1e-9)
    assert not a.events
    bench.clock.sleep(1e-9)
    assert [type(e.error) for e in a.events if isinstance(e, TransferFailed)] == [isotp.FlowControlTimeoutError]
    assert len(bench.frames) == 1


def test_a_slow_bus_with_a_short_queue_loses_nothing() -> None:
    bench = Bench(frame_ns=MS // 4, queue_length=1)
    a, b = End(bench, 2, 1), End(bench, 1, 2)
    a.send(LONG)
    b.send(LONG[::-1])
    bench.run()
    assert MessageReceived(LONG) in b.events
    assert MessageReceived(LONG[::-1]) in a.events
    assert MessageSent(100) in a.events


def test_a_bus_that_never_has_room_ends_with_n_as() -> None:
    bench = Bench(frame_ns=10_000 * MS, queue_length=1)
    a, b = End(bench, 2, 1), End(bench, 4, 3)
    b.send(b"first")
    a.send(b"no room")
    bench.run(lambda: a.events)
    (failed,) = a.events
    assert isinstance(failed, TransferFailed)
    assert isinstance(failed.error, isotp.TransmitTimeoutError)
    assert bench.clock() == a.engine.params.n_as_ns
    bench.run()
    assert [frame.can_id for _, frame in bench.frames] == [3], "what was given up must not be sent"


def test_retries_of_a_full_bus_leave_the_processor_alone() -> None:
    bench = Bench(frame_ns=100 * MS, queue_length=1)
    a = End(bench, 2, 1)
    End(bench, 4, 3).send(b"first")
    a.send(b"second")
    with patch.object(bench.hub, "turn", wraps=bench.hub.turn) as turn:
        bench.run(lambda: a.events)
    assert turn.call_count <= 2 * 200 + 10  # every half millisecond


def test_a_late_deadline_keeps_its_old_entry_and_no_more() -> None:
    bench = Bench()
    a, b = End(bench, 2, 1), End(bench, 1, 2)
    for _ in range(100):
        a.send(LONG)
        b.send(LONG)
    assert len(bench.hub._deadlines) <= 2
    bench.run()
    assert sum(isinstance(event, MessageReceived) for event in b.events) == 100


class Interrupted(VirtualBus):
    """Raises once what it is told to."""

    error: BaseException | None = None

    def send(self, frames: Sequence[CanFrame]) -> int:
        error, self.error = self.error, None
        if error is not None:
            raise error
        return super().send(frames)


@pytest.mark.parametrize("error", [InterfaceError("it went down"), RuntimeError("a bug")], ids=["interface", "bug"])
def test_every_link_learns_of_a_failure(error: Exception) -> None:
    bench = Bench(Interrupted)
    a, b = End(bench, 2, 1), End(bench, 1, 2)
    bench.bus.error = error  # type: ignore[attr-defined]
    a.send(LONG)
    assert len(a.failures) == len(b.failures) == 1
    ended = not isinstance(error, InterfaceError)
    assert bench.hub.has_failed == ended
    assert bench.is_running == (not ended)
    with contextlib.suppress(InterfaceError):
        End(bench, 4, 3)
        assert not ended, "a hub that failed takes no new links"


def test_the_last_link_closes_the_bus_and_the_next_one_opens_it() -> None:
    bench = Bench()
    a, b = End(bench, 2, 1), End(bench, 1, 2)
    running = []
    for change, link in (
        (bench.hub.remove, a.link),
        (bench.hub.remove, b.link),
        (bench.hub.remove, b.link),  # again: nothing
        (bench.hub.add, b.link),
    ):
        change(link)
        running.append(bench.is_running)
    assert running == [True, False, False, True]


# --- who hears frames before the links receive them


def test_a_frame_is_for_who_was_admitted_and_then_for_the_link_that_it_adds() -> None:
    bench = Bench()
    End(bench, 1, 2)
    strangers: list[CanFrame] = []
    added: list[End] = []

    def stranger(frame: CanFrame) -> None:
        strangers.append(frame)
        if frame.can_id == 0x10 and not added:
            added.append(End(bench, 0x10, 0x11))

    bench.hub.admit([0x10, 0x12], stranger)
    frames = [
        parse(text).frame()
        for text in ("010: FF 9 01 02 03 04 05 06", "010: CF 1 07 08 09", "012: SF 01", "013: SF 01")
    ]
    for frame in frames:
        bench.bus.inject(frame)
    bench.run()
    assert strangers == frames[:3]
    bench.bus.inject(parse("010: SF 2A").frame())
    bench.run()
    received = [event.data for event in added[0].events if isinstance(event, MessageReceived)]
    assert received == [bytes(range(1, 10)), b"\x2a"]


def test_who_was_dismissed_hears_no_more() -> None:
    bench = Bench()
    a = End(bench, 1, 2)
    heard: list[str] = []

    def one(frame: CanFrame) -> None:
        heard.append(f"one: {frame.can_id:X}")

    def two(frame: CanFrame) -> None:
        heard.append(f"two: {frame.can_id:X}")

    def inject_all() -> None:
        for can_id in (0x10, 0x12):
            bench.bus.inject(CanFrame(can_id, b"\x01\x01"))
        bench.run()

    bench.hub.admit([0x10], one)
    bench.hub.admit([0x12], two)
    inject_all()
    with patch.object(bench.bus, "watch") as watch:
        bench.hub.dismiss(one)
    watch.assert_called_once_with({1, 2, 0x12})
    inject_all()
    assert heard == ["one: 10", "two: 12", "two: 12"]
    bench.hub.remove(a.link)
    bench.hub.dismiss(two)  # the bus is closed


def test_each_link_gets_the_times_of_its_frames() -> None:
    bench = Bench()
    ends = [End(bench, n, 9) for n in (1, 2)]
    frames = [CanFrame(n, b"\x01x") for n in (1, 2, 2, 1)]
    received = isotp.bus.Received(frames, [], time_ns=[10, 11, 12, 13].__getitem__)
    with patch.object(bench.bus, "receive", side_effect=[received]):
        bench.hub.turn()
    times = [[getattr(event, "time_ns", None) for event in end.events] for end in ends]
    assert times == [[10, 13], [11, 12]]
