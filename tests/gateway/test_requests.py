"""Diagnostic messages: from testers to ECUs and back, and whose turn it is."""

from dataclasses import replace

from isotp.errors import FlowControlTimeoutError, InterfaceDownError, MessageSizeError
from isotp.gateway import Limits, Permission

from .testers import ALL, ENGINE, FIRST, GEARBOX, SECOND, SETUP, TIMERS, in_loop, serving


@in_loop
async def test_a_request_and_its_reply() -> None:
    async with serving() as served:
        client = await served.tester()
        client.ask("22 F1 90")
        assert await client.read() == (0x8002, "00010e0000")
        await served.engine.until_sent("22 F1 90")
        served.engine.reply("62 F1 90 41")
        assert await client.read() == (0x8001, "00010e0062f19041")


@in_loop
async def test_a_reply_that_takes_time_comes_with_all_its_pendings() -> None:
    async with serving() as served:
        client = await served.tester()
        client.ask("31 01 FF 00")
        assert await client.answer() == (ENGINE, 0)
        for reply in ("7f3178", "7f3178", "7101ff00"):
            served.engine.reply(reply)
            assert await client.hear() == (ENGINE, reply)


@in_loop
async def test_the_acknowledgement_says_what_became_of_it() -> None:
    async with serving() as served:
        client = await served.tester()
        for failure, code in (
            (FlowControlTimeoutError("no flow control"), 0x108),
            (InterfaceDownError("the interface is down"), 0x106),
            (MessageSizeError("too long for a single frame"), 0x104),
            (None, 0),
        ):
            served.engine.fails = failure
            client.ask("3E 00")
            assert await client.answer() == (ENGINE, code)


@in_loop
async def test_a_long_transfer_is_acknowledged_before_its_end() -> None:
    async with serving(timers=TIMERS._replace(acknowledge=0)) as served:
        served.engine.may_send.clear()
        client = await served.tester()
        client.ask("36 01" + "55" * 4000)
        assert await client.answer() == (ENGINE, 0)
        served.engine.may_send.set()
        served.engine.reply("76 01")
        assert await client.hear() == (ENGINE, "7601")


@in_loop
async def test_the_acknowledgement_comes_before_the_reply() -> None:
    async with serving() as served:
        served.engine.may_send.clear()
        client = await served.tester()
        client.ask("3E 00")
        await served.engine.until_sent("3E 00")
        served.engine.reply("7E 00")
        assert await client.answer() == (ENGINE, 0)
        assert await client.hear() == (ENGINE, "7e00")
        served.engine.may_send.set()


@in_loop
async def test_requests_that_are_refused_never_reach_the_bus() -> None:
    testers = (Permission(addresses=range(FIRST, FIRST + 1), targets=(ENGINE,)),)
    async with serving(replace(SETUP, testers=testers)) as served:
        client = await served.tester()
        client.ask("3E 00", target=0x4242)
        assert await client.answer() == (0x4242, 0x103)
        client.ask("3E 00", target=GEARBOX)
        assert await client.answer() == (GEARBOX, 0x103)
        client.ask("3E 00", target=ALL)
        assert await client.answer() == (ALL, 0x103)
        client.ask("55" * 4096)
        assert await client.answer() == (ENGINE, 0x104)
        client.ask("3E 00", source=SECOND)
        assert await client.answer() == (ENGINE, 0x102)
        assert await client.is_over()
        other = await served.connect()
        other.ask("3E 00")
        assert await other.answer() == (ENGINE, 0x102)
        assert await other.is_over()
        assert served.nothing_sent


@in_loop
async def test_too_many_requests_are_refused() -> None:
    async with serving(limits=Limits(requests=2)) as served:
        served.engine.may_send.clear()
        client = await served.tester()
        for _ in range(3):
            client.ask("3E 00")
        assert await client.answer() == (ENGINE, 0x105)
        served.engine.may_send.set()
        assert [await client.answer(), await client.answer()] == [(ENGINE, 0)] * 2


@in_loop
async def test_testers_take_turns_and_each_gets_its_own_reply() -> None:
    async with serving() as served:
        first, second = await served.tester(FIRST), await served.tester(SECOND)
        first.ask("22 00 01")
        assert await first.answer() == (ENGINE, 0)
        second.ask("22 00 02", source=SECOND)
        second.ask("3E 00", GEARBOX, SECOND)  # another link, which is free
        assert await second.answer() == (GEARBOX, 0)
        served.engine.reply("7F 22 78")
        assert await first.hear() == (ENGINE, "7f2278")
        assert len(served.engine.sent) == 1
        served.engine.reply("62 00 01")
        assert await first.hear() == (ENGINE, "620001")
        assert await second.answer() == (ENGINE, 0)
        served.engine.reply("62 00 02")
        assert await second.hear() == (ENGINE, "620002")
        await served.engine.until_sent("22 00 01", "22 00 02")


