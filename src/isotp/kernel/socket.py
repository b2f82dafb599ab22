"""isotp.socket: a kernel ISO-TP socket that cannot be misused in silence.

Theory of operation. The native socket is never blocked in: a call that has to wait polls in a `Lane`, so that a
timeout, close() and an error meant for the other direction can end the wait. Whichever call finds an error in the
kernel's one slot puts it where it belongs (`Exchange`), and nobody looks at the slot in between (`_alone`): so a
sender does not call its message through, nor a receiver return a later one, while another thread has the error.
"""

import contextlib
import select
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from ..sockets import MSG_DONTWAIT, CommonSocket, ReceivedMessage
from . import translate
from .binding import Binding
from .exchange import Exchange
from .flight import REST_SECONDS
from .lane import Lane

_CLOSE_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 0.5
_RECEIVES_UNTOLD: Final = 16  # messages taken in a row before looking whether others were dropped

T = TypeVar("T")


class socket(Exchange, CommonSocket):  # noqa: N801 - the name the standard library taught everyone
    """A kernel ISO-TP socket.

    Set options, then `bind`, then `send` and `recv`. Every send is confirmed unless asked otherwise, and every
    failure is raised by the call it belongs to. Threads may share it: sends go one after the other, each with
    its own outcome, and each message goes to one receiver.

    Args:
        timeout: seconds that `send`, `recv` and `confirm` may wait; None: without limit, 0: not at all.
        rcvbuf: bytes the kernel may hold for messages not yet read (None: the system's default, about 26
            messages of 4095 bytes).

    Raises:
        UnavailableError: this Python or this kernel has no ISO-TP sockets; it says what to do.
    """

    def __init__(self, timeout: float | None = None, *, rcvbuf: int | None = None) -> None:
        CommonSocket.__init__(self, timeout)
        Exchange.__init__(self, rcvbuf)
        native = self._socket
        self._slot = threading.RLock()  # whoever looks at the slot has it
        self._receives_untold = 0
        self._closing = threading.RLock()
        self._tx = Lane(native.fileno(), select.POLLOUT)
        self._rx = Lane(native.fileno(), select.POLLIN)
        # What poll shows when all is sent, where it can be believed at all.
        self._all_sent = [(native.fileno(), select.POLLOUT)] if self._flight.poll_is_truthful else None

    def _on_bound(self, bound: Binding) -> None:
        super()._on_bound(bound)
        if bound.sends:
            self._tx.open()

    def _wake_sender(self) -> None:
        self._tx.ring()

    def _wake_receiver(self) -> None:
        self._rx.ring()

    # --- sending

    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message, and return its length once all of it is on the bus.

        With `confirm=False` it returns when the kernel has taken the message; `confirm()` then tells its outcome.
        The same holds for a socket that does not block. A message that follows waits for the one before it.

        Args:
            data: the message, any bytes-like object, from 1 byte to the kernel's max_pdu_size.
            flags: MSG_DONTWAIT: do not block this time.
            confirm: whether to wait for the outcome.

        Raises:
            TransferError: the message did not get through; the class and `n_result` say why.
            TimeoutError: the socket's timeout passed first; the message is still being sent, see `confirm`.
            BlockingIOError: the socket does not block and an earlier message is still being sent; nothing was sent.
            MessageSizeError: the message is empty or too long.
            InterfaceError: the interface is down, gone, or its transmit queue full; nothing was sent.
        """
        flight, lane = self._flight, self._tx
        deadline = None if self._timeout is None and not flags else self._deadline(flags)
        mine = False
        try:  # what lane.hold does, without the price of a context manager
            if not lane.turn.acquire(False) and not lane.queue_up(deadline):
                raise self._out_of_time(f"another thread is still sending on {self._link}", deadline)
            if lane.owner:
                lane.refuse()
            lane.owner = threading.get_ident()
            mine = True
            if flight.size:
                self._settle(deadline)
            confirm = confirm or bool(self._taken_over)
            sent = self._send_at_once(data, flags, confirm) or self._send_when_there_is_room(data, flags, deadline)
            if confirm and flight.size:
                self._raise_outcome(deadline)
            return sent
        finally:
            if mine:
                lane.owner = 0
            try:  # noqa: SIM105 - as in lane.hold
                lane.turn.release()
            except RuntimeError:
                pass

    def confirm(self) -> None:
        """Wait until nothing is being sent, and raise the failure of a message sent with `confirm=False`.

        Of several failed ones the first is raised, with a note that counts the others; they are all told then.
        What nobody asked about is told by UnconfirmedSendWarning when the socket is closed.

        Raises:
            TransferError: a message did not get through.
            TimeoutError: the socket's timeout passed first.
            BlockingIOError: the socket does not block and a message is still being sent.
        """
        deadline = self._deadline(0)
        with self._tx.hold(deadline) as got_turn:
            if not got_turn:
                raise self._out_of_time(f"another thread is still sending on {self._link}", deadline)
            if self._closed:
                raise self._closed_error()
            if self._flight.size:
                self._settle(deadline)
            failure = self._flight.take_failure()
        if failure is not None:
            raise failure

    def _raise_outcome(self, deadline: float | None) -> None:
        """Wait for the outcome of the message just handed over, and raise it if it failed."""
        if not self._wait_for_end(deadline):
            if deadline == 0:
                return  # confirm() tells
            what = f"{self._flight.size} bytes are still being sent on {self._link}"
            raise self._out_of_time(what, deadline, "; confirm() waits for the outcome")
        failure = self._flight.take_outcome()
        if failure is not None:
            raise failure

    def _settle(self, deadline: float | None) -> None:
        """Wait for the end of an earlier message whose outcome is not known, and keep its failure for `confirm`."""
        if not self._wait_for_end(deadline):
            raise self._out_of_time(self._still_sending(), deadline)
        self._flight.keep_failure(self._flight.take_outcome())

    def _wait_for_end(self, deadline: float | None) -> bool:
        """Wait until the kernel is done with the message in flight; False if `deadline` passed first."""
        flight = self._flight
        if self._all_sent is None:
            flight.learn_poll(shows_out=bool(self._transmit_events(0)))
        while True:
            ended = self._has_ended(self._tx.wait(deadline, self._is_sender_disturbed))
            if flight.reception:
                self._rx.ring()
            if self._closed:
                flight.told = True
                raise self._closed_error()
            if ended:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            if flight.must_rest:
                time.sleep(REST_SECONDS)

    def _has_ended(self, events: int) -> bool:
        with self._alone():
            return super()._has_ended(events)

    def _send_at_once(self, data: Any, flags: int, confirm: bool) -> int:
        """Give the kernel a message, and see whether it is out yet; returns its length, 0 if there is no room."""
        try:  # what _alone does, without the price of a context manager
            self._slot.acquire(True, _LOOK_SECONDS)
            sent = self._hand_over(data, flags)
            if sent and confirm and self._tx.poll(0) == self._all_sent:
                self._fared_well()
            return sent
        finally:
            try:  # noqa: SIM105 - as in lane.hold
                self._slot.release()
            except RuntimeError:
                pass

    def _send_when_there_is_room(self, data: Any, flags: int, deadline: float | None) -> int:
        sent = 0
        while not sent:
            self._wait_for_room(deadline)
            with self._alone():
                sent = self._hand_over(data, flags)
        return sent

    def _wait_for_room(self, deadline: float | None) -> None:
        """Wait while the kernel is sending something that is not ours, or was given up, or is just being probed."""
        while not self._tx.wait(deadline, self._is_closed):
            if self._closed:
                raise self._closed_error()
            if deadline is not None and time.monotonic() >= deadline:
                raise self._out_of_time(f"another message is still being sent on {self._link}", deadline)
        if not self._flight.poll_is_truthful:
            time.sleep(REST_SECONDS)  # it may have been ready all the time

    # --- receiving

    def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole.

        Args:
            bufsize: the longest message wanted, in bytes; None: whatever the kernel can receive.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            TimeoutError: nothing arrived within the socket's timeout.
            BlockingIOError: the socket does not block and there is no message.
            TransferError: a message began to arrive and broke off; the class and `n_result` say why.
            ReceiveBufferTooSmallError: the message is longer than `bufsize`; it is kept.

        Warns:
            MessagesDroppedWarning: the kernel dropped messages because nobody read them.
        """
        if bufsize is None and not flags and self._receives_untold:
            self._receives_untold -= 1
            try:  # the short way of _receive
                self._slot.acquire(True, _LOOK_SECONDS)
                if self._flight.reception:
                    self._raise_reception()
                return self._native_recv(self._max_pdu_size, MSG_DONTWAIT)
            except BlockingIOError:
                pass
            except OSError as e:
                self._sort(e)
            finally:
                try:  # noqa: SIM105 - as in lane.hold
                    self._slot.release()
                except RuntimeError:
                    pass
        self._receives_untold = _RECEIVES_UNTOLD
        self._tell_dropped()
        return self._receive(lambda: self._take(bufsize, flags), flags)

    def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with the time of its last frame and the count of messages dropped before it.

        Raises:
            OSError: as `recv`.
        """
        self._check_receives()
        return self._receive(lambda: self._take_message(flags), flags)

    def _receive(self, take: Callable[[], T], flags: int) -> T:
        """Call `take` until it has something, waiting in between."""
        deadline = self._deadline(flags)
        try:
            return self._look(take)
        except BlockingIOError:
            if deadline == 0:
                raise self._out_of_time(f"no message on {self._link}", deadline) from None
        with self._rx.hold(deadline) as got_turn:
            while got_turn:
                try:
                    return self._look(take)
                except BlockingIOError:
                    if deadline is not None and time.monotonic() >= deadline:
                        break
                self._rx.wait(deadline, self._is_receiver_disturbed)
        raise self._out_of_time(f"no message on {self._link}", deadline)

    def _look(self, take: Callable[[], T]) -> T:
        with self._alone():
            return super()._look(take)

    # --- waiting

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Look at the kernel's error slot and put down the catch, while nobody else does.

        A look never waits, but a signal handler on top of one may, for us even: so we do not wait for ever.
        """
        try:
            self._slot.acquire(True, _LOOK_SECONDS)
            yield
        finally:
            try:  # noqa: SIM105 - as in lane.hold
                self._slot.release()
            except RuntimeError:
                pass

    def _is_closed(self) -> bool:
        return self._closed

    def _is_sender_disturbed(self) -> bool:
        return self._closed or self._flight.transmission in translate.INTERFACE_ERRNOS

    def _is_receiver_disturbed(self) -> bool:
        return self._closed or bool(self._flight.reception)

    # --- closing

    def close(self) -> None:
        """Close the socket; who waits in `send` or `recv` gets SocketClosedError. Closing again does nothing.

        As the kernel does, it waits for a message that is still being sent.

        Warns:
            UnconfirmedSendWarning: a message sent with `confirm=False` failed, and nobody asked for its outcome.
            MessagesDroppedWarning: the kernel dropped messages since it was last told.
        """
        with self._closing:
            if self._closed:
                return
            dropped = self.dropped - self._dropped_told
            self._closed = True
            try:
                self._end_calls()
            finally:
                self._socket.close()
        self._tell_what_was_lost(dropped)

    def _end_calls(self) -> None:
        """Get everyone out of the lanes, and learn the outcome of what is still in flight."""
        cleared = [lane.clear(_CLOSE_SECONDS) for lane in (self._tx, self._rx)]
        if cleared[0]:  # else what is in flight is the message of a call beneath us, which tells
            self._finish()
        for lane, is_clear in zip((self._tx, self._rx), cleared, strict=True):
            if is_clear:
                lane.free()
