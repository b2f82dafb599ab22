"""Where a reactor's thread waits: for frames, for a ring, or for a point in time.

What a wait rounds to decides how close STmin is kept. epoll and poll take milliseconds in Python (a wait for 0.3 ms
takes 1 ms); select takes microseconds, and so does a queue. Both round up, so no wait ends too early, and the
kernel's timer slack (50 us unless set otherwise) comes on top. That is why this is select and a queue.
"""

import contextlib
import math
import select
import socket
import time
from queue import Empty, SimpleQueue
from typing import Final, Protocol

_LONGEST_S: Final = 3600.0
_SELECT_LIMIT: Final = 1024  # FD_SETSIZE: select knows no descriptor from here on


class Alarm(Protocol):
    """What a reactor's thread waits in."""

    def wait(self, until_ns: int | None) -> bool:
        """Wait for a ring, for frames, or until `until_ns` (monotonic nanoseconds; None: no limit).

        Returns whether frames may have arrived.
        """

    def ring(self) -> None:
        """End the wait, or the next one if there is none now; from any thread."""

    def close(self) -> None:
        """Give back what it holds."""


def alarm_for(fd: int) -> Alarm:
    """An alarm for a bus that is readable at `fd`, or for one that rings if `fd` is -1."""
    return QueueAlarm() if fd < 0 else DescriptorAlarm(fd)


def _seconds(until_ns: int | None) -> float:
    if until_ns is None:
        return _LONGEST_S
    return min(max(0.0, (until_ns - time.monotonic_ns()) / 1e9), _LONGEST_S)


class QueueAlarm:
    """For a bus without file descriptor."""

    def __init__(self) -> None:
        self._rings: SimpleQueue[None] = SimpleQueue()

    def wait(self, until_ns: int | None) -> bool:
        """See `Alarm`."""
        with contextlib.suppress(Empty):
            self._rings.get(timeout=_seconds(until_ns))
            while True:  # one turn is enough for all of them
                self._rings.get_nowait()
        return True  # a bus of this kind is quick to say that it has none

    def ring(self) -> None:
        """See `Alarm`."""
        self._rings.put(None)

    def close(self) -> None:
        """See `Alarm`."""


class DescriptorAlarm:
    """For a bus with a file descriptor."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._bell, self._button = socket.socketpair()
        self._bell.setblocking(False)
        self._button.setblocking(False)

    def wait(self, until_ns: int | None) -> bool:
        """See `Alarm`."""
        bell = self._bell.fileno()
        seconds = _seconds(until_ns)
        if max(self._fd, bell) < _SELECT_LIMIT:
            ready, _, _ = select.select((self._fd, bell), (), (), seconds)
        else:  # late by up to a millisecond, and never early
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            poll.register(bell, select.POLLIN)
            ready = [fd for fd, _ in poll.poll(math.ceil(seconds * 1000))]
        if bell in ready:
            self._bell.recv(4096)
        return self._fd in ready

    def ring(self) -> None:
        """See `Alarm`."""
        with contextlib.suppress(BlockingIOError):  # full of rings already
            self._button.send(b"\0")

    def close(self) -> None:
        """See `Alarm`."""
        self._bell.close()
        self._button.close()
