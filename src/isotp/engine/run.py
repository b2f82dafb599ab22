"""A run: full consecutive frames in the middle of a block, accepted without being decoded.

Most frames of a long message are of this kind, so they decide how fast it is. The engine compares a frame with what the
run expects next and appends it; everything else is done once for the whole run.
"""

from typing import Final

from .n_pdu import NPciType

RUN_MAX: Final = 1024
_PCIS: Final = tuple(NPciType.CF << 4 | i & 0x0F for i in range(16 + RUN_MAX))
_END: Final = -1


class Run:
    """The frames that are accepted without a decision: those expected, and those that have arrived.

    Args:
        pci_at: index of the N_PCI byte.
    """

    __slots__ = ("frames", "heard_ns", "length", "pci_at", "pcis")

    def __init__(self, pci_at: int) -> None:
        self.pci_at = pci_at
        self.frames: list[bytes] = []
        self.pcis: tuple[int, ...] = (_END,)
        """The N_PCI bytes of the whole run, from its first frame on; then a value that no byte equals."""
        self.length = -1
        """Bytes in each frame; no frame has -1."""
        self.heard_ns = 0
        """When the last frame of the message arrived, in nanoseconds."""

    def open(self, sn: int, count: int) -> None:
        """Expect `count` frames, the first with sequence number `sn`."""
        self.pcis = (*_PCIS[sn : sn + min(count, RUN_MAX)], _END)

    def keep_all(self, frames_data: list[bytes], now: int) -> bool:
        """Accept all of these frames if they are the next ones of the run; otherwise none."""
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
        """How many frames are still expected."""
        return len(self.pcis) - 1 - len(self.frames)

    def close(self) -> list[bytes]:
        """Expect no more frames; returns those that have arrived."""
        frames = self.frames
        self.frames = []
        self.pcis = (_END,)
        return frames

    def join(self, frames: list[bytes]) -> bytearray:
        """The data in `frames`: all their bytes without address and N_PCI."""
        joined = bytearray().join(frames)
        for header in range(self.pci_at + 1):
            del joined[:: self.length - header]
        return joined
