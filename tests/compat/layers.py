"""A transport layer whose frames and clock belong to the test."""

from collections import deque
from typing import Any

import isotp
from isotp.compat.logic import TransportLayerLogic

ADDRESS = isotp.Address(txid=0x456, rxid=0x123)


class Layer(TransportLayerLogic):
    """A `TransportLayerLogic` with a fake clock; frames are strings: identifier, data, in hexadecimal."""

    def __init__(self, address: Any = ADDRESS, **params: Any) -> None:
        self.now_s = 100.0
        self.clock = lambda: round(self.now_s * 1e9)
        self.frames: deque[isotp.CanMessage] = deque()
        self.sent: list[isotp.CanMessage] = []
        self.errors: list[Exception] = []
        super().__init__(self._rxfn, self.sent.append, address, self.errors.append, params)

    def _rxfn(self, timeout: float) -> isotp.CanMessage | None:
        return self.frames.popleft() if self.frames else None

    def arrive(self, *frames: str, can_id: int = 0x123, extended: bool = False, is_fd: bool = False) -> None:
        for frame in frames:
            data = bytes.fromhex(frame)
            self.frames.append(isotp.CanMessage(can_id, min(len(data), 15), data, extended, is_fd))

    def take(self) -> list[str]:
        """The frames sent since the last call."""
        taken = [f"{message.arbitration_id:X} {bytes(message.data).hex(' ').upper()}" for message in self.sent]
        self.sent.clear()
        return taken

    def take_errors(self) -> list[type[Exception]]:
        """The classes of the errors since the last call."""
        taken = [type(error) for error in self.errors]
        self.errors.clear()
        return taken

    def exchange(self, *frames: str, **kind: Any) -> list[str]:
        """Let `frames` arrive, process them, and return the frames sent."""
        self.arrive(*frames, **kind)
        self.process()
        return self.take()


def first_and_rest(data: bytes) -> list[str]:
    """A message in frames of Classical CAN."""
    frames = [f"1{len(data):03X}{data[:6].hex()}"]
    for i, begin in enumerate(range(6, len(data), 7), start=1):
        frames.append(f"2{i & 15:X}{data[begin : begin + 7].hex()}")
    return frames
