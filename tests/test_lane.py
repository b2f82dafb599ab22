"""Lanes: turns, bells, deadlines, and what interrupts do to them."""

import math
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import isotp
from isotp.kernel.lane import Lane

from .waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="eventfd is Linux's")

FOREVER = 10.0  # seconds: a wait that lasts so long has failed


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def lane(pair: tuple[socket.socket, socket.socket]) -> Iterator[Lane]:
    lane = Lane(pair[0].fileno(), select.POLLIN)
    yield lane
    lane.free()


def never() -> bool:
    return False


def soon(seconds: float = FOREVER) -> float:
    return time.monotonic() + seconds


class Worker:
    """A thread whose result is waited for, but not for ever."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._result: list[object] = []
        self._thread = threading.Thread(target=lambda: self._result.append(call()), daemon=True)
        self._thread.start()

    def result(self) -> object:
        self._thread.join(FOREVER)
        assert self._result, "the thread is stuck or failed"
        return self._result[0]


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def held_wait(lane: Lane, deadline: float | None) -> int:
    with lane.hold(None):
        return lane.wait(deadline, never)


def test_the_socket_is_ready(lane: Lane, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(b"x")
    assert lane.wait(None, never) == select.POLLIN
    assert lane.wait(0, never) == select.POLLIN


def test_the_deadline_passes(lane: Lane) -> None:
    started = time.monotonic()
    assert lane.wait(started + 0.02, never) == 0
    assert 0.019 <= time.monotonic() - started < FOREVER
    assert lane.wait(started, never) == 0  # already over


@pytest.mark.parametrize("seconds", [1e6, 1e9, math.inf])
def test_a_deadline_far_away(lane: Lane, pair: tuple[socket.socket, socket.socket], seconds: float) -> None:
    """Beyond what poll and locks can count to."""
    with lane.hold(soon(seconds)) as got:
        assert got
        pair[1].send(b"x")
        assert lane.wait(soon(seconds), never) == select.POLLIN
        waiter = Worker(lambda: take(lane, soon(seconds)))
    assert waiter.result() is True


def take(lane: Lane, deadline: float | None) -> bool:
    """Whether the turn can be had; it is given back."""
    with lane.hold(deadline) as got:
        return got


def test_turns(lane: Lane) -> None:
    with lane.hold(None) as got:
        assert got
        assert lane.owner == threading.get_ident()
        assert Worker(lambda: take(lane, 0)).result() is False
        assert Worker(lambda: take(lane, soon(0.01))).result() is False
        queued = Worker(lambda: take(lane, soon()))
    assert queued.result() is True
    assert lane.owner == 0
    assert Worker(lambda: take(lane, 0)).result() is True


def test_a_call_on_top_of_its_own_is_refused(lane: Lane) -> None:
    """A signal handler that waits for the call it interrupted would wait for ever."""
    with lane.hold(None):
        with pytest.raises(isotp.BusyError, match="signal handler"), lane.hold(None):
            pass
        assert lane.owner == threading.get_ident()
        assert Worker(lambda: take(lane, 0)).result() is False  # the turn is still ours
    assert Worker(lambda: take(lane, 0)).result() is True


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_no_interrupt_loses_the_turn(lane: Lane) -> None:
    """Ctrl-C may come after any instruction."""

    armed = False

    def interrupt(*_: object) -> None:
        if armed:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupts, end = 0, soon(1.0)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        while time.monotonic() < end:
            try:
                armed = True
                while True:
                    take(lane, None)
            except KeyboardInterrupt:
                armed = False
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupts > 100
    assert Worker(lambda: take(lane, 0)).result() is True
    assert lane.owner == 0


@pytest.mark.parametrize("deadline", [None, soon(3600)])
def test_a_ring_wakes_the_waiter(lane: Lane, deadline: float | None) -> None:
    waiter = Worker(lambda: held_wait(lane, deadline))
    until(lambda: lane._bell >= 0)
    lane.ring()
    assert waiter.result() == 0


def test_a_ring_is_heard_once(lane: Lane, pair: tuple[socket.socket, socket.socket]) -> None:
    lane.open()
    lane.ring()
    lane.ring()
    assert lane.wait(None, never) == 0
    assert lane.wait(soon(0.01), never) == 0
    pair[1].send(b"x")
    assert lane.wait(None, never) == select.POLLIN  # the bell is quiet again


def test_a_ring_and_the_socket_at_once(lane: Lane, pair: tuple[socket.socket, socket.socket]) -> None:
    lane.open()
    lane.ring()
    pair[1].send(b"x")
    assert lane.wait(None, never) == select.POLLIN


@pytest.mark.parametrize("asked_before", [1, 2])
def test_no_ring_is_missed(lane: Lane, asked_before: int) -> None:
    """Whoever rings sets its reason first, and does it at any moment, also between our looks at the reason."""
    asked = 0
    reason = False

    def interrupted() -> bool:
        nonlocal asked, reason
        asked += 1
        seen = reason
        if asked == asked_before:
            reason = True
            lane.ring()
        return seen

    assert Worker(lambda: lane.wait(None, interrupted)).result() == 0


def test_a_reason_given_before_needs_no_bell(lane: Lane) -> None:
    before = descriptors()
    lane.ring()
    assert lane.wait(None, lambda: True) == 0
    assert descriptors() == before


def test_free_frees_the_bell(pair: tuple[socket.socket, socket.socket]) -> None:
    before = descriptors()
    lane = Lane(pair[0].fileno(), select.POLLIN)
    assert descriptors() == before
    lane.open()
    lane.open()
    assert descriptors() == before + 1
    assert not os.get_inheritable(lane._bell)
    assert not os.get_blocking(lane._bell)
    assert lane.clear(0)
    lane.free()
    assert descriptors() == before
    assert take(lane, 0)  # who queued goes on, to find the socket closed
    lane.ring()  # of no effect, and no error


def test_a_lane_left_open_frees_the_bell(pair: tuple[socket.socket, socket.socket]) -> None:
    before = descriptors()
    lane = Lane(pair[0].fileno(), select.POLLIN)
    lane.open()
    del lane
    assert descriptors() == before


def test_clear_waits_for_the_waiter(lane: Lane) -> None:
    waiter = Worker(lambda: held_wait(lane, None))
    until(lambda: lane.owner)
    lane.open()
    assert lane.clear(FOREVER)
    assert waiter.result() == 0


def test_clear_does_not_wait_for_ever(lane: Lane) -> None:
    go = threading.Event()

    def keep() -> bool:
        with lane.hold(None):
            return go.wait(FOREVER)

    keeper = Worker(keep)
    until(lambda: lane.owner)
    assert not lane.clear(0.01)
    go.set()
    assert keeper.result() is True


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_clear_in_a_signal_handler_on_top_of_the_wait(lane: Lane) -> None:
    cleared: list[bool] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: cleared.append(lane.clear(FOREVER)))
    try:
        main = threading.get_ident()

        def interrupt() -> None:
            until(lambda: lane._bell >= 0)
            signal.pthread_kill(main, signal.SIGUSR1)

        Worker(interrupt)
        assert held_wait(lane, soon()) == 0
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert cleared == [False]  # the bell was left to the waiter


def test_a_descriptor_that_is_gone_is_no_event() -> None:
    reading, writing = os.pipe()
    lane = Lane(reading, select.POLLIN)
    lane.open()
    os.close(reading)
    os.close(writing)
    assert lane.wait(soon(), never) == 0
    lane.free()
