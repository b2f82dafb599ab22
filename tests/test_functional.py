"""functional_request: replies that only have to begin in time. tests/conformance has the rest, on every socket."""

import asyncio
from contextlib import AsyncExitStack, closing
from typing import Any

import pytest

import isotp

from .clients.raw_ecus import RawEcus
from .waiting import async_until

REQUEST = b"\x22\xf1\x90"
SECONDS = 0.2


def test_a_reply_that_has_begun_is_waited_for_with_asyncio() -> None:
    bus = isotp.VirtualBus()

    async def opened(stack: AsyncExitStack, address: isotp.Address) -> isotp.AsyncSoftSocket:
        socket = await stack.enter_async_context(isotp.AsyncSoftSocket(bus))
        socket.set_engine_opts(n_cr_ns=30_000_000_000)
        socket.bind(address)
        return socket

    async def send_the_rest() -> None:
        await async_until(lambda: any(frame.data[0] == 0x30 for frame in ecus.seen))
        await asyncio.sleep(SECONDS * 1.3)
        ecus.send(0x7E8, "21040506")

    async def ask() -> list[isotp.Reply]:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            sender = await opened(stack, isotp.Address.normal(txid=0x7DF, functional=True))
            receivers = [
                await opened(stack, isotp.Address.normal(rxid=0x7E8 + number, txid=0x7E0 + number))
                for number in range(2)
            ]
            tasks.create_task(send_the_rest())
            return await isotp.async_functional_request(sender, receivers, REQUEST, begins_within=SECONDS)
        raise AssertionError("not reached")

    with closing(RawEcus(bus)) as ecus:
        ecus.reply(0x7DF, "0322f190", (0x7E8, "100962f190010203"))
        (reply,) = asyncio.run(ask())
    assert (reply.can_id, reply.data) == (0x7E8, b"\x62\xf1\x90\x01\x02\x03\x04\x05\x06")


@pytest.mark.parametrize("times", [{}, {"timeout": 1.0, "begins_within": 1.0}, {"begins_within": -1.0}])
def test_how_long_to_wait_is_said_once(times: dict[str, Any]) -> None:
    bus = isotp.VirtualBus()
    with isotp.SoftSocket(bus) as sender, pytest.raises(ValueError, match=r"allowed is|give one"):
        isotp.functional_request(sender, [], REQUEST, **times)
