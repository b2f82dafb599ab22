"""Lease: what the edge keeps for one socket of a client: its socket on the bus, its calls, what it has received.

Each call has a number. A call that is asked for again is not made again: its outcome is told. A call whose outcome is
asked for before it has come is never made.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from ..errors import BusyError, ForbiddenError, InterfaceError, IsoTpError, OneWayError, SocketClosedError
from ..sockets import MSG_DONTWAIT, AsyncIsoTpSocket, ReceivedMessage
from ..task_lock import settle
from . import wire

HOLD_S: Final = 5.0
"""How long a question is left without an answer: then it is asked again."""
SILENCE_S: Final = 3 * HOLD_S
"""A client that asks nothing for so long is gone."""
AT_ONCE: Final = 32
"""Messages that are sent to a client before it says that it has them."""
_UNREAD: Final = 2 * AT_ONCE
_OUTCOMES: Final = 256
_CALLS: Final = 64
_REST_S: Final = 0.5  # between two failures of a bus

NEVER_MADE: Final = {"never": True}


class Entry(NamedTuple):
    """A message or a broken reception, with its number."""

    number: int
    header: dict[str, Any]
    data: bytes


class Rights(NamedTuple):
    """What a client may do with a link."""

    listens: bool
    """It only listens."""
    why: str
    """Why it only listens."""
    denied: frozenset[int]
    """First bytes of messages that it may not send."""


class Lease:
    """One socket of a client.

    Args:
        sock: the socket on the bus that sends.
        ear: the socket on the bus that receives. It may be the same; if not, others send with `sock`, too.
        rights: what the client may do.
        log: called with each use, in words.
    """

    def __init__(
        self, sock: AsyncIsoTpSocket, ear: AsyncIsoTpSocket, rights: Rights, log: Callable[[str], object]
    ) -> None:
        self.sock, self.ear, self.rights, self._log = sock, ear, rights, log
        self.opened: dict[str, Any] = {}
        """What the client was told when it opened the socket."""
        self.ended = False
        self._shares = sock is not ear
        self._sending = 0
        self.last_heard = asyncio.get_running_loop().time()
        self._calls: OrderedDict[int, asyncio.Task[dict[str, Any]] | dict[str, Any]] = OrderedDict()
        self._forgotten = 0  # outcomes of calls up to this number may be forgotten
        self._entries: deque[Entry] = deque()
        self._last = 0
        self._news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._within: float | None = None
        self._begun: asyncio.Future[None] | None = None
        self._begin_lock = asyncio.Lock()
        self._reading: asyncio.Future[ReceivedMessage] | None = None
        self._reader = asyncio.create_task(self._read())

    # --- calls

    def running(self) -> int:
        """How many calls have not ended."""
        return sum(isinstance(one, asyncio.Task) and not one.done() for one in self._calls.values())

    def answer(self, header: dict[str, Any], data: bytes) -> dict[str, Any] | Awaitable[dict[str, Any]]:
        """What to answer to a question: the outcome of a call, or that it is still running. It makes the call."""
        kind = header.get("op")
        if kind == "outcome":
            number = wire.integer(header.get("of"))
            if number <= self._forgotten and number not in self._calls:
                return {"stranger": True}
            call = self._calls.setdefault(number, NEVER_MADE)
            self._forget_old()
        else:
            call = self._made(str(kind), wire.integer(header.get("n")), header, data)
        return call if isinstance(call, dict) else self._outcome_of(call)

    async def _outcome_of(self, call: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
        await asyncio.wait((call,), timeout=HOLD_S)
        return call.result() if call.done() else {"running": True}

    def _made(
        self, kind: str, number: int, header: dict[str, Any], data: bytes
    ) -> asyncio.Task[dict[str, Any]] | dict[str, Any]:
        if number in self._calls:
            return self._calls[number]
        if number <= self._forgotten:
            return NEVER_MADE
        calls: dict[str, Callable[[dict[str, Any], bytes], Awaitable[dict[str, Any]]]] = {
            "send": self._send, "confirm": self._confirm, "abort": self._abort, "begins": self._begins,
            "close": self._close,
        }  # fmt: skip
        if kind not in calls:
            raise ValueError(f"{kind!r:.40} is no call")
        if self.running() >= _CALLS:
            return {"error": wire.of_error(BusyError(f"{_CALLS} calls of this socket are running already"))}
        call = asyncio.create_task(self._outcome(calls[kind], header, data))
        self._calls[number] = call
        self._forget_old()
        return call

    def _forget_old(self) -> None:
        """Forget the oldest outcomes; a call that has not ended is never forgotten."""
        if len(self._calls) > _OUTCOMES:
            ended = [n for n, call in self._calls.items() if isinstance(call, dict) or call.done()]
            for number in ended[: _OUTCOMES // 4]:
                del self._calls[number]
                self._forgotten = max(self._forgotten, number)

    async def _outcome(
        self, call: Callable[[dict[str, Any], bytes], Awaitable[dict[str, Any]]], header: dict[str, Any], data: bytes
    ) -> dict[str, Any]:
        try:
            return {"ok": await call(header, data)}
        except asyncio.CancelledError:
            return {"error": wire.of_error(SocketClosedError("the call was given up"))}
        except Exception as e:  # whatever it is, it is the client's
            return {"error": wire.of_error(e)}

    def cancel(self, number: int) -> None:
        """The client gives a call up, which has begun if it was asked for."""
        call = self._calls.get(number)
        if isinstance(call, asyncio.Task):
            asyncio.get_running_loop().call_soon(call.cancel)

    async def _send(self, header: dict[str, Any], data: bytes) -> dict[str, Any]:
        try:
            self._check_may_send(data)
            self.sock.settimeout(wire.seconds(header.get("timeout")))
            self._sending += 1
            try:
                await self.sock.send(data, confirm=bool(header.get("confirm", True)) or self._shares)
            finally:
                self._sending -= 1
        except BaseException as e:
            self._log(f"sent {len(data)} bytes, {data[:8].hex(' ')}: {type(e).__name__}")
            raise
        self._log(f"sent {len(data)} bytes, {data[:8].hex(' ')}")
        return {}

    def _check_may_send(self, data: bytes) -> None:
        if self.rights.listens:
            raise (
                ForbiddenError(f"nothing was sent: {self.rights.why}")
                if self.rights.why
                else OneWayError("this socket only listens (LISTEN_MODE)")
            )
        if data and data[0] in self.rights.denied:
            raise ForbiddenError(
                f"nothing was sent: the owner of this link does not allow you messages that begin with {data[0]:02X}"
            )

    async def _confirm(self, header: dict[str, Any], _: bytes) -> dict[str, Any]:
        self.sock.settimeout(wire.seconds(header.get("timeout")))
        await self.sock.confirm()
        return {}

    async def _abort(self, *_: Any) -> dict[str, Any]:
        if self._sending or not self._shares:
            self.sock.abort()
        return {}

    async def _begins(self, header: dict[str, Any], _: bytes) -> dict[str, Any]:
        """The number of a message that the client does not have: one that is here, or begins in time; 0: none."""
        within, after = wire.seconds(header.get("within")), wire.integer(header.get("after"))
        async with self._begin_lock:
            if self._last <= after:
                self._within, self._begun = within, asyncio.get_running_loop().create_future()
                if self._reading is not None:
                    self._reading.cancel()
                await self._begun
            return {"number": self._last if self._last > after else 0}

    async def _close(self, header: dict[str, Any], _: bytes) -> dict[str, Any]:
        """End it; a failure that the client has not asked about is its last word."""
        unconfirmed = None
        for call in self._calls.values():
            if isinstance(call, asyncio.Task) and call is not asyncio.current_task():
                call.cancel()
        await asyncio.sleep(0)
        linger = wire.seconds(header.get("linger"))
        try:
            if not self.rights.listens and not self._shares:
                self.sock.settimeout(linger)
                await self.sock.confirm()
        except (TimeoutError, BlockingIOError):
            self.sock.abort()
            text = f"nothing of it was sent for {linger:g} s" if linger else "it was still being sent at close"
            unconfirmed = wire.of_error(IsoTpError(f"a message was given up: {text}"))
        except OSError as e:
            unconfirmed = wire.of_error(e)
        dropped = self.ear.dropped
        await self.end(0)
        return {"unconfirmed": unconfirmed, "dropped": dropped}

    # --- receiving

    async def _read(self) -> None:
        while not self.ended:
            await self._has_room.wait()
            within, self._within = self._within, None
            self.ear.settimeout(None)
            how: dict[str, Any] = {"flags": MSG_DONTWAIT} if within == 0 else {"begins_within": within}
            self._reading = asyncio.ensure_future(self.ear.recv_message(**how))
            await asyncio.wait((self._reading,))
            if self._reading.cancelled():
                continue
            error = self._reading.exception()
            if error is None:
                message = self._reading.result()
                self._put(wire.of_message(message), message.data)
            elif isinstance(error, SocketClosedError | OneWayError):
                return
            elif within is None or not isinstance(error, TimeoutError | BlockingIOError):
                self._put({"error": wire.of_error(error)}, b"")
                if isinstance(error, InterfaceError) or not isinstance(error, IsoTpError):
                    await asyncio.sleep(_REST_S)
            self._settle_begin()

    def _settle_begin(self) -> None:
        if self._begun is not None:
            settle(self._begun, None)

    def _put(self, header: dict[str, Any], data: bytes) -> None:
        self._last += 1
        self._entries.append(Entry(self._last, header, data))
        if len(self._entries) >= _UNREAD:
            self._has_room.clear()
        self._news.set()

    async def stream(self, after: int, room: int, put: Callable[[dict[str, Any], bytes], object]) -> dict[str, Any]:
        """Give the client what it does not have yet, as it comes, for HOLD_S at most; returns the last word.

        `after`: the number of the last message that it has; `room`: how many bytes it has room for.
        """
        while self._entries and self._entries[0].number <= after:
            self._entries.popleft()
        if len(self._entries) < _UNREAD:
            self._has_room.set()
        count, until = 0, asyncio.get_running_loop().time() + HOLD_S
        while not self.ended and count < AT_ONCE:
            new = [one for one in self._entries if one.number > after]
            for entry in new[: AT_ONCE - count]:
                if room <= 0:
                    break
                put({"n": entry.number} | entry.header, entry.data)
                after, count, room = entry.number, count + 1, room - len(entry.data)
            if count and room <= 0:
                break
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._news.wait()
                    continue
            break
        return {"end": True, "dropped": 0 if self.ended else self.ear.dropped}

    # --- the end

    async def end(self, linger_s: float = HOLD_S) -> None:
        """Close its sockets. What is being sent goes on for `linger_s` at most."""
        if self.ended:
            return
        self.ended = True
        self._news.set()
        calls = [one for one in self._calls.values() if isinstance(one, asyncio.Task) and not one.done()]
        calls = [one for one in calls if one is not asyncio.current_task()]
        if calls and linger_s:
            await asyncio.wait(calls, timeout=linger_s)
        for call in calls:
            call.cancel()
        self._settle_begin()
        self._reader.cancel()
        if self._reading is not None:
            self._reading.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        self.ear.close()
        await self.ear.wait_closed()

    def receives(self) -> bool:
        """Whether its address receives."""
        address = self.ear.address
        return address is not None and address.rx is not None
