"""When an event loop is to make a turn by time alone, kept to the microsecond where the system lets it.

STmin goes down to 100 us, and loops round: asyncio waits in epoll, in whole milliseconds, and uvloop counts in them. So
on Linux the deadline is a timerfd, a descriptor that becomes readable just then, at an absolute time: never early,
late by what it takes the loop to get to it, and the processor sleeps meanwhile. Elsewhere it is the loop's own timer:
exact in kqueue (macOS), late by up to a tick in Windows. The hub looks at its clock again in any case, so nothing is
ever sent too early.
"""

import asyncio
import contextlib
import functools
import os
import struct
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from .deadlines import NEVER

_LONGEST_S: Final = 3600.0


class Timer(Protocol):
    """Calls back at a time that can be moved."""

    def set(self, due_ns: int) -> None:
        """Call back at `due_ns` (monotonic nanoseconds) or before; NEVER: there is no need to."""

    def close(self) -> None:
        """Never call back again."""


def timer_for(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Timer:
    """The best timer there is in `loop`."""
    if sys.platform == "linux":
        with contextlib.suppress(ImportError, AttributeError):  # no ctypes, or a C library without timerfd
            return DescriptorTimer(loop, callback)
    return LoopTimer(loop, callback)


class LoopTimer:
    """The loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._armed_ns = NEVER
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due_ns: int) -> None:
        """See `Timer`."""
        if due_ns >= self._armed_ns or self._loop.is_closed():  # what is set comes first; the next time is set then
            return
        if self._handle is not None:
            self._handle.cancel()
        self._armed_ns = due_ns
        delay_s = min(max(0.0, (due_ns - time.monotonic_ns()) / 1e9), _LONGEST_S)
        self._handle = self._loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._armed_ns, self._handle = NEVER, None
        self._callback()

    def close(self) -> None:
        """See `Timer`."""
        if self._handle is not None:
            self._handle.cancel()


class DescriptorTimer:
    """A timerfd."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._armed_ns = NEVER
        timerfd = _timerfd()
        self._set = timerfd.set
        self._fd = timerfd.create()
        loop.add_reader(self._fd, self._ring)

    def set(self, due_ns: int) -> None:
        """See `Timer`."""
        if due_ns >= self._armed_ns:
            return
        self._armed_ns = due_ns
        self._set(self._fd, max(1, due_ns))  # 0 would be never

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 8)
        self._armed_ns = NEVER
        self._callback()

    def close(self) -> None:
        """See `Timer`."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        os.close(self._fd)


class _TimerFd(NamedTuple):
    """timerfd, of `os` or of the C library."""

    create: Callable[[], int]
    """A descriptor of the monotonic clock that does not block."""
    set: Callable[[int, int], object]
    """Let a descriptor become readable at a time in nanoseconds."""


@functools.cache
def _timerfd() -> _TimerFd:
    if sys.version_info >= (3, 13):
        return _TimerFd(
            lambda: os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC),
            lambda fd, at_ns: os.timerfd_settime_ns(fd, flags=os.TFD_TIMER_ABSTIME, initial=at_ns),
        )
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    new, settime, absolute = libc.timerfd_create, libc.timerfd_settime, 1
    itimerspec = struct.Struct("@llll")

    def create() -> int:
        fd = int(new(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return fd

    def set_time(fd: int, at_ns: int) -> object:
        return settime(fd, absolute, itimerspec.pack(0, 0, *divmod(at_ns, 1_000_000_000)), None)

    return _TimerFd(create, set_time)
