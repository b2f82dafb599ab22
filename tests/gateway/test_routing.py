"""Routing activation: who gets it, and what becomes of a connection."""

import asyncio
from dataclasses import replace

from isotp.gateway import Limits, Permission

from ..waiting import async_until
from .testers import ENGINE, FIRST, GATEWAY, NEVER_S, SECOND, SETUP, TIMERS, in_loop, serving


@in_loop
async def test_who_has_no_permission_gets_none() -> None:
    async with serving() as served:
        for source, kind, code in ((0x0E80, 0, 0x00), (FIRST, 0xE0, 0x06), (FIRST, 0x02, 0x06)):
            client = await served.connect()
            assert await client.activate(source, kind) == code
            assert await client.is_over()
        await served.until_said("routing for 0x0e80, type 0x00 was refused: UNKNOWN_SOURCE")


@in_loop
async def test_it_may_be_asked_for_again_but_not_for_another_address() -> None:
    async with serving() as served:
        client = await served.tester()
        assert await client.activate(FIRST, 1) == 0x10
        assert await client.activate(SECOND) == 0x02
        assert await client.is_over()


@in_loop
async def test_what_the_manufacturer_adds_comes_back() -> None:
    async with serving() as served:
        client = await served.connect()
        client.send(5, f"{FIRST:04x} 00 00000000 01020304", version=3)
        assert await client.read() == (6, f"{FIRST:04x}{GATEWAY:04x}100000000001020304")


@in_loop
async def test_an_address_that_is_in_use_stays_with_who_is_alive() -> None:
    async with serving() as served:
        first, second = await served.tester(), await served.connect()
        asked = asyncio.create_task(second.activate())
        assert await first.read() == (7, "")
        first.send(8, f"{SECOND:04x}")  # another address: no reply
        first.send(8, f"{FIRST:04x}")
        assert await asked == 0x03
        assert await second.is_over()
        first.ask("3E 00")
        assert await first.answer() == (ENGINE, 0)


@in_loop
async def test_an_address_that_is_in_use_goes_to_the_other_if_its_owner_is_dead() -> None:
    async with serving(timers=TIMERS._replace(alive=0.01)) as served:
        first = await served.tester()
        second = await served.tester()
        assert await first.is_over()
        await served.until_said("it does not answer an alive check")
        second.ask("3E 00")
        assert await second.answer() == (ENGINE, 0)


@in_loop
async def test_no_more_testers_than_allowed_and_the_dead_make_room() -> None:
    async with serving(limits=Limits(clients=1), timers=TIMERS._replace(alive=0.5)) as served:
        first, second = await served.tester(FIRST), await served.connect()
        asked = asyncio.create_task(second.activate(SECOND))
        assert await first.read() == (7, "")
        first.send(8, f"{FIRST:04x}")
        assert await asked == 0x01
        assert await second.is_over()
        await served.tester(SECOND)
        assert await first.is_over()


@in_loop
async def test_the_gateway_answers_an_alive_check() -> None:
    """Of doipclient; the standard has it in the other direction only."""
    async with serving() as served:
        client = await served.tester()
        client.send(7)
        assert await client.read() == (8, f"{GATEWAY:04x}")


@in_loop
async def test_somebody_has_to_agree() -> None:
    asked: list[tuple[int, str]] = []
    agrees: list[bool] = [False, True]

    async def confirm(source: int, name: str) -> bool:
        asked.append((source, name))
        return agrees.pop(0)

    setup = replace(SETUP, testers=(Permission(addresses=range(FIRST, FIRST + 1), confirm=True),))
    async with serving(setup, confirm=confirm) as served:
        client = await served.connect()
        assert await client.activate() == 0x11
        assert (await client.read())[1][8:10] == "05"
        assert await client.is_over()
        client = await served.connect()
        assert await client.activate() == 0x11
        assert (await client.read())[1][8:10] == "10"
        client.ask("3E 00")
        assert await client.answer() == (ENGINE, 0)
        assert [source for source, _ in asked] == [FIRST, FIRST]


@in_loop
async def test_where_nobody_can_agree_it_is_refused() -> None:
    setup = replace(SETUP, testers=(Permission(addresses=range(FIRST, FIRST + 1), confirm=True),))
    async with serving(setup) as served:
        client = await served.connect()
        assert await client.activate() == 0x11
        assert (await client.read())[1][8:10] == "05"


# --- times


@in_loop
async def test_who_asks_for_no_routing_goes() -> None:
    async with serving(timers=TIMERS._replace(initial=0.05)) as served:
        silent, slow = await served.connect(), await served.connect()
        slow.writer.write(b"\x02\xfd\x00")
        assert await silent.is_over()
        assert await slow.is_over()
        await served.until_said("no routing was activated")


@in_loop
async def test_who_is_silent_for_long_goes() -> None:
    async with serving(timers=TIMERS._replace(general=0.05)) as served:
        client = await served.tester()
        assert await client.is_over()
        await served.until_said("nothing was sent for too long")


@in_loop
async def test_each_message_to_or_from_a_tester_moves_its_time_limit() -> None:
    async with serving() as served:
        client = await served.tester()
        own, loop = next(iter(served.gateway._clients)), asyncio.get_running_loop()
        for is_reply in (False, True):
            own._limit.reschedule(loop.time() + NEVER_S / 2)
            if is_reply:
                served.engine.reply("7E 00")
            else:
                client.ask("3E 00")
            await client.read()
            ends_s = own._limit.when()
            assert ends_s is not None
            assert ends_s > loop.time() + NEVER_S * 0.9


# --- the end


@in_loop
async def test_the_end_of_the_gateway_ends_all() -> None:
    async with serving() as served:
        testers = [await served.tester(), await served.connect()]
        served.engine.may_send.clear()
        testers[0].ask("3E 00")
        await served.engine.until_sent("3E 00")
        await served.gateway.close()
        for tester in testers:
            assert await tester.is_over()
        await async_until(lambda: any("the gateway ends" in line for line in served.said))


@in_loop
async def test_who_comes_while_the_gateway_ends_is_not_served() -> None:
    async with serving() as served:
        tester = await served.tester()
        served.engine.may_send.clear()
        tester.ask("3E 00")
        await served.engine.until_sent("3E 00")
        ending = asyncio.create_task(served.gateway.close())
        await asyncio.sleep(0)
        late = await served.connect()
        assert await late.is_over()
        await ending
        assert not served.gateway._clients
