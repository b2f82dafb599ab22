"""Simulated ECUs on a vcan: over the kernel and over the engine, and as isotp simulate serves them."""

import asyncio
import signal

import pytest

import isotp
from isotp.testing import AsyncCar, Car, Ecu, Reply

from ..examples import EXAMPLES
from ..waiting import async_until, until
from .conftest import Bus, Link, Sockets, payload
from .processes import ISOTP, Start
from .test_cli_send_recv import heard, start

__all__ = ["start"]  # a fixture


def asked(sock: isotp.socket, request: bytes) -> bytes:
    """The final reply."""
    sock.send(request)
    while (reply := sock.recv())[-1:] == b"\x78" and reply[0] == 0x7F:
        pass
    return reply


@pytest.mark.parametrize("is_soft", [False, True], ids=["kernel", "soft"])
def test_a_car(is_soft: bool, vcan: Link, bus: Bus, new_socket: Sockets) -> None:
    engine = Ecu("engine", rxid=0x7E0, txid=0x7E8, dids={0xF190: payload(1000)}, p2_s=0.02)
    engine.rules["31 *"] = Reply("71 01", after_s=0.5)
    gearbox = Ecu("gearbox", rxid=0x7E1, txid=0x7E9)
    with Car(isotp.SocketCanBus(vcan) if is_soft else str(vcan), engine, gearbox):
        tester, other = new_socket(), new_socket()
        tester.bind(vcan, rxid=0x7E8, txid=0x7E0)
        other.bind(vcan, rxid=0x7E9, txid=0x7E1)
        assert asked(tester, b"\x22\xf1\x90") == b"\x62\xf1\x90" + payload(1000)
        assert asked(tester, b"\x31\x01") == b"\x71\x01"
        assert asked(other, b"\x22\xf1\x90") == b"\x7f\x22\x31"
        for can_id in (0x7E0, 0x7E1, 0x7DF):  # a scan, and worse
            for data in (b"\x10\x64abcdef", b"\x21abc", b"\x00", b"\x10\x64abcdef", b"\x25abcdefg", b"\x02\x3e\x00"):
                bus.send(can_id, data)
        until(lambda: (engine.counts["requests"], gearbox.counts["requests"]) == (4, 3))
        assert engine.counts["broken receptions"] > 0
        assert {tester.recv() for _ in range(2)} == {other.recv() for _ in range(2)} == {b"\x7e\x00"}
        assert asked(tester, b"\x22\xf1\x90") == b"\x62\xf1\x90" + payload(1000)
        sender = new_socket()
        sender.bind(vcan, isotp.Address.normal(txid=0x7DF, functional=True))
        replies = isotp.functional_request(sender, [tester, other], b"\x10\x03", timeout=20.0)
        assert {reply.data for reply in replies} == {b"\x50\x03\x00\x14\x01\xf4", b"\x50\x03\x00\x32\x01\xf4"}


def test_any_tester(vcan: Link, new_socket: Sockets) -> None:
    ecu = Ecu("any", isotp.Address.normal_fixed(source_address=0x10, target_address=0xF1), any_tester=True)
    with Car(str(vcan), ecu, Ecu("other", rxid=0x7E0, txid=0x7E8)):
        for base, sa in ((0x18DA, 0x45), (0x14DA, 0xF1)):
            tester = new_socket()
            tester.bind(vcan, rxid=base << 16 | sa << 8 | 0x10, txid=base << 16 | 0x1000 | sa)
            assert asked(tester, b"\x22" + bytes(100)) == b"\x7f\x22\x31"
            assert asked(tester, b"\x3e\x00") == b"\x7e\x00"


def test_an_interface_that_is_down_for_a_while(vcan: Link, new_socket: Sockets) -> None:
    """Also for asyncio, and in user space; each goes on without turning round and round."""
    for where in (str(vcan), isotp.SocketCanBus(vcan)):
        ecu = Ecu(rxid=0x7E0, txid=0x7E8)
        with Car(where, ecu):
            vcan.down()
            until(lambda: ecu.counts["broken receptions"] == 2)  # noqa: B023 - called in this round
            vcan.up()
            tester = new_socket()
            tester.bind(vcan, rxid=0x7E8, txid=0x7E0)
            assert asked(tester, b"\x3e\x00") == b"\x7e\x00"
            assert ecu.counts["broken receptions"] == 2
            tester.close()


@pytest.mark.parametrize("is_soft", [False, True], ids=["kernel", "soft"])
def test_an_async_car(is_soft: bool, vcan: Link) -> None:
    """One ECU for testers that it does not know, which takes the engine, and one for a known tester."""
    address = isotp.Address.normal_fixed(source_address=0x10, target_address=0xF1)
    ecus = Ecu("any", address, any_tester=True), Ecu("other", rxid=0x7E0, txid=0x7E8)

    async def run() -> None:
        async with AsyncCar(isotp.SocketCanBus(vcan) if is_soft else str(vcan), *ecus):
            for rxid, txid in ((0x14DA4510, 0x14DA1045), (0x18DAF110, 0x18DA10F1), (0x7E8, 0x7E0)):
                async with isotp.AsyncSocket(timeout=60.0) as tester:
                    tester.bind(vcan, rxid=rxid, txid=txid)
                    await tester.send(b"\x22" + bytes(100))
                    assert await tester.recv() == b"\x7f\x22\x31"
            vcan.down()
            await async_until(lambda: ecus[1].counts["broken receptions"])
            vcan.up()
            async with isotp.AsyncSocket(timeout=60.0) as tester:
                tester.bind(vcan, rxid=0x7E8, txid=0x7E0)
                await tester.send(b"\x3e\x00")
                assert await tester.recv() == b"\x7e\x00"

    asyncio.run(run())


def test_an_interface_that_goes_down_and_comes_up(vcan: Link, new_socket: Sockets) -> None:
    with Car(str(vcan), Ecu(rxid=0x7E0, txid=0x7E8)):
        vcan.down()
        vcan.up()
        tester = new_socket()
        tester.bind(vcan, rxid=0x7E8, txid=0x7E0)
        assert asked(tester, b"\x3e\x00") == b"\x7e\x00"


def test_an_interface_that_is_removed(vcan: Link) -> None:
    car = Car(str(vcan), Ecu(rxid=0x7E0, txid=0x7E8))
    car.start()
    vcan.delete()
    until(lambda: car._error is not None)
    with pytest.raises(isotp.InterfaceNotFoundError):
        car.close()


def test_isotp_simulate(vcan: Link, new_socket: Sockets, start: Start) -> None:
    command = [*ISOTP, "simulate", str(EXAMPLES / "car.toml"), "--bus", vcan]
    program = start(command, lambda: heard(vcan) >= 4)
    tester = new_socket()
    tester.bind(vcan, rxid=0x7E8, txid=0x7E0)
    assert asked(tester, b"\x22\xf1\x90") == b"\x62\xf1\x90WVWZZZ1JZXW000001"
    program.send_signal(signal.SIGINT)
    out, _ = program.communicate(timeout=60)
    assert program.returncode == 130
    assert b"engine: 1 requests, 1 replies" in out
