"""The asyncio sockets compared with plain sockets in asyncio: `make bench`.

One task sends each message from one socket to another.

`kernel`, in a kernel with ISO-TP:
* plain: `loop.sock_sendall` and `loop.sock_recv` on the plain socket, into a buffer for the longest message. The send
  returns when the kernel has taken the message; its outcome is not known.
* careful: the same, and each send is confirmed by hand: poll once, wait in the loop until the message is out, fetch the
  error.
* unconfirmed: `AsyncSocket` with `confirm=False`, which has the guarantee of `plain`.
* confirmed: `AsyncSocket` by default.

`soft`, on any system: `AsyncSoftSocket` compared with `SoftSocket` on a VirtualBus.
"""

import asyncio
import os
import select
import socket
import sys
import time
from collections.abc import Awaitable, Callable

from contest import Report, Times, message

import isotp
from isotp.linux.modules import max_pdu_size

ROUNDS = 21
SECONDS_PER_ROUND = 0.25
Once = Callable[[], Awaitable[bytes]]


def native(rxid: int, txid: int) -> socket.socket:
    sock = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    sock.setblocking(False)
    sock.bind(("vcan0", rxid, txid))
    return sock


async def plain(data: bytes, first_id: int) -> Once:
    a, b = native(first_id, first_id + 1), native(first_id + 1, first_id)
    size, loop = max_pdu_size(), asyncio.get_running_loop()

    async def once() -> bytes:
        await loop.sock_sendall(a, data)
        return await loop.sock_recv(b, size)

    return once


async def careful(data: bytes, first_id: int) -> Once:
    a, b = native(first_id, first_id + 1), native(first_id + 1, first_id)
    size, loop = max_pdu_size(), asyncio.get_running_loop()
    poll = select.poll()
    poll.register(a, select.POLLOUT)

    async def once() -> bytes:
        await loop.sock_sendall(a, data)
        if not poll.poll(0):
            out = loop.create_future()
            loop.add_writer(a, out.set_result, None)
            try:
                await out
            finally:
                loop.remove_writer(a)
        if number := a.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, os.strerror(number))
        return await loop.sock_recv(b, size)

    return once


async def ours(data: bytes, first_id: int, confirm: bool) -> Once:
    a, b = isotp.AsyncSocket(), isotp.AsyncSocket()
    a.bind("vcan0", rxid=first_id, txid=first_id + 1)
    b.bind("vcan0", rxid=first_id + 1, txid=first_id)

    async def once() -> bytes:
        await a.send(data, confirm=confirm)
        return await b.recv()

    return once


async def blocking_soft(data: bytes) -> Once:
    bus = isotp.VirtualBus()
    a, b = isotp.SoftSocket(bus), isotp.SoftSocket(bus)
    a.bind(rxid=1, txid=2)
    b.bind(rxid=2, txid=1)

    async def once() -> bytes:
        a.send(data)
        return b.recv()

    return once


async def async_soft(data: bytes) -> Once:
    bus = isotp.VirtualBus()
    a, b = isotp.AsyncSoftSocket(bus), isotp.AsyncSoftSocket(bus)
    a.bind(rxid=1, txid=2)
    b.bind(rxid=2, txid=1)

    async def once() -> bytes:
        await a.send(data)
        return await b.recv()

    return once


async def seconds_per_message(once: Once, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        await once()
    return (time.perf_counter() - start) / count


async def compare(data: bytes, contenders: dict[str, Once], targets: list[tuple[str, str, float | None]]) -> int:
    """Print times, and ratios with their targets; returns how many targets were missed."""
    for once in contenders.values():
        assert await once() == data
    first = next(iter(contenders.values()))
    count = max(1, int(SECONDS_PER_ROUND / await seconds_per_message(first, 3)))
    times: Times[str] = Times()
    for _ in range(ROUNDS):
        for name, once in contenders.items():
            times.add(name, await seconds_per_message(once, count))
    report = Report(f"asyncio, {len(data)} bytes, sent and received")
    for name, seconds in times.medians().items():
        report.time(name, seconds)
    for name, other, target in targets:
        report.figure(f"{name} / {other}", times.ratio(name, other), at_most=target)
    return report.missed


async def main(where: str) -> int:
    """Run the benchmark; returns how many targets were missed."""
    missed = 0
    for first_id, size in ((0x100, 4), (0x200, 4095)):
        data = message(size)
        if where == "kernel":
            contenders = {
                "plain": await plain(data, first_id),
                "careful": await careful(data, first_id + 2),
                "unconfirmed": await ours(data, first_id + 4, confirm=False),
                "confirmed": await ours(data, first_id + 6, confirm=True),
            }
            targets = [("unconfirmed", "plain", 1.3), ("confirmed", "plain", 1.3), ("confirmed", "careful", None)]
        else:
            contenders = {"SoftSocket": await blocking_soft(data), "AsyncSoftSocket": await async_soft(data)}
            targets = [("AsyncSoftSocket", "SoftSocket", None)]
        missed += await compare(data, contenders, targets)
    return missed


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "soft")) > 0)
