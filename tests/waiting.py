"""Waiting for a condition, in a thread and in an event loop."""

import asyncio
import time
from collections.abc import Callable


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `condition()` is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.002)


async def async_until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `condition()` is true; the event loop goes on meanwhile."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)
