"""Testers that do what they must not: the gateway stays bounded, says so, and nothing of it reaches the bus."""

import asyncio
import os
import random
import socket

import pytest

from isotp.gateway import Limits

from ..waiting import async_until
from .testers import ENGINE, FIRST, TIMERS, in_loop, serving

MANY = 1000


@pytest.mark.parametrize(
    ("data", "code", "is_closed"),
    [
        ("02 FE 0005 00000007", 0x00, True),  # the inverse is wrong
        ("04 FB 0005 00000007", 0x00, True),  # no such version
        ("FF 00 0005 00000007", 0x00, True),  # the default version, for other than an identification
        ("47455420 2F204854", 0x00, True),  # GET / HT
        ("02 FD 0009 00000000", 0x01, False),
        ("02 FD 0001 00000000", 0x01, False),  # UDP only
        ("02 FD 0006 00000009" + "00" * 9, 0x01, False),  # what the gateway sends
        ("02 FD 0005 00000008", 0x04, True),
        ("02 FD 8001 00000004", 0x04, True),
        ("02 FD 8001 FFFFFFFF", 0x02, False),
    ],
)
def test_wrong_headers(data: str, code: int, is_closed: bool) -> None:
    @in_loop
    async def test() -> None:
        async with serving() as served:
            client = await served.connect()
            client.writer.write(bytes.fromhex(data))
            assert await client.read() == (0, f"{code:02x}")
            if is_closed:
                assert await client.is_over()
            elif code == 0x01:
                assert await client.activate() == 0x10
            assert served.nothing_sent
            await served.until_said("a header with")

    test()


@in_loop
async def test_a_message_that_is_too_long_is_dropped_and_the_next_is_served() -> None:
    async with serving(limits=Limits(message=100)) as served:
        client = await served.tester()
        client.ask("55" * 200_000)
        assert await client.read() == (0, "02")
        client.ask("3E 00")
        assert await client.answer() == (ENGINE, 0)
        await served.engine.until_sent("3E 00")


@in_loop
async def test_who_is_refused_in_the_middle_of_a_long_message_reads_why() -> None:
    async with serving() as served:
        client = await served.connect()
        client.ask("55" * 1_000_000)
        assert await client.answer() == (ENGINE, 0x102)
        assert await client.reader.read() == b""
        assert served.nothing_sent


@in_loop
async def test_all_messages_together_are_bounded() -> None:
    async with serving(limits=Limits(held=3000)) as served:
        served.engine.may_send.clear()
        client = await served.tester()
        for _ in range(3):
            client.ask("36 01" + "55" * 1000)
        assert await client.read() == (0, "03")
        served.engine.may_send.set()
        assert [await client.answer(), await client.answer()] == [(ENGINE, 0)] * 2
        await async_until(lambda: not served.gateway.held)
        client.ask("3E 00")
        assert await client.answer() == (ENGINE, 0)


@in_loop
async def test_many_connections_without_routing_keep_no_tester_out() -> None:
    async with serving(limits=Limits(waiting=32)) as served:
        place = ("127.0.0.1", served.gateway.port)
        loop = asyncio.get_running_loop()
        for _ in range(MANY // 100):
            socks = [socket.socket() for _ in range(100)]
            for sock in socks:
                sock.setblocking(False)
                await loop.sock_connect(sock, place)
            assert len(served.gateway._clients) <= 33
            tester = await served.tester()
            tester.ask("3E 80")
            assert await tester.answer() == (ENGINE, 0)
            tester.writer.close()
            for sock in socks:
                sock.close()
            await async_until(lambda: not served.gateway._clients)
        assert len(served.engine.sent) == MANY // 100
        await served.until_said("32 others have no routing, either")


@in_loop
async def test_a_tester_that_never_reads_is_cut_off() -> None:
    async with serving(limits=Limits(unread=50_000)) as served:
        deaf, tester = await served.tester(), await served.tester(0x0E01)
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        deaf.ask("3E 00")
        await served.engine.until_sent("3E 00")
        while not any("it does not read" in line for line in served.said):
            served.engine.reply("7E" + "00" * 4000)
            await asyncio.sleep(0)
        tester.ask("3E 00", source=0x0E01)
        while (await tester.read())[0] != 0x8002:
            pass


@in_loop
async def test_a_tester_that_asks_and_never_reads_is_not_read_either() -> None:
    async with serving() as served:
        loop = asyncio.get_running_loop()
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            await loop.sock_connect(deaf, ("127.0.0.1", served.gateway.port))
            asks = asyncio.create_task(loop.sock_sendall(deaf, bytes.fromhex("02FD 0007 00000000") * 1_000_000))
            await async_until(lambda: served.gateway._clients)
            own = next(iter(served.gateway._clients))
            await async_until(lambda: own.has_begun and own._reader._paused)  # type: ignore[attr-defined]
            assert own._writer.transport.get_write_buffer_size() < 100_000
            assert not asks.done()
            asks.cancel()


@in_loop
async def test_garbage_of_all_kinds() -> None:
    chance = random.Random(13400)
    async with serving(timers=TIMERS._replace(initial=0.2)) as served:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(100):
            client = await served.connect()
            kind = chance.choice((0, 5, 7, 8, 0x4001, 0x8001, 0x8002, chance.randrange(0x10000)))
            garbage = chance.randbytes(chance.randrange(40))
            head = b"\x02\xfd" + kind.to_bytes(2) + chance.choice((len(garbage), 7, 1 << 31)).to_bytes(4)
            data = chance.choice((b"", head)) + garbage
            client.writer.write(data)
            udp.sendto(data, ("127.0.0.1", served.gateway.udp_port))
            client.writer.write_eof()
            assert await client.is_over()
        udp.close()
        tester = await served.tester(FIRST + 0x7F)
        tester.ask("3E 00", source=FIRST + 0x7F)
        assert await tester.answer() == (ENGINE, 0)
        await served.engine.until_sent("3E 00")


@in_loop
async def test_a_tester_that_vanishes_in_the_middle_of_a_message() -> None:
    async with serving() as served:
        for cut in (3, 8, 11, 13):
            client = await served.tester()
            client.writer.write(bytes.fromhex("02FD 8001 00000007 0E00 0001 2EF190")[:cut])
            client.writer.close()
            await async_until(lambda: not served.gateway._clients)
        assert served.nothing_sent
        assert not served.gateway.held


def test_connections_wait_where_no_descriptor_is_left() -> None:
    resource = pytest.importorskip("resource")

    @in_loop
    async def test() -> None:
        async with serving(timers=TIMERS._replace(retry=0.01)) as served:
            client = socket.socket()
            before = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, before[1]))
            try:
                client.setblocking(False)
                await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", served.gateway.port))
                await served.until_said(f"a connection has to wait: {os.strerror(24)}")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
            await async_until(lambda: served.gateway._clients)
            client.close()

    test()
