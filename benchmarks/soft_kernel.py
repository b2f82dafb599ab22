"""SoftSocket on a raw CAN socket compared with a kernel socket and with others, on a vcan of a kernel with ISO-TP.

It measures the time of a message of 4 and of 4095 bytes without STmin, from `send` to `recv` of the peer, which is a
plain kernel socket; and the gaps between consecutive frames with an STmin, by the kernel's timestamps on a raw socket
that receives the same frames.

    tools/kernel-run --vm --cpus 1 -- python benchmarks/soft_kernel.py --can-isotp DIR --automotive DIR
"""

import argparse
import contextlib
import socket
import statistics
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import SRC, Report, Transfer, in_processes, message, serve

SHORT, LONG = 4, 4095
COUNTS = {SHORT: 50, LONG: 3}
STMINS_MS = (1, 5)
GAPS_OF = {1: 20, 5: 6}  # messages of 700 bytes, 99 gaps in each
SO_TIMESTAMPNS = 35
CAN_ISOTP_WAIT_TX_DONE = 0x400
CAN_ISOTP_FRAME_TXTIME_ZERO = 0xFFFFFFFF


def ids(number: int) -> tuple[int, int]:
    return 0x200 + 2 * number, 0x201 + 2 * number


def bus(number: int) -> str:
    """Each pair has a vcan of its own: some contenders read the frames of all."""
    return f"bench{number}"


def prepare() -> None:
    """Make the interfaces, and give the sockets of all room for a long message: the kernel sends without a pause."""
    from isotp.linux.rtnetlink import add_vcan

    Path("/proc/sys/net/core/rmem_default").write_text("4000000")
    for number in range(14):
        add_vcan(bus(number))


def peer(number: int, stmin: int = 0, frame_txtime: int = 0, back: bool = False) -> socket.socket:
    """A plain kernel socket; `back`: the other end, whose `send` returns when the message is sent.

    The others return before: automotive receives in the call that waits for a message.
    """
    sock = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    sock.settimeout(30)
    general = struct.pack("=IIBBBB", CAN_ISOTP_WAIT_TX_DONE if back else 0, frame_txtime, 0, 0xCC, 0xCC, 0)
    sock.setsockopt(socket.SOL_CAN_BASE + socket.CAN_ISOTP, 1, general)
    sock.setsockopt(socket.SOL_CAN_BASE + socket.CAN_ISOTP, 2, struct.pack("=BBB", 0, stmin, 0))
    there_id, back_id = ids(number)
    sock.bind((bus(number), *((back_id, there_id) if back else (there_id, back_id))))
    return sock


def through(send: Callable[[bytes], object], receive: Callable[[], bytes]) -> Transfer:
    def transfer(data: bytes) -> bytes:
        send(data)
        return receive()

    return transfer


def kernel_to_kernel(number: int = 0, stmin: int = 0) -> Transfer:
    one, two = peer(number, back=True), peer(number, stmin)
    return through(one.send, lambda: two.recv(LONG))


def kernel_without_pause() -> Transfer:
    """With frame_txtime 0: by default the kernel waits 50 us between frames, SoftSocket does not."""
    one, two = peer(4, frame_txtime=CAN_ISOTP_FRAME_TXTIME_ZERO, back=True), peer(4)
    return through(one.send, lambda: two.recv(LONG))


def soft_socket(number: int) -> Any:
    import isotp

    there, back = ids(number)
    sock = isotp.SoftSocket(isotp.SocketCanBus(bus(number)), timeout=30)
    sock.bind(rxid=back, txid=there)
    return sock


def soft_to_kernel(number: int = 1, stmin: int = 0) -> Transfer:
    two = peer(number, stmin)
    return through(soft_socket(number).send, lambda: two.recv(LONG))


def kernel_to_soft() -> Transfer:
    return through(peer(2).send, soft_socket(2).recv)


def python_can(number: int) -> Any:
    import can

    import isotp

    there, back = ids(number)
    filters = [{"can_id": one, "can_mask": 0x7FF} for one in (there, back)]
    adapter: Any = can.Bus(interface="socketcan", channel=bus(number), receive_own_messages=True, can_filters=filters)
    sock = isotp.SoftSocket(isotp.PythonCanBus(adapter, echoes=True), timeout=30)
    sock.bind(rxid=back, txid=there)
    return sock


def python_can_to_kernel() -> Transfer:
    two = peer(7)
    return through(python_can(7).send, lambda: two.recv(LONG))


def kernel_to_python_can() -> Transfer:
    return through(peer(8).send, python_can(8).recv)


def automotive(number: int) -> Any:
    from automotive.sync.adapters import SocketCanAdapter
    from automotive.sync.transports.isotp import IsoTP
    from automotive.transports.isotp import IsoTPConfig

    there, back = ids(number)
    return IsoTP(SocketCanAdapter(bus(number)), IsoTPConfig(tx_id=there, rx_id=back, timeout=60))


def automotive_to_kernel() -> Transfer:
    two = peer(5)
    return through(automotive(5).send, lambda: two.recv(LONG))


def kernel_to_automotive() -> Transfer:
    messages = automotive(6).recv()
    return through(peer(6).send, lambda: bytes(next(messages)))


