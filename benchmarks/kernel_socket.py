"""isotp.socket against the plain socket with the same guarantee, in one run: `make bench`.

A message goes from one socket to another.

* careful: `socket.socket`, with what a confirmed send takes by hand: send, poll for POLLOUT, fetch the error;
  a buffer for the longest message.
* WAIT_TX_DONE: `socket.socket` blocked in the kernel until the message is out. One call less, and no timeout, no
  close() and no telling of errors apart.
* isotp: `isotp.socket` as it comes.
"""

import os
import select
import socket
import struct
import subprocess
import sys
from functools import partial

from contest import Report, Transfer, in_turn, seconds_per_message

import isotp
from isotp import opts
from isotp.linux.constants import CAN_ISOTP_OPTS, SOL_CAN_ISOTP
from isotp.linux.modules import max_pdu_size

ROUNDS = 21
SECONDS_PER_ROUND = 0.25


def native(rxid: int, txid: int, flags: int = 0) -> socket.socket:
    sock = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    packed = struct.pack("=IIBBBB", flags, 0, 0, 0, 0, 0)
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, packed)
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


def careful() -> Transfer:
    a, b = native(0x101, 0x102), native(0x102, 0x101)
    size = max_pdu_size()
    poll = select.poll()
    poll.register(a, select.POLLOUT)

    def transfer(data: bytes) -> bytes:
        confirmed_send(a, poll, data)
        return b.recv(size)

    return transfer


def wait_tx_done() -> Transfer:
    a, b = native(0x103, 0x104, int(opts.flags.WAIT_TX_DONE)), native(0x104, 0x103)
    size = max_pdu_size()

    def transfer(data: bytes) -> bytes:
        a.send(data)
        return b.recv(size)

    return transfer


def ours() -> Transfer:
    a, b = isotp.socket(), isotp.socket()
    a.bind("vcan0", rxid=0x105, txid=0x106)
    b.bind("vcan0", rxid=0x106, txid=0x105)

    def transfer(data: bytes) -> bytes:
        a.send(data)
        return b.recv()

    return transfer


def compare(size: int) -> None:
    transfers = {"careful": careful(), "WAIT_TX_DONE": wait_tx_done(), "isotp": ours()}
    count = max(1, int(SECONDS_PER_ROUND / seconds_per_message(transfers["careful"], size, 3)))
    contenders = {name: partial(seconds_per_message, transfer, size, count) for name, transfer in transfers.items()}
    times = in_turn(contenders, ROUNDS)
    report = Report(f"isotp.socket, {size} bytes, sent and received")
    for name, seconds in times.medians().items():
        report.time(name, seconds)
    for name in ("careful", "WAIT_TX_DONE"):
        report.figure(f"isotp / {name}", times.ratio("isotp", name))


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
    times = in_turn({name: partial(import_seconds, statement) for name, statement in statements.items()}, ROUNDS)
    report = Report("Loading, each in a fresh interpreter")
    for name, seconds in times.medians().items():
        report.time(name, seconds)
    report.figure(
        "isotp.socket / the standard library's modules it needs", times.ratio("isotp.socket", "standard library")
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["imports"]:
        compare_imports()
    else:
        for length in (4, 4095):
            compare(length)
