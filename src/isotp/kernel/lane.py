"""Where a blocked call waits: one lane per direction of a socket."""

import contextlib
import math
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, NoReturn

from ..errors import BusyError

_LONGEST_POLL_MS: Final = 0x7FFFFFFF


class Lane:
    """One direction's place to wait for the socket; one thread at a time has the turn, others queue for it.

    A signal handler may raise after any instruction, and may run on top of a call that has the turn: so `turn` is
    acquired inside the `try` whose `finally` releases it, and knows its owner.
    """

    def __init__(self, fd: int, mask: int) -> None:
        self._fd = fd
        self._object = select.poll()
        self._object.register(fd, mask)
        self.poll = self._object.poll
        """The poll that `ring` can end once the lane is open, for whoever has the turn."""
        self._bell = -1  # an eventfd that ends a poll from outside
        self.turn = threading.RLock()
        self.owner = 0
        """Identity of the thread whose call has the turn."""

    def open(self) -> None:
        """Get ready to wait."""
        if self._bell < 0:
            self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            self._object.register(self._bell, select.POLLIN)

    def queue_up(self, deadline: float | None) -> bool:
        """Acquire the turn by `deadline` (monotonic seconds; None: no limit); False if it did not come."""
        if deadline is None:
            return self.turn.acquire()
        return self.turn.acquire(timeout=min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX))

    @contextlib.contextmanager
    def hold(self, deadline: float | None) -> Iterator[bool]:
        """Have the turn for a `with` block; yields False if it did not come by `deadline`."""
        mine = False
        try:
            got = self.queue_up(deadline)
            if got:
                if self.owner:
                    self.refuse()
                self.owner = threading.get_ident()
                mine = True
            yield got
        finally:
            if mine:
                self.owner = 0
            try:  # noqa: SIM105 - an interrupt can come at the start of any call but this one
                self.turn.release()
            except RuntimeError:  # it had not come
                pass

    def refuse(self) -> NoReturn:
        """Refuse a call that runs on top of the one that has the turn."""
        raise BusyError("a signal handler cannot wait for the call it interrupted", remedy="use another socket")

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
        ready = dict(self.poll(timeout_ms))
        if ready.get(self._bell):
            with contextlib.suppress(OSError):
                os.eventfd_read(self._bell)
        return ready.get(self._fd, 0) & ~select.POLLNVAL

    def ring(self) -> None:
        """End the wait of whoever is in the lane."""
        if self._bell >= 0:
            os.eventfd_write(self._bell, 1)

    def clear(self, seconds: float) -> bool:
        """Ring, and wait until nobody has the turn; False if somebody keeps it.

        That is so where a signal handler runs on top of a call of its own thread, which cannot leave before the
        handler returns; the bell goes on ringing for it.
        """
        self.ring()
        if self.owner == threading.get_ident():
            return False
        try:
            return self.turn.acquire(timeout=seconds)
        finally:
            with contextlib.suppress(RuntimeError):
                self.turn.release()

    def free(self) -> None:
        """Free the bell; nobody may be in the lane."""
        bell, self._bell = self._bell, -1
        if bell >= 0:
            os.close(bell)

    def __del__(self) -> None:
        self.free()
