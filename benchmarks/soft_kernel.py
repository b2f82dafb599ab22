"""SoftSocket over SocketCanBus compared with a kernel socket, on a vcan of a kernel with ISO-TP.

It measures the time of a message of 4095 bytes without STmin, from `send` to `recv` of the peer; and the gaps between
consecutive frames with an STmin, by the kernel's timestamps on a raw socket that receives the same frames.

    tools/kernel-run -- python benchmarks/soft_kernel.py --can-isotp /tmp/can-isotp
"""

import argparse
import contextlib
import socket
import statistics
import struct
import sys
from collections.abc import Callable
from typing import Any

from contest import SRC, Report, Transfer, in_processes, message, serve

SIZE = 4095
STMINS_MS = (1, 5)
GAPS_OF = {1: 20, 5: 6}  # messages of 700 bytes, 99 gaps in each
SO_TIMESTAMPNS = 35


def ids(number: int) -> tuple[int, int]:
    return 0x200 + 2 * number, 0x201 + 2 * number


def kernel_socket(number: int, stmin: int = 0) -> Any:
    """The receiving end."""
    import isotp

    there, back = ids(number)
    sock = isotp.socket(timeout=30)
    sock.set_fc_opts(stmin=stmin, bs=0)
    sock.bind("vcan0", rxid=there, txid=back)
    return sock


def through(sender: Any, receiver: Any) -> Transfer:
    def transfer(data: bytes) -> bytes:
        sender.send(data)
        return bytes(receiver.recv())

    return transfer


def kernel_to_kernel(number: int = 0, stmin: int = 0) -> Transfer:
    import isotp

    there, back = ids(number)
    one, two = isotp.socket(timeout=30), kernel_socket(number, stmin)
    one.bind("vcan0", rxid=back, txid=there)
    return through(one, two)


def kernel_without_pause() -> Transfer:
    """With frame_txtime 0: by default the kernel waits 50 us between frames, SoftSocket does not."""
    import isotp

    there, back = ids(4)
    one, two = isotp.socket(timeout=30), kernel_socket(4)
    one.set_general_opts(frame_txtime=0)
    one.bind("vcan0", rxid=back, txid=there)
    return through(one, two)


def soft_to_kernel(number: int = 1, stmin: int = 0) -> Transfer:
    import isotp

    there, back = ids(number)
    one, two = isotp.SoftSocket(isotp.SocketCanBus("vcan0"), timeout=30), kernel_socket(number, stmin)
    one.bind(rxid=back, txid=there)
    return through(one, two)


def kernel_to_soft(number: int = 2) -> Transfer:
    import isotp

    there, back = ids(number)
    one, two = isotp.SoftSocket(isotp.SocketCanBus("vcan0"), timeout=30), kernel_socket(number)
    one.bind(rxid=back, txid=there)
    return through(two, one)


def can_isotp() -> Transfer:
    """Over a raw socket, to a plain kernel socket: in this process the name `isotp` is the other package."""
    import isotp

    namespace: Any = isotp
    there, back = ids(3)
    raw = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=II", back, 0x7FF))
    raw.bind(("vcan0",))

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
    two.bind(("vcan0", there, back))

    def transfer(data: bytes) -> bytes:
        one.send(data)
        return two.recv(SIZE)

    return transfer


CONTENDERS: dict[str, Callable[[], Transfer]] = {
    "kernel to kernel": kernel_to_kernel,
    "kernel to kernel, frame_txtime 0": kernel_without_pause,
    "SoftSocket to kernel": soft_to_kernel,
    "kernel to SoftSocket": kernel_to_soft,
    "can-isotp to kernel": can_isotp,
}


def gaps_ms(transfer: Transfer, can_id: int, count: int) -> list[float]:
    """The gaps between consecutive frames of `count` messages, in milliseconds."""
    raw = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, struct.pack("=II", can_id, 0x7FF))
    raw.bind(("vcan0",))
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


def times(where: str | None, rounds: int) -> int:
    paths = {name: SRC for name in CONTENDERS if name != "can-isotp to kernel"}
    if where:
        paths["can-isotp to kernel"] = where
    figures = in_processes(paths, {SIZE: 3}, rounds)
    report = Report(f"Against the kernel, on a vcan: {SIZE} bytes, STmin 0, per message")
    for (name, _), seconds in figures.medians().items():
        report.time(name, seconds)
    soft = ("SoftSocket to kernel", SIZE)
    for name in ("kernel to kernel", "kernel to kernel, frame_txtime 0"):
        report.figure(f"SoftSocket to kernel / {name}", figures.ratio(soft, (name, SIZE)), at_most=2)
    for name in ("kernel to SoftSocket", "can-isotp to kernel")[: 2 if where else 1]:
        report.figure(f"{name} / kernel to kernel", figures.ratio((name, SIZE), ("kernel to kernel", SIZE)))
    return report.missed


def gaps() -> int:
    sys.path.insert(0, SRC)
    missed = 0
    for number, stmin in enumerate(STMINS_MS):
        kernel, soft = 10 + 2 * number, 11 + 2 * number
        of = {"kernel": (kernel_to_kernel(kernel, stmin), kernel), "SoftSocket": (soft_to_kernel(soft, stmin), soft)}
        found: dict[str, list[float]] = {name: [] for name in of}
        for _ in range(GAPS_OF[stmin]):
            for name, (transfer, which) in of.items():
                found[name] += gaps_ms(transfer, ids(which)[0], 1)
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
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(CONTENDERS[args.serve]())
        return 0
    return bool(times(args.can_isotp, args.rounds) + gaps())


if __name__ == "__main__":
    sys.exit(main())
