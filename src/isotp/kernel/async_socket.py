"""AsyncSocket: isotp.socket for asyncio, without a thread.

Theory of operation. `KernelEnd` talks to the kernel and never waits, as for the blocking socket. Tasks wait in
`TaskLock`, one for each direction, so that at most one task of each direction waits for the kernel, in the socket's
`Waits`. No message is taken from the kernel before a wait and kept over it: a task that is cancelled loses none.
`Transmission` keeps the outcome of a message whose sender was cancelled.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from socket import socket
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

from ..deadline import Deadline
from ..errors import SocketClosedError
from ..linux.constants import POLLOUT
from ..sockets import LINGER_S, AsyncIsoTpSocket, ReceivedMessage, checked_timeout
from ..task_lock import TaskLock, wait_for_task
from .begins import receive_until, until_look
from .end import KernelEnd
from .standstill import lingering, standstill
from .states import TxState
from .transmission import REST_SECONDS, Message
from .watch import Waits

_SENT_AT_ONCE: Final = 64  # single frames; the receive buffer takes some 270, as the system sets it
_LONGEST_REST_SECONDS: Final = 0.05
_IDLE: Final = TxState.IDLE

Args = TypeVarTuple("Args")
T = TypeVar("T")


class AsyncSocket(AsyncIsoTpSocket):
    """A kernel ISO-TP socket for asyncio.

    Set options, then `bind`, then `await` `send` and `recv`; `bind` and `close` are plain calls. The promises are
    those of `isotp.socket`: every send is confirmed unless asked otherwise, every failure is raised by the call it
    belongs to. Tasks may share it: sends go one after the other in the order they were called, each with its own
    outcome, and messages go to receivers in the order these asked. Any call may be cancelled (`asyncio.timeout`
    included): a cancelled `recv` loses no message; after a cancelled `send` the kernel goes on sending, the next
    send waits for that, and `confirm` raises its failure.

    It belongs to the event loop whose tasks wait in it, and to no other thread.

    Args:
        timeout: seconds that `recv` may wait, and `send` and `confirm` while nothing gets on; None: without limit,
            0: not at all.
        rcvbuf: bytes the kernel may hold for messages not yet read (None: the system's default, about 26
            messages of 4095 bytes).
        watch_begin: whether to hear when messages begin, on a raw CAN socket beside this one: for `begins_within`
            and `begin_ns`. It takes up to 2 MB of the kernel's memory, and a task that waits wakes every 50 ms.
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
        self._tx_lock, self._rx_lock = TaskLock(), TaskLock()
        self._waits = Waits(self._end.native.fileno())
        self._sent_at_once = 0
        self._rest_seconds = REST_SECONDS
        self._closing: asyncio.Task[None] | None = None
        self._closed: Future[None] | None = None

    # --- sending

    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message; see `IsoTpSocket.send`."""
        end, lock = self._end, self._tx_lock
        message = Message()
        message.is_awaited = confirm or bool(end.wait_tx_done)
        try:
            # Most often no task is in the way and the message is out at once: no wait, hence no need for a turn.
            if flags or lock.is_held or not self._step(end.send, message, data, flags):
                await self._send_in_turn(message, data, flags)
            elif message.is_awaited:
                self._sent_at_once += 1
                if self._sent_at_once >= _SENT_AT_ONCE:  # tasks that read have to run before their buffers are full
                    self._sent_at_once = 0
                    await asyncio.sleep(0)
            return message.size
        except SocketClosedError:
            message.is_reported = True
            raise
        finally:
            message.is_awaited = False

    async def _send_in_turn(self, message: Message, data: Any, flags: int) -> None:
        """Send a message after those before it, or wait for the outcome of one that was sent."""
        end = self._end
        tx = end.transmission
        deadline = self._deadline(flags)
        loop = self._tx_lock.take() if message.is_sent else await self._acquire(deadline)
        try:
            while not (message.is_sent or self._step(end.send, message, data, flags)):
                if not message.is_sent:
                    await self._wait_for_tx(deadline, end.still_sending())
            if message.is_awaited and not message.is_over:
                if deadline.is_now:
                    return  # confirm() raises it
                what = f"{message.size} bytes are still being sent on {end.link}"
                await self._wait_until_over(message, deadline, what, "; confirm() waits for the outcome")
            tx.raise_failure(message)
        finally:
            self._tx_lock.release(loop)

    async def _wait_until_over(self, message: Message, turn: Deadline, what: str, remedy: str = "") -> None:
        """Wait for the outcome of a message that the kernel is sending, as long as it gets on."""
        end = self._end
        with standstill(message, end.transmission.bound, turn) as deadline:
            while not message.is_over:
                await self._wait_for_tx(deadline, what, remedy)
                self._step(end.transmission.look)

    async def confirm(self) -> None:
        """Wait until nothing is being sent, and raise a failure; see `IsoTpSocket.confirm`."""
        end = self._end
        tx = end.transmission
        deadline = self._deadline()
        loop = await self._acquire(deadline)
        try:
            if message := self._step(tx.current):
                await self._wait_until_over(message, deadline, end.still_sending())
            self._step(tx.raise_unconfirmed)
        finally:
            self._tx_lock.release(loop)

    async def _acquire(self, deadline: Deadline) -> asyncio.AbstractEventLoop:
        loop = await self._tx_lock.acquire(deadline)
        if loop is None:
            raise self._too_late(f"another task is still sending on {self._end.link}", deadline)
        return loop

    async def _wait_for_tx(self, deadline: Deadline, what: str, remedy: str = "") -> None:
        """Wait for the end of a transmission, to be woken, or for `deadline`.

        Raises:
            OSError: `deadline` has passed already.
        """
        if deadline.has_passed():
            raise self._too_late(what, deadline, remedy)
        await self._rest(deadline)

    async def _rest(self, deadline: Deadline) -> None:
        """Wait for the end of a transmission, to be woken, or for `deadline`."""
        if self._end.transmission.is_poll_useless:
            await self._waits.to_send(0, deadline.at_most(self._rest_seconds))
            self._rest_seconds = min(self._rest_seconds * 1.2, _LONGEST_REST_SECONDS)
        else:
            self._rest_seconds = REST_SECONDS
            await self._waits.to_send(POLLOUT, deadline)

    def abort(self) -> None:
        """Give up the message that is being sent; see `AnySocket.abort` and `isotp.socket.abort`."""
        self._step(self._end.transmission.abort)

    # --- receiving

    async def recv(self, bufsize: int | None = None, flags: int = 0, *, begins_within: float | None = None) -> bytes:
        """Receive one message, whole; see `IsoTpSocket.recv`."""
        end = self._end
        end.drops.unchecked -= 1
        if end.drops.unchecked < 0:
            end.drops.warn(end)
        # Most often no task is in the way and a message is there, hence no need for a turn.
        if (
            begins_within is not None
            or self._rx_lock.is_held
            or (message := self._step(end.take, bufsize, flags)) is None
        ):
            return await self._receive(end.take, bufsize, flags, begins_within)
        return message

    async def recv_message(self, flags: int = 0, *, begins_within: float | None = None) -> ReceivedMessage:
        """Receive one message with its times; see `IsoTpSocket.recv_message`."""
        return await self._receive(self._end.take_message, None, flags, begins_within)

    async def _receive(
        self, take: Callable[[int | None, int], T | None], bufsize: int | None, flags: int, begins_within: float | None
    ) -> T:
        """Call `take` until it returns something, waiting in between."""
        end, lock = self._end, self._rx_lock
        deadline = receive_until(end.begins, self._deadline(flags), flags, begins_within)
        loop = await lock.acquire(deadline)
        if loop is None:
            raise self._too_late(f"no message on {end.link}", deadline)
        try:
            while (message := self._step(take, bufsize, flags)) is None:
                if take == end.take:  # recv_message returns the number instead
                    end.drops.warn(end)
                if deadline.has_passed():
                    raise self._too_late(f"no message on {end.link}", deadline)
                await self._waits.to_receive(until_look(end.begins, deadline))
            return message
        finally:
            lock.release(loop)

    def _step(self, step: Callable[[Unpack[Args]], T], *args: *Args) -> T:
        """Make a step that does not wait, and wake the task of the other direction if it is concerned."""
        end = self._end
        if end.closed:
            raise end.closed_error()
        try:
            return step(*args)
        finally:
            if end.transmission.reception:
                self._waits.wake_receiver()
            if self._tx_lock.is_held:
                self._waits.wake_sender()

    # --- the native socket

    @property
    def native(self) -> socket:
        """The native socket. Errors that its own calls fetch are not seen by this socket."""
        return self._end.native

    _socket = native

    def real_socket(self) -> socket:
        """The native socket, under the name that others have for it."""
        return self._end.native

    def fileno(self) -> int:
        """The file descriptor, for select and the like; -1 once closed. Writable: nothing is being sent."""
        return self._end.native.fileno()

    # --- closing

    def close(self) -> None:
        """Close the socket; tasks that wait in it get SocketClosedError. Closing again does nothing.

        It does not wait: a message that is still being sent goes on until it has ended or was given up (`linger`; the
        kernel takes some 40 ms for that), and a thread closes the native socket, which takes the kernel some 10 ms; see
        `wait_closed`. Without a running event loop `close` itself waits.

        Warns:
            UnconfirmedSendWarning: a message failed or was given up, and no call asked for its outcome.
            MessagesDroppedWarning: the kernel dropped messages since the last warning.
        """
        end = self._end
        if end.closed:
            return
        end.closed = True
        self._waits.wake_sender()
        self._waits.wake_receiver()
        is_sending = end.transmission.is_worth_waiting()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._close_without_loop(is_sending)
        else:
            if is_sending:
                self._closing = loop.create_task(self._close_later(), name=f"close of {self!r}")
            else:
                self._close_now()

    def _close_without_loop(self, is_sending: bool) -> None:
        try:
            if is_sending:
                with lingering(self._end.transmission.bound, self._linger) as deadline:
                    self._end.transmission.wait_for_end(deadline)
        finally:
            self._close_now()
            if self._closed is not None:
                self._closed.result()

    async def wait_closed(self) -> None:
        """Wait until a closed socket is gone, and what it was sending when it was closed has ended.

        `async with` does that at its end. A loop that ends earlier ends the wait, and the message is given up; in
        another loop `wait_closed` goes on with it.
        """
        if self._closing is not None and self._closing.get_loop().is_closed() and not self._closing.done():
            self._closing = asyncio.get_running_loop().create_task(self._close_later())
        if self._closing is not None:
            await wait_for_task(self._closing)
        if self._closed is not None:
            await asyncio.wrap_future(self._closed)

    async def _close_later(self) -> None:
        tx, loop = self._end.transmission, asyncio.get_running_loop()
        try:
            with lingering(tx.bound, self._linger) as deadline:
                while tx.is_worth_waiting() and not deadline.has_passed():
                    await self._rest(deadline)
        finally:
            if self._closing is None or self._closing.get_loop() is loop:  # else another loop goes on with it
                self._close_now()

    def _close_now(self) -> None:
        if self._end.native.fileno() < 0:
            return
        self._waits.leave()
        if self._end.transmission.is_idle():
            self._closed = Future()
            self._end.close_later(self._closed)
        else:  # here: a process that ends before the kernel has given up the message waits for its receiver
            self._end.close_native()
        self._end.warn_of_losses()
