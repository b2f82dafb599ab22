"""How a driver waits until a nanosecond: by a timerfd; where there is none, by a thread that sleeps.

A wait for a lock, select() and the timers of event loops end with a tick of the system where it ticks: every 16 ms on
Windows. `time.sleep` does not tick there since Python 3.11: it has a timer of its own. But no one can wake a thread out
of it. So the thread of a `ThreadTimer` waits for its lock until a tick may be too long, and then sleeps.
"""

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from ..bus.base import monotonic_ns
from ..linux.timerfd import NEVER, TimerFd
from .request import Wakeup

_TICK_NS: Final = 20_000_000  # a wait may end so much too late
_SLEEP_NS: Final = 1_000_000  # after so long at most it looks whether another time was set


class Timer(Protocol):
    """Fires at a time that can be moved to an earlier one, and never too early."""

    fd: int
    """A descriptor that is readable when it fires; -1: it calls a function."""

    def set(self, due_ns: int) -> None:
        """Let it fire at `due_ns`, or earlier if it was set to fire earlier."""

    def clear(self) -> None:
        """It has fired; it stays silent until it is set again."""

    def close(self) -> None:
        """Let it not fire any more."""


class ThreadTimer:
    """A `Timer` with a thread, from the first time that is set. After it has fired it has to be set again.

    Args:
        fire: called in the thread when the time has come.
        clock: returns nanoseconds.
        sleep: sleeps for seconds, without ticks.
        wakeup: what it waits for without sleeping; such a wait ends with a tick.
    """

    fd = -1

    def __init__(
        self,
        fire: Callable[[], object],
        clock: Callable[[], int] = monotonic_ns,
        sleep: Callable[[float], object] = time.sleep,
        wakeup: Wakeup | None = None,
    ) -> None:
        self._fire = fire
        self._clock = clock
        self._sleep = sleep
        self._wakeup = Wakeup() if wakeup is None else wakeup
        self._due_ns = NEVER
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def set(self, due_ns: int) -> None:
        """See `Timer`; always called by the same thread, as the others."""
        if due_ns >= self._due_ns:
            return
        self._due_ns = due_ns
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="isotp timer", daemon=True)
            self._thread.start()
        self._wakeup.wake()

    def clear(self) -> None:
        """See `Timer`."""

    def close(self) -> None:
        """See `Timer`."""
        self._is_closed = True
        self._wakeup.wake()

    def _run(self) -> None:
        while not self._is_closed:
            self.step()

    def step(self) -> None:
        """Fire if the time has come, else wait for a part of what is left. Only the thread calls it, and tests."""
        due_ns = self._due_ns
        left_ns = due_ns - self._clock()
        if left_ns <= 0:
            self._due_ns = NEVER  # what was set meanwhile is set again: who is woken asks what is due next
            self._fire()
        elif left_ns > _TICK_NS:
            self._wakeup.wait(None if due_ns == NEVER else (left_ns - _TICK_NS) / 1e9)
        else:
            self._sleep(min(left_ns, _SLEEP_NS) / 1e9)


def new_timer(fire: Callable[[], object]) -> Timer:
    """The timer of a driver; `fire` is called, in another thread, only if it has no descriptor.

    Raises:
        OSError: no descriptor is left.
    """
    try:
        return TimerFd()
    except OSError as e:
        if e.errno is not None:
            raise
        return ThreadTimer(fire)  # not on this system
