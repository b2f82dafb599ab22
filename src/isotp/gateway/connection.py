"""A TCP connection of a tester: it activates routing, and then sends diagnostic messages."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Final, Protocol

from .codec import DEFAULT_VERSION, HEADER, Activation, Header, HeaderNack, Kind, Nack, message, read_header
from .exchange import Request
from .settings import Limits, Permission, Timers

_ACCEPTED: Final = frozenset(
    {
        Kind.HEADER_NACK,
        Kind.ACTIVATION_REQUEST,
        Kind.ALIVE_CHECK_REQUEST,
        Kind.ALIVE_CHECK_RESPONSE,
        Kind.DIAGNOSTIC,
        Kind.DIAGNOSTIC_ACK,
        Kind.DIAGNOSTIC_NACK,
    }
)
_CLOSING: Final = (HeaderNack.INCORRECT_PATTERN, HeaderNack.INVALID_LENGTH)  # what closes the connection
_PIECE: Final = 1 << 16  # bytes of what is not kept
_LAST_WORDS_S: Final = 0.4


class Room(Protocol):
    """What a connection needs of the gateway."""

    limits: Limits
    timers: Timers
    address: int
    held: int
    """Bytes of messages that are not on the bus yet."""

    @property
    def say(self) -> Callable[[str], object]:
        """Prints a line."""

    async def activate(self, client: "Connection", source: int, kind: int) -> Activation:
        """Whether this tester may have routing."""

    async def confirmed(self, client: "Connection", source: int, kind: int) -> Activation:
        """Ask whether it may; returns ACTIVATED or NOT_CONFIRMED."""

    def start_request(self, client: "Connection", request: Request) -> Nack | None:
        """Begin to carry a request to its ECU; or why not."""

    def leave(self, client: "Connection") -> None:
        """It went."""


class Over(Exception):  # noqa: N818 - it is no error of the program
    """The connection is closed; the text says why."""


class Connection:
    """One connection.

    Args:
        room: the gateway.
        name: what it is called in lines.
    """

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _limit: asyncio.Timeout
    task: asyncio.Task[None]
    """What serves it, from the handshake to its end."""

    def __init__(self, room: Room, name: str) -> None:
        self.name = name
        self.certificate: str | None = None
        """The common name of the certificate that it showed; None: it showed none."""
        self.is_tls = False
        self.tester: Permission | None = None
        """What it may do, once routing was activated."""
        self.source = -1
        """Its logical address, then."""
        self.requests: dict[Request, asyncio.Task[None]] = {}
        """What it sent and that is not on the bus yet."""
        self.has_begun = False
        """Whether it is served: the handshake is over, and it has not ended."""
        self.is_cut_off = False
        """Whether it ends at once, whatever it is still to be told."""
        self._room = room
        self._version = 2
        self._alive: asyncio.Future[None] | None = None
        self._why = ""

    # --- its life

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve it to its end."""
        self._reader, self._writer = reader, writer
        sock: socket.socket = writer.get_extra_info("socket")
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # else a machine that vanished stays a client
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(self._room.timers.initial) as self._limit:
                self.has_begun = True
                while not self._why:
                    await self._serve_one()
                    await asyncio.sleep(0)  # whoever sends on and on leaves turns to others
        except TimeoutError:
            self._why = self._why or ("nothing was sent for too long" if self.tester else "no routing was activated")
        except Over as e:
            self._why = str(e)
        except (OSError, asyncio.IncompleteReadError):  # it went, or was closed here
            pass
        finally:
            await self._end()

    async def _end(self) -> None:
        self._room.leave(self)
        for request, task in self.requests.items():
            if not request.is_sending:
                task.cancel()
        if self.tester is not None or self._why:
            self._room.say(f"{self.name} went" + (f": {self._why}" if self._why else ""))
        self.tester = None
        self.has_begun = False
        with contextlib.suppress(OSError):
            try:
                if self.is_cut_off:
                    return
                async with asyncio.timeout(_LAST_WORDS_S):
                    await self._say_goodbye()
            finally:
                self._writer.transport.abort()

    async def _say_goodbye(self) -> None:
        """Let the tester read the last message. A socket that is closed with data unread would take it back."""
        if self._writer.can_write_eof():
            self._writer.write_eof()
            while await self._reader.read(_PIECE):
                pass
        self._writer.close()
        await self._writer.wait_closed()

    def close(self, why: str) -> None:
        """Close the connection, after what it is still to be told."""
        self._why = self._why or why
        if not self.has_begun:
            self.task.cancel()
        else:
            self._writer.close()
            self._limit.reschedule(asyncio.get_running_loop().time() + _LAST_WORDS_S)

    def cut_off(self, why: str) -> None:
        """Close the connection at once."""
        self._why = self._why or why
        self.is_cut_off = True
        self.task.cancel()

    def _was_active(self) -> None:
        if self.tester is not None and not self._why:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._room.timers.general)

    async def is_alive(self) -> bool:
        """Whether it answers an alive check in time."""
        if self._alive is None:
            self._alive = asyncio.get_running_loop().create_future()
            self._write(Kind.ALIVE_CHECK_REQUEST)
        done, _ = await asyncio.wait([self._alive], timeout=self._room.timers.alive)
        return bool(done)

    # --- what it sends

    async def _serve_one(self) -> None:
        header = read_header(await self._reader.readexactly(HEADER.size))
        fault = HeaderNack.INCORRECT_PATTERN if header is None else self._fault(header)
        if fault is not None:
            self._write(Kind.HEADER_NACK, bytes((fault,)))
            if header is None or fault in _CLOSING:
                raise Over(f"a header with {fault.name}")
            self._room.say(f"warning: {self.name}: a header with {fault.name}")
            await self._discard(header.length)
        else:
            assert header is not None
            self._version = header.version
            await self._take(Kind(header.kind), header.length)
        self._was_active()
        await self._writer.drain()

    def _fault(self, header: Header) -> HeaderNack | None:
        fault = header.fault(_ACCEPTED, self._room.limits.message)
        if fault is None and header.version == DEFAULT_VERSION:
            return HeaderNack.INCORRECT_PATTERN
        if fault is None and self._room.held + header.length > self._room.limits.held:
            return HeaderNack.OUT_OF_MEMORY
        return fault

    async def _discard(self, length: int) -> None:
        while length:
            length -= len(await self._reader.readexactly(min(length, _PIECE)))
            self._was_active()

    async def _take(self, kind: Kind, length: int) -> None:
        if kind is Kind.DIAGNOSTIC:
            await self._take_diagnostic(length)
            return
        payload = await self._reader.readexactly(min(length, _PIECE))
        await self._discard(length - len(payload))
        if kind is Kind.ACTIVATION_REQUEST:
            await self._take_activation(int.from_bytes(payload[:2]), payload[2], payload[7:])
        elif kind is Kind.ALIVE_CHECK_RESPONSE and int.from_bytes(payload) == self.source and self._alive is not None:
            self._alive.set_result(None)
            self._alive = None
        elif kind is Kind.ALIVE_CHECK_REQUEST:  # not of the standard; doipclient sends it
            self._write(Kind.ALIVE_CHECK_RESPONSE, self._room.address)

    async def _take_activation(self, source: int, kind: int, of_manufacturer: bytes) -> None:
        def answer(code: Activation) -> None:
            self._write(Kind.ACTIVATION_RESPONSE, source, self._room.address, bytes((code,)), bytes(4), of_manufacturer)

        code = await self._room.activate(self, source, kind)
        if code is Activation.NEEDS_CONFIRMATION:
            answer(code)
            self._limit.reschedule(asyncio.get_running_loop().time() + self._room.timers.confirm)
            code = await self._room.confirmed(self, source, kind)
        answer(code)
        if code is not Activation.ACTIVATED:
            raise Over(f"routing for {source:#06x}, type {kind:#04x} was refused: {code.name}")

    async def _take_diagnostic(self, length: int) -> None:
        addresses = await self._reader.readexactly(4)
        source, target = int.from_bytes(addresses[:2]), int.from_bytes(addresses[2:])
        if self.tester is None or source != self.source:
            self.source_answer(source, target, Nack.INVALID_SOURCE)
            raise Over(f"a diagnostic message of {source:#06x}, which has no routing here")
        self._room.held += length
        try:
            data = await self._reader.readexactly(length - 4)
            self._was_active()
            request = Request(self, target, data)
            nack = Nack.OUT_OF_MEMORY if len(self.requests) >= self._room.limits.requests else None
            nack = nack or self._room.start_request(self, request)
        finally:
            self._room.held -= length
        if nack is not None:
            self._room.say(f"warning: {self.name}: a request to {target:#06x} was refused: {nack.name}")
            request.answer(nack)

    # --- what it gets

    def answer(self, target: int, nack: Nack | None) -> None:
        """See `Requester`."""
        self.source_answer(self.source, target, nack)

    def source_answer(self, source: int, target: int, nack: Nack | None) -> None:
        """Accept or refuse a diagnostic message."""
        kind = Kind.DIAGNOSTIC_ACK if nack is None else Kind.DIAGNOSTIC_NACK
        self._write(kind, target, source, bytes((nack or 0,)))

    def deliver(self, source: int, data: bytes) -> None:
        """See `Requester`."""
        self._write(Kind.DIAGNOSTIC, source, self.source, data)

    def _write(self, kind: Kind, *parts: "int | bytes") -> None:
        transport = self._writer.transport
        if not self.has_begun or transport.is_closing():
            return
        if transport.get_write_buffer_size() > self._room.limits.unread:
            self.cut_off("it does not read")
            return
        self._writer.write(message(self._version, kind, *parts))
        self._was_active()
