"""What the asyncio sockets promise beyond the blocking ones, run against each of them in each event loop."""

import asyncio
import contextlib
import gc
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import isotp
from isotp.sockets import MSG_DONTWAIT

from ..kernel.conftest import payload
from ..loops import LOOPS, Run, runner, ticks_during
from ..waiting import async_until
from .conftest import remote

LONG = payload(100)  # a first frame and 14 consecutive frames
Configure = Callable[[Any], object]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Run[Any]:
    """Runs a coroutine, in asyncio's loop and in uvloop."""
    return runner(request.param, caplog)


class AsyncWorld:
    """A place where asyncio sockets live, all on one bus."""

    def __init__(self, new_socket: Callable[[float | None], isotp.AsyncIsoTpSocket], *interface: str) -> None:
        self.open: Callable[[float | None], Any] = new_socket
        self._interface = interface

    def bind(self, sock: Any, rxid: int, txid: int) -> None:
        sock.bind(*self._interface, rxid=rxid, txid=txid)

    @asynccontextmanager
    async def pair(
        self, configure: Configure | None = None, timeout: float | None = 30.0
    ) -> AsyncIterator[tuple[Any, Any]]:
        async with self.open(timeout) as a, self.open(timeout) as b:
            for s in (a, b):
                if configure:
                    configure(s)
            self.bind(a, 0x7E8, 0x7E0)
            self.bind(b, 0x7E0, 0x7E8)
            yield a, b


def _on(bus: Any) -> AsyncWorld:
    return AsyncWorld(lambda timeout: isotp.AsyncSoftSocket(bus, timeout))


def _over(request: pytest.FixtureRequest) -> AsyncWorld:
    world = remote(request)
    request.addfinalizer(world.close)
    return AsyncWorld(lambda timeout: isotp.AsyncRemoteSocket(world.session, world.link, timeout))


WORLDS: dict[str, Callable[[pytest.FixtureRequest], AsyncWorld]] = {
    "soft-virtual": lambda _: _on(isotp.VirtualBus()),
    "remote": _over,
    "soft-socketcan": lambda request: _on(isotp.SocketCanBus(request.getfixturevalue("vcan"))),
    "kernel": lambda request: AsyncWorld(isotp.AsyncSocket, request.getfixturevalue("vcan")),
}


@pytest.fixture(
    params=[pytest.param(n, marks=() if n in ("soft-virtual", "remote") else pytest.mark.kernel) for n in WORLDS]
)
def world(request: pytest.FixtureRequest, no_leaks: None) -> AsyncWorld:
    return WORLDS[request.param](request)


def slow(s: Any) -> None:
    """The frames of LONG take 1.3 s: time enough to do something meanwhile, on a busy machine too."""
    s.set_fc_opts(stmin=100)


async def turns(count: int) -> None:
    """Let the loop call `count` times what is ready."""
    for _ in range(count):
        await asyncio.sleep(0)


async def waits(task: asyncio.Task[Any]) -> None:
    """Let `task` come to where it waits."""
    await turns(5)
    assert not task.done()


async def has_not_arrived(b: Any) -> None:
    """No message has arrived: the one that is being sent is still under way."""
    with pytest.raises(BlockingIOError):
        await b.recv(flags=MSG_DONTWAIT)


# --- the loop is free


@pytest.mark.parametrize("flags", [isotp.opts.flags(0), isotp.opts.flags.WAIT_TX_DONE])
def test_the_loop_goes_on_during_a_transfer(run: Run[Any], world: AsyncWorld, flags: isotp.opts.flags) -> None:
    def configure(s: Any) -> None:
        slow(s)
        s.set_general_opts(optflags=flags)

    async def test() -> None:
        async with world.pair(configure) as (a, b):
            confirm = flags == 0  # WAIT_TX_DONE confirms by itself
            assert await ticks_during(a.send(LONG, confirm=confirm)) > 10
            assert await b.recv() == LONG

    run(test())


# --- cancellation


