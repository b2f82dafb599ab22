"""What a message costs with 2 to 10,000 sockets bound, compared with 2; and the memory of an idle socket.

A message of 4 bytes goes over one link of many, or each over another link. The sockets of each number have a bus or an
interface of their own.

    python benchmarks/growth.py soft
    tools/kernel-run --vm --cpus 1 -- python benchmarks/growth.py kernel --most 1000
"""

import argparse
import asyncio
import gc
import resource
import sys
import threading
import tracemalloc
from collections.abc import Callable
from itertools import cycle
from typing import Any

from contest import Report, Transfer, in_turn, seconds_per_message

import isotp
from isotp.address import CAN_EFF_FLAG
from isotp.linux.rtnetlink import add_vcan

NUMBERS = (2, 10, 100, 1000, 10_000)
MESSAGES = 200  # in a round; in a VM a tenth
MOST = {number: 1.2 if number <= 1000 else 1.5 for number in NUMBERS}
Pair = tuple[Any, Any]


def bound(one: Any, two: Any, number: int, *interface: str) -> Pair:
    """Two sockets of one link, the `number`-th."""
    there, back = CAN_EFF_FLAG | 2 * number, CAN_EFF_FLAG | 2 * number + 1
    one.bind(*interface, rxid=back, txid=there)
    two.bind(*interface, rxid=there, txid=back)
    return one, two


def through(pair: Pair) -> Transfer:
    one, two = pair

    def transfer(data: bytes) -> bytes:
        one.send(data)
        received: bytes = two.recv()
        return received

    return transfer


def on_virtual_bus(ends: int) -> list[Transfer]:
    bus = isotp.VirtualBus(f"with {ends}")
    return [through(bound(isotp.SoftSocket(bus), isotp.SoftSocket(bus), number)) for number in range(ends // 2)]


def in_asyncio(ends: int, loop: asyncio.AbstractEventLoop) -> list[Callable[[int], object]]:
    """Each sends so many messages of 4 bytes."""
    bus = isotp.VirtualBus()

    async def open_all() -> list[Pair]:
        return [bound(isotp.AsyncSoftSocket(bus), isotp.AsyncSoftSocket(bus), n) for n in range(ends // 2)]

    pairs = loop.run_until_complete(open_all())

    async def over(pairs: list[Pair], messages: int) -> None:
        turns = cycle(pairs)
        for _ in range(messages):
            one, two = next(turns)
            await one.send(b"1234")
            assert await two.recv() == b"1234"

    loop.run_until_complete(over(pairs, len(pairs)))  # the first message of a socket may take longer
    return [
        lambda messages: loop.run_until_complete(over(pairs[len(pairs) // 2 :][:1], messages)),
        lambda messages: loop.run_until_complete(over(pairs, messages)),
    ]


def on_raw_socket(ends: int) -> list[Transfer]:
    add_vcan(f"raw{ends}")
    bus = isotp.SocketCanBus(f"raw{ends}")
    return [through(bound(isotp.SoftSocket(bus), isotp.SoftSocket(bus), number)) for number in range(ends // 2)]


def in_kernel(ends: int) -> list[Transfer]:
    add_vcan(f"grow{ends}")
    return [through(bound(isotp.socket(), isotp.socket(), n, f"grow{ends}")) for n in range(ends // 2)]


def compare(name: str, make: Callable[[int], list[Transfer]], numbers: list[int], messages: int, rounds: int) -> int:
    """Print the ratios of one kind of socket; returns how many targets were missed."""
    contenders: dict[tuple[str, int], Callable[[], float]] = {}
    for number in numbers:
        transfers = make(number)
        for transfer in transfers:
            transfer(b"once")  # the first message of a socket may take longer
        turns = cycle(transfers)

        def by_turns(data: bytes, turns: "cycle[Transfer]" = turns) -> bytes:
            return next(turns)(data)

        for what, transfer in (("one", transfers[len(transfers) // 2]), ("each", by_turns)):

            def one_round(transfer: Transfer = transfer) -> float:
                return seconds_per_message(transfer, 4, messages)

            contenders[what, number] = one_round
    return tell(name, contenders, rounds)


def tell(name: str, contenders: dict[tuple[str, int], Callable[[], float]], rounds: int) -> int:
    gc.collect()
    times = in_turn(contenders, rounds)
    report = Report(f"{name}: time per message of 4 bytes, compared with 2 sockets")
    first = next(iter(contenders))
    report.time("2 sockets", times.medians()[first])
    for what, number in contenders:
        if number > 2:
            how = "over one link" if what == "one" else "each over another link"
            report.figure(f"{number} sockets, {how}", times.ratio((what, number), first), at_most=MOST[number])
    return report.missed


def compare_asyncio(numbers: list[int], messages: int, rounds: int) -> int:
    loop = asyncio.new_event_loop()
    contenders: dict[tuple[str, int], Callable[[], float]] = {}
    for number in numbers:
        for what, send_all in zip(("one", "each"), in_asyncio(number, loop), strict=True):

            def one_round(send_all: Callable[[int], object] = send_all) -> float:
                begin = loop.time()
                send_all(messages)
                return (loop.time() - begin) / messages

            contenders[what, number] = one_round
    return tell("AsyncSoftSocket on a VirtualBus", contenders, rounds)


def memory(ends: int) -> int:
    on_virtual_bus(2)  # memory that is needed once does not count
    gc.collect()
    tracemalloc.start()
    kept = on_virtual_bus(ends)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] / ends
    tracemalloc.stop()
    report = Report(f"{ends} idle sockets on one VirtualBus")
    report.figure("memory of each, bytes (tracemalloc)", taken, at_most=6000)
    threads = sum(thread.name == f"isotp with {ends}" for thread in threading.enumerate())
    report.figure("threads", threads, at_most=1)
    del kept
    return report.missed


def main() -> int:
    """How many targets were missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("where", choices=("soft", "kernel"))
    parser.add_argument("--most", type=int, default=NUMBERS[-1], help="how many sockets")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    numbers = [number for number in NUMBERS if number <= args.most]
    if args.where == "kernel":
        messages = MESSAGES // 10
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 17, 1 << 17))  # root may
        missed = compare("isotp.socket", in_kernel, numbers, messages, args.rounds)
        return missed + compare("SoftSocket on a SocketCanBus", on_raw_socket, numbers, messages, args.rounds)
    missed = memory(1000)
    missed += compare_asyncio(numbers, MESSAGES, args.rounds)
    return missed + compare("SoftSocket on a VirtualBus", on_virtual_bus, numbers, MESSAGES, args.rounds)


if __name__ == "__main__":
    sys.exit(bool(main()))
