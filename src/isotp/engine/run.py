"""A run: full consecutive frames in the middle of a block, taken without being decoded.

Most frames of a long message are such, so this is where the time goes. The engine only compares a frame with
what the run has next and appends it; everything else is done once per run.
"""

from typing import Final

from .n_pdu import NPciType

RUN_MAX: Final = 1024
_PCIS: Final = tuple(NPciType.CF << 4 | i & 0x0F for i in range(16 + RUN_MAX))
_END: Final = -1


class Run:
    """What may come next without a decision, and what has come.

    Args:
        pci_at: index of the N_PCI byte.
    """

    __slots__ = ("frames", "heard_ns", "length", "pci_at", "pcis")

    def __init__(self, pci_at: int) -> None:
        self.pci_at = pci_at
        self.frames: list[bytes] = []
        self.pcis: tuple[int, ...] = (_END,)
        """The N_PCI bytes of the whole run, also of what came; then an end that no byte equals."""
        self.length = -1
        """Bytes in each frame; no frame has -1."""
        self.heard_ns = 0
        """When the last frame came."""

    def open(self, sn: int, count: int) -> None:
        """Let `count` frames come, the first with sequence number `sn`."""
        self.pcis = (*_PCIS[sn : sn + min(count, RUN_MAX)], _END)

    def keep(self, frame_data: bytes, now: int) -> bool:
        """Take a frame if it is the next one of the run."""
        # Engine.receive_frame does the same without the call.
        if len(frame_data) == self.length and frame_data[self.pci_at] == self.pcis[len(self.frames)]:
            self.frames.append(frame_data)
            self.heard_ns = now
            return True
        return False

    def keep_all(self, frames_data: list[bytes], now: int) -> bool:
        """Take frames if they are the next ones of the run, all of them; otherwise none."""
        begin = len(self.frames)
        if {*map(len, frames_data)} != {self.length}:
            return False
        pcis = b"".join(frames_data)[self.pci_at :: self.length]
        if tuple(pcis) != self.pcis[begin : begin + len(pcis)]:
            return False
        self.frames += frames_data
        self.heard_ns = now
        return True

    @property
    def room(self) -> int:
        """How many frames may still come."""
        return len(self.pcis) - 1 - len(self.frames)

    def close(self) -> list[bytes]:
        """Let no more frames come; returns those that came."""
        frames = self.frames
        self.frames = []
        self.pcis = (_END,)
        return frames

    def join(self, frames: list[bytes]) -> bytearray:
        """The data in `frames`: all their bytes but the headers."""
        joined = bytearray().join(frames)
        for header in range(self.pci_at + 1):
            del joined[:: self.length - header]
        return joined
