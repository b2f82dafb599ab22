"""AsyncSocket's own promises: it never blocks its loop, never spins, and any call may be cancelled."""

import asyncio
import gc
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import isotp
from isotp.kernel.flight import Flight

from ..loops import LOOPS, Run, runner, ticks_during
from .conftest import A_TO_B, B_TO_A, Bus, Link, payload

LONG = payload(100)  # a first frame and 14 consecutive frames
Configure = Callable[[isotp.AsyncSocket], object]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Run[Any]:
    """Runs a coroutine, in asyncio's loop and in uvloop."""
    return runner(request.param, caplog)


@asynccontextmanager
async def pair(
    interface: str, configure: Configure | None = None, timeout: float | None = 10.0
) -> AsyncIterator[tuple[isotp.AsyncSocket, isotp.AsyncSocket]]:
    async with isotp.AsyncSocket(timeout) as a, isotp.AsyncSocket(timeout) as b:
        for s in (a, b):
            if configure:
                configure(s)
        a.bind(interface, rxid=B_TO_A, txid=A_TO_B)
        b.bind(interface, rxid=A_TO_B, txid=B_TO_A)
        yield a, b


def slow(s: isotp.AsyncSocket) -> None:
    """14 frames of LONG take 0.28 s."""
    s.set_fc_opts(stmin=20)


