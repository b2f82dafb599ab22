"""What goes to the kernel and what comes from it, without waiting: what the blocking and the asyncio socket share.

The native socket is never blocked in. Whatever goes wrong in either direction lands in the kernel's one error slot,
and the call that looks first gets it: `Flight` sorts the catch, and the direction it belongs to is woken.
"""

import select
import time
from collections.abc import Callable
from socket import SO_ERROR, SOL_SOCKET
from typing import Any, Final, TypeVar

from ..errors import IsoTpError, MessagesDroppedWarning, warn
from ..linux.constants import SO_RXQ_OVFL, SO_TIMESTAMPNS, TIMESPEC, U32
from ..sockets import MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, ReceivedMessage, buffer_too_small
from . import translate
from .binding import Binding
from .endpoint import Endpoint
from .flight import REST_SECONDS, UNKNOWN_SIZE

_CONTROL_SIZE: Final = 64  # room for a timespec and a counter

T = TypeVar("T")


class Exchange(Endpoint):
    """One end of a link that sends and receives; its subclass waits."""

    def __init__(self, rcvbuf: int | None = None) -> None:
        super().__init__(rcvbuf)
        native = self._socket
        self._native_send: Callable[[Any, int], int] = native.send
        self._native_recv: Callable[[int, int], bytes] = native.recv
        self._getsockopt: Callable[[int, int], int] = native.getsockopt
        self._dropped_before = 0  # the message received last

    def _on_bound(self, bound: Binding) -> None:
        if not bound.sends:
            self._native_send = self._refuse_send
        if not bound.receives:
            self._native_recv = self._refuse_recv

    def _wake_sender(self) -> None:
        """Let who waits for the end of a transmission look at what is known."""
        raise NotImplementedError

    def _wake_receiver(self) -> None:
        """Let who waits for a message look at what is known."""
        raise NotImplementedError

    # --- sending

    def _hand_over(self, data: Any, flags: int, refused: OSError | None = None) -> int:
        """Give a message to the kernel; returns its length, 0 if it has no room. `refused`: what a first attempt got.

        It has no room while it sends something that is not ours, or was given up, or is just being probed.

        An errno may have lain in the slot, about something earlier; one that comes again is about this message.

        Raises:
            OSError: the message cannot be sent.
        """
        flight = self._flight
        fetched = 0
        while True:
            e = refused
            if e is None:
                flight.size = UNKNOWN_SIZE  # from here on a failure may be about this message
                try:
                    flight.size = sent = self._native_send(data, flags | MSG_DONTWAIT)
                except OSError as again:
                    e = again
                except Exception:
                    flight.size = 0  # not bytes: the kernel never saw it
                    raise
                else:
                    self._put_down(fetched)
                    return sent
            flight.size, refused = 0, None
            if isinstance(e, IsoTpError | BlockingIOError):
                self._put_down(fetched)
                if isinstance(e, BlockingIOError):
                    return 0
                raise e
            if e.errno in translate.SLOT_ERRNOS and (e.errno != fetched or e.errno in translate.RECEPTION_ERRNOS):
                self._put_down(fetched)
                fetched = e.errno or 0
            else:
                self._put_down(fetched if e.errno != fetched else 0)
                raise self._refusal(e, memoryview(data).nbytes) from None

    def _put_down(self, fetched: int) -> None:
        """Put what a send found in the slot, and what is not about it, where `recv` finds it."""
        if fetched and fetched not in translate.TRANSMISSION_ERRNOS:
            self._flight.reception = fetched
            self._wake_receiver()

    def _refusal(self, e: OSError, size: int) -> OSError:
        bound = self._binding
        limit = bound.single_frame_max if bound and not bound.segmentation else None
        return translate.send_refused(e, size, limit, self.interface, self._link)

    def _still_sending(self) -> str:
        size = self._flight.size
        return f"an earlier message{f' ({size} bytes)' if size > 0 else ''} is still being sent on {self._link}"

    def _fared_well(self) -> bool:
        """Whether the message in flight, which is out, got through, as most do; it is in flight no more then."""
        flight = self._flight
        if number := self._getsockopt(SOL_SOCKET, SO_ERROR):
            flight.sort(number)
            return False
        if flight.is_well:
            flight.size = 0
            return True
        return False

    def _has_ended(self, events: int) -> bool:
        """Whether the transmission has ended, going by poll events of the socket."""
        return self._flight.look(events)

    # --- receiving

    def _look(self, take: Callable[[], T]) -> T:
        """Call `take` once; BlockingIOError if there is nothing."""
        if self._closed:
            raise self._closed_error()
        if self._flight.reception:
            self._raise_reception()
        try:
            return take()
        except BlockingIOError:
            raise
        except OSError as e:
            self._sort(e)
        raise BlockingIOError

    def _sort(self, e: OSError) -> None:
        """Put what a receiving call fetched where it belongs; raise it if that is here."""
        if isinstance(e, IsoTpError):
            raise e
        if e.errno is None or not self._flight.sort(e.errno):
            raise translate.unusable(e, self.interface, self._link) from None
        if self._flight.transmission:
            self._wake_sender()
        if self._flight.reception:
            self._raise_reception()

    def _raise_reception(self) -> None:
        if number := self._flight.take_reception():  # another receiver may have been faster
            raise translate.reception_failed(number, self.interface, self._link) from None

    def _take(self, bufsize: int | None, flags: int) -> bytes:
        """Receive a message if there is one, and if it fits.

        If another thread takes the one that was looked at, the next one is returned even if it is longer.
        """
        if bufsize is not None:
            self._check_receives()
            size = self._socket.recv_into(bytearray(1), 1, MSG_DONTWAIT | MSG_PEEK | MSG_TRUNC)
            if size > bufsize:
                raise buffer_too_small(size, bufsize, self._link)
        return self._native_recv(self._max_pdu_size, _quiet(flags))

    def _take_message(self, flags: int) -> ReceivedMessage:
        """Receive a message with its time if there is one."""
        data, ancillary, _, _ = self._socket.recvmsg(self._max_pdu_size, _CONTROL_SIZE, _quiet(flags))
        timestamp_ns = 0
        for level, kind, value in ancillary:
            if (level, kind) == (SOL_SOCKET, SO_TIMESTAMPNS):
                seconds, nanoseconds = TIMESPEC.unpack(value[: TIMESPEC.size])
                timestamp_ns = seconds * 1_000_000_000 + nanoseconds
            elif (level, kind) == (SOL_SOCKET, SO_RXQ_OVFL):
                (self._dropped_before,) = U32.unpack(value)
                self._dropped_told = max(self._dropped_told, self._dropped_before)
        return ReceivedMessage(data, timestamp_ns, self._dropped_before)

    def _check_receives(self) -> None:
        if self._binding and not self._binding.receives:
            self._refuse_recv(0, 0)

    # --- closing

    def _transmit_events(self, timeout_ms: int | None) -> int:
        """Poll for the end of the transmission, deaf to everything else."""
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        return sum(events for _, events in poll.poll(timeout_ms))

    def _finish(self) -> None:
        """Wait for the end of what is in flight, as the kernel would in close(), and keep its failure."""
        flight = self._flight
        while flight.size:
            if self._has_ended(self._transmit_events(None)):
                flight.keep_failure(flight.take_outcome())
                break
            if flight.must_rest:
                time.sleep(REST_SECONDS)

    def _tell_what_was_lost(self, dropped: int) -> None:
        """Warn, now that the socket is closed, of `dropped` messages and of failures nobody asked about."""
        try:
            if dropped:
                warn(f"the kernel had dropped {dropped} message(s) on {self._link}", MessagesDroppedWarning)
        finally:
            self._flight.tell_failures()


def _quiet(flags: int) -> int:
    """`flags` for the kernel: never blocking; no MSG_TRUNC, with which Python would read past its buffer."""
    return (flags | MSG_DONTWAIT) & ~MSG_TRUNC