def test_a_cancelled_recv_loses_no_message(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        numbers = random.Random(4)
        sent = [payload(numbers.choice([1, 7, 30]), seed) for seed in range(150)]
        async with world.pair() as (a, b):

            async def send() -> None:
                for message in sent:
                    await turns(numbers.randrange(20))
                    await a.send(message)

            sending = asyncio.create_task(send())
            received: list[bytes] = []
            while len(received) < len(sent):
                receiving = asyncio.create_task(b.recv())
                await turns(numbers.randrange(20))
                receiving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    received.append(await receiving)
            await sending
            assert received == sent

    run(test())


def test_a_recv_cancelled_when_its_message_is_there(run: Run[Any], world: AsyncWorld) -> None:
    """Whenever that is between the arrival and the return of the call."""

    async def test() -> None:
        async with world.pair() as (a, b):
            for rounds in range(8):
                first, second = asyncio.create_task(b.recv()), asyncio.create_task(b.recv())
                await waits(first)
                await a.send(b"one")
                await turns(rounds)
                if first.cancel():
                    assert await second == b"one"
                    with pytest.raises(asyncio.CancelledError):
                        await first
                else:
                    assert await first == b"one"
                    second.cancel()
                    await asyncio.wait([second])

    run(test())


def test_a_cancelled_send_is_finished_all_the_same(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.pair(slow) as (a, b):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await a.send(LONG)
            a.settimeout(0)
            with pytest.raises(BlockingIOError, match=r"an earlier message \(100 bytes\) is still being sent"):
                await a.send(b"next")
            a.settimeout(30)
            await a.send(b"next")
            assert [await b.recv(), await b.recv()] == [LONG, b"next"]
            await a.confirm()

    run(test())


def test_the_failure_of_a_cancelled_send_is_told_by_confirm(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.open(None) as a:
            world.bind(a, 0x7E8, 0x7E0)
            sending = asyncio.create_task(a.send(LONG))
            await waits(sending)
            sending.cancel()
            await a.send(b"single")  # waits for the first one, and is not blamed for it
            with pytest.raises(isotp.FlowControlTimeoutError, match="100 bytes"):
                await a.confirm()
            await a.confirm()

    run(test())


def test_a_send_cancelled_while_it_queues_sends_nothing(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.pair(slow) as (a, b):
            sends = [asyncio.create_task(a.send(data)) for data in (LONG, b"never", b"last")]
            await waits(sends[0])
            sends[1].cancel()
            assert await sends[0] == 100
            assert await sends[2] == 4
            assert [await b.recv(), await b.recv()] == [LONG, b"last"]
            with pytest.raises(BlockingIOError):
                await b.recv(flags=MSG_DONTWAIT)

    run(test())


# --- several tasks


def test_each_send_has_its_own_outcome(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.pair() as (a, b):
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


def test_sends_and_receives_go_in_the_order_they_were_called(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.pair() as (a, b):
            messages = [payload(20, seed) for seed in range(30)]
            receives = [asyncio.create_task(b.recv()) for _ in messages]
            await waits(receives[-1])
            await asyncio.gather(*(a.send(message) for message in messages))
            assert await asyncio.gather(*receives) == messages

    run(test())


# --- closing


def test_close_wakes_all(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.pair(slow) as (a, b):
            calls = [a.send(LONG), a.send(LONG), a.confirm(), a.recv(), a.recv_message(), a.recv()]
            tasks = [asyncio.create_task(call) for call in calls]
            await waits(tasks[0])
            a.close()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            await has_not_arrived(b)
            assert [type(outcome) for outcome in outcomes] == [isotp.SocketClosedError] * 6
            assert await b.recv() == LONG  # it was being sent
            await a.wait_closed()

    run(test())


def test_close_blocks_nobody(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.pair(slow) as (a, b):
            await a.send(LONG, confirm=False)
            a.close()
            await has_not_arrived(b)
            assert await ticks_during(a.wait_closed()) > 10
            assert await b.recv() == LONG

    run(test())


def test_what_nobody_asked_about_is_told_after_close(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        a = world.open(None)
        world.bind(a, 0x7E8, 0x7E0)
        await a.send(LONG, confirm=False)
        a.close()
        with pytest.warns(isotp.UnconfirmedSendWarning, match=r"cancelled or timed out.* abort\(\).*no flow control"):
            await a.wait_closed()

    run(test())


def test_iteration_ends_when_the_socket_is_closed(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.pair() as (a, b):
            collected: list[bytes] = []

            async def collect() -> None:
                async for message in b:
                    collected.append(message)

            collecting = asyncio.create_task(collect())
            for n in range(3):
                await a.send(bytes([n]))
            await async_until(lambda: len(collected) == 3)
            b.close()
            await collecting
            assert collected == [b"\0", b"\1", b"\2"]

    run(test())


# --- what nobody holds


def test_a_task_nobody_holds_waits_on(run: Run[Any], world: AsyncWorld) -> None:
    received: list[bytes] = []

    async def receive() -> None:
        async with world.open(None) as b:
            world.bind(b, 0x7E0, 0x7E8)
            received.append(await b.recv())

    async def test() -> None:
        async with world.open(30.0) as a:
            world.bind(a, 0x7E8, 0x7E0)
            asyncio.create_task(receive())  # noqa: RUF006 - that is the point
            await turns(5)
            gc.collect()
            await a.send(LONG)
            await async_until(lambda: received)

    run(test())
    assert received == [LONG]


def test_a_closed_socket_nobody_holds_sends_to_the_end(run: Run[Any], world: AsyncWorld) -> None:
    async def test() -> None:
        async with world.open(30.0) as b:
            slow(b)
            world.bind(b, 0x7E0, 0x7E8)
            receiving = asyncio.create_task(b.recv())
            await waits(receiving)
            files = os.listdir("/proc/self/fd")
            a = world.open(None)
            world.bind(a, 0x7E8, 0x7E0)
            await a.send(LONG, confirm=False)
            a.close()
            del a
            await turns(5)
            gc.collect()
            assert await receiving == LONG
            await async_until(lambda: len(os.listdir("/proc/self/fd")) == len(files))

    run(test())


# --- loops


def test_one_loop_after_the_other(world: AsyncWorld) -> None:
    a, b = world.open(5.0), world.open(5.0)
    world.bind(a, 0x7E8, 0x7E0)
    world.bind(b, 0x7E0, 0x7E8)

    async def exchange() -> Any:
        return (await asyncio.gather(a.send(LONG), b.recv()))[1]

    assert [asyncio.run(exchange()) for _ in range(3)] == [LONG] * 3
    a.close()
    b.close()


def in_a_loop_that_is_closed(coroutine: Any) -> Any:
    """Run `coroutine`, and close the loop without cancelling the tasks that it has started."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: None)  # of tasks that never end
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def test_a_loop_that_was_closed_keeps_no_turn(world: AsyncWorld) -> None:
    a, b = world.open(30.0), world.open(30.0)
    slow(b)
    world.bind(a, 0x7E8, 0x7E0)
    world.bind(b, 0x7E0, 0x7E8)

    async def begin() -> list[Any]:
        tasks = [asyncio.create_task(call) for call in (a.send(LONG), a.send(b"queued"), a.recv(), a.recv())]
        await asyncio.sleep(0.05)
        return tasks

    async def go_on(tasks: list[Any]) -> None:
        async with a, b:
            assert await a.send(b"next") == 4
            tasks.clear()  # what they still do when they are collected is of no concern
            gc.collect()
            received = [await b.recv()]
            while received[-1] != b"next":
                received.append(await b.recv())
            assert received[0] == LONG
            await b.send(b"reply")
            assert await a.recv() == b"reply"

    tasks = in_a_loop_that_is_closed(begin())
    asyncio.run(go_on(tasks))


def test_closing_goes_on_in_a_later_loop(world: AsyncWorld) -> None:
    a, b = world.open(30.0), world.open(30.0)
    slow(b)
    world.bind(a, 0x7E8, 0x7E0)
    world.bind(b, 0x7E0, 0x7E8)

    async def begin() -> None:
        await a.send(LONG, confirm=False)
        a.close()

    async def go_on() -> None:
        receiving = asyncio.create_task(b.recv())
        await a.wait_closed()
        gc.collect()
        assert await receiving == LONG
        b.close()
        await b.wait_closed()

    in_a_loop_that_is_closed(begin())
    asyncio.run(go_on())
