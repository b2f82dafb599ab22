"""Station: an ECU and its sockets, for hosts that call it when a message has arrived or a reply is due."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Final

from ...errors import InterfaceDownError, IsoTpWarning, MessageSizeError, TransferError, TransmitQueueFullError
from ...linux.timerfd import NEVER
from ...sockets import IsoTpSocket
from .any_tester import AnyTester
from .ecu import Ecu

_LAST_WORDS_S: Final = 2.0
_MESSAGES: Final = 64
_RETRY_NS: Final = 2_000_000

OpenSocket = Callable[..., IsoTpSocket]
"""Returns a new socket that is bound to an address."""


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


class Station:
    """An ECU on sockets that do not block: one of its own, and one for each address of functional requests.

    What breaks off, and what comes broken, is counted and no more: the ECU goes on. An ECU for any tester gets more
    sockets when testers come.

    Args:
        ecu: the ECU.
        open_socket: opens its sockets; in user space, if it is for any tester.
        wake: called, in any thread, when `step` is to be called, since a socket that was opened later has something.
    """

    def __init__(self, ecu: Ecu, open_socket: OpenSocket, wake: Callable[[], object]) -> None:
        self.ecu = ecu
        self.sockets: list[IsoTpSocket] = []
        """Those that it begins with."""
        self._lines: list[tuple[IsoTpSocket, Outlet]] = []  # where requests come from, and where their replies go
        self._new: deque[tuple[IsoTpSocket, Outlet]] = deque()  # of testers that have come
        self._any_tester: AnyTester | None = None
        try:
            for address in (ecu.address, *ecu.functional):
                sock = open_socket(address)
                self.sockets.append(sock)
                sock.settimeout(0)
                self._lines.append((sock, self._lines[0][1] if self._lines else Outlet(sock, ecu)))
            if ecu.any_tester:
                later = partial(open_socket, on_event=lambda event: wake())
                self._any_tester = AnyTester(ecu, self._lines[0][1], later, self._add)
        except BaseException:
            self.close()
            raise

    def _add(self, requests: IsoTpSocket, replies: Outlet) -> None:
        self._new.append((requests, replies))

    @property
    def due_ns(self) -> int:
        """When `step` is to be called though no message arrives; NEVER: only then."""
        return min(outlet.due_ns for _, outlet in self._lines)

    def step(self, now_ns: int) -> bool:
        """Take the requests that have arrived and send the replies that are due; returns whether there were any.

        Raises:
            InterfaceDownError: the interface is down. It may come up again.
            InterfaceError: the interface or bus is gone, for good.
        """
        while self._new:
            self._lines.append(self._new.popleft())
        has_worked = False
        for sock, outlet in self._lines:
            for data in self._received(sock):
                has_worked = True
                for after_s, reply in self.ecu.request(data, now_ns / 1e9, functional=sock is not outlet.sock):
                    outlet.add(now_ns + round(after_s * 1e9), reply)
            has_worked = outlet.send_due(now_ns) or has_worked
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

    def close(self) -> None:
        """Close the sockets, after the reply that is being sent."""
        if self._any_tester is not None:
            self._any_tester.close()
        self._lines += self._new
        for sock, outlet in self._lines:
            sock.settimeout(_LAST_WORDS_S)
            try:
                if sock is outlet.sock:
                    outlet.settle()
            except OSError:  # the interface is gone, or the tester asks to wait
                pass
            finally:
                sock.close()
