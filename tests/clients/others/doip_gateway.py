"""A gateway with a simulated ECU behind it, for DoIP clients of other packages."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import isotp
from isotp.gateway import FunctionalTarget, Gateway, Permission, Setup, Target, Timers, Vehicle
from isotp.testing import AsyncCar, Download, Ecu, Reply

VIN: Final = "WVWZZZ1JZXW000001"
GATEWAY, ENGINE, GEARBOX, ALL = 0x1000, 0x0010, 0x0020, 0xE000
TESTER: Final = 0x0E00
SETUP: Final = Setup(
    Vehicle(address=GATEWAY, vin=VIN, eid=bytes.fromhex("020000000001")),
    (
        Target(ENGINE, isotp.Address.normal(rxid=0x7E8, txid=0x7E0), "engine"),
        Target(GEARBOX, isotp.Address.normal(rxid=0x7E9, txid=0x7E1), "gearbox"),
    ),
    (Permission(addresses=range(TESTER, TESTER + 1), types=(0,)),),
    (FunctionalTarget(ALL, isotp.Address.normal(txid=0x7DF, functional=True), (ENGINE, GEARBOX)),),
)


class Served(NamedTuple):
    """A gateway that serves in a thread."""

    port: int
    """For TCP and UDP."""
    tls_port: int
    engine: Ecu
    said: list[str]


def an_ecu(number: int) -> Ecu:
    """An ECU with time for a machine that does other things, too."""
    return Ecu(
        f"ecu{number}",
        rxid=0x7E0 + number,
        txid=0x7E8 + number,
        dids={0xF190: VIN.encode()},
        rules={"31 01 FF 00": [*[Reply("7F 31 78")] * 3, Reply("71 01 FF 00")]},
        download=Download(0, 1 << 21, block=4095),
        p2_s=20,
        p2_star_s=30,
        s3_s=1000.0,
    )


def free_port() -> int:
    """One that is free for TCP and for UDP."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            try:
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return int(tcp.getsockname()[1])


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    """A gateway and its ECUs, in a thread."""
    served = Served(free_port(), free_port(), an_ecu(0), [])
    begun, failures = threading.Event(), list[BaseException]()
    end: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        bus, over = isotp.VirtualBus(), asyncio.Event()
        timers = Timers(initial=60.0, announce_wait=0.0)
        async with (
            AsyncCar(bus, served.engine, an_ecu(1)),
            Gateway(
                SETUP,
                bus,
                port=served.port,
                tls=tls,
                tls_port=served.tls_port,
                announce_to=(),
                timers=timers,
                say=served.said.append,
            ),
        ):
            end.append((asyncio.get_running_loop(), over))
            begun.set()
            await over.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as e:
            failures.append(e)
            begun.set()

    thread = threading.Thread(target=run)
    thread.start()
    begun.wait()
    try:
        if not failures:
            yield served
    finally:
        for loop, over in end:
            loop.call_soon_threadsafe(over.set)
        thread.join()
    if failures:
        raise failures[0]
