"""Inbox: messages and failed receptions that were not read yet, in the order in which they happened."""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from ..errors import InterfaceError, IsoTpError, OptionError
from ..sockets import ReceivedMessage, buffer_too_small
from .request import Wakes

FAILURES_MAX: Final = 4096
"""How many failures an inbox keeps."""


class _Entry(NamedTuple):
    what: ReceivedMessage | IsoTpError
    before: int
    """How many bytes were put before it, since the beginning."""


_NO_ENTRIES: Final[deque[_Entry]] = deque()  # an empty deque has 700 bytes: a socket that receives gets one


class Inbox:
    """The queue between the engine and the application, with room for a number of bytes.

    It accepts messages until it has no room left; the last one may be longer than that room. The driver puts messages
    in, any thread takes them out.

    Args:
        room: bytes of messages to keep.
        on_room: called when the inbox was full and is not any more, by the call that took a message.

    Raises:
        OptionError: `room` is no number of bytes.
    """

    def __init__(self, room: int, on_room: Callable[[], object]) -> None:
        if isinstance(room, bool) or not isinstance(room, int) or room < 1:
            raise OptionError(f"rcvbuf={room!r}: allowed is a number of bytes from 1")
        self._entries = _NO_ENTRIES
        self._room = room
        self._on_room = on_room
        self._put_bytes = 0
        self._lock = threading.RLock()
        self._sign: tuple[socket.socket, socket.socket] | None = None  # the first is readable while there is an entry
        self._begin_ns: int | None = None  # when the message that is being received began
        self._failures = 0  # among the entries
        self._left_out = 0  # how many failures the last entry stands for, beside itself
        self.waiters: dict[Wakes, None] = {}
        """Calls that wait for an entry."""
        self.dropped = 0
        """How many messages were dropped, for lack of room."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether the next message will be dropped."""
        with self._lock:
            return bool(self._entries) and self._put_bytes - self._entries[0].before >= self._room

    @property
    def is_receiving(self) -> bool:
        """Whether a message has begun and not ended yet. Its end is put here before this is False again."""
        return self._begin_ns is not None

    def begin(self, begin_ns: int) -> None:
        """The first frame of a message was received at `begin_ns`; the next `put` is its end."""
        self._begin_ns = begin_ns

    def put(self, data: bytes, timestamp_ns: int) -> None:
        """Keep a message, or count it as dropped."""
        with self._lock:
            if self.is_full:
                self.dropped += 1
            else:
                begin_ns = timestamp_ns if self._begin_ns is None else self._begin_ns
                self._append(ReceivedMessage(data, timestamp_ns, self.dropped, begin_ns))
                self._put_bytes += len(data)
            self._end()

    def put_failure(self, error: IsoTpError) -> None:
        """Keep a failure. Where there are too many, the last one stands for the others, and a note counts them."""
        with self._lock:
            last = self._entries[-1].what if self._entries else None
            if isinstance(error, InterfaceError) and isinstance(last, InterfaceError):
                self._entries[-1] = _Entry(error, self._put_bytes)  # what one outage says is said once
            elif isinstance(last, IsoTpError) and self._failures >= FAILURES_MAX:
                self._left_out += 1
                error.add_note(f"{self._left_out} receptions before it broke off, too; their errors had no room")
                self._entries[-1] = _Entry(error, self._put_bytes)
            else:
                self._append(error)
                self._failures += 1
                self._left_out = 0
            self._end()

    def _append(self, what: ReceivedMessage | IsoTpError) -> None:
        if self._entries is _NO_ENTRIES:
            self._entries = deque()
        self._entries.append(_Entry(what, self._put_bytes))
        if self._sign is not None and len(self._entries) == 1:
            self._sign[1].send(b"\0")

    def _end(self) -> None:
        self._begin_ns = None
        self.wake()

    def wake(self) -> None:
        """Let the calls that wait look again."""
        for waiter in list(self.waiters):
            waiter.wake()

    def take(self, bufsize: int | None, link: str, *, peek: bool) -> ReceivedMessage | None:
        """The oldest message, which stays if `peek`; None if there is no entry.

        Raises:
            IsoTpError: the oldest entry is a failure; it is gone then.
            ReceiveBufferTooSmallError: the message has more than `bufsize` bytes; it stays.
        """
        with self._lock:
            if not self._entries:
                self._clear_sign()
                return None
            what, was_full = self._entries[0].what, self.is_full
            if isinstance(what, ReceivedMessage):
                if bufsize is not None and len(what.data) > bufsize:
                    raise buffer_too_small(len(what.data), bufsize, link)
                if peek:
                    return what
            self._entries.popleft()
            self._failures -= isinstance(what, IsoTpError)
            if not self._entries:
                self._clear_sign()
        if was_full and not self.is_full:
            self._on_room()
        if isinstance(what, IsoTpError):
            raise what
        return what

    def _clear_sign(self) -> None:
        if self._sign is not None:
            with contextlib.suppress(BlockingIOError):
                self._sign[0].recv(16)

    def fileno(self) -> int:
        """A descriptor that is readable while there is an entry; made when first asked for."""
        with self._lock:
            if self._sign is None:
                self._sign = socket.socketpair()
                self._sign[0].setblocking(False)
                if self._entries:
                    self._sign[1].send(b"\0")
            return self._sign[0].fileno()

    def close(self) -> None:
        """Close the descriptor, if there is one."""
        with self._lock:
            sign, self._sign = self._sign, None
            for end in sign or ():
                end.close()

    def forked(self) -> None:
        """Be usable in a child process: a thread of the parent may have held the lock."""
        self._lock = threading.RLock()
