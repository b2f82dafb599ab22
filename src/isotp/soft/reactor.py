"""The reactor of a bus: the hub with a thread, one however many links there are.

Theory of operation. Whoever has something to do takes the lock and makes a turn: a thread that sends does it right
there, the reactor's own thread does it when frames arrive or a deadline is due. After a turn of another thread the
reactor's own is woken only if it would sleep too long.

Callbacks of the application run in the reactor's thread, without the lock.
"""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final

from ..bus.base import Bus
from .alarm import Alarm, alarm_for
from .hub import NEVER, Hub
from .link import Link

_JOIN_S: Final = 1.0

_reactors: "weakref.WeakValueDictionary[int, Reactor]" = weakref.WeakValueDictionary()
_reactors_lock: Final = threading.Lock()


def reactor_of(bus: Bus) -> "Reactor":
    """The one reactor of `bus`; sockets keep it, and it keeps the bus."""
    with _reactors_lock:
        reactor = _reactors.get(id(bus))
        if reactor is None:
            reactor = _reactors[id(bus)] = Reactor(bus)
        return reactor


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
        self._abandoned: deque[Link] = deque()
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
            self._join()

    def remove(self, link: Link) -> None:
        """See `Hub`; with the last link the thread ends."""
        with self.lock:
            super().remove(link)
        self._join()

    def abandon(self, link: Link) -> None:
        """Remove `link` before long; from anywhere, a garbage collection included: it takes no lock."""
        self._abandoned.append(link)
        self.wake()

    def _started(self) -> None:
        alarm = alarm_for(self.bus.fileno())
        thread = threading.Thread(target=self._serve, args=(alarm,), name=f"isotp {self.bus.name}", daemon=True)
        self._sleeps_until = 0
        self._alarm, self._thread = alarm, thread
        try:
            thread.start()
        except BaseException:
            self._alarm = self._thread = None
            raise

    def _stopped(self) -> None:
        alarm, self._alarm = self._alarm, None
        self._ended, self._thread = self._thread, None
        if alarm is not None:
            alarm.ring()

    def _join(self) -> None:
        """Wait for the end of the thread; in a signal handler, on top of a call that has the lock, not for long."""
        thread, self._ended = self._ended, None
        if thread is not None and thread is not threading.current_thread():
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
        return self._turning or threading.current_thread() is self._thread

    def turn(self, link: Link | None = None, *, readable: bool | None = None) -> None:
        """See `Hub`; the lock must be held. A bus with a descriptor is read by the reactor's own thread alone."""
        super().turn(link, readable=self._is_open and self.bus.fileno() < 0 if readable is None else readable)
        if self._sleeps_until and (self._calls or self.next_ns() < self._sleeps_until):
            self.wake()

    def _serve(self, alarm: Alarm) -> None:
        try:
            while True:
                with self.lock:
                    if self._alarm is not alarm:
                        return
                    self._sleeps_until = 0
                    self.turn(readable=True)
                    while self._abandoned:
                        super().remove(self._abandoned.popleft())
                    if self._alarm is not alarm:
                        return
                    calls, self._calls = self._calls, deque()
                    until_ns = self.next_ns()
                    self._sleeps_until = 0 if calls else until_ns
                for callback in calls:
                    callback()
                if not calls:
                    alarm.wait(until_ns if until_ns < NEVER else None)
        except BaseException as e:
            with self.lock:
                if self._alarm is alarm:  # otherwise the bus was closed under it: it was told to end
                    self._fail(e)
        finally:
            alarm.close()
