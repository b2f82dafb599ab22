"""The hub under a clock of its own: no thread, no sleep, every nanosecond decided here."""

import contextlib
import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import isotp
from isotp.bus.base import Received
from isotp.bus.virtual import VirtualBus
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import Event, MessageReceived, MessageSent, TransferFailed
from isotp.engine.params import Params
from isotp.errors import InterfaceError
from isotp.linux.timerfd import NEVER
from isotp.soft.hub import Hub
from isotp.soft.link import Link

MS = 1_000_000
LONG = bytes(i % 251 for i in range(100))


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000_000

    def __call__(self) -> int:
        return self.now


class HandCranked:
    """A driver that makes turns when a test says so."""

    is_running = False

    def start(self) -> None:
        self.is_running = True

    def stop(self) -> None:
        self.is_running = False

    def wake(self) -> None:
        pass

    def call_later(self, callback: Callable[[], None]) -> None:
        callback()


class End:
    """A link and what it was told."""

    def __init__(self, hub: Hub, rxid: int, txid: int, params: Params | None = None) -> None:
        self.events: list[Event] = []
        self.failures: list[InterfaceError] = []
        self.engine = Engine(isotp.Address.normal(rxid=rxid, txid=txid), params)
        self.link = Link(self.engine, weakref.ref(self))
        self._hub = hub
        hub.add(self.link)

    def on_event(self, event: Event) -> None:
        self.events.append(event)

    def on_bus_failure(self, error: InterfaceError) -> None:
        self.failures.append(error)

    def on_fork(self) -> None:
        pass

    def send(self, data: bytes) -> None:
        self.engine.send(data, self._hub.clock())
        self._hub.touch(self.link)
        while self._hub.has_work_left:
            self._hub.turn()


class Bench:
    """A bus, a clock, a hub, and every frame with the time when it was on the bus."""

    def __init__(self, **bus: Any) -> None:
        self.clock = Clock()
        self.begin = self.clock.now
        self.bus = VirtualBus(clock=self.clock, **bus)
        self.driver = HandCranked()
        self.hub = Hub(self.bus, self.clock, self.driver)
        self.frames: list[tuple[int, CanFrame]] = []
        self.bus.listen(lambda frame: self.frames.append((self.clock.now - self.begin, frame)))

    def run(self, limit_ns: int = 60_000 * MS) -> int:
        """Turn whenever something is due, until nothing is; returns how long that took."""
        begin = self.clock.now
        while (due := self.hub.next_ns()) < NEVER:
            assert due - begin <= limit_ns, "there is no end to it"
            self.clock.now = max(self.clock.now, due)
            self.hub.turn()
        return self.clock.now - begin


@pytest.mark.parametrize("stmin", [0, 1, 127, 0xF1, 0xF9, 0x80])
def test_stmin_is_kept_to_the_nanosecond(stmin: int) -> None:
    bench = Bench()
    a, b = End(bench.hub, 2, 1), End(bench.hub, 1, 2, Params(stmin=stmin))
    a.send(LONG)
    bench.run()
    assert MessageReceived(LONG) in b.events
    times = [at for at, frame in bench.frames if frame.data[0] >> 4 == 2]
    gap = isotp.STmin(stmin).ns if stmin != 0x80 else 127 * MS
    assert [b - a for a, b in itertools.pairwise(times)] == [gap] * (len(times) - 1)


def test_nobody_answers() -> None:
    bench = Bench()
    a = End(bench.hub, 2, 1, Params(n_bs_ns=700 * MS))
    a.send(LONG)
    assert bench.hub.next_ns() == bench.clock.now + 700 * MS
    bench.clock.now += 700 * MS - 1
    bench.hub.turn()
    assert not a.events
    bench.clock.now += 1
    bench.hub.turn()
    assert [type(e.error) for e in a.events if isinstance(e, TransferFailed)] == [isotp.FlowControlTimeoutError]
    assert len(bench.frames) == 1


def test_a_slow_bus_with_a_short_queue_loses_nothing() -> None:
    bench = Bench(frame_ns=MS // 4, queue_length=1)
    a, b = End(bench.hub, 2, 1), End(bench.hub, 1, 2)
    a.send(LONG)
    b.send(LONG[::-1])
    bench.run()
    assert MessageReceived(LONG) in b.events
    assert MessageReceived(LONG[::-1]) in a.events
    assert MessageSent(100) in a.events


def test_a_bus_that_never_has_room_ends_with_n_as() -> None:
    bench = Bench(frame_ns=10_000 * MS, queue_length=1)
    a, b = End(bench.hub, 2, 1), End(bench.hub, 4, 3)
    b.send(b"first")
    a.send(b"no room")
    while not a.events:
        bench.clock.now = bench.hub.next_ns()
        bench.hub.turn()
    (failed,) = a.events
    assert isinstance(failed, TransferFailed)
    assert isinstance(failed.error, isotp.TransmitTimeoutError)
    assert bench.clock.now - bench.begin == a.engine.params.n_as_ns
    bench.run()
    assert [frame.can_id for _, frame in bench.frames] == [3], "what was given up must not be sent"


def test_retries_of_a_full_bus_leave_the_processor_alone() -> None:
    bench = Bench(frame_ns=100 * MS, queue_length=1)
    a = End(bench.hub, 2, 1)
    End(bench.hub, 4, 3).send(b"first")
    a.send(b"second")
    turns = 0
    while not a.events:
        bench.clock.now = bench.hub.next_ns()
        bench.hub.turn()
        turns += 1
    assert turns <= 2 * 200 + 10  # every half millisecond


def test_a_late_deadline_keeps_its_old_entry_and_no_more() -> None:
    bench = Bench()
    a, b = End(bench.hub, 2, 1), End(bench.hub, 1, 2)
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

    def receive(self) -> Received:
        return super().receive()


@pytest.mark.parametrize("error", [InterfaceError("it went down"), RuntimeError("a bug")], ids=["interface", "bug"])
def test_every_link_learns_of_a_failure(error: Exception) -> None:
    bench = Bench()
    bench.bus.__class__ = Interrupted
    a, b = End(bench.hub, 2, 1), End(bench.hub, 1, 2)
    bench.bus.error = error  # type: ignore[attr-defined]
    a.send(LONG)
    assert len(a.failures) == len(b.failures) == 1
    ended = not isinstance(error, InterfaceError)
    assert bench.hub.has_failed == ended
    assert bench.driver.is_running == (not ended)
    with contextlib.suppress(InterfaceError):
        End(bench.hub, 4, 3)
        assert not ended, "a hub that failed takes no new links"


def test_the_last_link_closes_the_bus_and_the_next_one_opens_it() -> None:
    bench = Bench()
    a, b = End(bench.hub, 2, 1), End(bench.hub, 1, 2)
    running = []
    for change, link in (
        (bench.hub.remove, a.link),
        (bench.hub.remove, b.link),
        (bench.hub.remove, b.link),  # again: nothing
        (bench.hub.add, b.link),
    ):
        change(link)
        running.append(bench.driver.is_running)
    assert running == [True, False, False, True]
