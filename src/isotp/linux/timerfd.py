"""A timerfd: a file descriptor that becomes readable at a time of the monotonic clock, to the nanosecond."""

import contextlib
import ctypes
import os
import struct
import sys
import time
from typing import Final

NEVER: Final = 1 << 63
_TIMER_ABSTIME: Final = 1  # linux/timerfd.h
_ITIMERSPEC: Final = struct.Struct("@4l")  # two timespec: interval and first expiry


class TimerFd:
    """A timer that never fires early; several `set` calls before it fires cost one system call.

    Raises:
        OSError: there is no timerfd here, or no descriptor is left.
    """

    def __init__(self) -> None:
        self._due_ns = NEVER
        if sys.platform != "linux":
            raise OSError("no timerfd on this system")
        if sys.version_info >= (3, 13):
            self.fd = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
            return
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self.fd = _checked(libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))

    def set(self, due_ns: int) -> None:
        """Let it fire at `due_ns`, monotonic nanoseconds, or earlier if it was set to fire earlier."""
        if due_ns >= self._due_ns:
            return
        self._due_ns = due_ns
        due_ns = max(1, due_ns)  # 0 would disarm it
        if sys.version_info >= (3, 13):
            os.timerfd_settime_ns(self.fd, flags=os.TFD_TIMER_ABSTIME, initial=due_ns)
        else:
            spec = _ITIMERSPEC.pack(0, 0, *divmod(due_ns, 1_000_000_000))
            _checked(self._settime(self.fd, _TIMER_ABSTIME, spec, None))

    def clear(self) -> None:
        """Read that it fired; it stays silent until it is set again."""
        self._due_ns = NEVER
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(result)
