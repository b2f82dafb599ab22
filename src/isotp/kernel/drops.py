"""How many messages the kernel dropped because the receive buffer was full, and the warning of it."""

import socket
from typing import Final

from ..errors import MessagesDroppedWarning, warn
from ..linux.native import count_drops
from ..sockets import End

_UNCHECKED: Final = 16  # messages received in a row before looking whether others were dropped


class Drops:
    """Counts the messages dropped on one socket.

    Args:
        native: a native ISO-TP socket.
    """

    def __init__(self, native: socket.socket) -> None:
        self._native = native
        self._count = 0
        self._reported = 0
        self.unchecked = 0
        """How many messages may be received before the next `warn`: asking the kernel costs as much as receiving."""
        self.before_last = 0
        """How many had been dropped before the message received last, as far as `recv_message` knows."""

    def count(self) -> int:
        """How many were dropped since the socket was opened; asks the kernel until the socket is closed."""
        if self._native.fileno() >= 0:
            self._count = count_drops(self._native)
        return self._count

    def received_after(self, drops: int) -> None:
        """A message was returned along with the number of those dropped before it: the caller knows of them."""
        self.before_last = drops
        self._reported = max(self._reported, drops)

    def warn(self, end: End) -> None:
        """Warn of messages dropped since the last warning; `end` knows the link."""
        self.unchecked = _UNCHECKED
        count = self.count()
        if count > self._reported:
            lost, self._reported = count - self._reported, count
            warn(
                f"the kernel dropped {lost} message(s) on {end.link}: the receive buffer was full; "
                "read sooner, or give the socket a bigger one (rcvbuf=...)",
                MessagesDroppedWarning,
            )
