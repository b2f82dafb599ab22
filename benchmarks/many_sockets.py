"""What many kernel sockets cost: binding 1,000 of them, and closing 500 AsyncSockets in an event loop.

* binds: `isotp.socket` compared with a plain socket with the same options, each with identifiers of its own.
* closes: how long the event loop is held at most while sockets are closed one after the other, and all in one go.
"""

import asyncio
import contextlib
import socket
import sys
from itertools import count
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
    """A plain socket that tells of losses and times, as `isotp.socket` does."""
    sock = socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
    sock.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, ISOTP_OPTIONS.pack(0, 50_000, 0, 0xCC, 0xCC, 0))
    sock.bind((INTERFACE, *ids(number)))
    return sock


def ours(number: int) -> isotp.socket:
    rxid, txid = ids(number)
    sock = isotp.socket()
    sock.bind(INTERFACE, isotp.Address(isotp.AddressingMode.Normal_29bits, rxid=rxid & 0x1FFFFFFF, txid=txid & 0x1FFFFFFF))
    return sock


def seconds_per_bind(make: "Callable[[int], object]", first: int) -> float:
    start = perf_counter()
    kept = [make(number) for number in range(first, first + BINDS)]
    seconds = (perf_counter() - start) / BINDS
    for sock in kept:
        sock.close()
    return seconds
