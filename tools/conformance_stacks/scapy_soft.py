"""scapy's ISOTPSoftSocket on a bus in memory, in real time."""

import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))
from scapy.config import conf
from serving import Stack, serve

conf.contribs["ISOTP"] = {"use-can-isotp-kernel-module": False}

from scapy.contrib.isotp import ISOTP, ISOTPSoftSocket  # noqa: E402 - its configuration comes first
from scapy.layers.can import CAN, CANFD  # noqa: E402
from scapy.supersocket import SuperSocket  # noqa: E402

EFF = 0x80000000
LENGTHS = (*range(9), 12, 16, 20, 24, 32, 48, 64)


class Bus(SuperSocket):
    def __init__(self, stack: "Scapy") -> None:
        self.stack = stack
        self.heard: deque[Any] = deque()
        self.closed = False

    def recv(self, x: int = 0, **_: Any) -> Any:
        return self.heard.popleft() if self.heard else None

    def send(self, packet: Any) -> int:
        can_id = packet.identifier | (EFF if packet.flags & 4 else 0)
        data = bytes(packet.data)
        data = data.ljust(next(length for length in LENGTHS if length >= len(data)), b"\0")  # as a controller does
        self.stack.frames.append((time.monotonic_ns(), can_id, data, isinstance(packet, CANFD)))
        return len(data)

    @staticmethod
    def select(sockets: list[Any], remain: float | None = None) -> list[Any]:
        return [one for one in sockets if one.heard]

    def close(self) -> None:
        self.closed = True


class Scapy(Stack):
    def open(self, setup: dict[str, Any]) -> None:
        self.bus = Bus(self)
        tx, rx = setup["address"]["tx"], setup["address"]["rx"]
        self.rx_id = rx[0]
        self.sock = ISOTPSoftSocket(
            self.bus,
            tx_id=tx[0] & ~EFF,
            rx_id=rx[0] & ~EFF,
            ext_address=tx[1],
            rx_ext_address=rx[1],
            bs=setup["bs"],
            stmin=setup["stmin"],
            fd=setup["can_fd"],
        )

    def close(self) -> None:
        self.sock.close()

    def now(self) -> int:
        return time.monotonic_ns()

    def feed(self, can_id: int, data: bytes, is_fd: bool) -> None:
        if can_id != self.rx_id:  # its documentation asks for such a filter
            return
        kind = CANFD if is_fd else CAN
        flags = "extended" if can_id & EFF else 0
        self.bus.heard.append(kind(identifier=can_id & ~EFF, flags=flags, length=len(data), data=data))

    def ask(self, data: bytes) -> None:
        self.sock.send(ISOTP(data))

    def step(self, until_ns: int) -> None:
        time.sleep(0.0005)
        while ISOTPSoftSocket.select([self.sock], 0):
            packet = self.sock.recv()
            if packet is None:
                break
            self.reports.append((time.monotonic_ns(), "message", bytes(packet.data), ""))


serve(Scapy())
