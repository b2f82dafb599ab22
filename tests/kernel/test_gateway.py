"""The DoIP gateway before ECUs on a CAN interface, with the kernel's sockets on both sides."""

import asyncio

import isotp
from isotp.gateway import FunctionalTarget, Gateway, Permission, Setup, Target, Timers, Vehicle
from isotp.testing import AsyncCar, Ecu

from ..gateway.testers import ALL, ENGINE, FIRST, GATEWAY, GEARBOX, Client
from .conftest import Link

LONG = bytes(range(256)) * 15
SETUP = Setup(
    Vehicle(address=GATEWAY),
    (
        Target(ENGINE, isotp.Address.normal(rxid=0x7E8, txid=0x7E0), "engine"),
        Target(GEARBOX, isotp.Address.normal_fixed(target_address=0x18, source_address=0xF1), "gearbox"),
    ),
    (Permission(addresses=range(FIRST, FIRST + 1)),),
    (FunctionalTarget(ALL, isotp.Address.normal(txid=0x7DF, functional=True), (ENGINE,)),),
)


def test_short_and_long_messages_and_one_to_all(vcan: Link) -> None:
    async def test() -> None:
        engine = Ecu(rxid=0x7E0, txid=0x7E8, dids={0xF190: LONG}, rules={"36 *": "76 01"}, s3_s=1000.0)
        gearbox = Ecu(address=isotp.Address.normal_fixed(target_address=0xF1, source_address=0x18))
        timers = Timers(initial=100.0, acknowledge=100.0, response=100.0)
        async with (
            AsyncCar(vcan, engine, gearbox),
            Gateway(SETUP, vcan, port=0, announce_to=(), timers=timers) as gateway,
        ):
            client = Client(*await asyncio.open_connection("127.0.0.1", gateway.port))
            assert await client.activate() == 0x10
            for target, asked, reply in (
                (ENGINE, "22 F1 90", "62f190" + LONG.hex()),
                (ENGINE, "36 01" + LONG.hex(), "7601"),
                (GEARBOX, "3E 00", "7e00"),
            ):
                client.ask(asked, target)
                assert await client.answer() == (target, 0)
                assert await client.hear() == (target, reply)
            client.ask("3E 00", ALL)
            assert await client.answer() == (ALL, 0)
            assert await client.hear() == (ENGINE, "7e00")
            client.ask("22" + "F190" * 10, ALL)
            assert await client.answer() == (ALL, 0x104)
            client.writer.close()

    asyncio.run(test())
