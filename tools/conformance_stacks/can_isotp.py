"""can-isotp's TransportLayerLogic, without I/O, by a clock that only the case advances."""

import logging
import sys
from collections import deque
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent))
from serving import Clock, Stack, serve

logging.disable()
clock = Clock()
clock.install()

import isotp  # noqa: E402 - the clock comes first

STEP_NS = 50_000
EFF = 0x80000000
RESULTS = {
    "FlowControlTimeoutError": "N_TIMEOUT_Bs",
    "ConsecutiveFrameTimeoutError": "N_TIMEOUT_Cr",
    "WrongSequenceNumberError": "N_WRONG_SN",
    "ReceptionInterruptedWithSingleFrameError": "N_UNEXP_PDU",
    "ReceptionInterruptedWithFirstFrameError": "N_UNEXP_PDU",
    "OverflowError": "N_BUFFER_OVFLW",
    "FrameTooLongError": "N_BUFFER_OVFLW",
    "MaximumWaitFrameReachedError": "N_WFT_OVRN",
}
# These tell of an ignored frame, or end a transmission: which it was shows only in what goes on.
ENDS_SENDING = {"InvalidCanDataError": "N_INVALID_FS", "UnsupportedWaitFrameError": "N_WFT_OVRN"}


class CanIsotp(Stack):
    def open(self, setup: dict[str, Any]) -> None:
        self.heard: deque[isotp.CanMessage] = deque()
        params = {
            "can_fd": setup["can_fd"],
            "tx_data_length": setup["tx_dl"],
            "tx_padding": setup["padding"],
            "tx_data_min_length": None if setup["padding"] is None else 8,
            "blocksize": setup["bs"],
            "stmin": setup["stmin"],
            "max_frame_size": setup["max_size"] or 1 << 20,
            "wftmax": 100,  # 0, its default, takes no WAIT at all: this is more than any case sends
        }
        self.layer = isotp.TransportLayerLogic(
            rxfn=lambda timeout=0: self.heard.popleft() if self.heard else None,
            txfn=self.sent,
            address=address(setup["address"]),
            error_handler=self.failed,
            params=params,
        )
        self.was_sending = self.has_failed = False

    def now(self) -> int:
        return clock.ns

    def sent(self, message: isotp.CanMessage) -> None:
        can_id = message.arbitration_id | (EFF if message.is_extended_id else 0)
        self.frames.append((clock.ns, can_id, bytes(message.data), bool(message.is_fd)))

    def failed(self, error: Exception) -> None:
        name = type(error).__name__
        if name == "OverflowError" and not self.was_sending:
            return  # a flow control that it ignored
        if result := RESULTS.get(name):
            self.reports.append((clock.ns, result, b"", str(error)))
            self.has_failed = self.has_failed or result in ("N_TIMEOUT_Bs", "N_BUFFER_OVFLW", "N_WFT_OVRN")
        elif name in ENDS_SENDING and self.was_sending:
            self.ending = (ENDS_SENDING[name], str(error))

    def feed(self, can_id: int, data: bytes, is_fd: bool) -> None:
        self.heard.append(isotp.CanMessage(can_id & ~EFF, len(data), data, extended_id=bool(can_id & EFF), is_fd=is_fd))
        self.process()

    def ask(self, data: bytes) -> None:
        self.layer.send(data)
        self.was_sending, self.has_failed = True, False
        self.process()

    def process(self) -> None:
        self.ending: tuple[str, str] | None = None
        for _ in range(3):
            self.layer.process()
        if self.was_sending and not self.layer.transmitting():
            self.was_sending = False
            if self.ending is not None:
                self.reports.append((clock.ns, self.ending[0], b"", self.ending[1]))
            elif not self.has_failed:
                self.reports.append((clock.ns, "sent", b"", ""))
        while (data := self.layer.recv()) is not None:
            self.reports.append((clock.ns, "message", bytes(data), ""))

    def step(self, until_ns: int) -> None:
        clock.ns = max(clock.ns, min(until_ns, clock.ns + STEP_NS))
        self.process()


def address(given: dict[str, Any]) -> isotp.Address:
    mode = isotp.AddressingMode(given.pop("mode"))
    given.pop("functional")
    return isotp.Address(mode, **{name: value for name, value in given.items() if value is not None})


serve(CanIsotp())
