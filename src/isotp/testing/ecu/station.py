"""Station: an ECU and its sockets, for hosts that call it when a message has arrived or a reply is due."""

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from typing import Any, Final

from ...errors import InterfaceDownError, IsoTpWarning, MessageSizeError, TransferError, TransmitQueueFullError
from ...linux.timerfd import NEVER
from ...sockets import IsoTpSocket
from .addresses import AnyAddress
from .base import LAST_WORDS_S, Reception
from .ecu import Ecu

_MESSAGES: Final = 64
_RETRY_NS: Final = 2_000_000
_LATER_NS: Final = 1000  # more than what is lost when seconds are rounded

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
        except MessageSizeError as e:
            self._ecu.failures.append(e)
        return True

    def settle(self) -> None:
        """Count the reply that was sent last, if it failed."""
        try:
            self.sock.confirm()
        except (TransferError, InterfaceDownError):
            self._ecu.counts["broken replies"] += 1


class Station:
    """An ECU on sockets that do not block: one of its own, and one for each address of functional requests.

    What breaks off, and what comes broken, is counted and no more: the ECU goes on. An ECU for testers that it does not
    know gets more sockets when they come.

    Args:
        ecu: the ECU.
        ecus: all of the car.
        open_socket: opens a socket for an address; with `on_event`, in user space.
        wake: called, in any thread, when `step` is to be called, since a socket that was opened later has something.
    """

    def __init__(self, ecu: Ecu, ecus: Sequence[Ecu], open_socket: OpenSocket, wake: Callable[[], object]) -> None:
        self.ecu = ecu
        self._open_socket = open_socket
        self._lines: list[tuple[IsoTpSocket, Outlet]] = []  # where requests come from, and where their replies go
        self._new: deque[tuple[IsoTpSocket, Outlet]] = deque()  # of the thread that serves the bus
        self._reception: Reception[Outlet] | None = None
        ecu.power_on()
        try:
            own = self._open(ecu.address)
            for address in ecu.functional if ecu.testers is None else ecu.testers.silent_functional:
                self._open(address, own)
            self.sockets = [sock for sock, _ in self._new]
            """Those that it begins with."""
            if ecu.testers is not None:
                later = partial(self._open, on_event=lambda event: wake())
                self._reception = Reception(ecu, ecus, own, later)
        except BaseException:
            self.close()
            raise

    def _open(self, address: AnyAddress, outlet: Outlet | None = None, **on_event: Any) -> Outlet:
        """Receive requests on `address`; their replies go to `outlet`, or to where they come from."""
        sock = self._open_socket(address, **on_event)
        outlet = outlet or Outlet(sock, self.ecu)
        self._new.append((sock, outlet))
        sock.settimeout(0)
        return outlet

    @property
    def due_ns(self) -> int:
        """When `step` is to be called though no message arrives; NEVER: only then."""
        due_s = self.ecu.due_s
        session_ns = NEVER if due_s == math.inf else round(due_s * 1e9) + _LATER_NS
        return min((session_ns, *(outlet.due_ns for _, outlet in self._lines)))

    def step(self, now_ns: int) -> bool:
        """Take the requests that have arrived and send the replies that are due.

        Returns whether there were any: then there may be more.

        Raises:
            InterfaceError: the interface or bus is gone, for good.
        """
        while self._new:
            self._lines.append(self._new.popleft())
        self.ecu.advance(now_ns / 1e9)
        has_worked = False
        for sock, outlet in self._lines:
            for data in self._received(sock):
                has_worked = True
                for after_s, reply in self.ecu.serve(data, now_ns / 1e9, functional=sock is not outlet.sock):
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
            except (TransferError, InterfaceDownError):
                self.ecu.counts["broken receptions"] += 1
            except IsoTpWarning:  # of dropped messages, where warnings are errors
                pass

    def close(self) -> None:
        """Close the sockets, after the reply that is being sent."""
        if self._reception is not None:
            self._reception.close()
        with ExitStack() as stack:
            for sock, outlet in (*self._lines, *self._new):
                stack.callback(_close, sock, outlet if sock is outlet.sock else None)


def _close(sock: IsoTpSocket, outlet: Outlet | None) -> None:
    try:
        if outlet is not None:
            sock.settimeout(LAST_WORDS_S)
            outlet.settle()
    except OSError:  # the interface is gone, or the tester asks to wait
        pass
    finally:
        sock.close()
