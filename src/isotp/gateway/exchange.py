"""Requests of testers on their way to ECUs: testers take turns, and each keeps a link until the ECU has replied."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from ..errors import InterfaceError, IsoTpWarning, MessageSizeError, SocketClosedError, TransferError
from ..sockets import AsyncIsoTpSocket
from .codec import Nack
from .settings import Target, Timers

_NEGATIVE, _PENDING = 0x7F, 0x78
_TESTER_PRESENT_WITHOUT_RESPONSE = b"\x3e\x80"

Say = Callable[[str], object]


class Requester(Protocol):
    """A connection whose tester sends requests."""

    name: str

    def answer(self, target: int, nack: Nack | None) -> None:
        """Tell the tester that its request was accepted (None), or why not."""

    def deliver(self, source: int, data: bytes) -> None:
        """Give it a message of an ECU."""


class Request:
    """A diagnostic message for one ECU or several.

    Args:
        client: who sent it.
        target: the logical address that it is for.
        data: the message.
    """

    def __init__(self, client: Requester, target: int, data: bytes) -> None:
        self.client, self.target, self.data = client, target, data
        self.is_sending = False
        """Whether it is on its way to the bus, from where nothing takes it back."""
        self._is_answered = False

    def answer(self, nack: Nack | None = None) -> None:
        """Accept or refuse it; only the first answer counts."""
        if not self._is_answered:
            self._is_answered = True
            self.client.answer(self.target, nack)


class Line:
    """The link to an ECU.

    Args:
        target: the ECU.
        sock: its link.
        timers: how long it waits.
        say: prints a line.
    """

    def __init__(self, target: Target, sock: AsyncIsoTpSocket, timers: Timers, say: Say) -> None:
        self.target, self.sock = target, sock
        self._timers, self._say = timers, say
        self._holder: Requester | None = None
        self._last: Requester | None = None  # who held it last
        self._uses = 0  # requests of the holder whose turn it is, until their replies
        self._waiting: dict[Requester, deque[asyncio.Future[None]]] = {}
        self._requests: list[Request] = []  # those of them that have begun
        self._timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """What it is called in lines."""
        return self.target.name or f"ECU {self.target.address:#06x}"

    # --- turns

    async def begin(self, request: Request) -> None:
        """Wait until its tester may use the link. It may at once if it does already, and no other waits."""
        client = request.client
        if not self._waiting and self._holder in (None, client):
            self._grant(client)
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(client, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                self._forget(client, turn)
                raise
        self._requests.append(request)

    def _grant(self, client: Requester) -> None:
        self._holder = self._last = client
        self._uses += 1

    def _forget(self, client: Requester, turn: "asyncio.Future[None]") -> None:
        if turn not in self._waiting.get(client, ()):
            self._end_use()  # it was its turn
            return
        self._waiting[client].remove(turn)
        if not self._waiting[client]:
            del self._waiting[client]

    def sent(self, request: Request, is_on_bus: bool) -> None:
        """The request was sent: the reply is waited for. Or it was not."""
        request.is_sending = False
        if not is_on_bus or request.data[:2] == _TESTER_PRESENT_WITHOUT_RESPONSE:
            self._end(request)
        elif request in self._requests:
            self._wait(self._timers.response)

    def _wait(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        for request in [each for each in self._requests if not each.is_sending]:
            self._end(request)

    def _end(self, request: Request) -> None:
        if request in self._requests:
            self._requests.remove(request)
            self._end_use()

    def _end_use(self) -> None:
        self._uses -= 1
        if self._uses:
            return
        self._holder = None
        self.close()
        if self._waiting:  # the tester that has waited longest sends one request; all it has, if no other waits
            client = next(iter(self._waiting))
            turns = self._waiting.pop(client)
            at_once = 1 if self._waiting else len(turns)
            for _ in range(at_once):
                self._grant(client)
                turns.popleft().set_result(None)
            if turns:
                self._waiting[client] = turns  # behind the others

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    # --- from the ECU

    async def receive(self) -> None:
        """Deliver what the ECU sends, until the socket is closed."""
        while True:
            try:
                data = await self.sock.recv()
            except SocketClosedError:
                return
            except (TransferError, IsoTpWarning) as e:
                self._say(f"warning: {self.name}: {_what(e)}")
            except OSError as e:
                self._say(f"warning: {self.name}: {_what(e)}")
                await asyncio.sleep(self._timers.retry)
            else:
                self._take(data)
            await asyncio.sleep(0)  # a message that waits already is taken without a pause

    def _take(self, data: bytes) -> None:
        for request in self._requests:
            request.answer()  # a request that has a reply has arrived
        if self._last is not None:
            self._last.deliver(self.target.address, data)
        if data[0] == _NEGATIVE and data[2:3] == bytes((_PENDING,)):
            self._wait(self._timers.pending)
            return
        service = data[1] if data[0] == _NEGATIVE and len(data) > 1 else data[0] - 0x40
        answered = next((each for each in self._requests if each.data[0] == service), None)
        if answered is not None:
            self._end(answered)

    def leave(self, client: Requester) -> None:
        """This tester went: what the ECU still sends for it is dropped."""
        if self._last is client:
            self._last = None


async def carry(request: Request, lines: Iterable[Line], sock: AsyncIsoTpSocket, timers: Timers, say: Say) -> None:
    """Send a request when it is its turn at each of `lines`, and answer it.

    It is accepted when it is on the bus, so that the tester is told what goes wrong; or after a second, whatever
    comes, since testers wait for two.

    Args:
        request: what to send.
        lines: those of the ECUs that may reply. All take them in the order of their addresses, so that no two wait for
            each other.
        sock: where to send.
        timers: when it is accepted at the latest.
        say: prints a line.
    """
    timer = asyncio.get_running_loop().call_later(timers.acknowledge, request.answer)
    begun: list[Line] = []
    is_on_bus = False
    try:
        for line in sorted(lines, key=lambda each: each.target.address):
            await line.begin(request)
            begun.append(line)
        request.is_sending = True
        await sock.send(request.data)
        is_on_bus = True
        request.answer()
    except SocketClosedError:
        request.answer(Nack.UNREACHABLE)
    except OSError as e:
        say(f"warning: {request.client.name}: {_what(e)}")
        request.answer(_reason(e))
    finally:
        timer.cancel()
        for line in begun:
            line.sent(request, is_on_bus)


def _what(e: BaseException) -> str:
    return str(getattr(e, "what", e))


def _reason(e: OSError) -> Nack:
    if isinstance(e, MessageSizeError):
        return Nack.TOO_LARGE
    return Nack.UNREACHABLE if isinstance(e, InterfaceError) else Nack.TRANSPORT_ERROR
