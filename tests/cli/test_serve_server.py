"""The server of isotp serve on a link that the test controls, and what it says."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import pytest

from isotp.cli.commands.serve import _LIMITS
from isotp.cli.commands.serve_listening import TcpPlace
from isotp.cli.commands.serve_server import Server
from isotp.cli.output.calm import Complaints
from isotp.errors import ConsecutiveFrameTimeoutError, FlowControlTimeoutError, InterfaceError, SocketClosedError

from ..waiting import async_until


class Link:
    """A socket whose sends wait until they may end."""

    interface, address = "test", "link"

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.fails = False
        self.received: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def send(self, message: bytes) -> None:
        self.sent.append(message)
        await self.may_send.wait()
        if self.fails:
            raise FlowControlTimeoutError("no flow control")

    async def recv(self) -> bytes:
        message = await self.received.get()
        if isinstance(message, Exception):
            raise message
        return message

    def close(self) -> None:
        self.received.put_nowait(SocketClosedError("closed"))

    async def wait_closed(self) -> None:
        pass


class Client(NamedTuple):
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def is_over(self) -> bool:
        """Wait for the end of the connection."""
        with suppress(ConnectionError):
            await self.reader.read()
        return True


class Served(NamedTuple):
    link: Link
    server: Server
    said: list[str]
    run: "asyncio.Task[int]"
    clients: list[Client]

    @property
    def first(self) -> Any:
        """The server's side of the client that came first."""
        return next(iter(self.server._clients))

    async def client(self) -> Client:
        """A client that the server knows, or has refused."""
        lines = len(self.said)
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", int(self.said[0].split()[-1]))))
        await async_until(lambda: len(self.said) > lines)
        return self.clients[-1]

    async def until_said(self, text: str) -> None:
        await async_until(lambda: any(text in line for line in self.said))


@asynccontextmanager
async def serving(**limits: Any) -> AsyncIterator[Served]:
    link, said, clients = Link(), list[str](), list[Client]()
    sock: Any = link
    server = Server(sock, _LIMITS._replace(**limits), said.append)
    run = asyncio.create_task(server.run(TcpPlace("127.0.0.1", 0, False)))
    await async_until(lambda: said or run.done())
    try:
        yield Served(link, server, said, run, clients)
    finally:
        for client in clients:
            client.writer.close()
        run.cancel()
        with suppress(asyncio.CancelledError, InterfaceError):
            await run


Test = Callable[[], Coroutine[Any, Any, None]]


def in_loop(test: Test) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())

    run.__name__ = test.__name__
    return run


# --- turns


@in_loop
async def test_messages_of_clients_take_turns() -> None:
    async with serving() as served:
        link = served.link
        link.may_send.clear()
        greedy, modest = await served.client(), await served.client()
        greedy.send(b"<AA>" * 1000)
        await async_until(lambda: link.sent)
        modest.send(b"<01>")
        await async_until(lambda: len(served.server._turns) == 2)
        link.may_send.set()
        await async_until(lambda: b"\x01" in link.sent)
        assert link.sent.index(b"\x01") <= 2


@in_loop
async def test_a_flood_of_garbage_takes_turns_and_is_counted() -> None:
    async with serving() as served:
        link = served.link
        link.may_send.clear()
        flood, modest = await served.client(), await served.client()
        modest.send(b"<01>")
        await async_until(lambda: link.sent)
        flood.send(b"<>" * 400_000)
        await async_until(lambda: served.first.held == 800_000)
        modest.send(b"<02>")
        await async_until(lambda: len(served.server._turns) == 2)
        link.may_send.set()
        await async_until(lambda: b"\x02" in link.sent)
        assert served.first.held > 700_000
        await async_until(lambda: not served.first.held)
        assert len(served.said) < 1000
        modest.send(b"<03>")
        await async_until(lambda: b"\x03" in link.sent)


def test_complaints_are_limited_in_rate() -> None:
    now, said = [0.0], list[str]()
    complaints = Complaints(said.append, lambda: now[0])
    for number in range(1000):
        complaints.say(str(number))
    assert said == [str(number) for number in range(50)]
    now[0] = 0.25
    for _ in range(5):
        complaints.say("later")
    assert said[50:] == ["950 more lines were left out: above 10 a second they are counted", "later", "later"]
    complaints.say_left_out()
    assert said[-1].startswith("3 more lines")


# --- clients that leave


@in_loop
async def test_what_a_client_left_behind_is_not_sent() -> None:
    async with serving(linger_s=0.01) as served:
        link = served.link
        link.may_send.clear()
        client = await served.client()
        client.send(b"<00>" + (b"<" + b"11" * 100 + b">") * 3000)
        await client.writer.drain()
        client.writer.close()
        await served.until_said("nothing came (--linger); 3000 of its messages were not sent")
        link.may_send.set()
        await served.until_said("went")
        assert link.sent == [b"\0"]