async def waits(task: asyncio.Task[Any]) -> None:
    """Let `task` come to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()


# --- the loop is free, and the processor idle


@pytest.mark.parametrize("flags", [isotp.opts.flags(0), isotp.opts.flags.WAIT_TX_DONE])
def test_the_loop_goes_on_during_a_transfer(run: Run[Any], vcan: Link, flags: isotp.opts.flags) -> None:
    def configure(s: isotp.AsyncSocket) -> None:
        slow(s)
        s.set_general_opts(optflags=flags)

    async def test() -> None:
        async with pair(vcan, configure) as (a, b):
            confirm = flags == 0  # WAIT_TX_DONE confirms by itself
            count, longest = await ticks_during(a.send(LONG, confirm=confirm))
            assert count > 10
            assert longest < 0.2
            assert await b.recv() == LONG

    run(test())


@pytest.mark.parametrize("truthful", [True, None, False])
def test_it_never_spins(run: Run[Any], vcan: Link, monkeypatch: pytest.MonkeyPatch, truthful: bool | None) -> None:
    """Nor where poll() shows POLLOUT all the time: then it is not asked."""
    monkeypatch.setattr(Flight, "poll_is_truthful", truthful)
    honest = isotp.AsyncSocket._transmit_events
    if truthful is False:
        monkeypatch.setattr(isotp.AsyncSocket, "_transmit_events", lambda self, ms: honest(self, ms) | 4)

    async def test() -> None:
        async with pair(vcan, lambda s: s.set_fc_opts(stmin=127)) as (a, b):
            receiving = asyncio.create_task(b.recv())
            start, busy = time.monotonic(), time.process_time()
            await a.send(LONG)
            assert await receiving == LONG
            assert time.monotonic() - start > 1.5
            assert time.process_time() - busy < (0.2 if truthful is False else 0.1)
        if truthful is None:
            assert Flight.poll_is_truthful  # learned from seeing no POLLOUT while it was sending

    run(test())


# --- cancellation


def test_a_cancelled_recv_loses_no_message(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        numbers = random.Random(4)
        sent = [payload(numbers.choice([1, 7, 30]), seed) for seed in range(150)]
        async with pair(vcan) as (a, b):

            async def send() -> None:
                for message in sent:
                    await asyncio.sleep(numbers.random() * 0.003)
                    await a.send(message)

            sending = asyncio.create_task(send())
            received: list[bytes] = []
            while len(received) < len(sent):
                try:
                    async with asyncio.timeout(numbers.random() * 0.003):
                        received.append(await b.recv())
                except TimeoutError:
                    continue
            await sending
            assert received == sent

    run(test())


def test_a_recv_cancelled_when_its_message_is_there(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan) as (a, b):
            first, second = asyncio.create_task(b.recv()), asyncio.create_task(b.recv())
            await waits(first)
            await a.send(b"one")
            while not (b._rx_wait and b._rx_wait.done()):
                await asyncio.sleep(0)
            first.cancel()  # it was told of the message and has not run yet
            assert await second == b"one"
            with pytest.raises(asyncio.CancelledError):
                await first

    run(test())


def test_a_cancelled_send_is_finished_by_the_kernel(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan, slow) as (a, b):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await a.send(LONG)
            a.settimeout(0)
            with pytest.raises(BlockingIOError, match=r"an earlier message \(100 bytes\) is still being sent"):
                await a.send(b"next")
            a.settimeout(10)
            await a.send(b"next")
            assert [await b.recv(), await b.recv()] == [LONG, b"next"]
            await a.confirm()

    run(test())


def test_the_failure_of_a_cancelled_send_is_told_by_confirm(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with isotp.AsyncSocket() as a:
            a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
            sending = asyncio.create_task(a.send(LONG))
            await waits(sending)
            sending.cancel()
            await a.send(b"single")  # waits for the first one, and is not blamed for it
            with pytest.raises(isotp.FlowControlTimeoutError, match="100 bytes"):
                await a.confirm()
            await a.confirm()

    run(test())


def test_a_send_cancelled_while_it_queues_sends_nothing(run: Run[Any], vcan: Link, bus: Bus) -> None:
    async def test() -> None:
        async with pair(vcan, slow) as (a, b):
            sends = [asyncio.create_task(a.send(data)) for data in (LONG, b"never", b"last")]
            await waits(sends[0])
            sends[1].cancel()
            assert await sends[0] == 100
            assert await sends[2] == 4
            assert [await b.recv(), await b.recv()] == [LONG, b"last"]
            with pytest.raises(BlockingIOError):
                await b.recv(flags=isotp.anysocket.MSG_DONTWAIT)

    run(test())


# --- several tasks


def test_each_send_has_its_own_outcome(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan) as (a, b):
            data = [b"1", b"", LONG, bytes(2_000_000), b"5"]
            outcomes = await asyncio.gather(*(a.send(one) for one in data), return_exceptions=True)
            assert [x if isinstance(x, int) else type(x) for x in outcomes] == [
                1,
                isotp.MessageSizeError,
                100,
                isotp.MessageSizeError,
                1,
            ]
            assert [await b.recv() for _ in range(3)] == [b"1", LONG, b"5"]

    run(test())


def test_sends_and_receives_go_in_the_order_they_were_called(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan) as (a, b):
            messages = [payload(20, seed) for seed in range(30)]
            receives = [asyncio.create_task(b.recv()) for _ in messages]
            await waits(receives[-1])
            await asyncio.gather(*(a.send(message) for message in messages))
            assert await asyncio.gather(*receives) == messages

    run(test())


def test_what_fails_one_way_leaves_the_other_alone(run: Run[Any], vcan: Link, bus: Bus) -> None:
    """Both directions wait in one socket, and the kernel has one place for their errors."""

    async def test() -> None:
        async with isotp.AsyncSocket(10.0) as a:
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
        async with isotp.AsyncSocket(10.0) as a:
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


def test_close_wakes_all(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan, slow) as (a, b):
            calls = [a.send(LONG), a.send(LONG), a.confirm(), a.recv(), a.recv_message(), a.recv()]
            tasks = [asyncio.create_task(call) for call in calls]
            await waits(tasks[0])
            a.close()
            start = time.monotonic()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert time.monotonic() - start < 0.1
            assert [type(outcome) for outcome in outcomes] == [isotp.SocketClosedError] * 6
            assert await b.recv() == LONG  # it was being sent
            await a.wait_closed()
            assert a.fileno() == -1

    run(test())


def test_close_blocks_nobody(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan, slow) as (a, b):
            await a.send(LONG, confirm=False)
            start = time.monotonic()
            a.close()
            assert time.monotonic() - start < 0.05
            _, longest = await ticks_during(a.wait_closed())
            assert longest < 0.2
            assert await b.recv() == LONG

    run(test())


def test_what_nobody_asked_about_is_told_after_close(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        a = isotp.AsyncSocket()
        a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
        await a.send(LONG, confirm=False)
        a.close()
        with pytest.warns(isotp.UnconfirmedSendWarning, match="no flow control"):
            await a.wait_closed()

    run(test())


def test_close_without_a_loop(vcan: Link) -> None:
    a, b = isotp.AsyncSocket(), isotp.socket(5.0)
    slow(b)  # type: ignore[arg-type]
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    assert asyncio.run(a.send(LONG, confirm=False)) == 100
    a.close()
    assert b.recv() == LONG
    b.close()


def test_one_loop_after_the_other(vcan: Link) -> None:
    a, b = isotp.AsyncSocket(5.0), isotp.AsyncSocket(5.0)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)

    async def exchange() -> bytes:
        _, received = await asyncio.gather(a.send(LONG), b.recv())
        return received

    assert [asyncio.run(exchange()) for _ in range(3)] == [LONG] * 3
    a.close()
    b.close()


def test_iteration_ends_when_the_socket_is_closed(run: Run[Any], vcan: Link) -> None:
    async def test() -> None:
        async with pair(vcan) as (a, b):

            async def collect() -> list[bytes]:
                return [message async for message in b]

            collecting = asyncio.create_task(collect())
            for n in range(3):
                await a.send(bytes([n]))
            await asyncio.sleep(0.1)
            b.close()
            assert await collecting == [b"\0", b"\1", b"\2"]

    run(test())


# --- many


@pytest.mark.timeout(120)
def test_a_thousand_sockets_in_one_loop(vcan: Link) -> None:
    pairs = 500
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()

    async def exchange(n: int) -> None:
        message = payload(4095, n)
        async with isotp.AsyncSocket() as a, isotp.AsyncSocket() as b:
            for s in (a, b):  # a tenth of the frames: an emulated machine is slow
                s.set_ll_opts(mtu=s.LinkLayerProtocol.CAN_FD, tx_dl=64)
            a.bind(vcan, rxid=0x10000 + n, txid=0x20000 + n)
            b.bind(vcan, rxid=0x20000 + n, txid=0x10000 + n)
            _, received = await asyncio.gather(a.send(message), b.recv())
            assert received == message
            assert threading.active_count() == threads

    async def test() -> None:
        await asyncio.gather(*(exchange(n) for n in range(pairs)))
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(test())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == files
