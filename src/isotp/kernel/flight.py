"""The message in flight, and the kernel's one error slot.

The kernel has room for one message per socket, and one number (sk_err) for whatever goes wrong in either direction:
whichever call looks first - recv, send, or getsockopt(SO_ERROR) - gets the number and clears it, whatever it was
about. So every call hands what it got to `sort`, and each direction takes from here what is its own.

POLLOUT comes back when a transmission has ended, well or badly. This class does not wait: its caller polls, as it
likes, and shows it the events.
"""

import errno
import select
import socket
from typing import ClassVar, Final

from ..errors import EBADMSG, IsoTpError, UnknownOutcomeError
from ..linux import support
from ..sockets import MSG_DONTWAIT, UnconfirmedFailures
from . import translate
from .binding import Binding

UNKNOWN_SIZE: Final = -1  # of a message that is just being handed to the kernel
REST_SECONDS: Final = 0.002  # between two looks where poll() is no place to wait


class Flight(UnconfirmedFailures):
    """What is being sent, what went wrong in which direction, and the failures nobody asked about yet."""

    poll_is_truthful: ClassVar[bool | None] = support.poll_is_truthful()
    """Whether POLLOUT can be believed; a fact of the running kernel, learned if need be."""

    def __init__(self, native: socket.socket) -> None:
        super().__init__()
        self._native = native
        self.bound: Binding | None = None
        self.size = 0
        """Length of the message whose outcome is not known yet; 0: none; UNKNOWN_SIZE: being handed over."""
        self.told = False
        """Whether that outcome was raised already, although the kernel is still sending."""
        self.transmission = 0
        """errno of the message in flight, or 0."""
        self.reception = 0
        """errno of a reception that broke off and was not told yet, or 0."""
        self.must_rest = False
        """Whether poll() showed POLLOUT just now while the kernel was sending: a wait in it would be none."""
        self._overwritten = False
        self._ended = False  # what is found from now on is not about the message

    @property
    def is_well(self) -> bool:
        """Whether nothing is known against the message in flight."""
        return not (self.transmission or self.told or self._overwritten)

    def is_transmitting(self) -> bool:
        """Whether the kernel is still sending.

        It looks at its state first and at the length only then: an empty message is EAGAIN while one is being sent
        and EINVAL otherwise, and never sent. Unlike poll() this was true in all kernels.
        """
        try:
            self._native.send(b"", MSG_DONTWAIT)
        except OSError as e:
            return e.errno in (errno.EAGAIN, errno.EWOULDBLOCK)
        return False

    def sort(self, number: int) -> bool:
        """Put an errno that a call fetched where it belongs; False if it does not come from the slot."""
        if number in translate.TRANSMISSION_ERRNOS:
            if self.size and not self._ended:  # else it is about a message sent past us, on the native socket
                self.transmission = self.transmission or number
            return True
        if number not in translate.SLOT_ERRNOS:
            return False
        if not self.size or self._ended:
            self.reception = number
        elif number == errno.ENODEV:  # the end of everything
            self.reception = number
            self.transmission = self.transmission or number
        elif self.is_transmitting():
            self.reception = number
            if number in translate.INTERFACE_ERRNOS:
                self.transmission = self.transmission or number
        elif number == EBADMSG and self._is_segmented():
            self.transmission = self.transmission or number  # malformed flow control ends a transmission
        else:
            self.reception = number
            self._overwritten = not self.transmission
        return True

    def look(self, events: int) -> bool:
        """Whether the transmission has ended, going by poll events of the socket; takes the error if there is one.

        The kernel's poll looks for errors first and at its state only then: POLLOUT alone says nothing of success.
        """
        out = bool(events & select.POLLOUT)
        self.must_rest = out and not self.poll_is_truthful and self.is_transmitting()
        ended = out and not self.must_rest
        if ended or events & select.POLLERR:
            self.sort(self._native.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        # An interface that failed leaves the kernel sending for two more seconds; there is nothing to wait for.
        self._ended = ended or self.transmission in translate.INTERFACE_ERRNOS
        return self._ended

    def take_outcome(self) -> IsoTpError | None:
        """The failure of the message that has ended, None if it is through; it is no longer in flight."""
        size, told, overwritten = self.size, self.told, self._overwritten
        segmented = self._is_segmented()
        number, self.transmission = self.transmission, 0
        self._overwritten = self._ended = False
        self.told = number in translate.INTERFACE_ERRNOS and self.is_transmitting()
        self.size = size if self.told else 0
        bound = self.bound
        if told or not size or bound is None:
            return None
        if number:
            return translate.transmission_failed(number, size, segmented, bound.interface, str(bound))
        if overwritten and segmented:
            return UnknownOutcomeError(
                f"{size} bytes were sent, and whether they got through cannot be told: a reception broke off before "
                "anyone asked, and the kernel has one place for both errors",
                link=str(bound),
                remedy="ask the receiver",
            )
        return None

    def take_reception(self) -> int:
        """The errno of a broken-off reception, once; 0 for none."""
        number, self.reception = self.reception, 0
        return number

    def learn_poll(self, shows_out: bool) -> None:
        """Draw a conclusion from a poll made just now: no POLLOUT while sending is what a truthful one shows."""
        if self.poll_is_truthful is None and not shows_out:
            Flight.poll_is_truthful = True

    def _is_segmented(self) -> bool:
        """Whether the message in flight needs flow control from the receiver."""
        bound, size = self.bound, self.size
        return bool(bound and bound.needs_flow_control and (size > bound.single_frame_max or size == UNKNOWN_SIZE))
