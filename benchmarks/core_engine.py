"""The cost of the engine alone: a message between two engines in one process, without a bus.

It is compared with a loop that only slices and joins bytes; with `TransportLayerLogic` of can-isotp; and with what
py-uds and scapy have that cuts a message into frames and joins them, without flow control. Each of these packages is in
a folder of its own (the Makefile makes them).

    python benchmarks/core_engine.py --can-isotp DIR --py-uds DIR --scapy DIR
"""

import argparse
import os
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from contest import SRC, Report, Transfer, in_processes, serve

COUNTS = {4095: 20, 4: 500}


def bare() -> Transfer:
    def transfer(data: bytes) -> bytes:
        frames = [bytes((0x20 | n & 0x0F,)) + data[i : i + 7] for n, i in enumerate(range(0, len(data), 7))]
        received = []
        for frame in frames:
            received.append(frame[1:])
        return b"".join(received)

    return transfer


def engine() -> Transfer:
    from isotp.address import Address
    from isotp.engine.engine import Engine
    from isotp.engine.events import MessageReceived, MessageSent

    one = Engine(Address.normal(rxid=0x123, txid=0x456))
    two = Engine(Address.normal(rxid=0x456, txid=0x123))

    def carry(sender: Engine, receiver: Engine) -> bool:
        frames = sender.frames_to_send(0)
        if frames:
            receiver.receive_frames(frames, 0)
            sender.frame_sent(0, len(frames))
        return bool(frames)

    def transfer(data: bytes) -> bytes:
        one.send(data, 0)
        while carry(one, two) or carry(two, one):
            pass
        assert isinstance(one.next_event(), MessageSent)
        while not isinstance(event := two.next_event(), MessageReceived):
            assert event is not None
        return event.data

    return transfer


def can_isotp(blocksize: int) -> Transfer:
    import isotp

    namespace: Any = isotp  # the other package
    to_one: deque[Any] = deque()
    to_two: deque[Any] = deque()

    def link(rx: deque[Any], tx: deque[Any], rxid: int, txid: int) -> Any:
        address = namespace.Address(namespace.AddressingMode.Normal_11bits, rxid=rxid, txid=txid)
        params = {"stmin": 0, "blocksize": blocksize}
        return namespace.TransportLayerLogic(
            lambda timeout: rx.popleft() if rx else None, tx.append, address, params=params
        )

    one, two = link(to_one, to_two, 0x123, 0x456), link(to_two, to_one, 0x456, 0x123)

    def transfer(data: bytes) -> bytes:
        one.send(data)
        while not two.available():
            one.process()
            two.process()
        return bytes(two.recv())

    return transfer


def py_uds() -> Transfer:
    from uds.addressing import AddressingType
    from uds.can import CanAddressingFormat, CanAddressingInformation, CanSegmenter
    from uds.message import UdsMessage

    address = CanAddressingInformation(
        CanAddressingFormat.NORMAL_ADDRESSING,
        rx_physical_params={"can_id": 0x123},
        tx_physical_params={"can_id": 0x456},
        rx_functional_params={"can_id": 0x7DE},
        tx_functional_params={"can_id": 0x7DF},
    )
    segmenter = CanSegmenter(addressing_information=address)

    def transfer(data: bytes) -> bytes:
        packets = segmenter.segmentation(UdsMessage(data, AddressingType.PHYSICAL))
        return bytes(segmenter.desegmentation(packets).payload)

    return transfer


def scapy() -> Transfer:
    from scapy.contrib.isotp import ISOTP

    def transfer(data: bytes) -> bytes:
        frames = ISOTP(data=data, rx_id=0x123).fragment()
        return bytes(ISOTP.defragment(frames, use_extended_addressing=False).data)

    return transfer


CONTENDERS: dict[str, Callable[[], Transfer]] = {
    "engine": engine,
    "bare loop": bare,
    "can-isotp, bs 8": lambda: can_isotp(8),  # its default
    "can-isotp, bs 0": lambda: can_isotp(0),  # as the engine's: one flow control
    "py-uds": py_uds,
    "scapy": scapy,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--can-isotp", metavar="DIR", help="where that package is installed")
    parser.add_argument("--py-uds", metavar="DIR", help="where that package is installed")
    parser.add_argument("--scapy", metavar="DIR", help="where that package is installed")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(CONTENDERS[args.serve]())
        return 0
    if hasattr(os, "sched_setaffinity"):  # the same processor for all: on shared machines they differ in speed
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    paths = {"engine": SRC, "bare loop": ""}
    if args.can_isotp:
        paths |= {name: args.can_isotp for name in CONTENDERS if name.startswith("can-isotp")}
    others = {name: path for name, path in (("py-uds", args.py_uds), ("scapy", args.scapy)) if path}
    paths |= others
    times = in_processes(paths, COUNTS, args.rounds)
    report = Report("The engine alone: two engines in one process, no bus, per message")
    for (name, size), seconds in times.medians().items():
        report.time(f"{size} bytes, {name}", seconds)
    if args.can_isotp:
        for size, target in ((4095, 25), (4, 5)):
            ratio = times.ratio(("can-isotp, bs 0", size), ("engine", size))
            report.figure(f"{size} bytes, can-isotp bs 0 / engine", ratio, at_least=target)
    for name in others:
        for size in COUNTS:
            report.figure(f"{size} bytes, {name} / engine", times.ratio((name, size), ("engine", size)))
    report.figure("4095 bytes, engine / bare loop", times.ratio(("engine", 4095), ("bare loop", 4095)), at_most=2)
    return bool(report.missed)


if __name__ == "__main__":
    sys.exit(main())
