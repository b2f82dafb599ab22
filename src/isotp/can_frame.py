"""CanFrame, as engine and buses use it, and the lengths that a CAN frame can have."""

from collections.abc import Iterable
from itertools import repeat
from typing import Final, NamedTuple

CLASSICAL_MAX_LENGTH: Final = 8
TX_DLS: Final = (8, 12, 16, 20, 24, 32, 48, 64)
DEFAULT_PADDING: Final = 0xCC
"""As in Linux."""

# ISO 11898-1:2015, DLC: the index is the code, the value the number of data bytes.
LENGTH_OF_DLC: Final = (0, 1, 2, 3, 4, 5, 6, 7, *TX_DLS)
DLC_OF_LENGTH: Final = {length: dlc for dlc, length in enumerate(LENGTH_OF_DLC)}
# The length of the shortest frame that holds so many bytes (the index).
PADDED_LENGTH: Final = tuple(next(have for have in LENGTH_OF_DLC if have >= n) for n in range(65))


class CanFrame(NamedTuple):
    """One data frame."""

    can_id: int
    """The identifier, with CAN_EFF_FLAG set where it has 29 bits."""
    data: bytes
    is_fd: bool = False
    bitrate_switch: bool = False
    """Whether the data of a CAN FD frame is sent at the faster bit rate (BRS)."""


def can_frames(can_id: int, payloads: Iterable[bytes], is_fd: bool, bitrate_switch: bool) -> list[CanFrame]:
    """A CanFrame for each payload; it takes half the time of calling CanFrame for each."""
    fields = zip(repeat(can_id), payloads, repeat(is_fd), repeat(bitrate_switch), strict=False)
    return list(map(tuple.__new__, repeat(CanFrame), fields))


def pad(data: bytes, fill: bytes, least: int) -> bytes:
    """`data` extended with the byte `fill` to the shortest length that CAN has and that is not below `least`.

    A CAN FD frame of more than 8 bytes is padded in any case (ISO 15765-2:2016, 10.4.2). `least` is a length that CAN
    has.
    """
    length = PADDED_LENGTH[len(data)]
    return data.ljust(length if length > least else least, fill)
