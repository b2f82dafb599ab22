"""SoftSocket: the interface and the promises of isotp.socket, over an engine of our own."""

import time
import warnings
from collections.abc import Callable
from threading import Condition
from typing import Any

from ..bus.base import Bus
from ..engine.events import Event
from ..errors import BusyError
from ..sockets import CommonSocket, ReceivedMessage
from .endpoint import INBOX_BYTES, Endpoint, Outgoing
from .reactor import reactor_of


class SoftSocket(Endpoint, CommonSocket):
    """An ISO-TP socket in user space, for where the kernel has none.

    Set options, then `bind`, then `send` and `recv`, as with `isotp.socket`. Every send is confirmed unless asked
    otherwise, and every failure is raised by the call it belongs to. Threads may share it.

    Args:
        bus: where its frames go: `VirtualBus`, `SocketCanBus`, `PythonCanBus`, or your own. Any number of sockets
            may share it.
        timeout: seconds that `send`, `recv` and `confirm` may wait; None: without limit, 0: not at all.
        rcvbuf: bytes of messages to keep until they are read; beyond that senders are asked to wait.
        on_event: called with every event of the engine (`isotp.engine.events`), such as progress. It runs in the
            thread of the bus and must not wait; what it raises comes out of the socket's next call.
    """

    def __init__(
        self,
        bus: Bus,
        timeout: float | None = None,
        *,
        rcvbuf: int = INBOX_BYTES,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        self._reactor = reactor_of(bus)
        Endpoint.__init__(self, bus, self._reactor, rcvbuf, on_event)
        CommonSocket.__init__(self, timeout)
        self._lock = self._reactor.lock
        self._changed = Condition(self._lock)

    def _something_changed(self) -> None:
        self._changed.notify_all()

    # --- sending

    def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message, and return its length once all of it is on the bus.

        With `confirm=False` it returns when the engine has taken the message; `confirm()` then tells its outcome.
        The same holds for a socket that does not block. A message that follows waits for the one before it.

        Args:
            data: the message, any bytes-like object, from 1 byte to `max_pdu_size`.
            flags: MSG_DONTWAIT: do not block this time.
            confirm: whether to wait for the outcome.

        Raises:
            TransferError: the message did not get through; the class and `n_result` say why.
            TimeoutError: the socket's timeout passed first; the message is still being sent, see `confirm`.
            BlockingIOError: the socket does not block and an earlier message is still being sent; nothing was sent.
            MessageSizeError: the message is empty or too long.
            InterfaceError: the bus failed.
        """
        data = bytes(memoryview(data))
        with self._lock:
            deadline = self._deadline(flags)
            if self._may_not_send and not self._wait(lambda: not self._may_not_send, deadline):
                raise self._out_of_time(self._may_not_send, deadline)
            outgoing = self._begin(data)
            try:
                if confirm or self._awaits_each:
                    self._await_outcome(outgoing, deadline)
            finally:
                self._leave(outgoing)
        return len(data)

    def _await_outcome(self, outgoing: Outgoing, deadline: float | None) -> None:
        if not outgoing.ended and not self._wait(lambda: outgoing.ended, deadline):
            if deadline == 0:
                return  # confirm() tells
            what = f"{outgoing.size} bytes are still being sent on {self._link}"
            raise self._out_of_time(what, deadline, "; confirm() waits for the outcome")
        outgoing.take_outcome()

    def confirm(self) -> None:
        """Wait until nothing is being sent, and raise the failure of a message sent with `confirm=False`.

        Of several failed ones the first is raised, with a note that counts the others; they are all told then.
        What nobody asked about is told by UnconfirmedSendWarning when the socket is closed.

        Raises:
            TransferError: a message did not get through.
            TimeoutError: the socket's timeout passed first.
            BlockingIOError: the socket does not block and a message is still being sent.
        """
        with self._lock:
            self._check_usable()
            deadline = self._deadline(0)
            if not self._wait(lambda: not self._is_sending, deadline):
                raise self._out_of_time(f"a message is still being sent on {self._link}", deadline)
            failure = self._unconfirmed.take_failure()
        if failure is not None:
            raise failure

    # --- receiving

    def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole.

        Args:
            bufsize: the longest message wanted, in bytes; None: any.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            TimeoutError: nothing arrived within the socket's timeout.
            BlockingIOError: the socket does not block and there is no message.
            TransferError: a message began to arrive and broke off; the class and `n_result` say why.
            ReceiveBufferTooSmallError: the message is longer than `bufsize`; it is kept.
            InterfaceError: the bus failed.

        Warns:
            MessagesDroppedWarning: messages were dropped because nobody read them.
        """
        return self._receive(bufsize, flags).data

    def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with the time of its last frame and the count of messages dropped before it.

        Raises:
            OSError: as `recv`.
        """
        message = self._receive(None, flags)
        self._dropped_told = max(self._dropped_told, message.dropped)
        return message

    def _receive(self, bufsize: int | None, flags: int) -> ReceivedMessage:
        with self._lock:
            self._check_receives()
            if not self._inbox:
                self._tell_dropped()
                deadline = self._deadline(flags)
                if not self._wait(lambda: self._inbox, deadline):
                    raise self._out_of_time(f"no message on {self._link}", deadline)
            return self._take_first(bufsize, flags)

    def _wait(self, condition: Callable[[], object], deadline: float | None) -> bool:
        """Wait until `condition()`; False if `deadline` (monotonic seconds) passed first. The lock is held."""
        while not condition():
            self._check_usable()
            seconds = None if deadline is None else deadline - time.monotonic()
            if seconds is not None and seconds <= 0:
                return False
            if self._reactor.is_inside():
                raise BusyError(
                    "a callback or signal handler on top of a turn of the bus cannot wait for it",
                    link=self._link,
                    remedy="send(..., confirm=False), or leave it to another thread",
                )
            self._changed.wait(seconds)
        if self._closed:
            raise self._closed_error()
        return True

    # --- closing

    def close(self) -> None:
        """Close the socket; who waits in `send` or `recv` gets SocketClosedError. Closing again does nothing.

        It waits for a message that is still being sent, as the kernel does, unless a callback closes the socket. A
        receiver that only asks to wait is not waited for.

        Warns:
            UnconfirmedSendWarning: a message sent with `confirm=False` failed, and nobody asked for its outcome.
            MessagesDroppedWarning: messages were dropped since that was last told.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
            try:
                if not self._reactor.is_inside():
                    for seconds in self._finish_sending():
                        self._changed.wait(seconds)
            finally:  # an interrupted close has closed, too
                if self._node is not None:
                    self._reactor.remove(self._node)
        self._reactor.join()
        self._tell_last()

    def __del__(self) -> None:
        if self._is_forgotten():
            try:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            finally:
                self._closed = True
                assert self._node is not None
                self._reactor.abandon(self._node)
