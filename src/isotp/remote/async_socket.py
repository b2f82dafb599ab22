"""AsyncRemoteSocket: RemoteSocket for asyncio."""

import asyncio
import contextlib
import warnings
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ..address import Address, AsymmetricAddress
from ..deadline import NEVER, Deadline
from ..sockets import LINGER_S, AsyncIsoTpSocket, ReceivedMessage
from ..task_lock import TaskLock, running_loop, settle, until
from .end import INBOX_BYTES, RemoteEnd
from .inbox import RemoteArrival
from .worker import WORKER, result_of

T = TypeVar("T")


class _Wakeup:
    """One task waits here until the worker wakes it."""

    def __init__(self) -> None:
        self._loop = running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> None:
        """End the wait."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(settle, self._future, None)

    async def wait(self, deadline: Deadline) -> None:
        """Wait to be woken, until `deadline` at most."""
        await until(deadline, self._future, None)
        if self._future.done():
            self._future = self._loop.create_future()


class AsyncRemoteSocket(AsyncIsoTpSocket):
    """An ISO-TP socket for asyncio on a link of another machine, which an edge shares; see `RemoteSocket`.

    `bind` is a plain call, as on all sockets, and asks the edge: it takes the time of the network, in which the event
    loop does not run. An edge in the same event loop cannot answer it.

    Args:
        where: a session of Zenoh or the configuration of one; see `RemoteSocket`.
        link: the name of the link, such as "garage/car7/engine".
        timeout: seconds that calls may wait; None: without limit, 0: not at all.
        name: who we are; see `RemoteSocket`.
        rcvbuf: bytes of messages to keep until they are read; then the edge keeps them, with what its socket has.
        watch_begin: for `begins_within`, where the edge has the kernel's sockets.
        linger: seconds that a message being sent may stand still while `close` waits for it.

    Raises:
        UnavailableError: eclipse-zenoh is not installed.
        AddressError: `link` cannot be the name of a link.
    """

    _end: RemoteEnd

    def __init__(
        self,
        where: Any,
        link: str,
        timeout: float | None = None,
        *,
        name: str | None = None,
        rcvbuf: int = INBOX_BYTES,
        watch_begin: bool = False,
        linger: float | None = LINGER_S,
    ) -> None:
        super().__init__(RemoteEnd(where, link, name, rcvbuf, watch_begin), timeout, linger)
        self._rx_lock = TaskLock()
        self._closing: Future[None] | None = None

    def bind(
        self,
        interface: "str | Address | AsymmetricAddress | None" = None,
        address: "Address | AsymmetricAddress | None" = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
    ) -> None:
        """Open the link at the edge; see `RemoteSocket.bind`."""
        if all(one is None for one in (interface, address, rxid, txid)):
            self._end.bind(None, None)
        else:
            super().bind(interface, address, rxid=rxid, txid=txid)

    # --- sending

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        running_loop()
        future = self._end.submit(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._end.give_up(future)
            raise

    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """See `AsyncIsoTpSocket`."""
        message, deadline = bytes(memoryview(data)), self._deadline(flags)
        self._end.check_sends()
        await self._run(self._end.send(message, 0.0 if deadline.is_now else self.gettimeout(), confirm))
        return len(message)

    async def confirm(self) -> None:
        """See `AsyncIsoTpSocket`."""
        self._end.check_open()
        if self.bound:
            await self._run(self._end.confirm(self.gettimeout()))

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
        arrival = RemoteArrival(end.inbox, end.link, self.gettimeout(), flags, begins_within)
        end.check_receives()
        deadline = Deadline.after(arrival.seconds)
        loop = await self._rx_lock.acquire(deadline)
        if loop is None:
            raise arrival.too_late()
        wakeup, number = _Wakeup(), 0
        end.inbox.waiters[wakeup] = None
        try:
            if (message := end.take(bufsize, flags)) is not None:
                end.check_open()
                return message
            end.warn_of_dropped()
            if arrival.asks:
                left = 0.0 if deadline.is_now else deadline.left() or 0.001
                number, deadline = await self._run(end.begins(left)), NEVER
            while True:
                is_here = arrival.asks and end.has(number)
                if (message := end.take(bufsize, flags)) is not None:
                    end.check_open()
                    return message
                end.check_usable()
                if is_here or deadline.has_passed():
                    raise arrival.too_late()
                await wakeup.wait(deadline)
        finally:
            end.inbox.waiters.pop(wakeup, None)
            self._rx_lock.release(loop)

    # --- closing

    def close(self) -> None:
        """See `AnySocket`. It does not wait, where an event loop is running: see `wait_closed`."""
        self._closing = self._end.closing(self._linger) or self._closing
        if self._closing is not None:
            try:
                asyncio.get_running_loop()
            except RuntimeError:
                result_of(self._closing)
                WORKER.join()

    async def wait_closed(self) -> None:
        """See `AsyncIsoTpSocket`."""
        if self._closing is not None:
            try:
                await asyncio.shield(asyncio.wrap_future(self._closing))
            finally:
                self._closing = None
                WORKER.join()

    def __del__(self) -> None:
        if "_end" in self.__dict__ and self.bound and not self.closed:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            self._end.closing(0)
