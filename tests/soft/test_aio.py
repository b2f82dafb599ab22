"""AsyncSoftSocket where the engine is special: STmin, long turns, loops that come and go, many sockets.

What it shares with AsyncSocket is in tests/conformance.
"""

import asyncio
import errno
import gc
import itertools
import os
import threading
import time
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.engine.events import Event, MessageSent
from isotp.soft.loop_driver import _Timer

from ..loops import LOOPS, Run, exchange_all, runner, ticks_during
from ..waiting import async_until

LONG = bytes(range(100))


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Run[Any]:
    """Runs a coroutine, in asyncio's loop and in uvloop."""
    return runner(request.param, caplog)


def bound(bus: Any, rxid: int, txid: int, **how: Any) -> isotp.AsyncSoftSocket:
    s = isotp.AsyncSoftSocket(bus, **how)
    s.bind(rxid=rxid, txid=txid)
    return s


# --- time


@pytest.mark.parametrize("stmin_us", [100, 400])
def test_stmin_is_kept_and_not_rounded_up(run: Run[Any], stmin_us: int) -> None:
    sent: list[int] = []

    async def test() -> None:
        asyncio.get_running_loop().set_debug(False)
        bus = isotp.VirtualBus()
        bus.listen(lambda frame: sent.append(time.monotonic_ns()) if frame.data[0] >> 4 == 2 else None)
        async with bound(bus, 1, 2) as a, isotp.AsyncSoftSocket(bus) as b:
            b.set_fc_opts(stmin=isotp.STmin.from_us(stmin_us))
            b.bind(rxid=2, txid=1)
            await a.send(bytes(1000))

    run(test())
    gaps_us = [(after - before) / 1000 for before, after in itertools.pairwise(sent)]
    assert len(gaps_us) == 141
    assert stmin_us <= min(gaps_us) < stmin_us + 500  # a timer that counts milliseconds waits one of them and more


