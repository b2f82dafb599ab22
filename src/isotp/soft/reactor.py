"""The reactor of a bus: the hub with a thread, one however many links there are.

Theory of operation. Whoever has something to do takes the lock and makes a turn: a thread that sends does it right
there, the reactor's own thread does it when frames arrive or a deadline is due. After a turn of another thread the
reactor's own is woken only if it would sleep too long.

Callbacks of the application run in the reactor's thread, without the lock.
"""

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from ..bus.base import Bus
from ..errors import InterfaceError
from .alarm import Alarm, alarm_for
from .deadlines import NEVER
from .hub import Hub
from .link import Link

_JOIN_S: Final = 1.0

_reactors: "weakref.WeakValueDictionary[int, Reactor]" = weakref.WeakValueDictionary()
_reactors_lock = threading.Lock()


def reactor_of(bus: Bus) -> "Reactor":
    """The one reactor of `bus`; sockets keep it, and it keeps the bus."""
    with _reactors_lock:
        reactor = _reactors.get(id(bus))
        if reactor is None:
            reactor = _reactors[id(bus)] = Reactor(bus)
        return reactor


def _forget_all() -> None:
    """In a forked child: the threads are gone, and the buses belong to the parent."""
    global _reactors_lock
    _reactors_lock = threading.Lock()
    for reactor in list(_reactors.values()):
        reactor.forked()
    _reactors.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


class Reactor(Hub):
    """Serves the links of one bus from any thread.

    Args:
        bus: nobody else may drive it.
        clock: monotonic nanoseconds.
    """

    def __init__(self, bus: Bus, clock: Callable[[], int] = time.monotonic_ns) -> None:
        super().__init__(bus, clock)
        self.lock: threading.RLock = threading.RLock()
        self._calls: deque[Callable[[], None]] = deque()
        self._alarm: Alarm | None = None
        self._thread: threading.Thread | None = None
        self._ended: threading.Thread | None = None  # a thread told to end that nobody has waited for
        self._sleeps_until = 0  # 0: the thread is awake and looks for itself

    def add(self, link: Link) -> int:
        """See `Hub`."""
        try:
            with self.lock:
                return super().add(link)
        finally:
            self.join()

    def remove(self, link: Link) -> None:
        """See `Hub`; with the last link the thread is told to end, see `join`."""
        with self.lock:
            super().remove(link)

    def abandon(self, link: Link) -> None:
        """Remove `link` before long; from anywhere, a garbage collection included: it takes no lock."""
        self._abandoned.append(link)
        self.wake()

    def forked(self) -> None:
        """Become unusable, in a child process: nobody has the lock, nobody serves the links."""
        self.lock._at_fork_reinit()  # type: ignore[attr-defined]  # as the standard library does with its own
        with self.lock:
            self._busy = self._is_open = False
            self._alarm = self._thread = self._ended = None
            self.bus.close()
            self._fail(InterfaceError("a fork does not take the sockets of a bus along"))

    def _started(self) -> None:
        alarm = alarm_for(self.bus.fileno())
        thread = threading.Thread(target=self._serve, args=(alarm,), name=f"isotp {self.bus.name}", daemon=True)
        self._sleeps_until = 0
        self._alarm, self._thread = alarm, thread
        try:
            thread.start()
        except BaseException:
            self._alarm = self._thread = None
            alarm.close()
            raise

    def _stopped(self) -> None:
        alarm, self._alarm = self._alarm, None
        self._ended, self._thread = self._thread, None
        if alarm is not None:
            alarm.ring()

    def join(self) -> None:
        """Wait for a thread that was told to end; not in a signal handler on top of a call that has the lock."""
        if self.lock._is_owned():  # type: ignore[attr-defined]  # as Condition asks it
            return
        thread, self._ended = self._ended, None
        if thread is not None:
            thread.join(_JOIN_S)

    def wake(self) -> None:
        """See `Hub`."""
        alarm = self._alarm
        if alarm is not None:
            alarm.ring()

    def call(self, callback: Callable[[], None]) -> None:
        """See `Hub`; it runs in the reactor's thread."""
        self._calls.append(callback)

    def is_inside(self) -> bool:
        """Whether this very thread makes a turn or a callback right now; the lock must be held."""
        return self._busy or threading.current_thread() is self._thread

    def turn(self, link: Link | None = None, *, readable: bool | None = None) -> None:
        """See `Hub`; the lock must be held."""
        if readable is None:  # a bus with a descriptor tells the thread; a timer goes off after what came before it
            readable = self._is_open and (self.bus.fileno() < 0 or self._deadlines.next_ns <= self.clock())
        super().turn(link, readable=readable)
        if self._sleeps_until and (self._calls or self.next_ns() < self._sleeps_until):
            self.wake()

    def _serve(self, alarm: Alarm) -> None:
        readable = True
        try:
            while True:
                with self.lock:
                    if self._alarm is not alarm:
                        break
                    self._sleeps_until = 0
                    self.turn(readable=readable)
                    calls, self._calls = self._calls, deque()
                    until_ns = self.next_ns()
                    self._sleeps_until = 0 if calls else until_ns
                for callback in calls:
                    callback()
                readable = bool(calls) or alarm.wait(until_ns if until_ns < NEVER else None)
            while self._calls:  # of the last turn
                self._calls.popleft()()
        except BaseException as e:
            with self.lock:
                if self._alarm is alarm:  # otherwise the bus was closed under it: it was told to end
                    self._fail(e)
        finally:
            alarm.close()
