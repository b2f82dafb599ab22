"""isotp.socket: a kernel ISO-TP socket that cannot be misused in silence.

Theory of operation. The native socket is never blocked in: a call that has to wait polls in a `Lane`, so that a
timeout, close() and an error meant for the other direction can end the wait. What goes wrong in either direction
lands in the kernel's one error slot, and the call that looks first gets it: `ErrorSlot` sorts the catch, `Flight`
knows which message it may be about. `_looking` holds an entry for each thread that is in a receiving call and may
not have put down its catch yet; a sender does not call its message through before they have.
"""

import select
import struct
import time
from collections.abc import Callable
from queue import Empty
from socket import SO_ERROR, SOL_SOCKET
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from ..address import Address, AsymmetricAddress
from ..anysocket import MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, ReceivedMessage, Waiting, buffer_too_small
from ..errors import IsoTpError, UnconfirmedSendWarning, warn
from . import translate
from .endpoint import _SO_RXQ_OVFL, _SO_TIMESTAMPNS, Endpoint
from .flight import UNKNOWN_SIZE
from .lane import Lane

_TIMESPEC: Final = struct.Struct("@ll")
_U32: Final = struct.Struct("=I")
_CONTROL_SIZE: Final = 64  # room for a timespec and a counter
_CLOSE_SECONDS: Final = 1.0

T = TypeVar("T")


