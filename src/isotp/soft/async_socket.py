"""AsyncSoftSocket: SoftSocket for asyncio, without a thread."""

import asyncio
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Unpack

from ..bus.base import Bus
from ..deadline import Deadline
from ..engine.events import Event
from ..engine.params import Params
from ..sockets import LINGER_S, AsyncIsoTpSocket, ReceivedMessage
from ..task_lock import TaskLock, settle, until, wait_for_task
from .end import INBOX_BYTES, SoftEnd, checked_bus
from .loop_driver import LoopDriver
from .options import EngineFields
from .outbox import Outbox
from .request import Outgoing, Request
from .waits import Arrival, waits_for

_AT_ONCE: Final = 8  # messages


class _Wakeup:
    """One task waits here until the driver wakes it."""

    def __init__(self) -> None:
        self._future: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """End the wait, if a task waits."""
        settle(self._future, None)

    async def wait(self, deadline: Deadline) -> None:
        """Wait to be woken, until `deadline` at most."""
        self._future = asyncio.get_running_loop().create_future()
        await until(deadline, self._future, None)


class AsyncSoftSocket(AsyncIsoTpSocket):
    """An ISO-TP socket in user space for asyncio, for where the kernel has none.

    Set options, then `bind`, then `await` `send` and `recv`, as with `isotp.AsyncSocket`, with the same guarantees;
    `bind` and `close` are plain calls. All asyncio sockets of a bus belong to one event loop, the one whose tasks wait
    in them, and to no other thread.

    Args:
        bus: where its frames go: `VirtualBus`, `SocketCanBus`, `PythonCanBus` (that one has a thread, unless it is
            given a notifier), or your own (`isotp.bus.Bus`). Any number of asyncio sockets may share it, and no
            `SoftSocket`.
        timeout: seconds that `recv` may wait, that `send` may wait for its turn, and that a transfer may stand still;
            None: without limit, 0: calls do not wait at all.
        rcvbuf: bytes of messages to keep until they are read; if they are more, senders are asked to wait.
        linger: seconds that a message being sent may stand still while `close` waits for it; then it is given up, with
            an UnconfirmedSendWarning. None: without limit, 0: `close` does not wait.
        on_event: the loop calls it with every event of the engine (`isotp.engine`), such as progress, or a frame of
            this link that was ignored; the socket's next call raises what it raises.
        accept: called with the length of each message of several frames when it begins, unless that is above
            `max_pdu_size`; False refuses it: flow control OVFLW, and the sender's `send` raises BufferOverflowError.
            The loop calls it as `on_event`, and it must not use the socket. Kernel sockets do not have it: there only
            the kernel's limit refuses messages.

    Raises:
        TypeError: `bus` is no bus.
        OptionError: `rcvbuf` is no number of bytes.
    """

    _end: SoftEnd[LoopDriver]

    def __init__(
        self,
        bus: Bus,
        timeout: float | None = None,
        *,
        rcvbuf: int = INBOX_BYTES,
        linger: float | None = LINGER_S,
        on_event: Callable[[Event], object] | None = None,
        accept: Callable[[int], bool] | None = None,
    ) -> None:
        super().__init__(SoftEnd(checked_bus(bus), LoopDriver, rcvbuf, on_event, accept), timeout, linger)
        self._rx_lock = TaskLock()
        self._sent_at_once = 0
        self._leaving: asyncio.Task[None] | None = None

    @property
    def bus(self) -> Bus:
        """The bus it was made for."""
        return self._end.bus

    def set_engine_opts(self, **fields: Unpack[EngineFields]) -> Params:
        """Set options that only the engine has; see `SoftSocket.set_engine_opts`."""
        return self._end.set_engine_opts(**fields)

    def get_engine_opts(self) -> Params:
        """All parameters as the engine has them; times in nanoseconds."""
        return self._end.get_engine_opts()

    # --- sending

    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """See `AsyncIsoTpSocket`."""
        end, deadline = self._end, self._deadline(flags)
        is_awaited = (confirm or end.awaits_each) and not deadline.is_now
        outgoing = Outgoing(bytes(memoryview(data)), _Wakeup(), is_awaited)
        driver, outbox = end.ready_to_send()
        await self._ask(driver, outbox, outgoing, deadline)
        return len(outgoing.data)

    async def confirm(self) -> None:
        """See `AsyncIsoTpSocket`."""
        deadline = self._deadline()
        self._end.check_usable()
        if self.bound:
            await self._ask(*self._end.ready_to_send(), Request(_Wakeup()), deadline)

    async def _ask(self, driver: LoopDriver, outbox: Outbox, request: Request[_Wakeup], deadline: Deadline) -> None:
        """Wait until `request` is done, and raise its failure."""
        end, cancel = self._end, partial(outbox.cancel, request)
        driver.attach()
        try:
            outbox.submit(request, not deadline.is_now)
            driver.run()
            if request.is_done:
                await self._let_others_run()
            for seconds in waits_for(outbox, request, deadline, cancel):
                end.check_open()
                await self._wait(driver, request.wakeup, seconds)
            if not request.is_done:
                raise TimeoutError(outbox.still_sending(request))
            if request.is_awaited or not request.has_begun:  # else `confirm` raises it
                request.raise_failure()
        finally:
            request.is_awaited = False
            cancel()

    async def _let_others_run(self) -> None:
        """Give other tasks time to read, so that a task that sends in a loop does not fill their inboxes."""
        self._sent_at_once += 1
        if self._sent_at_once >= _AT_ONCE:
            self._sent_at_once = 0
            await asyncio.sleep(0)

    def abort(self) -> None:
        """See `AnySocket`."""
        self._end.abort()

    # --- receiving

    async def recv(self, bufsize: int | None = None, flags: int = 0, *, begins_within: float | None = None) -> bytes:
        """See `AsyncIsoTpSocket`."""
        return (await self._receive(bufsize, flags, begins_within)).data

    async def recv_message(self, flags: int = 0, *, begins_within: float | None = None) -> ReceivedMessage:
        """See `AsyncIsoTpSocket`."""
        message = await self._receive(None, flags, begins_within)
        self._end.know_dropped(message)
        return message

    async def _receive(self, bufsize: int | None, flags: int, begins_within: float | None) -> ReceivedMessage:
        end = self._end
        arrival = Arrival(end.inbox, end.link, self.gettimeout(), flags, begins_within)
        end.check_receives()
        driver = end.served_by or end.usable_driver()
        driver.attach()
        while (loop := await self._rx_lock.acquire(Deadline.after(left_s := arrival.left()))) is None:
            if left_s == 0:
                raise arrival.too_late()
        wakeup = _Wakeup()
        end.inbox.waiters[wakeup] = None
        try:
            while True:
                left_s = arrival.left()
                if (message := end.take(bufsize, flags)) is not None:
                    end.check_open()
                    return message
                end.warn_of_dropped()
                end.check_usable()
                if left_s == 0:
                    raise arrival.too_late()
                await self._wait(driver, wakeup, left_s)
        finally:
            end.inbox.waiters.pop(wakeup, None)
            self._rx_lock.release(loop)

    # --- waiting

    async def _wait(self, driver: LoopDriver, wakeup: _Wakeup, seconds: float | None) -> None:
        """Wait to be woken, for `seconds` at most; None: without limit."""
        driver.attach()
        driver.waiting.add(wakeup)
        try:
            await wakeup.wait(Deadline.after(seconds))
        finally:
            driver.waiting.discard(wakeup)

    # --- closing

    def close(self) -> None:
        """See `AnySocket`.

        It does not wait: a message that is still being sent goes on, see `wait_closed`. Without a running event loop
        it cannot be sent, and it is given up.
        """
        end = self._end
        if end.closed:
            return
        end.refuse_calls()
        if not end.is_sending:
            end.leave("")
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            end.leave("no event loop is running")
        else:
            self._leaving = loop.create_task(self._leave_later(), name=f"close of {self!r}")

    async def wait_closed(self) -> None:
        """See `AsyncIsoTpSocket`."""
        if self._leaving is not None and self._leaving.get_loop().is_closed() and not self._leaving.done():
            self._leaving = asyncio.get_running_loop().create_task(self._leave_later())
        if self._leaving is not None:
            await wait_for_task(self._leaving)
        if self._end.served_by is not None:
            await self._end.served_by.wait_for_bus()

    async def _leave_later(self) -> None:
        end, wakeup, why = self._end, _Wakeup(), "the event loop has ended"
        driver, loop = end.served_by, asyncio.get_running_loop()
        assert driver is not None
        end.inbox.waiters[wakeup] = None
        try:
            for seconds in end.waits_for_end(self._linger):
                await self._wait(driver, wakeup, seconds)
            why = f"nothing of it was sent for {self._linger:g} s"
        finally:
            end.inbox.waiters.pop(wakeup, None)
            if self._leaving is None or self._leaving.get_loop() is loop:  # else another loop goes on with it
                end.leave(why)

    def __del__(self) -> None:
        if "_end" in self.__dict__ and self.bound and not self.closed:
            text = f"unclosed {self!r}"
            self._end.abandon()
            warnings.warn(text, ResourceWarning, source=self, stacklevel=2)