def without_timerfd(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Any:
        raise OSError("no timerfd on this system")

    monkeypatch.setattr("isotp.soft.timers.TimerFd", missing)


@pytest.mark.parametrize("has_timerfd", [False, True])
def test_a_timer_calls_at_the_earliest_time_set(
    run: Run[Any], has_timerfd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_timerfd:
        without_timerfd(monkeypatch)

    async def test() -> None:
        rung: list[int] = []
        timer = _Timer(asyncio.get_running_loop(), lambda: rung.append(time.monotonic_ns()))
        start = time.monotonic_ns()
        timer.set(start + 10**12)
        timer.set(start + 20_000_000)
        timer.set(start + 10**13)
        await async_until(lambda: rung)
        assert rung[0] >= start + 20_000_000
        timer.set(time.monotonic_ns() - 5)  # long due
        await async_until(lambda: len(rung) == 2)
        later: list[bool] = []
        other = _Timer(asyncio.get_running_loop(), lambda: later.append(True))
        timer.set(time.monotonic_ns() + 1_000_000)
        other.set(time.monotonic_ns() + 10_000_000)
        timer.close()
        await async_until(lambda: later)
        other.close()
        assert len(rung) == 2

    run(test())


def test_without_timerfd_a_thread_keeps_the_time(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    without_timerfd(monkeypatch)

    async def test() -> None:
        bus = isotp.VirtualBus()
        async with bound(bus, 1, 2) as a, isotp.AsyncSoftSocket(bus) as b:
            b.set_fc_opts(stmin=2)
            b.bind(rxid=2, txid=1)
            start = time.monotonic()
            await a.send(LONG)
            assert time.monotonic() - start >= 13 * 0.002
            assert await b.recv() == LONG

    run(test())


def test_it_never_spins(run: Run[Any]) -> None:
    async def test() -> None:
        asyncio.get_running_loop().set_debug(False)
        bus = isotp.VirtualBus()
        async with bound(bus, 1, 2) as a, isotp.AsyncSoftSocket(bus) as b:
            b.set_fc_opts(stmin=100)
            b.bind(rxid=2, txid=1)
            receiving = asyncio.create_task(b.recv())
            start, busy = time.monotonic(), time.process_time()
            await a.send(LONG)
            assert await receiving == LONG
            assert time.monotonic() - start > 1.3
            assert time.process_time() - busy < 0.4  # spinning takes all of it

    run(test())


def test_a_very_long_message_leaves_time_for_others(run: Run[Any]) -> None:
    async def test() -> None:
        asyncio.get_running_loop().set_debug(False)
        bus = isotp.VirtualBus()
        message = bytes(2_000_000)
        async with isotp.AsyncSoftSocket(bus) as a, isotp.AsyncSoftSocket(bus) as b:
            for s, rxid, txid in ((a, 1, 2), (b, 2, 1)):
                s.set_engine_opts(max_pdu_size=len(message))
                s.bind(rxid=rxid, txid=txid)
            assert await ticks_during(a.send(message), 0.0) > 10
            assert await b.recv() == message

    run(test())


def test_who_sends_in_a_loop_lets_others_read(run: Run[Any]) -> None:
    async def test() -> None:
        bus = isotp.VirtualBus()
        async with bound(bus, 1, 2) as a, bound(bus, 2, 1, rcvbuf=100) as b:
            received: list[bytes] = []

            async def read() -> None:
                async for message in b:
                    received.append(message)

            reading = asyncio.create_task(read())
            for n in range(500):
                await a.send(n.to_bytes(2))
            await async_until(lambda: len(received) == 500)
            b.close()
            await reading
            assert received == [n.to_bytes(2) for n in range(500)]

    run(test())


def test_a_full_inbox_makes_senders_wait_until_it_is_read(run: Run[Any]) -> None:
    async def test() -> None:
        bus = isotp.VirtualBus()
        async with bound(bus, 1, 2) as a, isotp.AsyncSoftSocket(bus, rcvbuf=150) as b:
            b.set_engine_opts(n_br_ns=5_000_000)
            b.bind(rxid=2, txid=1)
            await a.send(LONG)
            await a.send(LONG)  # more than was left: from here on b is not ready
            sending = asyncio.create_task(a.send(LONG))
            waits = asyncio.Event()
            bus.listen(lambda frame: waits.set() if frame.data[0] == 0x31 else None)
            await waits.wait()
            assert not sending.done()
            assert [await b.recv() for _ in range(3)] == [LONG] * 3
            await sending

    run(test())


# --- the bus, and who drives it


def test_frames_that_come_from_another_thread(run: Run[Any]) -> None:
    async def test() -> None:
        bus = isotp.VirtualBus()
        async with bound(bus, 1, 2) as a:
            thread = threading.Thread(target=lambda: bus.inject(CanFrame(1, b"\x02ok", False, False)))
            receiving = asyncio.create_task(a.recv())
            await asyncio.sleep(0)
            thread.start()
            assert await receiving == b"ok"
            thread.join()

    run(test())


def test_events_are_told_and_what_a_callback_raises_too(run: Run[Any]) -> None:
    async def test() -> None:
        bus = isotp.VirtualBus()
        events: list[Event] = []
        async with bound(bus, 1, 2, on_event=events.append) as a, bound(bus, 2, 1, on_event=lambda _: 1 / 0) as b:
            await a.send(b"x")
            while not events or not b._end.bound or b._end.bound.callback_error is None:
                await asyncio.sleep(0)
            assert events == [MessageSent(1)]
            with pytest.raises(ZeroDivisionError):
                await b.recv()
            assert await b.recv() == b"x"

    run(test())


def test_sockets_that_block_and_others_on_one_bus(run: Run[Any]) -> None:
    bus = isotp.VirtualBus("mine")
    with isotp.SoftSocket(bus) as blocking:
        blocking.bind(rxid=1, txid=2)

        async def test() -> None:
            async with isotp.AsyncSoftSocket(bus) as s:
                with pytest.raises(isotp.InterfaceError, match="mine is in use"):
                    s.bind(rxid=3, txid=4)
                blocking.close()
                s.bind(rxid=3, txid=4)
                with isotp.SoftSocket(bus) as late, pytest.raises(isotp.InterfaceError, match="mine is in use"):
                    late.bind(rxid=1, txid=2)

        run(test())


def test_two_loops_at_once_are_refused(run: Run[Any]) -> None:
    async def test() -> None:
        bus = isotp.VirtualBus("mine")
        async with bound(bus, 1, 2) as a:
            outcome: list[object] = []

            async def elsewhere() -> None:
                with pytest.raises(RuntimeError, match="mine is driven by another event loop"):
                    await a.send(b"x")
                outcome.append(True)

            thread = threading.Thread(target=lambda: asyncio.run(elsewhere()))
            thread.start()
            await asyncio.to_thread(thread.join)
            assert outcome == [True]
        await asyncio.get_running_loop().shutdown_default_executor()

    run(test())


def test_bound_before_there_is_a_loop() -> None:
    bus = isotp.VirtualBus()
    a, b = bound(bus, 1, 2), bound(bus, 2, 1)
    bus.inject(CanFrame(1, b"\x05early", False, False))

    async def test() -> None:
        assert await a.recv() == b"early"
        _, received = await asyncio.gather(a.send(LONG), b.recv())
        assert received == LONG

    asyncio.run(test())
    a.close()
    b.close()


def test_close_without_a_loop_gives_up_what_is_being_sent() -> None:
    bus = isotp.VirtualBus()
    a = bound(bus, 1, 2)
    assert asyncio.run(a.send(LONG, confirm=False)) == 100
    with pytest.warns(isotp.UnconfirmedSendWarning, match="no event loop is running"):
        a.close()


def test_a_receiver_that_only_asks_to_wait_does_not_keep_a_closed_socket(run: Run[Any]) -> None:
    async def test() -> None:
        bus = isotp.VirtualBus()
        s = isotp.AsyncSoftSocket(bus)
        s.set_engine_opts(n_as_ns=10_000_000, n_bs_ns=1_000_000_000)
        s.bind(rxid=1, txid=2)
        await s.send(LONG, confirm=False)
        wait = CanFrame(1, b"\x31\0\0", False, False)
        s.close()

        async def ask_to_wait() -> None:
            while True:
                bus.inject(wait)
                await asyncio.sleep(0.02)

        asking = asyncio.create_task(ask_to_wait())
        with pytest.warns(isotp.UnconfirmedSendWarning, match=r"nothing of it was sent for 2\.5 s"):
            await s.wait_closed()
        asking.cancel()
        await asyncio.wait([asking])

    run(test())


def test_a_forgotten_socket_is_told_and_leaves(run: Run[Any]) -> None:
    async def test() -> None:
        bus = isotp.VirtualBus()
        s = bound(bus, 1, 2)
        with pytest.warns(ResourceWarning, match="unclosed <isotp.AsyncSoftSocket virtual rxid=0x001 txid=0x002>"):
            del s
        await async_until(lambda: bus.driver.hub._links == {})

    run(test())


def test_a_loop_without_a_descriptor_left_is_tried_again(run: Run[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    bus = isotp.VirtualBus()
    a, b = bound(bus, 1, 2, timeout=5.0), isotp.AsyncSoftSocket(bus, 5.0)
    b.set_fc_opts(stmin=5)
    b.bind(rxid=2, txid=1)

    def none_left(*_: object) -> Any:
        raise OSError(errno.EMFILE, "Too many open files")

    async def test() -> None:
        with monkeypatch.context() as patch:
            patch.setattr("isotp.soft.loop_driver._Timer", none_left)
            with pytest.raises(OSError, match="Too many"):
                await a.send(LONG)
        assert await a.send(LONG) == 100
        assert await b.recv() == LONG
        a.close()
        b.close()

    run(test())


# --- many


def test_a_thousand_sockets_in_one_loop(run: Run[Any]) -> None:
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()

    async def test() -> None:
        asyncio.get_running_loop().set_debug(False)
        bus = isotp.VirtualBus()
        pairs = [(bound(bus, 0x20000 + n, 0x10000 + n), bound(bus, 0x10000 + n, 0x20000 + n)) for n in range(500)]
        await exchange_all(pairs, 4095)
        assert threading.active_count() == threads
        assert bus.driver.hub._links == {}

    run(test())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == files