@in_loop
async def test_what_a_client_that_broke_off_left_behind_is_not_sent() -> None:
    async with serving() as served:
        link = served.link
        link.may_send.clear()
        client = await served.client()
        client.send(b"<00>" + b"<11>" * 3000)
        await async_until(lambda: served.first.held == 255 + (3001 - 256) * 4)
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        await served.until_said("went; 3000 of its messages were not sent")
        link.may_send.set()
        other = await served.client()
        other.send(b"<02>")
        await async_until(lambda: b"\2" in link.sent)
        assert link.sent == [b"\0", b"\2"]


@in_loop
async def test_a_client_that_ended_its_direction_hears_on_and_sends_the_rest() -> None:
    async with serving(linger_s=1000) as served:
        client = await served.client()
        client.send(b"<01><02><03>")
        client.writer.write_eof()
        await async_until(lambda: len(served.link.sent) == 3)
        served.link.received.put_nowait(b"\x41")
        assert await client.reader.readline() == b"<41>\n"


# --- limits


@in_loop
async def test_a_message_longer_than_allowed_is_refused_with_the_reason() -> None:
    async with serving(message=4) as served:
        client = await served.client()
        client.send(b"<" + b"00" * 100_000)
        await async_until(lambda: served.first.held == 9)
        client.send(b"><0102>")
        await async_until(lambda: served.link.sent)
        assert served.link.sent == [b"\x01\x02"]
        assert served.said[-1].endswith("longer than 4 bytes (--max-message): the message was not sent")


@in_loop
async def test_there_are_as_many_clients_as_allowed() -> None:
    async with serving(clients=2, linger_s=1000) as served:
        first, second = await served.client(), await served.client()
        refused = await served.client()
        assert await refused.is_over()
        assert "is cut off: there are 2 others (--max-clients)" in served.said[-1]
        first.writer.write_eof()  # it may have gone: it makes room
        await async_until(lambda: served.first.may_have_gone)
        third = await served.client()
        assert await first.is_over()
        served.link.received.put_nowait(b"\x01")
        assert await second.reader.readline() == await third.reader.readline() == b"<01>\n"


@in_loop
async def test_the_client_that_holds_most_is_cut_off() -> None:
    async with serving(held=10_000) as served:
        most, least = await served.client(), await served.client()
        most.send(b"<" + b"0" * 9000)
        await async_until(lambda: sum(client.held for client in served.server._clients) == 9000)
        least.send(b"<" + b"0" * 2000)
        assert await most.is_over()
        least.send(b"><01>")
        await async_until(lambda: len(served.link.sent) == 2)
        assert any(
            "all clients together hold more than 10000 bytes (--max-held), and it holds most" in s for s in served.said
        )


@in_loop
async def test_a_long_message_is_no_backlog() -> None:
    async with serving(unread=100) as served:
        client = await served.client()
        served.link.received.put_nowait(bytes(600_000))
        served.link.received.put_nowait(b"\x01")
        assert await client.reader.readexactly(1_200_003 + 5) == b"<" + b"00" * 600_000 + b">\n<01>\n"


@in_loop
async def test_a_client_that_does_not_read_is_cut_off_with_the_reason() -> None:
    async with serving(unread=100) as served:
        await served.client()
        for _ in range(3):
            served.link.received.put_nowait(bytes(6_000_000))
        await served.until_said("is cut off: 12000003 bytes wait until it reads (--max-unread)")


def test_a_long_message_to_a_client_that_has_gone_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    """Else asyncio would log a warning for each part of it."""

    async def main() -> None:
        async with serving() as served:
            client = await served.client()
            client.writer.write_eof()
            await async_until(lambda: served.first.sends_no_more)
            client.writer.transport.abort()
            served.link.received.put_nowait(bytes(1_000_000))
            await served.until_said(" went")

    asyncio.run(main())
    assert not caplog.records


# --- the link


@in_loop
async def test_what_fails_is_told_and_the_rest_goes_on() -> None:
    async with serving() as served:
        client = await served.client()
        served.link.fails = True
        client.send(b"<01><02>")
        served.link.received.put_nowait(ConsecutiveFrameTimeoutError("broken off"))
        served.link.received.put_nowait(b"\x11")
        assert await client.reader.readline() == b"<11>\n"
        await async_until(lambda: len(served.link.sent) == 2 and len(served.said) == 5)
        assert "warning: broken off (N_TIMEOUT_Cr)" in served.said
        assert sum("no flow control (N_TIMEOUT_Bs)" in line for line in served.said) == 2


@in_loop
async def test_a_link_that_fails_ends_it_and_clients_are_told() -> None:
    async with serving() as served:
        client = await served.client()
        served.link.received.put_nowait(b"\x11")
        served.link.received.put_nowait(InterfaceError("it is down"))
        assert await client.reader.read() == b"<11>\n"
        with pytest.raises(InterfaceError, match="down"):
            await served.run
