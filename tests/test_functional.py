"""functional_request: replies that only have to begin in time. tests/conformance has the rest, on every socket."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

import isotp
from isotp.testing import AsyncCar, Ecu, Faults

REQUEST = b"\x22\xf1\x90"
SECONDS = 0.2


def test_a_reply_that_has_begun_is_waited_for_with_asyncio() -> None:
    bus = isotp.VirtualBus(fate=Faults().delay("7E8: CF", seconds=1.3 * SECONDS))

    async def opened(stack: AsyncExitStack, address: isotp.Address) -> isotp.AsyncSoftSocket:
        socket = await stack.enter_async_context(isotp.AsyncSoftSocket(bus))
        socket.set_engine_opts(n_cr_ns=30_000_000_000)
        socket.bind(address)
        return socket

    async def ask() -> list[isotp.Reply]:
        ecu = Ecu(rxid=0x7E0, txid=0x7E8, rules={REQUEST: "62 F1 90 01 02 03 04 05 06"})
        async with AsyncExitStack() as stack, AsyncCar(bus, ecu):
            sender = await opened(stack, isotp.Address.normal(txid=0x7DF, functional=True))
            receivers = [
                await opened(stack, isotp.Address.normal(rxid=0x7E8 + number, txid=0x7E0 + number))
                for number in range(2)
            ]
            return await isotp.async_functional_request(sender, receivers, REQUEST, begins_within=SECONDS)
        raise AssertionError("not reached")

    (reply,) = asyncio.run(ask())
    assert (reply.can_id, reply.data) == (0x7E8, b"\x62\xf1\x90\x01\x02\x03\x04\x05\x06")


@pytest.mark.parametrize("times", [{}, {"timeout": 1.0, "begins_within": 1.0}, {"begins_within": -1.0}])
def test_how_long_to_wait_is_said_once(times: dict[str, Any]) -> None:
    bus = isotp.VirtualBus()
    with isotp.SoftSocket(bus) as sender, pytest.raises(ValueError, match=r"allowed is|give one"):
        isotp.functional_request(sender, [], REQUEST, **times)
