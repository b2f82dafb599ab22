"""Two SoftSockets on a VirtualBus, with their thread; and the cost of a thousand links on one bus.

If a directory with the package `can-isotp` is given, they are compared with two of its `TransportLayer`s joined by
queues: a thread sends a message at one end and waits for it at the other.

    python benchmarks/soft_socket.py --can-isotp /tmp/can-isotp
"""

import argparse
import gc
import queue
import sys
import threading
import tracemalloc
from collections.abc import Callable
from itertools import cycle
from typing import TYPE_CHECKING, Any

from contest import SRC, Report, Transfer, in_processes, in_turn, seconds_per_message, serve

if TYPE_CHECKING:
    from isotp import SoftSocket, VirtualBus

COUNTS = {4095: 20, 4: 300}
LINKS = 1000


def pair(bus: "VirtualBus", number: int = 0) -> "tuple[SoftSocket, SoftSocket]":
    """Two sockets of one link, the `number`-th on the bus."""
    import isotp

    one, two = isotp.SoftSocket(bus, timeout=10), isotp.SoftSocket(bus, timeout=10)
    there, back = 2 * number, 2 * number + 1
    one.bind(rxid=there, txid=back)
    two.bind(rxid=back, txid=there)
    return one, two


def through(one: "SoftSocket", two: "SoftSocket") -> Transfer:
    def transfer(data: bytes) -> bytes:
        one.send(data)
        return two.recv()

    return transfer


def soft_sockets() -> Transfer:
    import isotp

    return through(*pair(isotp.VirtualBus()))


def can_isotp() -> Transfer:
    import isotp

    namespace: Any = isotp  # the other package
    to_one: queue.SimpleQueue[Any] = queue.SimpleQueue()
    to_two: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def layer(rx: "queue.SimpleQueue[Any]", tx: "queue.SimpleQueue[Any]", rxid: int, txid: int) -> Any:
        def receive(timeout: float) -> Any:
            try:
                return rx.get(timeout=timeout)
            except queue.Empty:
                return None

        address = namespace.Address(namespace.AddressingMode.Normal_11bits, rxid=rxid, txid=txid)
        transport = namespace.TransportLayer(receive, tx.put, address, params={"stmin": 0, "blocksize": 0})
        transport.start()
        return transport

    one, two = layer(to_one, to_two, 0x123, 0x456), layer(to_two, to_one, 0x456, 0x123)

    def transfer(data: bytes) -> bytes:
        one.send(data)
        return bytes(two.recv(block=True, timeout=10))

    return transfer


CONTENDERS: dict[str, Callable[[], Transfer]] = {"SoftSocket": soft_sockets, "can-isotp": can_isotp}


def against_can_isotp(where: str, rounds: int) -> int:
    times = in_processes({"SoftSocket": SRC, "can-isotp": where}, COUNTS, rounds)
    report = Report("Sockets with their threads: two on a bus in one process, per message")
    for (name, size), seconds in times.medians().items():
        report.time(f"{size} bytes, {name}", seconds)
    for size, target in ((4095, 15), (4, 3)):
        ratio = times.ratio(("can-isotp", size), ("SoftSocket", size))
        report.figure(f"{size} bytes, can-isotp / SoftSocket", ratio, at_least=target)
    return report.missed


def a_thousand_links(rounds: int) -> int:
    import isotp

    few, many = isotp.VirtualBus("few"), isotp.VirtualBus("many")
    alone = through(*pair(few))
    pair(many)  # memory that is needed once does not count for a link
    gc.collect()
    tracemalloc.start()
    crowd = [pair(many, number) for number in range(1, LINKS // 2)]
    gc.collect()
    memory = tracemalloc.get_traced_memory()[0] / (2 * len(crowd))
    tracemalloc.stop()
    threads = sum(thread.name == "isotp many" for thread in threading.enumerate())
    crowded = through(*crowd[LINKS // 4])
    transfers = cycle([through(*two) for two in crowd])

    def by_turns(data: bytes) -> bytes:
        return next(transfers)(data)

    def of(transfer: Transfer, size: int) -> Callable[[], float]:
        return lambda: seconds_per_message(transfer, size, COUNTS[size])

    contenders = {(what, size): of(what, size) for size in COUNTS for what in (alone, crowded)}
    contenders[by_turns, 4] = of(by_turns, 4)
    times = in_turn(contenders, rounds)
    report = Report(f"{LINKS} links bound on one bus, against two")
    for size in COUNTS:
        ratio = times.ratio((crowded, size), (alone, size))
        report.figure(f"{size} bytes over one of them, time per message", ratio, at_most=1.2)
    report.figure("4 bytes, each message over another one", times.ratio((by_turns, 4), (alone, 4)))
    report.figure("threads", threads, at_most=1)
    report.figure("memory per idle link, bytes (tracemalloc)", memory)
    return report.missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--can-isotp", metavar="DIR", help="where that package is installed")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(CONTENDERS[args.serve]())
        return 0
    missed = against_can_isotp(args.can_isotp, args.rounds) if args.can_isotp else 0
    sys.path.insert(0, SRC)
    return bool(missed + a_thousand_links(args.rounds))


if __name__ == "__main__":
    sys.exit(main())
