"""Coroutines of tests in every event loop the sockets have to work in, and nothing may be left behind."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import pytest

import isotp

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

SLOW_SECONDS = 30.0  # in an emulated machine that shares its processor a callback may take seconds
LOOPS = ("asyncio", "uvloop")

with contextlib.suppress(ImportError):  # with its first loop libuv opens descriptors for good: no leak of a test
    import uvloop

    uvloop.new_event_loop().close()


def new_uvloop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop; skips where there is none."""
    pytest.importorskip("uvloop", reason="uvloop is not installed (to do: pip install isotp[dev])")
    return uvloop.new_event_loop()


def runner(name: str, caplog: pytest.LogCaptureFixture) -> Run[Any]:
    """Runs a coroutine in a loop with asyncio's debug mode; fails if that has anything to report."""
    factory = new_uvloop if name == "uvloop" else None

    async def alone(test: Coroutine[Any, Any, T]) -> T:
        asyncio.get_running_loop().slow_callback_duration = SLOW_SECONDS
        result = await test
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left running: {left}"
        return result

    def run(test: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(debug=True, loop_factory=factory) as runner:
            result = runner.run(alone(test))
        told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert told == []
        return result

    return run


async def ticks_during(awaitable: Awaitable[object], seconds: float = 0.005) -> int:
    """How often a loop does something else meanwhile: every `seconds` while it is free."""
    count = 0

    async def tick() -> None:
        nonlocal count
        while True:
            await asyncio.sleep(seconds)
            count += 1

    ticking = asyncio.create_task(tick())
    try:
        await awaitable
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
    return count


async def exchange_all(pairs: list[tuple[Any, Any]], size: int) -> None:
    """Let each pair exchange a message of its own, all at once, then wait for a while: that costs next to nothing."""

    async def exchange(number: int, a: Any, b: Any) -> None:
        message = bytes((7 * i + number) % 251 for i in range(size))
        _, received = await asyncio.gather(a.send(message), b.recv())
        assert received == message

    await asyncio.gather(*(exchange(number, a, b) for number, (a, b) in enumerate(pairs)))
    waiting = [asyncio.create_task(b.recv()) for _, b in pairs]
    await asyncio.sleep(0)
    busy = time.process_time()
    await asyncio.sleep(1.0)
    assert time.process_time() - busy < 0.2
    for a, b in pairs:
        a.close()
        b.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {isotp.SocketClosedError}
    for a, b in pairs:
        await a.wait_closed()
        await b.wait_closed()
    assert len(asyncio.all_tasks()) <= 2  # the test, and who runs it
