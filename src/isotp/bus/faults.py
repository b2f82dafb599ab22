"""Faults: random faults on a VirtualBus, the same ones for the same seed."""

import random

from ..can_frame import CanFrame
from ..errors import OptionError


class Faults:
    """Random faults for `VirtualBus(fate=Faults(seed, loss=0.01))`, the same ones for the same seed.

    Args:
        seed: of the random numbers.
        loss: probability that a frame does not arrive.
        repeat: probability that it arrives twice.
        corrupt: probability that one bit of its data is wrong.
        jitter_ns: longest random delay of a frame, in nanoseconds; frames overtake each other.

    Raises:
        OptionError: a value out of range.
    """

    def __init__(
        self, seed: int, *, loss: float = 0.0, repeat: float = 0.0, corrupt: float = 0.0, jitter_ns: int = 0
    ) -> None:
        for name, value in (("loss", loss), ("repeat", repeat), ("corrupt", corrupt)):
            if not 0 <= value <= 1:
                raise OptionError(f"{name}={value!r}: allowed is a probability, 0 to 1")
        if jitter_ns < 0:
            raise OptionError(f"jitter_ns={jitter_ns}: allowed is 0 or more nanoseconds")
        self._random = random.Random(seed)
        self._loss, self._repeat, self._corrupt, self._jitter_ns = loss, repeat, corrupt, jitter_ns

    def __call__(self, frame: CanFrame) -> list[tuple[int, CanFrame]]:
        """The copies of `frame` that arrive: the delay of each in nanoseconds, and the frame as it arrives."""
        # As many random numbers for every frame: a fault does not change the faults of later frames.
        lost, repeated, corrupted, bit = (self._random.random() for _ in range(4))
        delays = [self._random.randint(0, self._jitter_ns) for _ in range(2)]
        if lost < self._loss:
            return []
        if corrupted < self._corrupt and frame.data:
            frame = frame._replace(data=_flip(frame.data, int(bit * 8 * len(frame.data))))
        return [(delay_ns, frame) for delay_ns in delays[: 2 if repeated < self._repeat else 1]]


def _flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)
