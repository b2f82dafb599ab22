"""Outlet: what sends the replies of an ECU when they are due, on a socket that does not block."""

import heapq
from itertools import count
from typing import Final

from ...errors import InterfaceDownError, MessageSizeError, TransferError, TransmitQueueFullError
from ...linux.timerfd import NEVER
from ...sockets import IsoTpSocket
from .ecu import Ecu

_RETRY_NS: Final = 2_000_000


class Outlet:
    """A socket that sends replies when they are due, one after the other.

    Args:
        sock: the socket; it does not block.
        ecu: counts what fails.
    """

    def __init__(self, sock: IsoTpSocket, ecu: Ecu) -> None:
        self.sock = sock
        self._ecu = ecu
        self._due: list[tuple[int, int, bytes]] = []  # a heap
        self._order = count()
        self._rests_until_ns = 0

    def add(self, due_ns: int, reply: bytes) -> None:
        """Send `reply` at `due_ns`."""
        heapq.heappush(self._due, (due_ns, next(self._order), reply))

    @property
    def due_ns(self) -> int:
        """When `send_due` has something to do; NEVER: not before `add` is called."""
        return max(self._due[0][0], self._rests_until_ns) if self._due else NEVER

    def send_due(self, now_ns: int) -> bool:
        """Send the replies that are due; returns whether there were any."""
        has_worked = False
        while self.due_ns <= now_ns:
            has_worked = True
            if self._is_sent(self._due[0][2]):
                heapq.heappop(self._due)
            else:
                self._rests_until_ns = now_ns + _RETRY_NS
        return has_worked

    def _is_sent(self, reply: bytes) -> bool:
        """Send a reply; False: try it again a little later."""
        try:
            self.settle()
            self.sock.send(reply)
        except (BlockingIOError, TransmitQueueFullError):  # the reply before it is still being sent
            return False
        except InterfaceDownError:
            self._ecu.counts["broken replies"] += 1
            heapq.heappop(self._due)
            raise
        except MessageSizeError as e:
            self._ecu.failures.append(e)
        return True

    def settle(self) -> None:
        """Count the reply that was sent last, if it failed."""
        try:
            self.sock.confirm()
        except TransferError:
            self._ecu.counts["broken replies"] += 1
