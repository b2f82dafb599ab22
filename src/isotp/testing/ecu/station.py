"""Station: an ECU and its sockets, for hosts that call it when a message has arrived or a reply is due."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from ...errors import IsoTpWarning, TransferError
from ...sockets import IsoTpSocket
from .any_tester import AnyTester
from .ecu import Ecu
from .outlet import Outlet

_LAST_WORDS_S: Final = 2.0
_MESSAGES: Final = 64

OpenSocket = Callable[..., IsoTpSocket]
"""Returns a new socket that is bound to an address."""


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
