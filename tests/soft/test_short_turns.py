"""Turns that end early, since the machine is busy with something else: each message still has its own outcome."""

import asyncio
import random
import time
from typing import Any

import pytest

import isotp

MESSAGES = [bytes([n]) * 20 for n in range(40)]


class Preempted:
    """A clock that now and then shows six milliseconds more: as if the thread had been held up just then."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def __call__(self) -> int:
        return time.monotonic_ns() + 6_000_000 * (self._chance.random() < 0.3)


def bound(bus: Any, rxid: int, txid: int) -> isotp.AsyncSoftSocket:
    s = isotp.AsyncSoftSocket(bus, 10.0)
    s.bind(rxid=rxid, txid=txid)
    return s


@pytest.mark.parametrize("seed", range(5))
def test_sends_of_several_tasks(seed: int) -> None:
    async def test() -> None:
        bus: Any = isotp.VirtualBus()
        async with bound(bus, 1, 2) as a, bound(bus, 2, 1) as b:
            bus.driver.hub.clock = Preempted(seed)
            await asyncio.gather(*(a.send(message) for message in MESSAGES))
            assert [await b.recv() for _ in MESSAGES] == MESSAGES

    asyncio.run(test())
