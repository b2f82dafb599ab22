"""How long the calls of a socket wait: for what is being sent, and for a message to arrive.

`SoftSocket` and `AsyncSoftSocket` share this, and only add how a thread or a task waits. All times are in seconds.
Where a number says how long to wait, 0 means no longer, and None without limit, until the call is woken.
"""

import errno
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..deadline import Deadline
from ..sockets import MSG_DONTWAIT, checked_timeout
from .inbox import Inbox
from .outbox import Outbox
from .request import Outgoing, Request

_LOOKS: Final = 8  # within the longest standstill: so it is noticed an eighth of that too late at most


class Patience:
    """How long a call waits for what is being sent: as long as it gets on.

    Args:
        outbox: sends it.
        longest_s: how long it may stand still; None: for ever.
        clock: returns monotonic seconds.
    """

    def __init__(self, outbox: Outbox, longest_s: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._outbox = outbox
        self._longest_s = longest_s
        self._clock = clock
        self._seen: object = None
        self._since = 0.0

    def left(self) -> float | None:
        """How long to wait before asking again; 0: it stands still."""
        if self._longest_s is None:
            return None
        now, progress = self._clock(), self._outbox.progress
        if progress != self._seen:
            self._seen, self._since = progress, now
        return max(0.0, min(self._since + self._longest_s - now, self._longest_s / _LOOKS))


def waits_for(
    outbox: Outbox,
    request: Request[Any],
    deadline: Deadline,
    cancel: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[float | None]:
    """How a call waits for `request`: until `deadline` for its message to begin, then as long as sending gets on.

    `confirm` has no message of its own and waits for what is being sent. Yields how long to wait before the next look.
    If the request is not done at the end, the call gives it up: it was cancelled before it began, or it stands still.

    Args:
        outbox: has the request, or will soon have it.
        request: what the call waits for.
        deadline: made when the call began.
        cancel: forgets the request, in the driver's thread; returns False if it has begun or ended.
        clock: returns monotonic seconds.
    """
    # It may always stand still as long as the protocol allows the receiver: beyond that it sends WAITs.
    turn_s = deadline.left()
    patience = Patience(outbox, None if turn_s is None else max(turn_s, outbox.longest_pause_s), clock)
    while not request.is_done:
        is_queued = isinstance(request, Outgoing) and not request.has_begun
        left = deadline.left() if is_queued else patience.left()
        if left != 0:
            yield left
        elif cancel() or not is_queued:
            return


class Arrival:
    """How long a call waits for a message: for all of it or, with `begins_within`, for its first frame.

    Args:
        inbox: where it arrives.
        link: the link in words, for errors.
        timeout: of the socket.
        flags: MSG_DONTWAIT: do not wait.
        begins_within: in place of `timeout`: a message has to begin within this time, and is waited for to its end.
        after: makes the deadline.

    Raises:
        ValueError: `begins_within` is negative or not a number.
    """

    def __init__(
        self,
        inbox: Inbox,
        link: str,
        timeout: float | None,
        flags: int,
        begins_within: float | None,
        after: Callable[[float | None], Deadline] = Deadline.after,
    ) -> None:
        seconds = timeout if begins_within is None else checked_timeout(begins_within, "begins_within")
        self._inbox = inbox
        self._link = link
        self._is_for_begin = begins_within is not None and not flags & MSG_DONTWAIT
        self._seconds = 0 if flags & MSG_DONTWAIT else seconds
        self._deadline = after(self._seconds)

    def left(self) -> float | None:
        """How long to wait. Ask before you look into the inbox: then no message is missed that has begun in time."""
        left = self._deadline.left()
        return None if left == 0 and self._is_for_begin and self._inbox.is_receiving else left

    def too_late(self) -> OSError:
        """The error of a call that may wait no longer."""
        if self._is_for_begin:
            return TimeoutError(f"no message on {self._link} began within {self._seconds:g} s")
        if self._seconds:
            return TimeoutError(f"no message on {self._link} after {self._seconds:g} s")
        return BlockingIOError(errno.EAGAIN, f"no message on {self._link}")
