"""Inbox: messages and failed receptions that were not read yet, in the order in which they happened."""

import socket
import threading
from collections import deque

from ..errors import IsoTpError, OptionError
from ..sockets import ReceivedMessage, buffer_too_small
from .request import Wakes


class Inbox:
    """The queue between the engine and the application, with room for a number of bytes.

    It accepts messages until it has no room left; the last one may be longer than that room. The driver puts messages
    in, any thread takes them out.

    Args:
        room: bytes of messages to keep.

    Raises:
        OptionError: `room` is no number of bytes.
    """

    def __init__(self, room: int) -> None:
        if isinstance(room, bool) or not isinstance(room, int) or room < 1:
            raise OptionError(f"rcvbuf={room!r}: allowed is a number of bytes from 1")
        self._entries: deque[ReceivedMessage | IsoTpError] = deque()
        self._room = room
        self._lock = threading.RLock()
        self._sign: tuple[socket.socket, socket.socket] | None = None  # the first is readable while there is an entry
        self.waiters: dict[Wakes, None] = {}
        """Calls that wait for an entry."""
        self.dropped = 0
        """How many messages were dropped, for lack of room."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether the next message will be dropped."""
        return self._room <= 0

    def put(self, data: bytes, timestamp_ns: int) -> None:
        """Keep a message, or count it as dropped."""
        with self._lock:
            if self.is_full:
                self.dropped += 1
                return
            self._room -= len(data)
            self._append(ReceivedMessage(data, timestamp_ns, self.dropped))

    def put_failure(self, error: IsoTpError) -> None:
        """Keep a failure; as in the kernel, of several in a row only the latest is kept."""
        with self._lock:
            if self._entries and isinstance(self._entries[-1], IsoTpError):
                self._entries[-1] = error
            else:
                self._append(error)

    def _append(self, entry: ReceivedMessage | IsoTpError) -> None:
        self._entries.append(entry)
        if self._sign is not None and len(self._entries) == 1:
            self._sign[1].send(b"\0")
        self.wake()

    def wake(self) -> None:
        """Wake the calls that wait for an entry."""
        for waiter in list(self.waiters):
            waiter.wake()

    def take(self, bufsize: int | None, link: str, *, peek: bool) -> ReceivedMessage | None:
        """The oldest message, which stays in the inbox if `peek`; None if there is no entry.

        Raises:
            IsoTpError: the oldest entry is a failure; it is removed.
            ReceiveBufferTooSmallError: the message has more than `bufsize` bytes; it stays.
        """
        with self._lock:
            if not self._entries:
                return None
            entry = self._entries[0]
            if isinstance(entry, IsoTpError):
                self._drop_first()
                raise entry
            if bufsize is not None and len(entry.data) > bufsize:
                raise buffer_too_small(len(entry.data), bufsize, link)
            if not peek:
                self._drop_first()
                self._room += len(entry.data)
            return entry

    def _drop_first(self) -> None:
        self._entries.popleft()
        if self._sign is not None and not self._entries:
            self._sign[0].recv(1)

    def fileno(self) -> int:
        """A descriptor that is readable while there is an entry; it is made by the first call."""
        with self._lock:
            if self._sign is None:
                self._sign = socket.socketpair()
                if self._entries:
                    self._sign[1].send(b"\0")
            return self._sign[0].fileno()

    def close(self) -> None:
        """Close the descriptor, if there is one."""
        with self._lock:
            sign, self._sign = self._sign, None
            for end in sign or ():
                end.close()
