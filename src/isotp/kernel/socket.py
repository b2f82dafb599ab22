"""isotp.socket: a kernel ISO-TP socket that cannot be misused in silence.

Theory of operation. `KernelEnd` talks to the kernel and never waits. Each use of it is a step (`_alone`): one at a time
under one lock, over within microseconds. Between its steps a call waits in poll() (`Waits`), without the lock; a step
of another thread that ends its wait wakes it. So a call can always be ended by its timeout, by close(), or by an error
that another call found in the kernel's one error slot.

A signal handler may run on top of any of this, in the thread of the call. It may raise: nothing of an outcome is kept
in a call alone, see `Transmission`. It may close the socket: if it interrupted a step or a wait, that call itself
closes the native socket when it goes on. Other calls on top of a step get BusyError.
"""

import socket as native_module
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeVar, TypeVarTuple, Unpack

from ..deadline import Deadline
from ..errors import BusyError, SocketClosedError
from ..linux.constants import POLLIN, POLLOUT
from ..sockets import LINGER_S, IsoTpSocket, ReceivedMessage, checked_timeout
from .begins import receive_until, until_look
from .end import KernelEnd
from .standstill import lingering, standstill
from .states import TxState
from .transmission import REST_SECONDS, Message
from .waiting import Waits

_IDLE: Final = TxState.IDLE

Args = TypeVarTuple("Args")
T = TypeVar("T")


