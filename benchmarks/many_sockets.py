"""What many kernel sockets cost: binding 1,000 of them, and closing 500 AsyncSockets, in a kernel with ISO-TP.

* binds: `isotp.socket` compared with a plain socket that has the same options; each has identifiers of its own.
* closes: how long the event loop is held at most while sockets are closed: one in each turn of the loop, all in one.
"""

import asyncio
import resource
import socket
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter

from contest import Report, in_turn

import isotp
from isotp.linux.constants import CAN_ISOTP_OPTS, ISOTP_OPTIONS, SO_RXQ_OVFL, SO_TIMESTAMPNS, SOL_CAN_ISOTP

BINDS = 1000
CLOSES = 500
ROUNDS = 3
INTERFACE = "vcan0"


def ids(number: int) -> tuple[int, int]:
    return isotp.CAN_EFF_FLAG | 2 * number, isotp.CAN_EFF_FLAG | 2 * number + 1


def plain(number: int) -> socket.socket:
    sock = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, ISOTP_OPTIONS.pack(0, 50_000, 0, 0xCC, 0xCC, 0))
    sock.bind((INTERFACE, *ids(number)))
    return sock


def ours(number: int) -> isotp.socket:
    sock = isotp.socket()
    rxid, txid = ids(number)
    sock.bind(INTERFACE, rxid=rxid, txid=txid)
    return sock


def seconds_per_bind(make: Callable[[int], socket.socket | isotp.socket], first: int) -> float:
    start = perf_counter()
    kept = [make(number) for number in range(first, first + BINDS)]
    seconds = (perf_counter() - start) / BINDS
    for sock in kept:
        sock.close()
    return seconds


def binds() -> int:
    contenders = {"plain": partial(seconds_per_bind, plain, 0), "isotp": partial(seconds_per_bind, ours, BINDS)}
    times = in_turn(contenders, ROUNDS)
    report = Report(f"{BINDS} sockets made and bound, each")
    for name, seconds in times.medians().items():
        report.time(name, seconds)
    report.figure("isotp / plain", times.ratio("isotp", "plain"), at_most=2)
    return report.missed


async def one_in_each_turn(sockets: list[isotp.AsyncSocket]) -> None:
    for sock in sockets:
        sock.close()
        await asyncio.sleep(0)


async def all_in_one_turn(sockets: list[isotp.AsyncSocket]) -> None:
    for sock in sockets:
        sock.close()


async def longest_turn(close: Callable[[list[isotp.AsyncSocket]], Awaitable[None]]) -> float:
    """Close many sockets and return how many seconds the longest turn of the event loop took."""
    sockets = [isotp.AsyncSocket() for _ in range(CLOSES)]
    for number, sock in enumerate(sockets):
        rxid, txid = ids(number)
        sock.bind(INTERFACE, rxid=rxid, txid=txid)

    async def close_all() -> None:
        await close(sockets)
        for sock in sockets:
            await sock.wait_closed()

    closing = asyncio.create_task(close_all())
    longest, last = 0.0, perf_counter()
    while not closing.done():
        await asyncio.sleep(0)
        now = perf_counter()
        longest, last = max(longest, now - last), now
    await closing
    return longest


def closes() -> int:
    report = Report(f"The longest turn of the event loop while {CLOSES} AsyncSockets are closed, in ms")
    for what, close in {"one in each turn": one_in_each_turn, "all in one turn": all_in_one_turn}.items():
        longest = asyncio.run(longest_turn(close))
        report.figure(what, longest * 1000, at_most=20 if close is one_in_each_turn else None)
    return report.missed


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    sys.exit(binds() + closes() > 0)