@in_loop
async def test_one_that_asks_on_and_on_lets_others_in_between() -> None:
    async with serving() as served:
        first, second = await served.tester(FIRST), await served.tester(SECOND)
        for _ in range(4):
            first.ask("22 00 01")
            assert await first.answer() == (ENGINE, 0)
        second.ask("22 00 02", source=SECOND)
        second.ask("3E 00", GEARBOX, SECOND)  # whose answer says that the one before was read, too
        assert await second.answer() == (GEARBOX, 0)
        first.ask("22 00 03")
        for _ in range(4):
            served.engine.reply("62 00 01")
            assert await first.hear() == (ENGINE, "620001")
        assert await second.answer() == (ENGINE, 0)
        served.engine.reply("62 00 02")
        assert await second.hear() == (ENGINE, "620002")
        assert await first.answer() == (ENGINE, 0)
        await served.engine.until_sent(*["22 00 01"] * 4, "22 00 02", "22 00 03")


@in_loop
async def test_an_ecu_that_does_not_reply_is_free_after_a_while() -> None:
    async with serving(timers=TIMERS._replace(response=0.01)) as served:
        first, second = await served.tester(FIRST), await served.tester(SECOND)
        first.ask("22 00 01")
        assert await first.answer() == (ENGINE, 0)
        second.ask("22 00 02", source=SECOND)
        assert await second.answer() == (ENGINE, 0)
        served.engine.reply("62 00 02")
        assert await second.hear() == (ENGINE, "620002")


@in_loop
async def test_tester_present_without_response_keeps_nobody_waiting() -> None:
    async with serving() as served:
        first, second = await served.tester(FIRST), await served.tester(SECOND)
        first.ask("3E 80")
        assert await first.answer() == (ENGINE, 0)
        second.ask("3E 80", source=SECOND)
        assert await second.answer() == (ENGINE, 0)


@in_loop
async def test_one_that_leaves_takes_what_waits_with_it() -> None:
    async with serving() as served:
        first, second = await served.tester(FIRST), await served.tester(SECOND)
        first.ask("22 00 01")
        assert await first.answer() == (ENGINE, 0)
        second.ask("2E 00 02", source=SECOND)
        second.ask("3E 00", GEARBOX, SECOND)
        assert await second.answer() == (GEARBOX, 0)
        second.writer.close()
        await served.until_said("went")
        served.engine.reply("62 00 01")
        assert await first.hear() == (ENGINE, "620001")
        first.ask("22 00 03")
        assert await first.answer() == (ENGINE, 0)
        await served.engine.until_sent("22 00 01", "22 00 03")


@in_loop
async def test_a_functional_request_and_its_replies() -> None:
    async with serving() as served:
        client = await served.tester()
        client.ask("3E 00", ALL)
        assert await client.answer() == (ALL, 0)
        await served.links[ALL].until_sent("3E 00")
        served.links[GEARBOX].reply("7E 00")
        assert await client.hear() == (GEARBOX, "7e00")
        served.engine.reply("7E 00")
        assert await client.hear() == (ENGINE, "7e00")
        assert not served.engine.sent


@in_loop
async def test_a_functional_request_waits_until_each_ecu_is_free() -> None:
    async with serving() as served:
        first, second = await served.tester(FIRST), await served.tester(SECOND)
        first.ask("22 00 01", GEARBOX)
        assert await first.answer() == (GEARBOX, 0)
        second.ask("3E 00", ALL, SECOND)
        second.ask("22 00 02", GEARBOX, SECOND)  # behind it
        first.ask("22 00 03", ENGINE)  # behind it, too
        second.ask("3E 00", 0x4242, SECOND)
        assert await second.answer() == (0x4242, 0x103)
        assert not served.links[ALL].sent
        served.links[GEARBOX].reply("62 00 01")
        assert await first.hear() == (GEARBOX, "620001")
        assert (await second.answer())[1] == (await second.answer())[1] == 0
        await served.links[ALL].until_sent("3E 00")
        served.engine.reply("7E 00")
        assert await first.answer() == (ENGINE, 0)
        served.engine.reply("62 00 03")
        assert await first.hear() == (ENGINE, "620003")


@in_loop
async def test_a_broken_reception_ends_nothing() -> None:
    async with serving(timers=TIMERS._replace(retry=0.0)) as served:
        client = await served.tester()
        served.engine.received.put_nowait(FlowControlTimeoutError("no flow control"))
        served.engine.received.put_nowait(InterfaceDownError("the interface is down"))
        client.ask("3E 00")
        assert await client.answer() == (ENGINE, 0)
        served.engine.reply("7E 00")
        assert await client.hear() == (ENGINE, "7e00")
        assert [line for line in served.said if line.startswith("warning: engine: ")] == [
            "warning: engine: no flow control",
            "warning: engine: the interface is down",
        ]
