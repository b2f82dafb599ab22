"""How tasks wait: for a future with a deadline, and for their turn, one after the other."""

import asyncio
import contextlib
from collections import deque
from typing import TypeVar

from .deadline import Deadline

T = TypeVar("T")


def settle(future: "asyncio.Future[T] | None", value: T) -> None:
    """Give `future` its value, unless it has one or its loop is closed."""
    if future is not None and not future.done() and not future.get_loop().is_closed():
        future.set_result(value)


async def until(deadline: Deadline, future: "asyncio.Future[T]", too_late: T) -> T:
    """The value of `future`; `too_late` if `deadline` passes first."""
    seconds = deadline.left()
    if seconds is None:
        return await future
    timer = future.get_loop().call_later(seconds, settle, future, too_late)
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
        """The tasks that wait, the first one first."""

    async def take(self, deadline: Deadline) -> bool:
        """Have the turn; False if it did not come by `deadline`."""
        if not self.taken:
            self.taken = True
            return True
        if deadline.is_now:
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
