"""How asyncio tasks wait: in which loop, for a future until a deadline, and for a lock, one after the other."""

import asyncio
import contextlib
from collections import deque
from typing import TypeVar

from .deadline import Deadline

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop:
    """The event loop of the task that calls.

    Raises:
        RuntimeError: there is none.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "no asyncio event loop is running: await this in a task of asyncio, as by asyncio.run(main()); this is not "
            "for trio, and tests of anyio need a fixture anyio_backend that returns 'asyncio'"
        ) from None


def settle(future: "asyncio.Future[T] | None", value: T) -> None:
    """Set the result of `future` to `value`, unless it is done or its loop is closed."""
    if future is not None and not future.done() and not future.get_loop().is_closed():
        future.set_result(value)


async def until(deadline: Deadline, future: "asyncio.Future[T]", too_late: T) -> T:
    """Wait for `future` and return its result; `too_late` if `deadline` passes first."""
    seconds = deadline.left()
    if seconds is None:
        return await future
    timer = future.get_loop().call_later(seconds, settle, future, too_late)
    try:
        return await future
    finally:
        timer.cancel()


async def wait_for_task(task: "asyncio.Task[None]") -> None:
    """Wait until `task` has ended, and raise its failure. If this call is cancelled, `task` goes on."""
    if not task.done():
        await asyncio.wait((task,))
    if not task.cancelled():
        task.result()


class TaskLock:
    """A lock for asyncio tasks: one task holds it, the others wait for it in the order of their calls.

    A task that is cancelled or out of time leaves the queue. If it has just been given the lock, the next task gets it.
    A loop that was closed in the middle of a task holds nothing: what it held is free for the next loop.
    """

    def __init__(self) -> None:
        self._holder: asyncio.AbstractEventLoop | None = None
        self.queue: deque[asyncio.Future[bool]] = deque()
        """The tasks that wait, the first one at the left."""

    @property
    def is_held(self) -> bool:
        """Whether a task holds it."""
        return self._holder is not None and not self._holder.is_closed()

    def take(self) -> asyncio.AbstractEventLoop:
        """Hold it, which nobody does; returns the running loop, which `release` needs."""
        self._holder = asyncio.get_running_loop()
        return self._holder

    async def acquire(self, deadline: Deadline) -> asyncio.AbstractEventLoop | None:
        """Wait for the lock, and return the running loop, which `release` needs; None if it was not free in time."""
        if not self.is_held:
            return self.take()
        if deadline.is_now:
            return None
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[bool] = loop.create_future()
        self.queue.append(mine)
        try:
            return loop if await until(deadline, mine, False) else None
        except BaseException:
            if mine.done() and not mine.cancelled() and mine.result():
                self.release(loop)
            raise
        finally:
            with contextlib.suppress(ValueError):
                self.queue.remove(mine)

    def release(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the lock to the next task that waits.

        `loop`: of the task that held it. A task of a closed loop may be ended much later: then it holds nothing.
        """
        if self._holder is not loop:
            return
        while self.queue:
            next_one = self.queue.popleft()
            if not next_one.done() and not next_one.get_loop().is_closed():
                self._holder = next_one.get_loop()
                next_one.set_result(True)
                return
        self._holder = None
