"""`automotive` (its core is in Rust) on vcan0, in real time; the tester is a raw socket on the same interface."""

import socket
import struct
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))
from automotive.can import Identifier
from automotive.sync.adapters import SocketCanAdapter
from automotive.sync.transports.isotp import IsoTP
from automotive.transports.isotp import IsoTPConfig
from serving import Stack, serve

INTERFACE = "vcan0"
EFF = 0x80000000
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
TIMESPEC = struct.Struct("@ll")
HEADER = struct.Struct("=IBB2x")
SEPARATION = {0xF0 + n: n * 1e-4 for n in range(1, 10)}


class Automotive(Stack):
    def open(self, setup: dict[str, Any]) -> None:
        self.raw = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        self.raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        self.raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
        self.raw.bind((INTERFACE,))
        self.raw.settimeout(0)
        tx, rx = setup["address"]["tx"], setup["address"]["rx"]
        stmin = setup["stmin"]
        self.adapter = SocketCanAdapter(INTERFACE)
        self.transport = IsoTP(
            self.adapter,
            IsoTPConfig(
                tx_id=Identifier(tx[0] & ~EFF, bool(tx[0] & EFF)),
                rx_id=Identifier(rx[0] & ~EFF, bool(rx[0] & EFF)),
                fd=setup["can_fd"],
                padding=setup["padding"],
                max_dlen=setup["tx_dl"] if setup["can_fd"] else None,
                ext_address=tx[1],
                rx_ext_address=rx[1],
                block_size=setup["bs"],
                receive_separation_time_min=SEPARATION.get(stmin, stmin / 1000),
            ),
        )
        self.is_closing = False
        self.receiver = self.transport.recv()
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()
        time.sleep(0.02)

    def receive(self) -> None:
        while not self.is_closing:
            try:
                data = next(self.receiver)
            except TimeoutError as e:
                if "idle" not in str(e).lower():  # its limit for the time between two messages raises as well
                    self.reports.append((time.time_ns(), "N_TIMEOUT_Cr", b"", str(e)))
            except Exception as e:
                if self.is_closing:
                    return
                if "malformed" not in str(e).lower():  # those it says of frames that it ignores
                    self.reports.append((time.time_ns(), result(e), b"", f"{type(e).__name__}: {e}"))
                time.sleep(0.01)
            else:
                self.reports.append((time.time_ns(), "message", bytes(data), ""))

    def close(self) -> None:
        self.is_closing = True
        self.receiver.close()
        self.thread.join(3)
        self.transport.close()
        self.adapter.close()
        self.raw.close()

    def now(self) -> int:
        return time.time_ns()

    def feed(self, can_id: int, data: bytes, is_fd: bool) -> None:
        self.raw.send(HEADER.pack(can_id, len(data), 0) + data.ljust(64 if is_fd else 8, b"\0"))

    def ask(self, data: bytes) -> None:
        def send() -> None:
            try:
                self.transport.send(data)
            except TimeoutError as e:
                self.reports.append((time.time_ns(), "N_TIMEOUT_Bs", b"", str(e)))
            except Exception as e:
                self.reports.append((time.time_ns(), result(e), b"", f"{type(e).__name__}: {e}"))
            else:
                self.reports.append((time.time_ns(), "sent", b"", ""))

        threading.Thread(target=send, daemon=True).start()

    def step(self, until_ns: int) -> None:
        try:
            raw, control, _, _ = self.raw.recvmsg(72, 64)
        except BlockingIOError:
            time.sleep(0.0005)
            return
        can_id, length, _ = HEADER.unpack_from(raw)
        seconds, ns = TIMESPEC.unpack(control[0][2])
        self.frames.append((seconds * 1_000_000_000 + ns, can_id, raw[8 : 8 + length], len(raw) == 72))


def result(error: Exception) -> str:
    """The N_Result that the error's text speaks of."""
    text = str(error).lower()
    for words, name in (
        (("sequence", "index", "out of order"), "N_WRONG_SN"),
        (("overflow",), "N_BUFFER_OVFLW"),
        (("malformed",), "N_INVALID_FS"),  # while it sends
        (("interrupt", "unexpected"), "N_UNEXP_PDU"),
    ):
        if any(word in text for word in words):
            return name
    return "N_ERROR"


serve(Automotive())
