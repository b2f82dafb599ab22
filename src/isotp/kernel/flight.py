"""The message in flight: from the moment the kernel took it until its outcome is known.

The kernel has room for one message per socket and one number for whatever goes wrong. POLLOUT comes back when the
transmission has ended, well or badly. This class does not wait: its caller polls, as it likes, and shows it the
events.
"""

import select
import socket
import time
from typing import ClassVar, Final

from ..anysocket import UnconfirmedFailures
from ..errors import IsoTpError, UnknownOutcomeError
from . import support, translate
from .binding import Binding
from .error_slot import ErrorSlot, is_transmitting

UNKNOWN_SIZE: Final = -1  # of a message that is just being handed to the kernel


class Flight(UnconfirmedFailures):
    """What is being sent, and the failures nobody asked about yet."""

    poll_is_truthful: ClassVar[bool | None] = support.poll_is_truthful()
    """Whether POLLOUT can be believed; a fact of the running kernel, learned if need be."""

    def __init__(self, native: socket.socket, slot: ErrorSlot) -> None:
        super().__init__()
        self._native = native
        self._slot = slot
        self.size = 0
        """Length of the message in flight; 0: none; UNKNOWN_SIZE: one that is just being handed over."""
        self.told = False
        """Whether its outcome was raised already, although the kernel is still sending."""
        self._overwritten = False

    def catch(self, number: int) -> None:
        """Sort an errno that was fetched from the socket's slot after POLLOUT or POLLERR."""
        self._slot.put(number, self.size)
        self._overwritten = not self._slot.transmission

    def look(self, events: int) -> bool:
        """Whether the transmission has ended, going by poll events of the socket; takes the error if there is one.

        The kernel's poll looks for errors first and at its state only then: POLLOUT alone says nothing of success.
        """
        ended = bool(events & select.POLLOUT) and (bool(self.poll_is_truthful) or not self._is_still_sending())
        if ended or events & select.POLLERR:
            if number := self._native.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.catch(number)
            if not ended:
                self._overwritten = False  # still sending: there was nothing of this message to overwrite
        # An interface that failed leaves the kernel sending for two more seconds; there is nothing to wait for.
        return ended or self._slot.transmission in translate.INTERFACE_ERRNOS

    def take_outcome(self, bound: Binding) -> IsoTpError | None:
        """The failure of the message that has ended, None if it is through; it is no longer in flight."""
        size, told, overwritten = self.size, self.told, self._overwritten
        number = self._slot.take_transmission()
        self._overwritten = False
        self.told = number in translate.INTERFACE_ERRNOS and is_transmitting(self._native)
        self.size = size if self.told else 0
        if told or not size:
            return None
        segmented = bound.needs_flow_control and size > bound.single_frame_max
        if number:
            return translate.transmission_failed(number, size, segmented, bound.interface, str(bound))
        if overwritten and segmented:
            return UnknownOutcomeError(
                f"{size} bytes were sent, and whether they got through cannot be told: a reception broke off at the "
                "same moment, and the kernel has one place for both errors",
                link=str(bound),
                remedy="ask the receiver",
            )
        return None

    def learn_poll(self, shows_out: bool) -> None:
        """Draw a conclusion from a poll made just now: no POLLOUT while sending is what a truthful one shows."""
        if self.poll_is_truthful is None and not shows_out:
            Flight.poll_is_truthful = True

    def _is_still_sending(self) -> bool:
        """Ask the kernel past its poll(); takes a short rest if so, because that poll() is always ready."""
        sending = is_transmitting(self._native)
        if sending:
            time.sleep(0.002)
        return sending
