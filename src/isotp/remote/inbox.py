"""What has arrived from the edge and was not read yet, and how calls wait for it."""

from ..sockets import ReceivedMessage
from ..soft.inbox import Inbox
from ..soft.waits import Arrival


class RemoteInbox(Inbox):
    """The inbox of a remote socket, which asks for what it has room for; the edge counts what it drops."""

    @property
    def room(self) -> int:
        """How many bytes it has room for."""
        with self._lock:
            return max(0, self._room - (self._put_bytes - self._entries[0].before)) if self._entries else self._room

    def put_message(self, message: ReceivedMessage) -> None:
        """Keep a message."""
        with self._lock:
            self.dropped = max(self.dropped, message.dropped)
            self._append(message)
            self._put_bytes += len(message.data)
            self._end()


class RemoteArrival(Arrival):
    """How long a call waits for a message; some have to ask the edge."""

    @property
    def seconds(self) -> float | None:
        """How long it may wait; None: no limit."""
        return self._seconds

    @property
    def asks(self) -> bool:
        """Whether only the edge knows: whether a message has begun, or whether there is one just now."""
        return self._is_for_begin or self._seconds == 0
