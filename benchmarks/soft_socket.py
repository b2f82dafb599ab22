"""Two SoftSockets on a VirtualBus and their thread, compared with two `TransportLayer`s of can-isotp joined by queues.

A thread sends a message at one end and waits for it at the other.

    python benchmarks/soft_socket.py --can-isotp /tmp/can-isotp
"""

import argparse
import queue
import sys
from collections.abc import Callable
from typing import Any

from contest import SRC, Report, Transfer, in_processes, serve

COUNTS = {4095: 20, 4: 300}


def soft_sockets() -> Transfer:
    import isotp

    bus = isotp.VirtualBus()
    one, two = isotp.SoftSocket(bus, timeout=10), isotp.SoftSocket(bus, timeout=10)
    one.bind(rxid=0x123, txid=0x456)
    two.bind(rxid=0x456, txid=0x123)

    def transfer(data: bytes) -> bytes:
        one.send(data)
        return two.recv()

    return transfer


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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--can-isotp", metavar="DIR", default="", help="where that package is installed")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(CONTENDERS[args.serve]())
        return 0
    return bool(against_can_isotp(args.can_isotp, args.rounds))


if __name__ == "__main__":
    sys.exit(main())
