"""How tasks wait: for a future with a deadline, and for their turn, one after the other."""

import asyncio
import contextlib
import time
from collections import deque
from typing import TypeVar

T = TypeVar("T")


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
