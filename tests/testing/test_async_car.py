"""ECUs in an event loop."""

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.testing import AsyncCar, Ecu, Reply, bus_gone

from ..waiting import async_until


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    threads, files = threading.enumerate(), set(os.listdir("/proc/self/fd"))
    yield
    assert threading.enumerate() == threads
    assert set(os.listdir("/proc/self/fd")) <= files


def bound(bus: isotp.VirtualBus, rxid: int = 0x7E8, txid: int = 0x7E0) -> isotp.AsyncSoftSocket:
    sock = isotp.AsyncSoftSocket(bus, 30.0)
    sock.bind(rxid=rxid, txid=txid)
    return sock


async def asked(sock: isotp.AsyncSoftSocket, request: str) -> str:
    await sock.send(bytes.fromhex(request))
    return (await sock.recv()).hex(" ")


def test_answers() -> None:
    ecus = [Ecu(str(i), rxid=0x7E0 + i, txid=0x7E8 + i, dids={0xF190: bytes((i,)) * 100}, p2_s=0.01) for i in range(3)]
    ecus[0].rules["31 *"] = Reply("71 01", after_s=0.1)
    ecus[0].rules["01"] = [Reply(bytes((i,)) * 20) for i in range(10)]

    async def run() -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar(bus, *ecus) as car, bound(bus) as first, bound(bus, 0x7E9, 0x7E1) as second:
            with pytest.raises(RuntimeError, match="runs already"):
                await car.start()
            answers = list(await asyncio.gather(asked(first, "22 f1 90"), asked(second, "22 f1 90")))
            assert answers == ["62 f1 90" + " 00" * 100, "62 f1 90" + " 01" * 100]
            assert await asked(first, "31 01") == "7f 31 78"
            assert await asked(first, "3e 00") == "7f 3e 21"
            while (reply := await first.recv()) == b"\x7f\x31\x78":
                pass
            assert reply == b"\x71\x01"
            await first.send(b"\x01")
            assert [await first.recv() for _ in range(10)] == [bytes((i,)) * 20 for i in range(10)]
            async with isotp.AsyncSoftSocket(bus) as sender:
                sender.bind(isotp.Address.normal(txid=0x7DF, functional=True))
                replies = await isotp.async_functional_request(sender, [first, second], b"\x3e\x00", timeout=30.0)
            assert [reply.data for reply in replies] == [b"\x7e\x00"] * 2

    asyncio.run(run())


def test_garbage_and_testers_that_go_away() -> None:
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, dids={0xF190: bytes(100)})

    async def run() -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar(bus, ecu):
            for data in (b"\x10\x64abcdef", b"\x00", b"\x10\x64abcdef", b"\x25abcdefg", b"\x03\x22\xf1\x90"):
                bus.inject(CanFrame(0x7E0, data))
            await async_until(lambda: ecu.counts["broken replies"])
            assert ecu.counts["broken receptions"]
            async with bound(bus) as tester:
                assert await asked(tester, "3e 00") == "7e 00"

    asyncio.run(run())


def test_what_a_function_raises_is_raised_at_the_end() -> None:
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, rules={"01": lambda request: 1 // 0, "02": bytes(9000)})

    def small(sock: Any) -> None:
        sock.set_engine_opts(max_pdu_size=8300)

    async def run(request: str) -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar(bus, ecu, configure=small), bound(bus) as tester:
            await tester.send(bytes.fromhex(request))
            await async_until(lambda: ecu.failures)
            await tester.send(b"\x3e\x00")
            await tester.recv()

    with pytest.raises(ZeroDivisionError):
        asyncio.run(run("01"))
    ecu.failures.clear()
    with pytest.raises(isotp.MessageSizeError):
        asyncio.run(run("02"))


def test_a_bus_that_goes_away() -> None:
    async def run() -> None:
        bus = isotp.VirtualBus()
        car = AsyncCar(bus, Ecu(rxid=0x7E0, txid=0x7E8))
        await car.start()
        with bus_gone(bus):
            await async_until(lambda: any(task.done() for task in car._tasks))
        with pytest.raises(isotp.InterfaceError, match="is gone"):
            await car.close()
        await car.close()

    asyncio.run(run())


def test_a_car_that_cannot_start_leaves_nothing() -> None:
    def refuse(sock: Any) -> None:
        raise isotp.OptionError("no")

    async def run() -> None:
        with pytest.raises(isotp.OptionError):
            await AsyncCar(isotp.VirtualBus(), Ecu(rxid=0x7E0, txid=0x7E8), configure=refuse).start()
        with pytest.raises(isotp.OptionError, match="any_tester works in a Car only"):
            await AsyncCar(isotp.VirtualBus(), Ecu(rxid=0x7E0, txid=0x7E8, any_tester=True)).start()

    asyncio.run(run())


def test_sockets_of_ones_own() -> None:
    async def run() -> None:
        bus = isotp.VirtualBus()

        def open_socket(address: isotp.Address) -> isotp.AsyncSoftSocket:
            sock = isotp.AsyncSoftSocket(bus)
            sock.bind(address)
            return sock

        async with AsyncCar(open_socket, Ecu(rxid=0x7E0, txid=0x7E8)), bound(bus) as tester:
            assert await asked(tester, "3e 00") == "7e 00"

    asyncio.run(run())
