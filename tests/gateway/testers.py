"""What the tests of the gateway share: testers that write bytes, and links that a test controls."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import isotp
from isotp.errors import SocketClosedError
from isotp.gateway import FunctionalTarget, Gateway, Limits, Permission, Setup, Target, Timers, Vehicle

from ..waiting import async_until

GATEWAY, ENGINE, GEARBOX, ALL = 0x1000, 0x0001, 0x0002, 0xE000
FIRST, SECOND = 0x0E00, 0x0E01
NEVER_S = 1000.0
TIMERS = Timers(initial=NEVER_S, general=NEVER_S, alive=NEVER_S, acknowledge=NEVER_S, response=NEVER_S, announce_wait=0)
SETUP = Setup(
    Vehicle(address=GATEWAY, vin="WVWZZZ1JZXW000001", eid=bytes.fromhex("020000000001")),
    (
        Target(ENGINE, isotp.Address.normal(rxid=0x7E8, txid=0x7E0), "engine"),
        Target(GEARBOX, isotp.Address.normal(rxid=0x7E9, txid=0x7E1), "gearbox"),
    ),
    (Permission(addresses=range(0x0E00, 0x0E80)),),
    (FunctionalTarget(ALL, isotp.Address.normal(txid=0x7DF, functional=True), (ENGINE, GEARBOX)),),
)


class Link:
    """The socket of an ECU: its sends wait until they may end."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.may_send = asyncio.Event()
        self.may_send.set()
        self.fails: OSError | None = None
        self.received: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def send(self, message: bytes) -> None:
        self.sent.append(message)
        await self.may_send.wait()
        if self.fails is not None:
            raise self.fails

    async def recv(self) -> bytes:
        message = await self.received.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def until_sent(self, *messages: str) -> None:
        """Wait until exactly these were sent."""
        await async_until(lambda: len(self.sent) >= len(messages))
        assert self.sent == [bytes.fromhex(message) for message in messages]

    def reply(self, message: str) -> None:
        self.received.put_nowait(bytes.fromhex(message))

    def close(self) -> None:
        self.received.put_nowait(SocketClosedError("closed"))

    async def wait_closed(self) -> None:
        pass


class Client(NamedTuple):
    """A tester."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, kind: int, payload: str = "", version: int = 2) -> None:
        data = bytes.fromhex(payload)
        self.writer.write(struct.pack(">BBHL", version, version ^ 0xFF, kind, len(data)) + data)

    async def read(self) -> tuple[int, str]:
        """The payload type of the next message, and its payload in hexadecimal."""
        version, inverse, kind, length = struct.unpack(">BBHL", await self.reader.readexactly(8))
        assert version ^ inverse == 0xFF
        return kind, (await self.reader.readexactly(length)).hex()

    async def activate(self, source: int = FIRST, kind: int = 0) -> int:
        """Ask for routing; returns the response code."""
        self.send(5, f"{source:04x} {kind:02x} 00000000")
        answer, payload = await self.read()
        assert (answer, payload[:8]) == (6, f"{source:04x}{GATEWAY:04x}")
        return int(payload[8:10], 16)

    def ask(self, message: str, target: int = ENGINE, source: int = FIRST) -> None:
        self.send(0x8001, f"{source:04x} {target:04x} {message}")

    async def answer(self) -> tuple[int, int]:
        """The next message is an acknowledgement: from whom, and its code; negative ones count from 0x100."""
        kind, payload = await self.read()
        assert kind in (0x8002, 0x8003)
        return int(payload[:4], 16), int(payload[8:], 16) + (0x100 if kind == 0x8003 else 0)

    async def hear(self) -> tuple[int, str]:
        """The next message is of an ECU: from whom, and what."""
        kind, payload = await self.read()
        assert kind == 0x8001
        return int(payload[:4], 16), payload[8:]

    async def is_over(self) -> bool:
        """Wait for the end of the connection, and drop what comes before."""
        with suppress(ConnectionError):
            await self.reader.read()
        return True


class Served(NamedTuple):
    """A gateway whose links the test controls."""

    gateway: Gateway
    links: dict[int, Link]
    said: list[str]
    clients: list[Client]

    @property
    def engine(self) -> Link:
        return self.links[ENGINE]

    @property
    def nothing_sent(self) -> bool:
        return not any(link.sent for link in self.links.values())

    async def connect(self) -> Client:
        self.clients.append(Client(*await asyncio.open_connection("127.0.0.1", self.gateway.port)))
        return self.clients[-1]

    async def tester(self, source: int = FIRST) -> Client:
        """One that has routing."""
        client = await self.connect()
        assert await client.activate(source) == 0x10
        return client

    async def until_said(self, text: str) -> None:
        await async_until(lambda: any(text in line for line in self.said))


@asynccontextmanager
async def serving(
    setup: Setup = SETUP, timers: Timers = TIMERS, limits: Limits | None = None, **options: Any
) -> AsyncIterator[Served]:
    links, said, clients = dict[int, Link](), list[str](), list[Client]()

    def open_link(target: Any) -> Any:
        return links.setdefault(target.address, Link())

    options.setdefault("announce_to", ())
    gateway = Gateway(setup, open_link, port=0, limits=limits, timers=timers, say=said.append, **options)
    async with asyncio.timeout(20), gateway:
        try:
            yield Served(gateway, links, said, clients)
        finally:
            for client in clients:
                client.writer.close()


Test = Callable[[], Coroutine[Any, Any, None]]


def in_loop(test: Test) -> Callable[[], None]:
    def run() -> None:
        async def alone() -> None:
            await test()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks left running: {left}"

        asyncio.run(alone())

    run.__name__ = test.__name__
    return run
