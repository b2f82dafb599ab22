"""What was received and not read yet: messages and broken-off receptions, in the order they happened."""

from collections import deque

from ..errors import IsoTpError, OptionError
from ..sockets import ReceivedMessage


class Inbox:
    """The queue between the engine and the application, with room for so many bytes.

    It takes one message more than it has room for, so that it is never too small for the next one.

    Args:
        room: bytes of messages to keep.
    """

    def __init__(self, room: int) -> None:
        if isinstance(room, bool) or not isinstance(room, int) or room < 1:
            raise OptionError(f"rcvbuf={room!r}: allowed is a number of bytes from 1")
        self._entries: deque[ReceivedMessage | IsoTpError] = deque()
        self._room = room
        self.dropped = 0
        """How many messages there was no room for."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether the next message will be dropped."""
        return self._room <= 0

    def put(self, data: bytes, timestamp_ns: int) -> None:
        """Keep a message, or count it as dropped."""
        if self.is_full:
            self.dropped += 1
            return
        self._entries.append(ReceivedMessage(data, timestamp_ns, self.dropped))
        self._room -= len(data)

    def put_failure(self, error: IsoTpError) -> None:
        """Keep a failure; as in the kernel, of those that nobody read only the latest is kept."""
        if self._entries and isinstance(self._entries[-1], IsoTpError):
            self._entries.pop()
        self._entries.append(error)

    def first(self) -> ReceivedMessage:
        """The oldest message, which stays; there must be an entry.

        Raises:
            IsoTpError: the oldest entry is a failure; it is told by this and gone.
        """
        entry = self._entries[0]
        if isinstance(entry, IsoTpError):
            self._entries.popleft()
            raise entry
        return entry

    def drop_first(self) -> None:
        """Forget the message that `first` gave."""
        entry = self._entries.popleft()
        assert isinstance(entry, ReceivedMessage)
        self._room += len(entry.data)
