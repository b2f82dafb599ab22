"""AsyncSocket: isotp.socket for asyncio, without a thread.

Theory of operation. As in the blocking socket, no call ever waits in the native socket, WAIT_TX_DONE included. What
goes to the kernel and comes from it, and whose an error is, is shared with the blocking one (`Exchange`, `Flight`);
here is how tasks wait: in `Turns`, one for each direction, so that at most one task of each direction waits for the
kernel, in the `Waits` of the socket. Nothing is taken from the kernel before a wait and kept over it: a task that is
cancelled loses no message, and a message whose sender was cancelled is still in `Flight`, for the next call to see.
"""

import asyncio
import select
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..sockets import MSG_DONTWAIT, CommonAsyncSocket, ReceivedMessage
from ..turns import Turns
from .exchange import Exchange
from .flight import REST_SECONDS, UNKNOWN_SIZE
from .watch import Waits

_RECEIVES_UNTOLD: Final = 16  # messages taken in a row before looking whether others were dropped
_AT_ONCE: Final = 64  # single frames; the receive buffer takes some 270, as the system sets it
_LONGEST_REST_SECONDS: Final = 0.05

T = TypeVar("T")


class AsyncSocket(Exchange, CommonAsyncSocket):
    """A kernel ISO-TP socket for asyncio.

    Set options, then `bind`, then `await` `send` and `recv`; `bind` and `close` are plain calls. The promises are
    those of `isotp.socket`: every send is confirmed unless asked otherwise, every failure is raised by the call it
    belongs to. Tasks may share it: sends go one after the other in the order they were called, each with its own
    outcome, and messages go to receivers in the order these asked. Any call may be cancelled (`asyncio.timeout`
    included): a cancelled `recv` loses no message; after a cancelled `send` the kernel goes on sending, the next
    send waits for that, and `confirm` tells how it ended.

    It belongs to the event loop whose tasks wait in it, and to no other thread.

    Args:
        timeout: seconds that `send`, `recv` and `confirm` may wait; None: without limit, 0: not at all.
        rcvbuf: bytes the kernel may hold for messages not yet read (None: the system's default, about 26
            messages of 4095 bytes).

    Raises:
        UnavailableError: this Python or this kernel has no ISO-TP sockets; it says what to do.
    """

    def __init__(self, timeout: float | None = None, *, rcvbuf: int | None = None) -> None:
        CommonAsyncSocket.__init__(self, timeout)
        Exchange.__init__(self, rcvbuf)
        self._tx_turns, self._rx_turns = Turns(), Turns()
        self._receives_untold = 0
        self._sent_at_once = 0
        self._leaving: asyncio.Task[None] | None = None
        fd = self._socket.fileno()
        self._waits = Waits(fd)
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        self._poll_tx = poll.poll
        # What poll shows when all is sent, where it can be believed at all.
        self._all_sent = [(fd, select.POLLOUT)] if self._flight.poll_is_truthful else None

    # --- sending

    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message, and return its length once all of it is on the bus.

        With `confirm=False` it returns when the kernel has taken the message; `confirm()` then tells its outcome.
        The same holds for a socket that does not block. A message that follows waits for the one before it.

        Args:
            data: the message, any bytes-like object, from 1 byte to the kernel's max_pdu_size.
            flags: MSG_DONTWAIT: do not wait this time.
            confirm: whether to wait for the outcome.

        Raises:
            TransferError: the message did not get through; the class and `n_result` say why.
            TimeoutError: the socket's timeout passed first; the message is still being sent, see `confirm`.
            BlockingIOError: the socket does not wait and an earlier message is still being sent; nothing was sent.
            MessageSizeError: the message is empty or too long.
            InterfaceError: the interface is down, gone, or its transmit queue full; nothing was sent.
        """
        flight = self._flight
        if self._closed or flags or self._tx_turns.taken or (flight.size and not self._is_through()):
            return await self._send_in_turn(data, flags, confirm)
        # Most often nobody is in the way and the message is out at once: no wait, hence no need for a turn.
        flight.size = UNKNOWN_SIZE  # from here on a failure may be about this message
        try:
            flight.size = sent = self._native_send(data, MSG_DONTWAIT)
        except OSError as e:
            return await self._send_in_turn(data, flags, confirm, refused=e)
        except Exception:
            flight.size = 0  # not bytes: the kernel never saw it
            raise
        if not confirm and not self._taken_over:
            return sent
        if not self._is_through():
            return await self._send_in_turn(data, flags, confirm, sent=sent)
        self._sent_at_once += 1
        if self._sent_at_once >= _AT_ONCE:  # who sends in a loop is not to fill the buffers of tasks that read
            self._sent_at_once = 0
            await asyncio.sleep(0)
        return sent

    async def _send_in_turn(
        self, data: Any, flags: int, confirm: bool, *, sent: int = 0, refused: OSError | None = None
    ) -> int:
        """Send a message that something is in the way of, or wait for one that was `sent` and is not out yet.

        `refused`: what a first attempt got.
        """
        deadline = self._deadline(flags)
        if not sent and not refused:
            await self._queue_up(deadline)
        self._tx_turns.taken = True
        try:
            if not sent:
                if self._closed:
                    raise self._closed_error()
                if self._flight.size and not refused:
                    await self._settle(deadline)
                sent = await self._hand_over_in_time(data, flags, deadline, refused)
            if confirm or self._taken_over:
                await self._raise_outcome(deadline)
            return sent
        finally:
            self._tx_turns.give_back()

    async def confirm(self) -> None:
        """Wait until nothing is being sent, and raise the failure of a message whose sender did not wait for it.

        That is one sent with `confirm=False`, or whose `send` was cancelled or out of time. Of several failed ones
        the first is raised, with a note that counts the others; they are all told then. What nobody asked about is
        told by UnconfirmedSendWarning when the socket is closed.

        Raises:
            TransferError: a message did not get through.
            TimeoutError: the socket's timeout passed first.
            BlockingIOError: the socket does not wait and a message is still being sent.
        """
        deadline = self._deadline(0)
        await self._queue_up(deadline)
        try:
            if self._closed:
                raise self._closed_error()
            if self._flight.size:
                await self._settle(deadline)
            failure = self._flight.take_failure()
        finally:
            self._tx_turns.give_back()
        if failure is not None:
            raise failure

    async def _queue_up(self, deadline: float | None) -> None:
        if self._closed:
            raise self._closed_error()
        if not await self._tx_turns.take(deadline):
            raise self._out_of_time(f"another task is still sending on {self._link}", deadline)

    async def _raise_outcome(self, deadline: float | None) -> None:
        """Wait for the outcome of the message just handed over, and raise it if it failed."""
        if not await self._wait_for_end(deadline):
            if deadline == 0:
                return  # confirm() tells
            what = f"{self._flight.size} bytes are still being sent on {self._link}"
            raise self._out_of_time(what, deadline, "; confirm() waits for the outcome")
        failure = self._flight.take_outcome()
        if failure is not None:
            raise failure

    def _is_through(self) -> bool:
        return self._poll_tx(0) == self._all_sent and self._fared_well()

    async def _settle(self, deadline: float | None) -> None:
        """Wait for the end of an earlier message whose outcome is not known, and keep its failure for `confirm`."""
        if not await self._wait_for_end(deadline):
            raise self._out_of_time(self._still_sending(), deadline)
        self._flight.keep_failure(self._flight.take_outcome())

    async def _wait_for_end(self, deadline: float | None, *, closing: bool = False) -> bool:
        """Wait until the kernel is done with the message in flight; False if `deadline` passed first."""
        flight = self._flight
        events = self._transmit_events(0)
        flight.learn_poll(shows_out=bool(events & select.POLLOUT))
        start = time.monotonic()
        while True:
            ended = flight.look(events)
            if flight.reception:
                self._wake_receiver()
            if ended:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            if flight.must_rest:  # a poll that lies: wait for errors only, and ask again a bit later
                now = time.monotonic()
                later = now + min(max(REST_SECONDS, (now - start) / 8), _LONGEST_REST_SECONDS)
                await self._waits.to_send(0, later if deadline is None else min(later, deadline))
                events = 0 if self._closed and not closing else self._transmit_events(0)
            else:
                events = await self._waits.to_send(select.POLLOUT, deadline)
            if self._closed and not closing:
                flight.told = True
                raise self._closed_error()

    async def _hand_over_in_time(self, data: Any, flags: int, deadline: float | None, refused: OSError | None) -> int:
        """Give the kernel a message, waiting while it has no room; `refused`: what a first attempt got."""
        while not (sent := self._hand_over(data, flags, refused)):
            await self._wait_for_room(deadline)
            refused = None
        return sent

    async def _wait_for_room(self, deadline: float | None) -> None:
        """Wait while the kernel is sending something that is not ours, or was given up, or is just being probed."""
        while not await self._waits.to_send(select.POLLOUT, deadline):
            if self._closed:
                raise self._closed_error()
            if deadline is not None and time.monotonic() >= deadline:
                raise self._out_of_time(f"another message is still being sent on {self._link}", deadline)
        if not self._flight.poll_is_truthful:
            await asyncio.sleep(REST_SECONDS)  # it may have been ready all the time
        if self._closed:
            raise self._closed_error()

    # --- receiving

    async def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole.

        Args:
            bufsize: the longest message wanted, in bytes; None: whatever the kernel can receive.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            TimeoutError: nothing arrived within the socket's timeout.
            BlockingIOError: the socket does not wait and there is no message, or another task is waiting for it.
            TransferError: a message began to arrive and broke off; the class and `n_result` say why.
            ReceiveBufferTooSmallError: the message is longer than `bufsize`; it is kept.

        Warns:
            MessagesDroppedWarning: the kernel dropped messages because nobody read them.
        """
        if bufsize is None and not flags and self._receives_untold and not self._rx_turns.taken and not self._closed:
            self._receives_untold -= 1
            if not self._flight.reception:
                try:  # the short way of _receive
                    return self._native_recv(self._max_pdu_size, MSG_DONTWAIT)
                except BlockingIOError:
                    pass
                except OSError as e:
                    self._sort(e)
        else:
            self._receives_untold = _RECEIVES_UNTOLD
            self._tell_dropped()
        return await self._receive(lambda: self._take(bufsize, flags), flags)

    async def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with the time of its last frame and the count of messages dropped before it.

        Raises:
            OSError: as `recv`.
        """
        self._check_receives()
        return await self._receive(lambda: self._take_message(flags), flags)

    async def _receive(self, take: Callable[[], T], flags: int) -> T:
        """Call `take` until it has something, waiting in between."""
        deadline = self._deadline(flags)
        turns = self._rx_turns
        if self._closed:
            raise self._closed_error()
        if not await turns.take(deadline):
            raise self._out_of_time(f"no message on {self._link}", deadline)
        try:
            while True:
                try:
                    return self._look(take)
                except BlockingIOError:
                    if deadline is not None and time.monotonic() >= deadline:
                        raise self._out_of_time(f"no message on {self._link}", deadline) from None
                await self._waits.to_receive(deadline)
        finally:
            turns.give_back()

    # --- waiting

    def _wake_sender(self) -> None:
        self._waits.wake_sender()

    def _wake_receiver(self) -> None:
        self._waits.wake_receiver()

    # --- closing

    def close(self) -> None:
        """Close the socket; who waits in `send` or `recv` gets SocketClosedError. Closing again does nothing.

        It does not wait: a message that is still being sent goes on, and the native socket is gone when it has
        ended, see `wait_closed`. Without a running event loop `close` itself waits for that, as the kernel does.

        Warns:
            UnconfirmedSendWarning: a message failed, and nobody asked for its outcome.
            MessagesDroppedWarning: the kernel dropped messages since it was last told.
        """
        if self._closed:
            return
        dropped = self.dropped - self._dropped_told
        self._closed = True
        self._wake_sender()
        self._wake_receiver()
        flight = self._flight
        if flight.size and flight.look(self._transmit_events(0)):
            flight.keep_failure(flight.take_outcome())
        if flight.size:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self._finish()
            else:
                self._leaving = loop.create_task(self._leave_later(dropped), name=f"close of {self!r}")
                return
        self._leave(dropped)

    async def wait_closed(self) -> None:
        """Wait until a closed socket is gone: until what it was sending when it was closed has ended.

        At the end of an `async with` block that is done. A loop that ends earlier ends the wait; the kernel then
        makes the process wait.
        """
        if self._leaving is not None:
            await asyncio.wait((self._leaving,))
            if not self._leaving.cancelled():
                self._leaving.result()

    async def _leave_later(self, dropped: int) -> None:
        flight = self._flight
        try:
            while flight.size:
                if await self._wait_for_end(None, closing=True):
                    flight.keep_failure(flight.take_outcome())
        finally:
            self._leave(dropped)

    def _leave(self, dropped: int) -> None:
        self._waits.leave()
        self._socket.close()
        self._tell_what_was_lost(dropped)
