"""Waits: deadlines, wake-ups, and descriptors that are used only while they are open."""

import gc
import math
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from isotp.deadline import LONGEST_WAIT_S, NEVER, NOW, Deadline
from isotp.kernel.waiting import Wait, Waits
from isotp.soft.request import Wakeup

from .waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="eventfd is Linux's")

FOREVER = 30.0  # seconds: a wait that lasts so long has failed


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def waits(pair: tuple[socket.socket, socket.socket]) -> Waits:
    return Waits(pair[0].fileno())


def never() -> bool:
    return False


class Worker:
    """A thread whose call is waited for, but not for ever."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self._call()
        self._done.set()

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def join(self) -> None:
        assert self._done.wait(FOREVER), "the thread is stuck or failed"
        self._thread.join()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def in_poll(waits: Waits) -> bool:
    return any(wait.lock.locked() for wait in waits.waiting)


def test_the_socket_is_ready(waits: Waits, pair: tuple[socket.socket, socket.socket]) -> None:
    pair[1].send(b"x")
    Worker(lambda: waits.wait(select.POLLIN, NEVER, never)).join()
    assert not waits.waiting


def test_the_deadline_passes(waits: Waits) -> None:
    deadline = Deadline.after(0.02)
    waits.wait(select.POLLIN, deadline, never)
    assert deadline.has_passed()
    waits.wait(select.POLLIN, NOW, never)


@pytest.mark.parametrize("seconds", [1e6, 1e9, math.inf])
def test_a_deadline_far_away(waits: Waits, pair: tuple[socket.socket, socket.socket], seconds: float) -> None:
    """Beyond what poll can count to."""
    pair[1].send(b"x")
    Worker(lambda: waits.wait(select.POLLIN, Deadline.after(seconds), never)).join()


def test_at_most() -> None:
    soon = Deadline.after(0.001)
    assert soon.at_most(3600) is soon
    assert not NEVER.at_most(3600).has_passed()
    assert Deadline.after(3600).at_most(0).has_passed()


def test_a_change_wakes_the_calls_that_wait_for_it(waits: Waits) -> None:
    changed, stopped = threading.Event(), threading.Event()
    concerned = [Worker(lambda: waits.wait(0, NEVER, changed.is_set)) for _ in range(3)]
    other = Worker(lambda: waits.wait(0, NEVER, stopped.is_set))
    until(lambda: len(waits.waiting) == 4)
    waits.wake()  # nothing has changed
    changed.set()
    waits.wake()
    for worker in concerned:
        worker.join()
    assert not other.is_done
    stopped.set()
    waits.wake()
    other.join()


def test_no_change_is_missed(waits: Waits) -> None:
    """It may come at any moment, also just before the poll."""
    asked = 0

    def is_due() -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            waits.wake()  # as another thread, which has just made the change
            return False
        return True

    Worker(lambda: waits.wait(0, NEVER, is_due)).join()


def test_a_wake_up_left_over_ends_one_wait_too_early_and_no_more(
    waits: Waits, pair: tuple[socket.socket, socket.socket]
) -> None:
    waits.wait(0, NOW, never)
    (unused,) = waits._unused
    unused.wake()
    Worker(lambda: waits.wait(select.POLLIN, NEVER, never)).join()
    second = Worker(lambda: waits.wait(select.POLLIN, NEVER, never))
    until(lambda: in_poll(waits))
    assert not second.is_done
    pair[1].send(b"x")
    second.join()


def test_end_all_waits_until_all_are_out_of_their_polls(waits: Waits) -> None:
    closed = threading.Event()
    workers = [Worker(lambda: waits.wait(select.POLLIN, NEVER, closed.is_set)) for _ in range(3)]
    until(lambda: len(waits.waiting) == 3 and all(wait.lock.locked() for wait in waits.waiting))
    closed.set()
    assert waits.end_all()
    assert not in_poll(waits)
    for worker in workers:
        worker.join()
    waits.wait(select.POLLIN, NEVER, closed.is_set)  # no poll any more


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_end_all_in_a_signal_handler_on_top_of_the_wait(waits: Waits) -> None:
    ended: list[bool] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: ended.append(waits.end_all()))
    main = threading.get_ident()

    def interrupt() -> None:
        until(lambda: in_poll(waits))
        signal.pthread_kill(main, signal.SIGUSR1)

    try:
        worker = Worker(interrupt)
        waits.wait(0, Deadline.after(FOREVER), never)
        worker.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ended == [False]  # the native socket is left to the call beneath
    assert waits.end_all()


@pytest.mark.timeout(method="thread")  # the other method has a SIGALRM of its own
@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
def test_no_interrupt_leaves_a_wait_behind(waits: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C may come after any instruction."""
    monkeypatch.setattr(sys, "unraisablehook", bool)  # Python ignores an interrupt in __del__, and reports it here
    armed = False

    def interrupt(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    interrupts = 0
    gc.disable()  # Python ignores what is raised in a finalizer
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        while interrupts < 500:
            try:
                armed = True
                while True:
                    waits.wait(0, NOW, never)
            except KeyboardInterrupt:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert not waits.waiting
    assert waits.end_all()


def test_descriptors_are_freed(pair: tuple[socket.socket, socket.socket]) -> None:
    before = descriptors()
    waits = Waits(pair[0].fileno())
    for _ in range(3):
        waits.wait(0, NOW, never)
    assert descriptors() == before + 1  # one for each call that waits at the same time
    assert waits.end_all()
    assert descriptors() == before
    waits.wait(0, NOW, never)
    del waits
    assert descriptors() == before


@pytest.mark.parametrize(("seconds", "longest_s"), [(None, LONGEST_WAIT_S), (1e6, LONGEST_WAIT_S), (0.25, 0.25)])
def test_no_wait_is_so_long_that_a_signal_that_was_missed_is_felt(
    seconds: float | None, longest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited_s = []

    class Poll:
        def register(self, fd: int, events: int) -> None:
            pass

        def poll(self, milliseconds: float) -> list[tuple[int, int]]:
            waited_s.append(milliseconds / 1000)
            return []

    class Lock:
        def acquire(self, timeout: float = 0) -> bool:
            waited_s.append(timeout)
            return False

    monkeypatch.setattr(select, "poll", Poll)
    Wait(0).poll(seconds)
    monkeypatch.setattr(threading, "Lock", Lock)
    assert not Wakeup().wait(seconds)
    assert waited_s == [longest_s, 0, longest_s]
