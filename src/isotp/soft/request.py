"""What a call asks for and waits for: that a message is sent, or that all messages before it have ended."""

import threading
from typing import Generic, Protocol, TypeVar


class Wakeup:
    """Lets one thread wait until another one wakes it.

    A signal handler may raise while it waits, at any point, and leaves it usable: it is nothing but a lock that only
    the waking thread releases. (A Condition has two locks, and an exception between them breaks it.)
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """End the wait, or the next one if there is none now; always from the same thread."""
        if self._lock.locked():
            self._lock.release()

    def wait(self, seconds: float | None) -> None:
        """Wait to be woken, for `seconds` at most; None: without limit."""
        self._lock.acquire(timeout=-1 if seconds is None else min(seconds, threading.TIMEOUT_MAX))


class Wakes(Protocol):
    """A `Wakeup`, or what stands for it in an event loop."""

    def wake(self) -> None:
        """End the wait."""


W = TypeVar("W", bound=Wakes)


class Request(Generic[W]):
    """What a call asks for: it begins in its turn, and ends once.

    Args:
        wakeup: woken when the call has nothing more to wait for.
        is_awaited: whether a call waits for the end. A failure that no call raises is kept for `confirm`.
    """

    def __init__(self, wakeup: W, is_awaited: bool = True) -> None:
        self.wakeup = wakeup
        self.is_awaited = is_awaited
        self.has_begun = False
        self.has_ended = False
        self.error: Exception | None = None
        """Why it failed, once it has ended."""
        self.was_raised = False
        """Whether a call has raised that."""

    @property
    def is_done(self) -> bool:
        """Whether the call has nothing more to wait for."""
        return self.has_ended or (self.has_begun and not self.is_awaited)

    def begin(self) -> None:
        """Its turn has come."""
        self.has_begun = True
        if not self.is_awaited:
            self.wakeup.wake()

    def end(self, error: Exception | None = None) -> None:
        """It has ended, well or badly."""
        self.error = error
        self.has_begun = self.has_ended = True
        self.wakeup.wake()

    def raise_failure(self) -> None:
        """Raise the failure, if it failed."""
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
