"""The kernel's one error slot per socket, sorted by direction.

can-isotp reports failures of both directions through one number on the socket (sk_err): whichever call looks first
- recv, send, or getsockopt(SO_ERROR) - gets it and clears it, whatever it was about. So every call hands what it
got to `put`, and each direction takes from here what is its own.
"""

import errno
import socket

from ..errors import EBADMSG
from . import translate

_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK)


def is_transmitting(native: socket.socket) -> bool:
    """Whether the kernel is still sending a message of this socket.

    It looks at its state first and at the length only then: an empty message is EAGAIN while one is being sent and
    EINVAL otherwise, and nothing is ever sent. Unlike poll() this was true in all kernels.
    """
    try:
        native.send(b"", socket.MSG_DONTWAIT)
    except OSError as e:
        return e.errno in _BUSY
    return False


class ErrorSlot:
    """What the slot held, sorted."""

    def __init__(self, native: socket.socket) -> None:
        self._native = native
        self.transmission = 0
        """errno of the message in flight, or 0."""
        self.reception = 0
        """errno of a reception that broke off and was not yet told, or 0."""
        self.looking: list[None] = []
        """An entry for each thread that may have caught an errno and not yet put it down, and one for
        `transmission`: while it is empty, no failure of a message can have been caught by somebody else."""

    def put(self, number: int, in_flight: int) -> bool:
        """Sort an errno that a call got; False if it does not come from the slot.

        `in_flight` is the size of the message being sent, 0 for none.
        """
        if number in translate.RECEPTION_ERRNOS:
            self.reception = number
        elif number in translate.TRANSMISSION_ERRNOS:
            self._put_transmission(number)
        elif number == EBADMSG:
            # Malformed flow control ends the transmission, bad padding in a received frame does not.
            if in_flight and not is_transmitting(self._native):
                self._put_transmission(number)
            else:
                self.reception = number
        elif number in translate.INTERFACE_ERRNOS:
            self.reception = number
            if in_flight:
                self._put_transmission(number)
        else:
            return False
        return True

    def _put_transmission(self, number: int) -> None:
        if not self.transmission:
            self.looking.append(None)
        self.transmission = number

    def is_sorted(self) -> bool:
        """Whether nobody is still looking."""
        return len(self.looking) <= bool(self.transmission)

    def take_reception(self) -> int:
        """The errno of a broken-off reception, once; 0 for none."""
        number, self.reception = self.reception, 0
        return number

    def take_transmission(self) -> int:
        """The errno of the message in flight, once; 0 for none."""
        number, self.transmission = self.transmission, 0
        if number:
            self.looking.pop()
        return number
