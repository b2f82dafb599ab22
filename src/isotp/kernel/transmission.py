"""The message that the kernel is sending, and the kernel's one error number, which belongs to either direction.

Nothing here waits. All of it runs in one call at a time (`socket._alone`), or in one event loop.

A signal handler may raise KeyboardInterrupt after any call that is made here. So that no outcome is lost, one C call
fetches an errno and appends it to `found`, the state is changed last, and each action may be repeated.
"""

import errno
import math
import os
import select
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import ClassVar, Final

from ..deadline import Deadline
from ..errors import EBADMSG, ECANCELED, IsoTpError
from ..linux.closing import close_now
from ..linux.constants import POLLERR, POLLOUT
from ..linux.release import has
from ..linux.traits import TRUTHFUL_POLL
from ..sockets import MSG_DONTWAIT, UnconfirmedFailures
from . import translate
from .binding import Binding
from .states import TRANSMISSION, TxEvent, TxState

_IDLE: Final = TxState.IDLE
_LINGERING: Final = TxState.LINGERING
_OFFER: Final = TxEvent.OFFER
_END: Final = TxEvent.END
# Python 3.11 takes longer to look up a member of an enum than for all the rest of a transition.
_LEVEL: Final = (socket.SOL_SOCKET,)
_OPTION: Final = (socket.SO_ERROR,)
REST_SECONDS: Final = 0.002  # between two looks where poll() is no place to wait
_KEPT: Final = 100


class Message:
    """A message that is sent, for the call that sends it."""

    size = 0
    """In bytes."""
    is_sent = False
    """Whether the kernel has taken it."""
    is_over = False
    """Whether its outcome is known."""
    failure = 0
    """errno of its failure; EIO: the outcome cannot be known."""
    is_stuck: bool | None = None
    """Whether a frame of it did not get onto the bus, where that was seen."""
    is_awaited = False
    """Whether the call that sends it waits for its outcome."""
    is_reported = False
    """Whether its failure was raised."""


