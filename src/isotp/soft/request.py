"""Request: what a call waits for: that a message is sent, or that all messages before it have ended."""

import threading
from typing import Generic, Protocol, TypeVar

from ..deadline import LONGEST_WAIT_S


class Wakeup:
    """One thread waits here until another one wakes it.

    It is usable even after a signal handler has raised during the wait: it is one lock, which only the waking thread
    releases. (A Condition has two locks; an exception between them breaks it.)
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """End the wait, or the next one if there is none now; always called by the same thread."""
        if self._lock.locked():
            self._lock.release()

    def wait(self, seconds: float | None) -> bool:
        """Wait for `wake`, for `seconds` at most, and LONGEST_WAIT_S; None: for the latter. Returns whether it came."""
        return self._lock.acquire(timeout=min(LONGEST_WAIT_S if seconds is None else seconds, LONGEST_WAIT_S))


class Wakes(Protocol):
    """A `Wakeup`, of a thread or of a task."""

    def wake(self) -> None:
        """End the wait."""


W = TypeVar("W", bound=Wakes)


class Request(Generic[W]):
    """A request of a call: it waits in a queue, begins, and ends once.

    Args:
        wakeup: where the call waits; woken when the request is done.
        is_awaited: whether the call waits for its end. A failure that no call raises is kept for `confirm`.
    """

    def __init__(self, wakeup: W, is_awaited: bool = True) -> None:
        self.wakeup = wakeup
        self.is_awaited = is_awaited
        self.has_begun = False
        self.has_ended = False
        self.error: Exception | None = None
        """Why it failed, once it has ended."""
        self.was_raised = False
        """Whether a call has raised `error`."""

    @property
    def is_done(self) -> bool:
        """Whether the call can return."""
        return self.has_ended or (self.has_begun and not self.is_awaited)

    def begin(self) -> None:
        """It begins: the requests before it have ended."""
        self.has_begun = True
        if not self.is_awaited:
            self.wakeup.wake()

    def end(self, error: Exception | None = None) -> None:
        """It has ended; `error`: why it failed, or None."""
        self.error = error
        self.has_ended = True
        self.wakeup.wake()

    def raise_failure(self) -> None:
        """Raise `error` if it failed."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                self.was_raised = True


class Outgoing(Request[W]):
    """A message to be sent.

    Args:
        data: the message.
        wakeup: see `Request`.
        is_awaited: see `Request`.
    """

    def __init__(self, data: bytes, wakeup: W, is_awaited: bool) -> None:
        super().__init__(wakeup, is_awaited)
        self.data = data