class socket(IsoTpSocket):  # noqa: N801 - the name the standard library taught everyone
    """A kernel ISO-TP socket.

    Set options, then `bind`, then `send` and `recv`. Every send is confirmed unless asked otherwise, and every
    failure is raised by the call it belongs to. Threads may share it: sends go one after the other, each with
    its own outcome, and each message goes to one receiver.

    Args:
        timeout: seconds that `recv` may wait, and `send` and `confirm` while nothing gets on; None: without limit,
            0: not at all.
        rcvbuf: bytes the kernel may hold for messages not yet read (None: the system's default, about 26
            messages of 4095 bytes).
        watch_begin: whether to hear when messages begin, on a raw CAN socket beside this one: for `begins_within`
            and `begin_ns`. It takes up to 2 MB of the kernel's memory, and a call that waits wakes every 50 ms.
        linger: seconds that a message being sent may stand still while `close` waits for it; then it is given up, with
            an UnconfirmedSendWarning. None: without limit, 0: `close` does not wait.

    Raises:
        UnavailableError: this Python or this kernel has no ISO-TP sockets; it says what to do.
    """

    _end: KernelEnd

    def __init__(
        self,
        timeout: float | None = None,
        *,
        rcvbuf: int | None = None,
        watch_begin: bool = False,
        linger: float | None = LINGER_S,
    ) -> None:
        timeout, linger = checked_timeout(timeout), checked_timeout(linger, "linger")
        super().__init__(KernelEnd(rcvbuf, watch_begin), timeout, linger)
        self._lock = threading.RLock()
        self._in_step = False
        self._close_is_left = False  # to the call that a signal handler interrupted
        self._waits = Waits(self._end.native.fileno())
        self._waiting = self._waits.waiting

    # --- sending

    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message; see `IsoTpSocket.send`."""
        end = self._end
        message = Message()
        message.is_awaited = confirm or bool(end.wait_tx_done)
        try:
            if not self._alone(end.send, message, data, flags):
                deadline = self._deadline(flags)
                if not message.is_sent:
                    self._wait_for_room(message, data, flags, deadline)
                self._wait_for_outcome(message, deadline)
            return message.size
        except SocketClosedError:
            message.is_reported = True
            raise
        finally:
            message.is_awaited = False

    def _wait_for_room(self, message: Message, data: Any, flags: int, deadline: Deadline) -> None:
        """Send a message after those before it."""
        end = self._end
        tx, senders = end.transmission, end.senders

        def is_first_and_idle() -> bool:
            # The list may be empty: another thread may ask when this call is just over.
            return end.closed or (senders[:1] == [message] and tx.state is _IDLE)

        def is_closed() -> bool:  # the kernel is sending something that is not ours
            return end.closed

        try:
            senders.append(message)
            while not (self._alone(end.send, message, data, flags) or message.is_sent):
                is_first = senders[0] is message
                is_due = is_closed if is_first and tx.state is _IDLE else is_first_and_idle
                self._wait_for_tx(deadline, is_due, end.still_sending(), for_end=is_first)
        finally:
            senders.remove(message)
            self._waits.wake()

    def _wait_for_outcome(self, message: Message, deadline: Deadline) -> None:
        """Wait for the outcome of a message that was sent, if it is awaited, and raise it if it failed."""
        if not message.is_awaited or (deadline.is_now and not message.is_over):
            return  # confirm() raises it
        what = f"{message.size} bytes are still being sent on {self._end.link}"
        self._wait_until_over(message, deadline, what, "; confirm() waits for the outcome")
        self._end.transmission.raise_failure(message)

    def _wait_until_over(self, message: Message, turn: Deadline, what: str, remedy: str = "") -> None:
        """Wait for the outcome of a message that the kernel is sending, as long as it gets on."""
        end = self._end
        with standstill(message, end.transmission.bound, turn) as deadline:
            while not message.is_over:
                self._wait_for_tx(deadline, lambda: end.closed or message.is_over, what, remedy)
                self._alone(end.transmission.look)

    def _wait_for_tx(
        self,
        deadline: Deadline,
        is_due: Callable[[], bool],
        what: str,
        remedy: str = "",
        *,
        for_end: bool = True,
    ) -> None:
        """Wait for the end of a transmission or until `is_due()`; `for_end=False`: only for the latter.

        Raises:
            OSError: `deadline` has passed already.
        """
        if deadline.has_passed():
            raise self._too_late(what, deadline, remedy)
        if for_end and self._end.transmission.is_poll_useless:
            self._waits.wait(0, deadline.at_most(REST_SECONDS), is_due)
        else:
            self._waits.wait(POLLOUT if for_end else 0, deadline, is_due)

    def confirm(self) -> None:
        """Wait until nothing is being sent, and raise a failure; see `IsoTpSocket.confirm`."""
        end = self._end
        tx = end.transmission
        deadline = self._deadline()
        if message := self._alone(tx.current):
            self._wait_until_over(message, deadline, end.still_sending())
        self._alone(tx.raise_unconfirmed)

    def abort(self) -> None:
        """Give up the message that is being sent; see `AnySocket.abort`.

        The kernel cannot take back a message: it goes on with it until its receiver ends it, or until `close`. The next
        send waits for that.
        """
        self._alone(self._end.transmission.abort)

    # --- receiving

    def recv(self, bufsize: int | None = None, flags: int = 0, *, begins_within: float | None = None) -> bytes:
        """Receive one message, whole; see `IsoTpSocket.recv`."""
        end = self._end
        end.drops.unchecked -= 1
        if end.drops.unchecked < 0:
            end.drops.warn(end)
        if begins_within is not None or (message := self._alone(end.take, bufsize, flags)) is None:
            deadline = receive_until(end.begins, self._deadline(flags), flags, begins_within)
            return self._receive(end.take, bufsize, flags, deadline)
        return message

    def recv_message(self, flags: int = 0, *, begins_within: float | None = None) -> ReceivedMessage:
        """Receive one message with its times; see `IsoTpSocket.recv_message`."""
        end = self._end
        deadline = receive_until(end.begins, self._deadline(flags), flags, begins_within)
        return self._receive(end.take_message, None, flags, deadline)

    def _receive(
        self, take: Callable[[int | None, int], T | None], bufsize: int | None, flags: int, deadline: Deadline
    ) -> T:
        """Call `take` until it returns something, waiting in between."""
        end = self._end
        while (message := self._alone(take, bufsize, flags)) is None:
            if take == end.take:  # recv_message returns the number instead
                end.drops.warn(end)
            if self._alone(deadline.has_passed):
                raise self._too_late(f"no message on {end.link}", deadline)
            self._waits.wait(POLLIN, until_look(end.begins, deadline), lambda: end.closed or end.transmission.reception)
        return message

    # --- steps

    def _alone(self, step: Callable[[Unpack[Args]], T], *args: *Args) -> T:
        """Make a step that does not wait, while no other call makes one."""
        with self._lock:
            if self._in_step or self._end.closed:
                self._refuse()
            self._in_step = True
            try:
                return step(*args)
            finally:
                self._in_step = False
                if self._waiting:
                    self._waits.wake()
                if self._close_is_left:
                    self.close()

    def _refuse(self) -> NoReturn:
        if not self._end.closed:
            raise BusyError("a signal handler cannot use the socket whose call it interrupted, except to close it")
        if self._close_is_left and not self._in_step:
            self.close()
        raise self._end.closed_error()

    # --- the native socket

    @property
    def native(self) -> native_module.socket:
        """The native socket. Errors that its own calls fetch are not seen by this socket."""
        return self._end.native

    _socket = native

    def real_socket(self) -> native_module.socket:
        """The native socket, under the name that others have for it."""
        return self._end.native

    def fileno(self) -> int:
        """The file descriptor, for select and the like; -1 once closed. Writable: nothing is being sent."""
        return self._end.native.fileno()

    def gettimeout(self) -> float | None:
        """The timeout in seconds, or None; 0 if the native socket was set not to block, as asyncio wants it."""
        return 0.0 if self._end.native.gettimeout() == 0 else self._timeout

    def settimeout(self, timeout: float | None) -> None:
        """Set how many seconds calls may wait; None: without limit, 0: not at all."""
        super().settimeout(timeout)
        if self._end.native.gettimeout() == 0 and not self._end.closed:
            self._end.native.settimeout(None)

    # --- closing

    def close(self) -> None:
        """Close the socket; calls that wait in it get SocketClosedError. Closing again does nothing.

        It waits for a message that is still being sent, as long as it gets on (`linger`). Where that is too long the
        kernel gives up the message.

        Warns:
            UnconfirmedSendWarning: a message failed or was given up, and no call asked for its outcome.
            MessagesDroppedWarning: the kernel dropped messages since the last warning.
        """
        end = self._end
        end.closed = True
        self._close_is_left = False
        if not self._waits.end_all():
            self._close_is_left = True
            return
        with self._lock:
            if self._in_step:
                self._close_is_left = True
                return
            if end.native.fileno() >= 0:
                self._in_step = True
                try:
                    if end.transmission.is_worth_waiting():
                        with lingering(end.transmission.bound, self._linger) as deadline:
                            end.transmission.wait_for_end(deadline)
                finally:
                    self._in_step = False
                    end.close_native()
        end.warn_of_losses()