class Transmission:
    """What the kernel is sending, and what went wrong in which direction.

    Args:
        native: a native ISO-TP socket.
    """

    poll_is_truthful: ClassVar[bool | None] = has(TRUTHFUL_POLL) or None
    """Whether poll() shows POLLOUT only when nothing is being sent; None: not known yet."""

    def __init__(self, native: socket.socket) -> None:
        self._native = native
        self._getsockopt = native.getsockopt
        poll = select.poll()
        poll.register(native, POLLOUT)
        self._only_out = [(native.fileno(), POLLOUT)]
        self.poll = poll.poll
        """Polls for the end of the transmission."""
        self.bound: Binding | None = None
        self.state = _IDLE
        self.message = Message()
        """The last one given to the kernel."""
        self.reception = 0
        """errno of a reception that broke off and was not raised yet, or 0."""
        self.is_poll_useless = False
        """Whether poll() showed POLLOUT just now while the kernel was sending: it would return at once."""
        self.found: list[int] = []
        """Error numbers fetched and not sorted yet."""
        self._failed: list[Message] = []
        self._more_failed = 0

    # --- the message

    def offer(self, message: Message) -> None:
        """`message` is given to the kernel."""
        self.message = message
        self.state = TRANSMISSION[self.state][_OFFER]

    def refuse(self) -> None:
        """The kernel did not take it."""
        self._move(TxEvent.REFUSE)

    def current(self) -> Message | None:
        """The message that is still being sent, if there is one."""
        return None if self.state is _IDLE or self.look() else self.message

    def look(self) -> bool:
        """Whether nothing is being sent any more; takes note of the outcome."""
        polled = self.poll(0)
        if polled == self._only_out and self.poll_is_truthful:
            # The kernel's poll looks for errors first and at its state then: an error that came in between shows now.
            polled = self.poll(0)
        events = polled[0][1] if polled else 0
        has_ended = events & POLLOUT
        if not self.poll_is_truthful:
            if not has_ended:
                Transmission.poll_is_truthful = True  # one that is not shows POLLOUT all the time
            self.is_poll_useless = bool(has_ended) and self.is_transmitting()
            has_ended = has_ended and not self.is_poll_useless
            events |= POLLERR
        if events & POLLERR:
            self.found.extend(filter(None, map(self._getsockopt, _LEVEL, _OPTION)))
        if self.found:
            self.sort()
        if has_ended and self.state is not _IDLE:
            message = self.message
            if message.failure:
                self._keep(message)
            message.is_over = True
            self.state = TRANSMISSION[self.state][_END]
        return self.state is _IDLE

    def abort(self) -> None:
        """Give up the message; the kernel goes on with it until its socket is closed."""
        if not self.look():
            self._give_up(TxEvent.ABORT, ECANCELED)

    def is_worth_waiting(self) -> bool:
        """Whether a message is being sent that may still get through; one of the native socket's own counts as well."""
        return not self.is_idle() and self.state is not _LINGERING

    def wait_for_end(self, deadline: Deadline) -> None:
        """Wait until nothing is being sent any more, or until `deadline`."""
        while self.is_worth_waiting() and not deadline.has_passed():
            if self.is_poll_useless:
                time.sleep(REST_SECONDS)
            else:
                left_s = deadline.left()
                self.poll(None if left_s is None else math.ceil(left_s * 1000))

    def close(self) -> None:
        """Close the native socket; a message that is still being sent is given up."""
        self.abort()
        if self.is_idle():
            self._native.close()
        else:
            close_now(self._native.close)

    def detach(self) -> Callable[[], None]:
        """Give up the native socket, which is idle; what is returned closes it, in any thread."""
        return partial(os.close, self._native.detach())

    def is_idle(self) -> bool:
        """Whether nothing is being sent, neither by a call nor by the kernel."""
        return self.look() and not self.is_transmitting()

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

    def is_segmented(self, message: Message) -> bool:
        """Whether it needs flow control from the receiver."""
        bound = self.bound
        return bool(bound and bound.needs_flow_control and message.size > bound.single_frame_max)

    def _move(self, event: TxEvent, failure: int = 0) -> None:
        """Change the state as the table says; `failure`: errno, where the message fails by this event."""
        row = TRANSMISSION[self.state]
        if event in row:
            self.message.failure = failure or self.message.failure
            self.state = row[event]

    def _give_up(self, event: TxEvent, failure: int) -> None:
        """The message failed, and the kernel goes on with it for a while."""
        self._move(event, failure)
        if self.state is _LINGERING:
            self._keep(self.message)
            self.message.is_over = True

    # --- errors

    def sort(self) -> None:
        """Put the errors found where they belong."""
        while self.found:
            self._sort_one(self.found[0])
            del self.found[0]

    def _sort_one(self, number: int) -> None:
        if number in translate.TRANSMISSION_ERRNOS:
            self._move(TxEvent.FAIL, number)
        elif self.state is _IDLE:
            self.reception = number
        elif number == errno.ENODEV or (number in translate.INTERFACE_ERRNOS and self.is_transmitting()):
            self.reception = number
            self._give_up(TxEvent.LOSE_INTERFACE, number)
        elif self.is_transmitting():
            self.reception = number
        elif number == EBADMSG and self.is_segmented(self.message):
            self._move(TxEvent.FAIL, number)  # invalid flow control ends a transmission
        else:
            self.reception = number
            self._move(TxEvent.OVERWRITE, errno.EIO if self.is_segmented(self.message) else 0)

    # --- failures

    def _keep(self, message: Message) -> None:
        """Keep a message that failed, until its failure is raised."""
        if message.is_over or message in self._failed:
            return
        failed = [one for one in self._failed if not one.is_reported]
        if len(failed) < _KEPT or message.is_awaited:
            self._failed = [*failed, message]
        else:
            self._more_failed += 1

    def raise_failure(self, message: Message) -> None:
        """Raise the failure of `message`, if it has one; `raise_unconfirmed` does not raise it again."""
        if message.failure:
            error = self._error(message)
            try:
                raise error
            finally:
                message.is_reported = True  # at the same time: no signal handler runs between the two

    def raise_unconfirmed(self) -> None:
        """Raise the failure of a message whose sender did not wait, if there is one; all of them are forgotten."""
        error = self._unconfirmed().take_failure()
        if error is not None:
            still_awaited = [message for message in self._failed if message.is_awaited]
            try:
                raise error
            finally:
                self._failed, self._more_failed = still_awaited, 0

    def warn_of_failures(self) -> None:
        """Warn of failures that no call asked about, now that none can any more."""
        unconfirmed = self._unconfirmed()
        self._failed, self._more_failed = [], 0
        unconfirmed.warn_of_failures()

    def _unconfirmed(self) -> UnconfirmedFailures:
        unconfirmed = UnconfirmedFailures()
        for message in self._failed:
            if not message.is_awaited and not message.is_reported:
                unconfirmed.keep_failure(self._error(message))
        if unconfirmed.failures:
            unconfirmed.failures += self._more_failed
        return unconfirmed

    def _error(self, message: Message) -> IsoTpError:
        bound = self.bound
        assert bound is not None
        segmented = self.is_segmented(message)
        return translate.transmission_failed(
            message.failure, message.size, segmented, bound.interface, str(bound), is_stuck=message.is_stuck
        )
