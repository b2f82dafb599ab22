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

_GONE: Final = select.POLLNVAL


class Lane:
    """One direction's place to wait for the socket; one thread at a time is in it, the others queue for their turn.

    The turn is a token in a SimpleQueue: taking it when it is there costs no lock, which is what nearly all calls do.
    """

    def __init__(self, fd: int, mask: int) -> None:
        self._fd = fd
        self._mask = mask
        self._bell = -1  # an eventfd that ends a poll from outside; made by the first call that has to wait
        self._waiting = 0  # identity of the thread in poll
        self.turn: SimpleQueue[None] = SimpleQueue()
        self.turn.put(None)

    def take_turn(self, deadline: float | None) -> bool:
        """Wait for the turn until `deadline` (monotonic seconds; None: without limit); False if it did not come."""
        try:
            self.turn.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            return False
        return True

    def wait(self, deadline: float | None, interrupted: Callable[[], object]) -> int:
        """Poll the socket until it is ready, the bell rings or `deadline` passes; the turn must be held.

        `interrupted` is asked once the bell is there: whoever rings sets its reason first, so none is missed.
        Returns the events of the socket; 0 after a ring or at the deadline.
        """
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        if interrupted():
            return 0
        poll = select.poll()
        poll.register(self._fd, self._mask)
        poll.register(self._bell, select.POLLIN)
        timeout = None if deadline is None else max(0, math.ceil((deadline - time.monotonic()) * 1000))
        self._waiting = threading.get_ident()
        try:
            ready = dict(poll.poll(timeout))
        finally:
            self._waiting = 0
        if ready.get(self._bell, 0) & select.POLLIN:
            self._quieten()
        return ready.get(self._fd, 0) & ~_GONE

    def ring(self) -> None:
        """End the wait of whoever is in the lane."""
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def clear_out(self, seconds: float) -> None:
        """Wait until nobody is in the lane, so that the file descriptors can go; every waiter leaves when rung.

        A signal handler may run on top of a call of its own thread: that one cannot leave before the handler
        returns and finds its descriptors gone, so it is not waited for.
        """
        if self._waiting != threading.get_ident():
            self.take_turn(time.monotonic() + seconds)

    def close(self) -> None:
        """Free the bell, and let those who queued go on to find the socket closed."""
        bell, self._bell = self._bell, -1
        if bell >= 0:
            os.close(bell)
        self.turn.put(None)

    def _quieten(self) -> None:
        with contextlib.suppress(OSError):  # closed meanwhile, by a signal handler in this thread
            os.eventfd_read(self._bell)

    def __del__(self) -> None:
        if self._bell >= 0:
            os.close(self._bell)
