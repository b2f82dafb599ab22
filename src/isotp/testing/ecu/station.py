"""Station: an ECU and its sockets, for hosts that call it when a message has arrived or a reply is due."""

import heapq
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

from ...errors import (
    InterfaceDownError,
    IsoTpWarning,
    MessageSizeError,
    TransferError,
    TransmitQueueFullError,
)
from ...linux.timerfd import NEVER
from ...sockets import IsoTpSocket
from .ecu import Ecu

_RETRY_NS: Final = 2_000_000
_LAST_WORDS_S: Final = 2.0
_MESSAGES: Final = 64

OpenSocket = Callable[[Any], IsoTpSocket]
"""Returns a new socket that is bound to an address."""


class Station:
    """An ECU on sockets that do not block: one of its own, and one for each address of functional requests.

    What breaks off, and what comes broken, is counted and no more: the ECU goes on.

    Args:
        ecu: the ECU.
        open_socket: opens its sockets.
    """

    def __init__(self, ecu: Ecu, open_socket: OpenSocket) -> None:
        self.ecu = ecu
        self.sockets: list[IsoTpSocket] = []
        self._due: list[tuple[int, int, IsoTpSocket, bytes]] = []  # a heap
        self._order = count()
        try:
            for address in (ecu.address, *ecu.functional):
                sock = open_socket(address)
                self.sockets.append(sock)
                sock.settimeout(0)
        except BaseException:
            self.close()
            raise

    @property
    def due_ns(self) -> int:
        """When `step` is to be called though no message arrives; NEVER: only then."""
        return self._due[0][0] if self._due else NEVER

    def step(self, now_ns: int) -> bool:
        """Take the requests that have arrived and send the replies that are due; returns whether there were any.

        Raises:
            InterfaceDownError: the interface is down. It may come up again.
            InterfaceError: the interface or bus is gone, for good.
        """
        own = self.sockets[0]
        has_worked = False
        for sock in self.sockets:
            for data in self._received(sock):
                has_worked = True
                for after_s, reply in self.ecu.request(data, now_ns / 1e9, functional=sock is not own):
                    heapq.heappush(self._due, (now_ns + round(after_s * 1e9), next(self._order), own, reply))
        while self._due and self._due[0][0] <= now_ns:
            _, order, sock, reply = heapq.heappop(self._due)
            has_worked = True
            if not self._is_sent(sock, reply):
                heapq.heappush(self._due, (now_ns + _RETRY_NS, order, sock, reply))
        return has_worked

    def _received(self, sock: IsoTpSocket) -> Iterator[bytes]:
        """The messages that wait in `sock`, some at a time."""
        for _ in range(_MESSAGES):
            try:
                yield sock.recv_message().data
            except BlockingIOError:
                return
            except TransferError:
                self.ecu.counts["broken receptions"] += 1
            except IsoTpWarning:  # of dropped messages, where warnings are errors
                pass

    def _is_sent(self, sock: IsoTpSocket, reply: bytes) -> bool:
        """Send a reply; False: try it again a little later."""
        try:
            self._settle(sock)
            sock.send(reply)
        except (BlockingIOError, TransmitQueueFullError):  # the reply before it is still being sent
            return False
        except InterfaceDownError:
            self.ecu.counts["broken replies"] += 1
            raise
        except MessageSizeError as e:
            self.ecu.failures.append(e)
        return True

    def _settle(self, sock: IsoTpSocket) -> None:
        """Count the reply that was sent last, if it failed."""
        try:
            sock.confirm()
        except TransferError:
            self.ecu.counts["broken replies"] += 1

    def close(self) -> None:
        """Close the sockets, after the reply that is being sent."""
        for sock in self.sockets:
            sock.settimeout(_LAST_WORDS_S)
            try:
                if sock.address is not None and sock.address.tx is not None:
                    self._settle(sock)
            except OSError:  # the interface is gone, or the tester asks to wait
                pass
            finally:
                sock.close()
