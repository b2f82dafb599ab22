"""ECUs in an event loop."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.testing import AsyncCar, Ecu, FakeClock, Reply, bus_gone

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


def test_a_session_ends_by_time_without_a_request() -> None:
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, s3_s=0.2)

    async def run() -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar(bus, ecu), bound(bus) as tester:
            assert await asked(tester, "10 03") == "50 03 00 32 01 f4"
            await async_until(lambda: ecu.session == 1)

    asyncio.run(run())


def test_a_bus_that_goes_away() -> None:
    async def run() -> None:
        bus = isotp.VirtualBus()
        car = AsyncCar(bus, Ecu(rxid=0x7E0, txid=0x7E8))
        await car.start()
        with bus_gone(bus):
            await async_until(lambda: any(task.done() for task in car._receivers))
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


@pytest.mark.parametrize(("base", "own"), [(0x18DA, 0xF1), (0x18DA, 0x45), (0x14DA, 0xF1)])
def test_any_tester(base: int, own: int) -> None:
    address = isotp.Address.normal_fixed(source_address=0x10, target_address=0xF1)
    ecus = [Ecu("a", address, dids={0xF190: bytes(50)}, any_tester=True), Ecu("b", rxid=0x7E0, txid=0x7E8)]
    rxid, txid, to_all = base << 16 | own << 8 | 0x10, base << 16 | 0x1000 | own, base + 1 << 16 | 0x3300 | own

    async def run() -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar(bus, *ecus), bound(bus, rxid, txid) as tester, bound(bus) as other:
            await tester.send(b"\x22" + b"\xf1\x90" * 9)  # its first frame is not lost
            assert len(await tester.recv()) == 1 + 9 * 52
            assert await asked(other, "3e 00") == "7e 00"
            async with isotp.AsyncSoftSocket(bus) as sender:
                sender.bind(isotp.Address.normal(txid=to_all, functional=True))
                await sender.send(b"\x3e\x00")
                assert await tester.recv() == b"\x7e\x00"

    asyncio.run(run())
    assert ecus[0].served[-1].request.is_functional


def test_a_scan_with_every_address() -> None:
    address = isotp.Address.normal_fixed(source_address=0x10, target_address=0xF1)
    ecu = Ecu("any", address, any_tester=True)

    async def run() -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar(bus, ecu):
            for own in range(0x100):
                bus.inject(CanFrame(0x98DA1000 | own, b"\x02\x3e\x00"))
            await async_until(lambda: ecu.counts["replies"] == 255)  # not to its own address

    asyncio.run(run())


def impatient(sock: Any) -> None:
    sock.set_engine_opts(n_bs_ns=50_000_000)


def test_closing_that_is_cancelled_stops_all() -> None:
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, dids={0xF190: bytes(100)})

    async def run() -> None:
        bus = isotp.VirtualBus()
        sent: list[CanFrame] = []
        bus.listen(sent.append)
        car = AsyncCar(bus, ecu, configure=impatient)
        await car.start()
        bus.inject(CanFrame(0x7E0, b"\x03\x22\xf1\x90"))  # and no flow control
        await async_until(lambda: any(frame.can_id == 0x7E8 for frame in sent))
        closing = asyncio.create_task(car.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await async_until(lambda: len(asyncio.all_tasks()) == 1)
        assert bus.driver is not None
        assert bus.driver.has_ended

    with pytest.warns(isotp.UnconfirmedSendWarning):
        asyncio.run(run())


def test_closing_counts_the_reply_that_breaks_off() -> None:
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, dids={0xF190: bytes(100)})

    async def run() -> None:
        bus = isotp.VirtualBus()
        sent: list[CanFrame] = []
        bus.listen(sent.append)
        async with AsyncCar(bus, ecu, configure=impatient):
            bus.inject(CanFrame(0x7E0, b"\x03\x22\xf1\x90"))
            await async_until(lambda: any(frame.can_id == 0x7E8 for frame in sent))

    asyncio.run(run())
    assert ecu.counts["broken replies"] == 1


def test_a_bus_that_is_down_for_a_while() -> None:
    ecu = Ecu(rxid=0x7E0, txid=0x7E8)

    async def run() -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar(bus, ecu), bound(bus) as tester:
            with isotp.testing.bus_down(bus):
                await async_until(lambda: ecu.counts["broken receptions"])
            with pytest.raises(isotp.InterfaceDownError):
                await tester.recv()
            assert await asked(tester, "3e 00") == "7e 00"

    asyncio.run(run())


def test_what_is_no_car() -> None:
    with pytest.raises(TypeError, match="the name of a CAN interface"):
        AsyncCar(3, Ecu(rxid=1, txid=2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="works in real time"):
        AsyncCar(isotp.VirtualBus(clock=FakeClock()), Ecu(rxid=1, txid=2))

    async def run() -> None:
        with pytest.raises(TypeError, match="returned None: needed is an AsyncIsoTpSocket"):
            await AsyncCar(lambda address: None, Ecu(rxid=1, txid=2)).start()  # type: ignore[arg-type, return-value]

    asyncio.run(run())


def test_a_recording() -> None:
    frames = [(0.0, CanFrame(0x7E0, b"\x03\x22\xf1\x90")), (0.1, CanFrame(0x7E8, b"\x04\x62\xf1\x90A"))]

    async def run() -> None:
        bus = isotp.VirtualBus()
        async with AsyncCar.from_capture(bus, frames), bound(bus) as tester:
            assert await asked(tester, "22 f1 90") == "62 f1 90 41"

    asyncio.run(run())


@pytest.mark.parametrize("what", ["send", "recv", "start"])
def test_without_asyncio(what: str) -> None:
    """As under trio: no event loop of asyncio runs."""
    bus = isotp.VirtualBus()
    with contextlib.closing(bound(bus)) as sock:
        calls: dict[str, Any] = {
            "send": partial(sock.send, bytes(20)),
            "recv": sock.recv,
            "start": AsyncCar(bus, Ecu(rxid=1, txid=2)).start,
        }
        with pytest.raises(
            RuntimeError, match=r"no asyncio event loop is running: .* anyio_backend that returns 'asyncio'"
        ):
            calls[what]().send(None)
