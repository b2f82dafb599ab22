"""What every asyncio ISO-TP socket of this library is, and how its tasks wait: in order, by a deadline, cancellable."""

import asyncio
import contextlib
import time
from collections import deque
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from .anysocket import AnySocket, ReceivedMessage, TimeLimits, fill, room_in
from .errors import SocketClosedError

T = TypeVar("T")


class AsyncIsoTpSocket(AnySocket, Protocol):
    """What asyncio code that uses an ISO-TP socket can rely on, be it `AsyncSocket` or `AsyncSoftSocket`.

    `bind` is not among it: where a link is differs. The classes document each method.
    """

    async def send(self, data: Any, flags: int = 0, *, confirm: bool = True) -> int:
        """Send one message; returns its length."""

    async def confirm(self) -> None:
        """Wait for messages sent with `confirm=False` or given up, and raise their failure."""

    async def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole."""

    async def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer`; returns its length."""

    async def recv_message(self, flags: int = 0) -> ReceivedMessage:
        """Receive one message with its time."""

    async def wait_closed(self) -> None:
        """Wait until a closed socket is gone: until what it was sending has ended."""

    def __aiter__(self) -> Self: ...

    async def __anext__(self) -> bytes: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class CommonAsyncSocket(TimeLimits):
    """What asyncio sockets do alike: `recv_into`, iteration, and closing at the end of an `async with` block."""

    async def recv(self, bufsize: int | None = None, flags: int = 0) -> bytes:
        """Receive one message, whole."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the socket."""
        raise NotImplementedError

    async def wait_closed(self) -> None:
        """Wait until the closed socket is gone."""
        raise NotImplementedError

    @property
    def closed(self) -> bool:
        """Whether the socket was closed."""
        raise NotImplementedError

    @property
    def _link(self) -> str:
        """The link, in errors."""
        raise NotImplementedError

    async def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive one message into `buffer` and return its length in bytes.

        Args:
            buffer: a writable bytes-like object.
            nbytes: how much of it to use; 0: all.
            flags: MSG_DONTWAIT, MSG_PEEK.

        Raises:
            ReceiveBufferTooSmallError: the message is longer; it is kept.
            OSError: as `recv`.
        """
        view = room_in(buffer, nbytes)
        return fill(view, await self.recv(len(view), flags), self._link)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """The next message; `close` ends the iteration."""
        try:
            return await self.recv()
        except SocketClosedError:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        await self.wait_closed()


def settle(future: "asyncio.Future[T] | None", value: T) -> None:
    """Give `future` its value, unless it has one or nobody can wait for it any more."""
    if future is not None and not future.done() and not future.get_loop().is_closed():
        future.set_result(value)


async def until(deadline: float | None, future: "asyncio.Future[T]", too_late: T) -> T:
    """The value of `future`; `too_late` if `deadline` (monotonic seconds; None: no limit) passes first."""
    if deadline is None:
        return await future
    delay = max(0.0, deadline - time.monotonic())
    timer = future.get_loop().call_later(delay, settle, future, too_late)
    try:
        return await future
    finally:
        timer.cancel()


class Turns:
    """One task at a time has the turn, the others queue for it in the order they came.

    A task that is cancelled or out of time leaves the queue; if the turn was just being given to it, it goes on to the
    next one.
    """

    def __init__(self) -> None:
        self.taken = False
        self.queue: deque[asyncio.Future[bool]] = deque()
        """Those who wait, the first one first; with nobody in it, `taken = False` is all there is to `give_back`."""

    async def take(self, deadline: float | None) -> bool:
        """Have the turn; False if it did not come by `deadline` (monotonic seconds; None: no limit)."""
        if not self.taken:
            self.taken = True
            return True
        if deadline == 0:
            return False
        mine: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.queue.append(mine)
        try:
            return await until(deadline, mine, False)
        except BaseException:
            if mine.done() and not mine.cancelled() and mine.result():
                self.give_back()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self.queue.remove(mine)

    def give_back(self) -> None:
        """Let the next one have the turn."""
        while self.queue:
            next_one = self.queue.popleft()
            if not next_one.done() and not next_one.get_loop().is_closed():
                next_one.set_result(True)
                return
        self.taken = False