class socket(Endpoint, Waiting):  # noqa: N801 - the name the standard library taught everyone
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
        self._closed = True
        Waiting.__init__(self, timeout)
        Endpoint.__init__(self, rcvbuf)
        native = self._socket
        self._native_send: Callable[[Any, int], int] = native.send
        self._native_recv: Callable[[int, int], bytes] = native.recv
        self._getsockopt: Callable[[int, int], int] = native.getsockopt
        self._looking = self._slot.looking
        self._tx = Lane(native.fileno(), select.POLLOUT)
        self._rx = Lane(native.fileno(), select.POLLIN)
        self._poll_tx = self._tx.poll
        # What poll shows when all is sent, where it can be believed at all.
        self._all_sent = [(native.fileno(), select.POLLOUT)] if self._flight.poll_is_truthful else None
        self._take_turn = self._tx.turn.get_nowait
        self._leave_turn = self._tx.turn.put

    def bind(  # noqa: D102 - inherited
        self,
        interface: str,
        address: Address | AsymmetricAddress | None = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
    ) -> None:
        super().bind(interface, address, rxid=rxid, txid=txid)
        assert self._binding is not None
        if self._binding.sends:
            self._tx.open()
        else:
            self._native_send = self._refuse_send
        if not self._binding.receives:
            self._native_recv = self._refuse_recv

    bind.__doc__ = Endpoint.bind.__doc__

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
        flight = self._flight
        try:
            self._take_turn()
        except Empty:
            self._queue_up(self._deadline(flags))
        try:
            if flight.size:
                self._settle(self._deadline(flags))
            flight.size = UNKNOWN_SIZE  # from here on a failure may be about this message
            try:
                sent = self._native_send(data, flags | MSG_DONTWAIT)
            except OSError as e:
                sent = self._send_again(e, data, flags)
            except Exception:
                flight.size = 0  # not bytes: the kernel never saw it
                raise
            flight.size = sent
            if confirm or self._wait_tx_done:
                # The short way of _raise_outcome first: without a limit, and all is well.
                if self._timeout is None and not flags and self._poll_tx() == self._all_sent:
                    if number := self._getsockopt(SOL_SOCKET, SO_ERROR):
                        flight.catch(number)
                    elif not self._looking:
                        flight.size = 0
                        return sent
                self._raise_outcome(self._deadline(flags))
            return sent
        finally:
            self._leave_turn(None)

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
        self._queue_up(deadline)
        try:
            if self._closed:
                raise self._closed_error()
            self._settle(deadline)
            failure = self._flight.take_failure()
        finally:
            self._tx.turn.put(None)
        if failure is not None:
            raise failure

    def _queue_up(self, deadline: float | None) -> None:
        """Take the turn, after other threads that are sending."""
        if not self._tx.take_turn(deadline):
            raise self._out_of_time(f"another thread is still sending on {self._link}", deadline)

    def _raise_outcome(self, deadline: float | None) -> None:
        """Wait for the outcome of the message just handed over, and raise it if it failed."""
        if not self._wait_for_end(deadline):
            if deadline == 0:
                return  # confirm() tells
            raise TimeoutError(
                f"{self._flight.size} bytes are still being sent on {self._link} after {self._timeout:g} s; "
                "confirm() waits for the outcome"
            )
        failure = self._take_outcome()
        if failure is not None:
            raise failure

    def _settle(self, deadline: float | None) -> None:
        """Wait for the end of an earlier message whose outcome is not known, and keep its failure for `confirm`."""
        if self._flight.size and not self._wait_for_end(deadline):
            what = f"an earlier message of {self._flight.size} bytes is still being sent on {self._link}"
            raise self._out_of_time(what, deadline)
        self._flight.keep_failure(self._take_outcome())

    def _wait_for_end(self, deadline: float | None) -> bool:
        """Wait until the kernel is done with the message in flight; False if `deadline` passed first."""
        flight = self._flight
        if self._all_sent is None:
            flight.learn_poll(shows_out=bool(self._transmit_events(0)))
        while True:
            ended = flight.look(self._tx.wait(deadline, self._is_closed))
            if self._slot.reception:
                self._rx.ring()
            if self._closed:
                flight.told = True
                raise self._closed_error()
            if ended:
                self._let_others_sort()
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False

    def _transmit_events(self, timeout_ms: int | None) -> int:
        """Poll for the end of the transmission, deaf to everything else."""
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return sum(events for _, events in poll.poll(timeout_ms))

    def _take_outcome(self) -> IsoTpError | None:
        return self._flight.take_outcome(self._binding) if self._binding else None

    def _let_others_sort(self) -> None:
        """Wait for threads whose call may have fetched our error and not yet put it down: microseconds."""
        for _ in range(1000):
            if self._slot.is_sorted():
                break
            time.sleep(0.0001)

    def _send_again(self, e: OSError, data: Any, flags: int) -> int:
        """Do what has to be done after the kernel refused a message: most often, try once more."""
        deadline = self._deadline(flags)
        size = memoryview(data).nbytes
        fetched = 0
        while True:
            self._flight.size = 0
            if isinstance(e, IsoTpError):
                raise e
            if isinstance(e, BlockingIOError):
                self._flight.size, self._flight.told = size, True  # one that was given up is still on its way
                self._settle(deadline)
            elif e.errno in translate.SLOT_ERRNOS and fetched < 2:
                fetched += 1  # it lay in the slot, about something earlier; if it comes again it is about this
                self._slot.put(e.errno, 0)
                if self._slot.reception:
                    self._rx.ring()
            else:
                limit = None
                if self._binding and not self._binding.segmentation:
                    limit = self._binding.single_frame_max
                raise translate.send_refused(e, size, limit, self.interface, self._link) from None
            self._slot.take_transmission()
            self._flight.size = UNKNOWN_SIZE
            try:
                return self._native_send(data, flags | MSG_DONTWAIT)
            except OSError as again:
                e = again

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
        if bufsize is None and not flags:
            looking = self._looking
            looking.append(None)
            try:
                return self._native_recv(self._max_pdu_size, MSG_DONTWAIT)
            except BlockingIOError:
                pass
            except OSError as e:
                self._sort(e)
            finally:
                looking.pop()
        if bufsize is not None:
            self._receive(lambda: self._check_fits(bufsize), flags)
        return self._receive(lambda: self._native_recv(self._max_pdu_size, _quiet(flags)), flags)

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer` and return its length in bytes.

        Args:
            buffer: a writable bytes-like object.
            nbytes: how much of it to use; 0: all.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            ReceiveBufferTooSmallError: the message is longer; it is kept.
            OSError: as `recv`.
        """
        view = memoryview(buffer).cast("B")
        data = self.recv(min(nbytes or len(view), len(view)), flags)
        view[: len(data)] = data
        return len(data)

    def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with the time of its last frame and the count of messages dropped before it.

        Raises:
            OSError: as `recv`.
        """
        if self._binding and not self._binding.receives:
            self._refuse_recv(0, flags)
        data, ancillary, _, _ = self._receive(
            lambda: self._socket.recvmsg(self._max_pdu_size, _CONTROL_SIZE, _quiet(flags)), flags
        )
        timestamp_ns = 0
        for level, kind, value in ancillary:
            if (level, kind) == (SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _TIMESPEC.unpack(value[: _TIMESPEC.size])
                timestamp_ns = seconds * 1_000_000_000 + nanoseconds
            elif (level, kind) == (SOL_SOCKET, _SO_RXQ_OVFL):
                (self._dropped_told,) = _U32.unpack(value)
        return ReceivedMessage(data, timestamp_ns, self._dropped_told)

    def _receive(self, take: Callable[[], T], flags: int) -> T:
        """Call `take` until it has something, waiting in between."""
        deadline = self._deadline(flags)
        has_turn = False
        try:
            while True:
                self._looking.append(None)
                try:
                    return take()
                except BlockingIOError:
                    pass
                except OSError as e:
                    self._sort(e)
                finally:
                    self._looking.pop()
                if self._closed:
                    raise self._closed_error()
                if number := self._slot.take_reception():
                    raise translate.reception_failed(number, self.interface, self._link)
                self._tell_dropped()
                if deadline is not None and time.monotonic() >= deadline:
                    raise self._out_of_time(f"no message on {self._link}", deadline)
                if has_turn:
                    self._rx.wait(deadline, self._is_disturbed)
                else:
                    has_turn = self._rx.take_turn(deadline)
        finally:
            if has_turn:
                self._rx.turn.put(None)

    def _sort(self, e: OSError) -> None:
        """Put what a receiving call fetched where it belongs; raise what is about the call itself."""
        if isinstance(e, IsoTpError):
            raise e
        if e.errno is None or not self._slot.put(e.errno, self._flight.size):
            raise translate.unusable(e, self.interface, self._link) from None

    def _check_fits(self, bufsize: int) -> None:
        """Look at the length of the next message; it stays where it is.

        If another thread takes it meanwhile, the one after it is returned whole even if it is longer.
        """
        if self._binding and not self._binding.receives:
            self._refuse_recv(bufsize, 0)
        size = self._socket.recv_into(bytearray(1), 1, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC)
        if size > bufsize:
            raise buffer_too_small(size, bufsize, self._link)

    # --- waiting

    def _is_closed(self) -> bool:
        return self._closed

    def _is_disturbed(self) -> bool:
        return self._closed or bool(self._slot.reception)

    # --- closing

    def close(self) -> None:
        """Close the socket; who waits in `send` or `recv` gets SocketClosedError. Closing again does nothing.

        As the kernel does, it waits for a message that is still being sent.

        Warns:
            UnconfirmedSendWarning: a message sent with `confirm=False` failed, and nobody asked for its outcome.
            MessagesDroppedWarning: the kernel dropped messages since it was last told.
        """
        if self._closed:
            return
        dropped, self._dropped = self.dropped, 0
        self._closed = True
        for lane in (self._tx, self._rx):
            lane.close(_CLOSE_SECONDS)
        self._let_others_sort()
        flight = self._flight
        while flight.size:
            if flight.look(self._transmit_events(None)):
                flight.keep_failure(self._take_outcome())
                break
        self._dropped = dropped
        self._socket.close()
        if flight.failures:
            failures = flight.failures
            warn(
                f"{failures} message(s) sent with confirm=False failed and nobody asked; the first one: "
                f"{flight.take_failure()}",
                UnconfirmedSendWarning,
            )
        self._tell_dropped()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _quiet(flags: int) -> int:
    """`flags` for the kernel: never blocking; no MSG_TRUNC, with which Python would read past its buffer."""
    return (flags | MSG_DONTWAIT) & ~MSG_TRUNC