def can_isotp() -> Transfer:
    """Over a raw socket, to a plain kernel socket: in this process the name `isotp` is the other package."""
    import isotp

    namespace: Any = isotp
    there, back = ids(3)
    raw = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=II", back, 0x7FF))
    raw.bind((bus(3),))

    def receive(timeout: float) -> Any:
        raw.settimeout(timeout)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            can_id, length, data = struct.unpack("=IB3x8s", raw.recv(16))
            return namespace.CanMessage(arbitration_id=can_id, dlc=length, data=data[:length])
        return None

    def send(frame: Any) -> None:
        raw.send(struct.pack("=IB3x8s", frame.arbitration_id, len(frame.data), bytes(frame.data)))

    address = namespace.Address(namespace.AddressingMode.Normal_11bits, rxid=back, txid=there)
    one = namespace.TransportLayer(receive, send, address, params={"stmin": 0, "blocksize": 0})
    one.start()
    two = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    two.bind((bus(3), there, back))

    def transfer(data: bytes) -> bytes:
        one.send(data)
        return two.recv(LONG)

    return transfer


OURS: dict[str, Callable[[], Transfer]] = {
    "kernel to kernel": kernel_to_kernel,
    "kernel to kernel, frame_txtime 0": kernel_without_pause,
    "SoftSocket to kernel": soft_to_kernel,
    "kernel to SoftSocket": kernel_to_soft,
    "PythonCanBus to kernel": python_can_to_kernel,
    "kernel to PythonCanBus": kernel_to_python_can,
}
OF_AUTOMOTIVE = {"automotive to kernel": automotive_to_kernel, "kernel to automotive": kernel_to_automotive}
CONTENDERS = {**OURS, **OF_AUTOMOTIVE, "can-isotp to kernel": can_isotp}


def gaps_ms(transfer: Transfer, number: int, count: int) -> list[float]:
    """The gaps between consecutive frames of `count` messages, in milliseconds."""
    raw = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=II", ids(number)[0], 0x7FF))
    raw.bind((bus(number),))
    raw.setblocking(False)
    gaps = []
    for _ in range(count):
        transfer(message(700))
        last = 0
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, control, _, _ = raw.recvmsg(16, 64)
                seconds, ns = struct.unpack("@qq", control[0][2])
                now = seconds * 1_000_000_000 + ns
                if frame[8] >> 4 == 2:  # a consecutive frame
                    if last:
                        gaps.append((now - last) / 1e6)
                    last = now
    raw.close()
    return gaps


def times(can_isotp: str | None, automotive: str | None, rounds: int) -> int:
    paths = dict.fromkeys(OURS, SRC)
    if automotive:
        paths |= dict.fromkeys(OF_AUTOMOTIVE, automotive)
    if can_isotp:
        paths["can-isotp to kernel"] = can_isotp
    figures = in_processes(paths, COUNTS, rounds, alone=True)  # automotive is busy while it waits
    medians, missed = figures.medians(), 0
    for size in COUNTS:
        report = Report(f"Against the kernel, on a vcan: {size} bytes, STmin 0, per message")
        for name in paths:
            report.time(name, medians[name, size])
        for name in paths:
            if name != "kernel to kernel":
                at_most = 2 if name == "SoftSocket to kernel" and size == LONG else None
                ratio = figures.ratio((name, size), ("kernel to kernel", size))
                report.figure(f"{name} / kernel to kernel", ratio, at_most=at_most)
        for name, other in zip(("SoftSocket to kernel", "kernel to SoftSocket"), OF_AUTOMOTIVE, strict=True):
            if automotive:
                ratio = figures.ratio((name, size), (other, size))
                report.figure(f"{name} / {other}", ratio, at_most=0.5 if size == SHORT else 1)
        missed += report.missed
    return missed


def gaps() -> int:
    missed = 0
    for number, stmin in enumerate(STMINS_MS):
        kernel, soft = 10 + 2 * number, 11 + 2 * number
        of = {"kernel": (kernel_to_kernel(kernel, stmin), kernel), "SoftSocket": (soft_to_kernel(soft, stmin), soft)}
        found: dict[str, list[float]] = {name: [] for name in of}
        for _ in range(GAPS_OF[stmin]):
            for name, (transfer, which) in of.items():
                found[name] += gaps_ms(transfer, which, 1)
        report = Report(f"Gaps between consecutive frames, STmin {stmin} ms, {len(found['SoftSocket'])} of each")
        mean = {name: statistics.mean(values) for name, values in found.items()}
        for name, values in found.items():
            report.figure(f"{name}, median, ms", statistics.median(values))
            report.figure(f"{name}, mean, ms", mean[name])
            below = sum(gap < stmin for gap in values)
            report.figure(f"{name}, how many below STmin", below, at_most=0 if name == "SoftSocket" else None)
        report.figure("SoftSocket's mean - kernel's mean, ms", mean["SoftSocket"] - mean["kernel"], at_most=0.2)
        missed += report.missed
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--can-isotp", metavar="DIR", help="where that package is installed")
    parser.add_argument("--automotive", metavar="DIR", help="where that package is installed")
    parser.add_argument("--no-gaps", action="store_true", help="only times")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(CONTENDERS[args.serve]())
        return 0
    sys.path.insert(0, SRC)
    prepare()
    missed = times(args.can_isotp, args.automotive, args.rounds)
    return bool(missed + (0 if args.no_gaps else gaps()))


if __name__ == "__main__":
    sys.exit(main())
