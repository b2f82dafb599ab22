"""Where a blocked call waits: one lane per direction of a socket."""

import contextlib
import math
import os
import select
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

_LONGEST_POLL_MS: Final = 0x7FFFFFFF


class Lane:
    """One direction's place to wait for the socket; one thread at a time is in it, others queue for their turn.

    The turn is a token in a SimpleQueue: taking one that is there costs no lock, and nearly all calls find it there.
    """

    def __init__(self, fd: int, mask: int) -> None:
        self._fd = fd
        self._object = select.poll()
        self._object.register(fd, mask)
        self.poll = self._object.poll
        """The poll that `ring` and `close` can end once the lane is open, for whoever has the turn."""
        self._bell = -1  # an eventfd that ends a poll from outside
        self._waiting = 0  # identity of the thread in `wait`
        self.turn: SimpleQueue[None] = SimpleQueue()
        self.turn.put(None)

    def open(self) -> None:
        """Get ready to wait."""
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._object.register(self._bell, select.POLLIN)

    def take_turn(self, deadline: float | None) -> bool:
        """Wait for the turn until `deadline` (monotonic seconds; None: no limit); False if it did not come."""
        seconds = None if deadline is None else min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
        try:
            self.turn.get(timeout=seconds)
        except Empty:
            return False
        return True

    def wait(self, deadline: float | None, interrupted: Callable[[], object]) -> int:
        """Poll the socket until it is ready, the bell rings or `deadline` passes; the turn must be held.

        `interrupted` is asked once the bell is there: whoever rings sets its reason first, so none is missed.
        Returns the events of the socket; 0 after a ring or at the deadline.
        """
        if interrupted():
            return 0
        self.open()
        if interrupted():
            return 0
        timeout_ms = None
        if deadline is not None:
            timeout_ms = math.ceil(min(max(0.0, deadline - time.monotonic()) * 1000, _LONGEST_POLL_MS))
        self._waiting = threading.get_ident()
        try:
            ready = dict(self.poll(timeout_ms))
        finally:
            self._waiting = 0
        if ready.get(self._bell):
            with contextlib.suppress(OSError):
                os.eventfd_read(self._bell)
        return ready.get(self._fd, 0) & ~select.POLLNVAL

    def ring(self) -> None:
        """End the wait of whoever is in the lane."""
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def close(self, seconds: float) -> bool:
        """Ring, and wait until nobody is in the lane any more; False if somebody stays.

        Somebody stays where a signal handler runs on top of a call of its own thread, which cannot leave before the
        handler returns. The bell is left to it then, ringing, so that it leaves at once.
        """
        self.ring()
        if self._waiting == threading.get_ident() or not self.take_turn(time.monotonic() + seconds):
            return False
        bell, self._bell = self._bell, -1
        if bell >= 0:
            os.close(bell)
        self.turn.put(None)  # those who queued go on, to find the socket closed
        return True

    def __del__(self) -> None:
        if self._bell >= 0:
            os.close(self._bell)
