"""Where a reactor's thread waits: for frames, for a ring, or for a point in time.

What a wait rounds to decides how close STmin is kept. epoll and poll take milliseconds in Python (a wait for 0.3 ms
takes 1 ms); select takes microseconds, and so does a queue. Both round up, so no wait ends too early, and the
kernel's timer slack (50 us unless set otherwise) comes on top. That is why this is select and a queue.

The rest is the time the system takes to wake a thread. It is measured, the thread asks to be woken so much earlier, and
spends what is left awake: some 100 us for each frame that has to keep an STmin, never more than half a millisecond.
"""

import contextlib
import math
import select
import socket
import time
from abc import ABC, abstractmethod
from queue import Empty, SimpleQueue
from typing import Final, Protocol

_LONGEST_S: Final = 3600.0
_LONGEST_LEAD_NS: Final = 500_000
_SELECT_LIMIT: Final = 1024  # FD_SETSIZE: select knows no descriptor from here on


class Alarm(Protocol):
    """What a reactor's thread waits in."""

    def wait(self, until_ns: int | None) -> bool:
        """Wait for a ring, for frames, or until `until_ns` (monotonic nanoseconds; None: no limit).

        Returns whether something but time ended it, so that frames may have arrived.
        """

    def ring(self) -> None:
        """End the wait, or the next one if there is none now; from any thread."""

    def close(self) -> None:
        """Give back what it holds."""


def alarm_for(fd: int) -> Alarm:
    """An alarm for a bus that is readable at `fd`, or for one that rings if `fd` is -1."""
    return QueueAlarm() if fd < 0 else DescriptorAlarm(fd)


class _Punctual(ABC):
    """Knows how late it is woken, and takes care to be woken earlier."""

    def __init__(self) -> None:
        self._lead_ns = 0

    def wait(self, until_ns: int | None) -> bool:
        """See `Alarm`."""
        if until_ns is None:
            return self._sleep(_LONGEST_S)
        aim_ns = until_ns - self._lead_ns
        seconds = (aim_ns - time.monotonic_ns()) / 1e9
        woken = self._sleep(min(max(0.0, seconds), _LONGEST_S))
        if seconds > 0 and not woken:
            late_ns = time.monotonic_ns() - aim_ns
            self._lead_ns += (min(max(0, late_ns), _LONGEST_LEAD_NS) - self._lead_ns) // 8
            while time.monotonic_ns() < until_ns <= aim_ns + _LONGEST_LEAD_NS:
                pass
        return woken

    @abstractmethod
    def _sleep(self, seconds: float) -> bool:
        """Wait so long; whether something else than time ended it: a ring, or frames."""


class QueueAlarm(_Punctual):
    """For a bus without file descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self._rings: SimpleQueue[None] = SimpleQueue()

    def wait(self, until_ns: int | None) -> bool:
        """See `Alarm`. Frames may have arrived by time alone."""
        super().wait(until_ns)
        return True

    def _sleep(self, seconds: float) -> bool:
        try:
            self._rings.get(timeout=seconds)
        except Empty:
            return False
        with contextlib.suppress(Empty):
            while True:  # one turn is enough for all of them
                self._rings.get_nowait()
        return True

    def ring(self) -> None:
        """See `Alarm`."""
        self._rings.put(None)

    def close(self) -> None:
        """See `Alarm`."""


class DescriptorAlarm(_Punctual):
    """For a bus with a file descriptor."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)

    def _sleep(self, seconds: float) -> bool:
        bell = self._bell.fileno()
        if max(self._fd, bell) < _SELECT_LIMIT:
            ready, _, _ = select.select((self._fd, bell), (), (), seconds)
        else:  # late by up to a millisecond, and never early
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.register(bell, select.POLLIN)
            ready = [fd for fd, _ in poll.poll(math.ceil(seconds * 1000))]
        if bell in ready:
            self._bell.recv(4096)
        return bool(ready)

    def ring(self) -> None:
        """See `Alarm`."""
        with contextlib.suppress(BlockingIOError):  # full of rings already
            self._button.send(b"\0")

    def close(self) -> None:
        """See `Alarm`."""
        self._bell.close()
        self._button.close()
