"""A client of isotp serve: what it sends becomes messages, and what comes from the bus is written to it."""

import asyncio
import socket
from collections import deque
from typing import Any, Final, NamedTuple, Protocol

from ..output.angle_brackets import Unwrapper

_READ_AHEAD: Final = 1 << 20  # bytes: what a client leaves behind is known as soon as its end is read
_SLICE: Final = 1024  # bytes looked at in one turn: some milliseconds at most, if all of it is wrong
_CHUNK: Final = 1 << 16  # bytes written at once
_LOOK_S: Final = 0.05
_SPACES: Final = b" \t\r\n"
_SHOWN: Final = 16


class Limits(NamedTuple):
    """What clients may take."""

    clients: int
    message: int
    """Bytes of one message to send."""
    held: int
    """Bytes that all clients together sent and that are not on the bus yet."""
    unread: int
    """Bytes that wait until a client has read the message before them."""
    linger_s: float
    """How long a client that sends no more waits for the next message from the bus."""


class Room(Protocol):
    """What a client needs of the server."""

    limits: Limits

    def complain(self, line: str) -> None:
        """Print a line, unless there are too many."""

    def enter(self, client: "Client") -> bool:
        """A client came; whether there is room for it."""

    def leave(self, client: "Client") -> None:
        """It went."""

    def has_sent(self, client: "Client") -> None:
        """It sent something, and wants a turn."""


class Client(asyncio.Protocol):
    """One connection.

    Args:
        room: the server.
        number: its name, where its socket has none.
    """

    _transport: asyncio.Transport

    def __init__(self, room: Room, number: int) -> None:
        self._room = room
        self._loop = asyncio.get_running_loop()
        self.name = f"client {number}"
        self.sends_no_more = False
        """Whether it has closed its direction."""
        self.is_sending = False
        """Whether a message of it is being sent to the bus."""
        self._has_begun = False  # with the first bracket
        self._unparsed = bytearray()
        self._unwrapper = Unwrapper(room.limits.message)
        self._unsent: deque[bytes] = deque()
        self._unread: deque[memoryview] = deque()  # all clients share these bytes
        self._unread_behind = 0  # bytes of all but the first
        self._is_writable = True
        self._is_reading = True
        self._heard_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(_CHUNK)
        if isinstance(peer := transport.get_extra_info("peername"), tuple):
            self.name = "{} port {}".format(*peer[:2])
            sock: Any = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # else a machine that vanished stays a client
        if self._room.enter(self):
            self._room.complain(f"{self.name} came")
        else:
            self.cut_off(f"there are {self._room.limits.clients} others (--max-clients)")

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if self._timer is not None:
            self._timer.cancel()
        self._room.leave(self)

    def cut_off(self, why: str) -> None:
        """Close the connection at once."""
        self._room.complain(f"{self.name} is cut off: {why}")
        self._transport.abort()
        self._room.leave(self)

    def close(self) -> None:
        """Close the connection once all is written."""
        self._is_closing = True
        self._write()

    def abort(self) -> None:
        """Close the connection, whatever is not written yet."""
        self._transport.abort()

    # --- what it sends

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if not self._has_begun:
            if not (data := data.lstrip(_SPACES)):
                return
            if data[:1] != b"<":  # such as a web page, which could make any browser send to the bus
                self.cut_off(f"it begins with {data[:_SHOWN]!r}, and not with a message such as <22F190>")
                return
            self._has_begun = True
        self._unparsed += data
        if self._is_reading and len(self._unparsed) > _READ_AHEAD:
            self._is_reading = False
            self._transport.pause_reading()
        self._room.has_sent(self)

    def eof_received(self) -> bool:
        """See `asyncio.Protocol`: it stays open, for replies."""
        self.sends_no_more = True
        self._heard_s = self._loop.time()
        self._look_whether_it_left()
        return True

    def take(self) -> bytes | None:
        """Its next message; None: there is none in what was looked at, which is a part of what has come."""
        if not self._unsent:
            for found in self._unwrapper.feed(bytes(self._unparsed[:_SLICE])):
                if isinstance(found, str):
                    self._room.complain(f"warning: {self.name}: {found}")
                else:
                    self._unsent.append(found)
            del self._unparsed[:_SLICE]
            if not self._is_reading and len(self._unparsed) < _READ_AHEAD // 2:
                self._is_reading = True
                self._transport.resume_reading()
        return self._unsent.popleft() if self._unsent else None

    @property
    def wants_turn(self) -> bool:
        """Whether there is more to look at, or to send."""
        return bool(self._unsent or self._unparsed)

    @property
    def may_have_gone(self) -> bool:
        """Whether it sends no more, and has read all there is; it may wait for a reply, or have gone."""
        has_read = not self._unread and not self._transport.get_write_buffer_size()
        return self.sends_no_more and has_read and not self.is_sending

    @property
    def held(self) -> int:
        """Bytes it sent that are not on the bus."""
        return len(self._unparsed) + len(self._unwrapper) + sum(map(len, self._unsent))

    def forget_unsent(self) -> str:
        """Send no more of what it sent; returns a sentence about that."""
        number = len(self._unsent) + self._unparsed.count(b">")
        self._unsent.clear()
        self._unparsed.clear()
        return f"; {number} of its messages were not sent" if number else ""

    # --- what it gets

    def hear(self, wrapped: bytes) -> None:
        """Write a message from the bus to it."""
        self._heard_s = self._loop.time()
        if self._unread_behind > self._room.limits.unread:
            self.cut_off(f"{self._unread_behind} bytes wait until it reads (--max-unread)")
            return
        if self._unread:
            self._unread_behind += len(wrapped)
        self._unread.append(memoryview(wrapped))
        self._write()

    def _write(self) -> None:
        # Once the client has gone, asyncio would log a warning for each further write.
        while self._unread and self._is_writable and not self._transport.is_closing():
            first = self._unread.popleft()
            if len(first) > _CHUNK:
                self._unread.appendleft(first[_CHUNK:])
            elif self._unread:
                self._unread_behind -= len(self._unread[0])
            self._transport.write(first[:_CHUNK])
        if self._is_closing and not self._unread:
            self._transport.close()

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_writable = False

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._is_writable = True
        self._write()

    # --- whether it has gone

    def was_sent(self) -> None:
        """A message of it was sent to the bus: the reply to the last one is waited for."""
        if not self.wants_turn:
            self._heard_s = self._loop.time()

    def _look_whether_it_left(self) -> None:
        """Close a connection that sends no more, when nothing came from the bus for a while.

        The end of what a client sends is the same whether it waits for replies or has gone. If it has gone, writing
        the next message to it fails; and what it left behind must not keep the link busy.
        """
        left_s = self._heard_s + self._room.limits.linger_s - self._loop.time()
        if left_s <= 0 and self.wants_turn:
            unsent = self.forget_unsent()
            self._room.complain(f"{self.name} has closed its direction, and nothing came (--linger){unsent}")
        if left_s <= 0 and self.may_have_gone:
            self.close()
            self._room.leave(self)
        else:
            self._timer = self._loop.call_later(max(left_s, _LOOK_S), self._look_whether_it_left)
