"""Where a blocked call waits: a poll of the native socket that other threads can end."""

import contextlib
import math
import os
import select
import threading
import weakref
from collections.abc import Callable

from ..deadline import LONGEST_WAIT_S, Deadline
from ..linux.constants import POLLIN


class Wait:
    """One call's wait; it may be used again by another call.

    Args:
        fd: the native socket.
    """

    _wake_fd = -1

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        self._poll.register(fd, 0)
        self._poll.register(self._wake_fd, POLLIN)
        self._is_due: Callable[[], object] = bool
        self.thread = 0
        """Identity of the thread that waits."""
        self.lock = threading.Lock()
        """Held while the poll uses the native socket."""

    def prepare(self, events: int, is_due: Callable[[], object]) -> None:
        """Wait for `events` of the native socket (errors always end a wait), or until `is_due()`."""
        self.thread = threading.get_ident()
        self._is_due = is_due
        self._poll.modify(self._fd, events)

    def is_due(self) -> object:
        """Whether there is no need to wait any more; another thread asks this after each change, and wakes the call."""
        return self._is_due()

    def poll(self, seconds: float | None) -> None:
        """Wait for `seconds` at most, and LONGEST_WAIT_S; None: for the latter. The lock must be held."""
        milliseconds = math.ceil(1000 * min(LONGEST_WAIT_S if seconds is None else seconds, LONGEST_WAIT_S))
        if self._wake_fd in dict(self._poll.poll(milliseconds)):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(self._wake_fd)

    def wake(self) -> None:
        """End the wait, or the next one if there is none now."""
        os.eventfd_write(self._wake_fd, 1)

    def __del__(self) -> None:
        if self._wake_fd >= 0:
            os.close(self._wake_fd)


_all_waits: "weakref.WeakSet[Waits]" = weakref.WeakSet()


def _forget_waits() -> None:
    """In a forked child: the calls that wait are calls of the parent."""
    for waits in list(_all_waits):
        waits.waiting.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_waits)


class Waits:
    """The calls that wait in one socket.

    A descriptor is used by a call only while the call holds the lock of its wait and the socket is open; close
    takes these locks first. So no descriptor is used after it was closed.

    Args:
        fd: the native socket.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.waiting: set[Wait] = set()
        _all_waits.add(self)
        self._unused: list[Wait] = []

    def wait(self, events: int, deadline: Deadline, is_due: Callable[[], object]) -> None:
        """Wait for poll events of the native socket or an error, until `is_due()`, or until `deadline`.

        It may return earlier: the caller looks, and waits again.
        """
        wait = None
        try:
            wait = self._unused.pop() if self._unused else Wait(self._fd)
            wait.prepare(events, is_due)
            self.waiting.add(wait)
            with wait.lock:
                if not is_due():  # asked after it was added: what changes from now on wakes it
                    wait.poll(deadline.left())
        finally:
            if wait is not None:
                self.waiting.discard(wait)
                self._unused.append(wait)

    def wake(self) -> None:
        """Wake the calls whose wait is over; to be called after each change, in the thread that made it."""
        for wait in tuple(self.waiting):
            if wait.is_due():
                wait.wake()

    def end_all(self) -> bool:
        """Wake all calls and wait until they are out of their polls; `is_due` must be true for each from now on.

        Returns:
            False: a call of this very thread is in its poll, which goes on when this signal handler returns.
        """
        waiting = tuple(self.waiting)
        for wait in waiting:
            wait.wake()
        me = threading.get_ident()
        for wait in waiting:
            if wait.thread == me:
                return False
            with wait.lock:
                pass
        self._unused.clear()
        return True
