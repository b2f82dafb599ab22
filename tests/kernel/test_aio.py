"""AsyncSocket where the kernel is special: poll() that lies, one place for errors, a close() that blocks, many sockets.

What it shares with AsyncSoftSocket is in tests/conformance.
"""

import asyncio
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import isotp
from isotp.kernel.transmission import Transmission

from ..loops import LOOPS, Run, exchange_all, runner
from .conftest import A_TO_B, B_TO_A, Bus, Link, always_show_out, payload

LONG = payload(100)  # a first frame and 14 consecutive frames
Configure = Callable[[isotp.AsyncSocket], object]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Run[Any]:
    """Runs a coroutine, in asyncio's loop and in uvloop."""
    return runner(request.param, caplog)


@asynccontextmanager
async def pair(
    interface: str, configure: Configure | None = None, timeout: float | None = 30.0
) -> AsyncIterator[tuple[isotp.AsyncSocket, isotp.AsyncSocket]]:
    async with isotp.AsyncSocket(timeout) as a, isotp.AsyncSocket(timeout) as b:
        for s in (a, b):
            if configure:
                configure(s)
        a.bind(interface, rxid=B_TO_A, txid=A_TO_B)
        b.bind(interface, rxid=A_TO_B, txid=B_TO_A)
        yield a, b


def slow(s: isotp.AsyncSocket) -> None:
    """The frames of LONG take 1.3 s."""
    s.set_fc_opts(stmin=100)


async def waits(task: asyncio.Task[Any]) -> None:
    """Let `task` come to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()


# --- the loop is free, and the processor idle


@pytest.mark.parametrize("truthful", [True, None, False])
def test_it_never_spins(run: Run[Any], vcan: Link, monkeypatch: pytest.MonkeyPatch, truthful: bool | None) -> None:
    """Nor where poll() shows POLLOUT all the time: then it is not asked."""
    monkeypatch.setattr(Transmission, "poll_is_truthful", truthful)

    async def test() -> None:
        asyncio.get_running_loop().set_debug(False)  # it costs more than all that is measured here
        async with pair(vcan, lambda s: s.set_fc_opts(stmin=127)) as (a, b):
            if truthful is False:
                always_show_out(a)
            receiving = asyncio.create_task(b.recv())
            start, busy = time.monotonic(), time.process_time()
            await a.send(LONG)
            assert await receiving == LONG
            took = time.monotonic() - start
            assert took > 1.5
            assert time.process_time() - busy < 0.7 * took  # spinning takes all of it
        if truthful is None:
            assert Transmission.poll_is_truthful  # learned from seeing no POLLOUT while it was sending

    run(test())


def test_what_fails_one_way_leaves_the_other_alone(run: Run[Any], vcan: Link, bus: Bus) -> None:
    """Both directions wait in one socket, and the kernel has one place for their errors."""

    async def test() -> None:
        async with isotp.AsyncSocket(30.0) as a:
            a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
            receiving, sending = asyncio.create_task(a.recv()), asyncio.create_task(a.send(LONG))
            await waits(sending)
            with pytest.raises(isotp.FlowControlTimeoutError):
                await sending
            assert not receiving.done()
            bus.send(B_TO_A, b"\x10\x14\x01\x02\x03\x04\x05\x06")
            bus.send(B_TO_A, b"\x22\x07\x08\x09\x0a\x0b\x0c\x0d")  # the wrong number
            with pytest.raises(isotp.WrongSequenceNumberError):
                await receiving

    run(test())


def test_an_interface_that_goes_down_is_told_to_both(run: Run[Any], vcan: Link, bus: Bus) -> None:
    async def test() -> None:
        async with isotp.AsyncSocket(30.0) as a:
            a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
            receiving, sending = asyncio.create_task(a.recv()), asyncio.create_task(a.send(LONG))
            await waits(sending)
            vcan.down()
            for task in (receiving, sending):
                with pytest.raises(isotp.InterfaceDownError):
                    await task
            vcan.up()
            await a.send(b"again")

    run(test())


# --- closing


def test_close_without_a_loop(vcan: Link) -> None:
    a, b = isotp.AsyncSocket(), isotp.socket(30.0)
    slow(b)  # type: ignore[arg-type]
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    assert asyncio.run(a.send(LONG, confirm=False)) == 100
    a.close()
    assert b.recv() == LONG
    b.close()


# --- many


def test_two_loops_at_once_are_refused(vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan, slow) as (a, b):
            receiving = asyncio.create_task(a.recv())
            await waits(receiving)
            with pytest.raises(RuntimeError, match="tasks of two event loops"):
                await asyncio.to_thread(lambda: asyncio.run(a.send(LONG)))
            assert await b.recv() == LONG  # it had been handed over
            await b.send(b"still here")
            assert await receiving == b"still here"
        await asyncio.get_running_loop().shutdown_default_executor()

    asyncio.run(test())


def test_a_thousand_sockets_in_one_loop(vcan: Link) -> None:
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()

    async def test() -> None:
        pairs = [(isotp.AsyncSocket(), isotp.AsyncSocket()) for _ in range(500)]
        for n, (a, b) in enumerate(pairs):
            a.bind(vcan, rxid=0x10000 + n, txid=0x20000 + n)
            b.bind(vcan, rxid=0x20000 + n, txid=0x10000 + n)
        await exchange_all(pairs, 4095)
        assert threading.active_count() == threads

    asyncio.run(test())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == files
