"""isotp.socket against the plain socket with the same guarantee, in one run: `make bench`.

A round sends one message from one socket and receives it on another. The rounds of the contenders are interleaved;
the figure is the median time per message, the ratio the median of the ratios of neighbouring rounds.

* careful: `socket.socket`, with what a confirmed send takes by hand: send, poll for POLLOUT, fetch the error;
  a buffer for the longest message.
* WAIT_TX_DONE: `socket.socket` blocked in the kernel until the message is out. One call less, and no timeout, no
  close() and no telling of errors apart.
* isotp: `isotp.socket` as it comes.
"""

import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable

import isotp
from isotp import opts
from isotp.kernel import support

ROUNDS = 21
SECONDS_PER_ROUND = 0.25


def native(rxid: int, txid: int, flags: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    packed = struct.pack("=IIBBBB", flags, 0, 0, 0, 0, 0)
    sock.setsockopt(opts.SOL_CAN_ISOTP, opts.CAN_ISOTP_OPTS, packed)
    sock.bind(("vcan0", rxid, txid))
    return sock


def confirmed_send(sock: socket.socket, poll: select.poll, data: bytes) -> int:
    """What a confirmed send takes by hand: hand over, wait until it is out, look whether it failed."""
    sent = sock.send(data)
    poll.poll()
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # POLLOUT alone may come just before POLLERR
    if number:
        raise OSError(number, os.strerror(number))
    return sent


def careful(data: bytes) -> Callable[[], bytes]:
    a, b = native(0x101, 0x102), native(0x102, 0x101)
    size = support.max_pdu_size()
    poll = select.poll()
    poll.register(a, select.POLLOUT)

    def once() -> bytes:
        confirmed_send(a, poll, data)
        return b.recv(size)

    return once


def wait_tx_done(data: bytes) -> Callable[[], bytes]:
    a, b = native(0x103, 0x104, int(opts.flags.WAIT_TX_DONE)), native(0x104, 0x103)
    size = support.max_pdu_size()

    def once() -> bytes:
        a.send(data)
        return b.recv(size)

    return once


def ours(data: bytes) -> Callable[[], bytes]:
    a, b = isotp.socket(), isotp.socket()
    a.bind("vcan0", rxid=0x105, txid=0x106)
    b.bind("vcan0", rxid=0x106, txid=0x105)

    def once() -> bytes:
        a.send(data)
        return b.recv()

    return once


def seconds_per_message(once: Callable[[], bytes], count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        once()
    return (time.perf_counter() - start) / count


def compare(size: int) -> None:
    data = bytes(i & 0xFF for i in range(size))
    contenders = {"careful": careful(data), "WAIT_TX_DONE": wait_tx_done(data), "isotp": ours(data)}
    for once in contenders.values():
        assert once() == data
    count = max(1, int(SECONDS_PER_ROUND / seconds_per_message(contenders["careful"], 3)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, once in contenders.items():
            times[name].append(seconds_per_message(once, count))
    for name, seconds in times.items():
        print(f"{size:5} bytes  {name:13}{statistics.median(seconds) * 1e6:12.1f} us per message", flush=True)
    for name in ("careful", "WAIT_TX_DONE"):
        ratio = statistics.median(o / t for o, t in zip(times["isotp"], times[name], strict=True))
        print(f"{size:5} bytes  isotp / {name:13} = {ratio:.2f}", flush=True)


def import_seconds(statement: str) -> float:
    """How long `statement` takes in a fresh interpreter."""
    code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout)


def compare_imports() -> None:
    needed = "import contextlib, dataclasses, enum, fcntl, queue, re, select, socket, struct, typing, warnings"
    statements = {
        "import isotp": "import isotp",
        "isotp.socket": "import isotp; isotp.socket",
        "standard library": needed,
    }
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(ROUNDS):
        for name, statement in statements.items():
            times[name].append(import_seconds(statement))
    for name, seconds in times.items():
        print(f"{name:17}{statistics.median(seconds) * 1e3:8.2f} ms")
    print(
        f"loading isotp.socket / loading the modules of the standard library it needs = "
        f"{statistics.median(times['isotp.socket']) / statistics.median(times['standard library']):.2f}"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["imports"]:
        compare_imports()
    else:
        for length in (4, 4095):
            compare(length)
