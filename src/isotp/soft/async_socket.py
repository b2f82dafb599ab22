"""AsyncSoftSocket: SoftSocket for asyncio, without a thread."""

import asyncio
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

from ..bus.base import Bus
from ..engine.events import Event
from ..sockets import CommonAsyncSocket, ReceivedMessage
from ..turns import Turns, settle, until
from .endpoint import INBOX_BYTES, Endpoint, Outgoing
from .loophub import loop_hub_of

_AT_ONCE: Final = 8  # messages


class AsyncSoftSocket(Endpoint, CommonAsyncSocket):
    """An ISO-TP socket in user space for asyncio, for where the kernel has none.

    Set options, then `bind`, then `await` `send` and `recv`, as with `isotp.AsyncSocket`; `bind` and `close` are
    plain calls. Tasks may share it, and any call may be cancelled, with the same promises. It belongs to the event
    loop whose tasks wait in it, as all asyncio sockets of its bus do, and to no other thread.

    Args:
        bus: where its frames go: `VirtualBus`, `SocketCanBus`, `PythonCanBus` (that one has a thread), or your own.
            Any number of asyncio sockets may share it, and no `SoftSocket`.
        timeout: seconds that `send`, `recv` and `confirm` may wait; None: without limit, 0: not at all.
        rcvbuf: bytes of messages to keep until they are read; beyond that senders are asked to wait.
        on_event: called with every event of the engine (`isotp.engine.events`), such as progress, by the loop; what
            it raises comes out of the socket's next call.
    """

    def __init__(
        self,
        bus: Bus,
        timeout: float | None = None,
        *,
        rcvbuf: int = INBOX_BYTES,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        self._loop_hub = loop_hub_of(bus)
        Endpoint.__init__(self, bus, self._loop_hub, rcvbuf, on_event)
        CommonAsyncSocket.__init__(self, timeout)
        self._tx_turns, self._rx_turns = Turns(), Turns()
        self._sent_at_once = 0
        self._waits: list[asyncio.Future[None]] = []
        self._leaving: asyncio.Task[None] | None = None

    def _something_changed(self) -> None:
        for wait in self._waits:
            settle(wait, None)

    # --- sending

    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message, and return its length once all of it is on the bus.

        With `confirm=False` it returns when the engine has taken the message; `confirm()` then tells its outcome.
        The same holds for a socket that does not wait. A message that follows waits for the one before it.

        Args:
            data: the message, any bytes-like object, from 1 byte to `max_pdu_size`.
            flags: MSG_DONTWAIT: do not wait this time.
            confirm: whether to wait for the outcome.

        Raises:
            TransferError: the message did not get through; the class and `n_result` say why.
            TimeoutError: the socket's timeout passed first; the message is still being sent, see `confirm`.
            BlockingIOError: the socket does not wait and an earlier message is still being sent; nothing was sent.
            MessageSizeError: the message is empty or too long.
            InterfaceError: the bus failed.
        """
        data = bytes(memoryview(data))
        deadline = self._deadline(flags)
        await self._queue_up(deadline)
        try:
            self._bound_node()
            if self._may_not_send and not await self._wait(lambda: not self._may_not_send, deadline):
                raise self._out_of_time(self._may_not_send, deadline)
            outgoing = self._begin(data)
            try:
                if confirm or self._awaits_each:
                    await self._await_outcome(outgoing, deadline)
            finally:
                self._leave(outgoing)
            return len(data)
        finally:
            self._tx_turns.give_back()

    async def _await_outcome(self, outgoing: Outgoing, deadline: float | None) -> None:
        if outgoing.ended:  # at once; who sends in a loop is not to fill the inboxes of tasks that read
            self._sent_at_once += 1
            if self._sent_at_once >= _AT_ONCE:
                self._sent_at_once = 0
                await asyncio.sleep(0)
        elif not await self._wait(lambda: outgoing.ended, deadline):
            if deadline == 0:
                return  # confirm() tells
            what = f"{outgoing.size} bytes are still being sent on {self._link}"
            raise self._out_of_time(what, deadline, "; confirm() waits for the outcome")
        outgoing.take_outcome()

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
            self._check_usable()
            if not await self._wait(lambda: not self._is_sending, deadline):
                raise self._out_of_time(f"a message is still being sent on {self._link}", deadline)
            failure = self._unconfirmed.take_failure()
        finally:
            self._tx_turns.give_back()
        if failure is not None:
            raise failure

    async def _queue_up(self, deadline: float | None) -> None:
        self._check_open()
        self._loop_hub.attach()
        if not await self._tx_turns.take(deadline):
            raise self._out_of_time(f"another task is still sending on {self._link}", deadline)

    # --- receiving

    async def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole.

        Args:
            bufsize: the longest message wanted, in bytes; None: any.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            TimeoutError: nothing arrived within the socket's timeout.
            BlockingIOError: the socket does not wait and there is no message, or another task is waiting for it.
            TransferError: a message began to arrive and broke off; the class and `n_result` say why.
            ReceiveBufferTooSmallError: the message is longer than `bufsize`; it is kept.
            InterfaceError: the bus failed.

        Warns:
            MessagesDroppedWarning: messages were dropped because nobody read them.
        """
        return (await self._receive(bufsize, flags)).data

    async def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with the time of its last frame and the count of messages dropped before it.

        Raises:
            OSError: as `recv`.
        """
        message = await self._receive(None, flags)
        self._dropped_told = max(self._dropped_told, message.dropped)
        return message

    async def _receive(self, bufsize: int | None, flags: int) -> ReceivedMessage:
        self._check_receives()
        self._loop_hub.attach()
        deadline = self._deadline(flags)
        if not await self._rx_turns.take(deadline):
            raise self._out_of_time(f"no message on {self._link}", deadline)
        try:
            if not self._inbox:
                self._tell_dropped()
                if not await self._wait(lambda: self._inbox, deadline):
                    raise self._out_of_time(f"no message on {self._link}", deadline)
            self._check_open()
            return self._take_first(bufsize, flags)
        finally:
            self._rx_turns.give_back()

    # --- waiting

    async def _wait(self, condition: Callable[[], object], deadline: float | None) -> bool:
        """Wait until `condition()`; False if `deadline` (monotonic seconds) passed first."""
        while not condition():
            self._check_usable()
            if deadline is not None and time.monotonic() >= deadline:
                return False
            await self._wait_for_change(deadline)
        self._check_open()
        return True

    async def _wait_for_change(self, deadline: float | None) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waits.append(mine)
        self._loop_hub.waiting.add(self)
        try:
            await until(deadline, mine, None)
        finally:
            self._waits.remove(mine)
            if not self._waits:
                self._loop_hub.waiting.discard(self)

    # --- closing

    def close(self) -> None:
        """Close the socket; who waits in `send` or `recv` gets SocketClosedError. Closing again does nothing.

        It does not wait: a message that is still being sent goes on, see `wait_closed`. Without a running event loop
        nobody can send it, and it is given up.

        Warns:
            UnconfirmedSendWarning: a message failed, and nobody asked for its outcome.
            MessagesDroppedWarning: messages were dropped since that was last told.
        """
        if self._closed:
            return
        self._closed = True
        self._something_changed()
        if self._is_sending:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self._give_up_sending("the socket was closed and no event loop is running")
            else:
                self._leaving = loop.create_task(self._leave_later(), name=f"close of {self!r}")
                return
        self._leave_now()

    async def wait_closed(self) -> None:
        """Wait until a closed socket is gone: until what it was sending when it was closed has ended.

        At the end of an `async with` block that is done.
        """
        if self._leaving is not None:
            await asyncio.wait((self._leaving,))
            if not self._leaving.cancelled():
                self._leaving.result()

    async def _leave_later(self) -> None:
        try:
            for seconds in self._finish_sending():
                await self._wait_for_change(time.monotonic() + seconds)
        finally:
            if self._is_sending:  # the loop ends
                self._give_up_sending("the socket was closed and the event loop has ended")
            self._leave_now()

    def _leave_now(self) -> None:
        if self._node is not None:
            self._loop_hub.remove(self._node)
        self._tell_last()

    def __del__(self) -> None:
        if self._is_forgotten():
            try:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            finally:
                self._closed = True
                assert self._node is not None
                self._loop_hub.abandon(self._node)
