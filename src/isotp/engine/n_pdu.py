"""The four protocol data units (ISO 15765-2:2016, 9.4 and 9.6): to bytes and back.

`encode` returns the bytes of a frame before padding. `decode` never raises: it returns `Malformed` for a frame that is
no N_PDU.
"""

from collections.abc import Callable
from enum import IntEnum
from itertools import cycle, islice
from struct import unpack
from typing import Final, NamedTuple

from ..can_frame import CLASSICAL_MAX_LENGTH, TX_DLS
from .events import IgnoreReason

FF_DL_12BIT_MAX: Final = 0xFFF
FF_DL_MAX: Final = 0xFFFFFFFF
FLOW_CONTROL_SIZE: Final = 3


class NPciType(IntEnum):
    """The high nibble of the first N_PCI byte (9.6.1)."""

    SF = 0
    FF = 1
    CF = 2
    FC = 3


class FlowStatus(IntEnum):
    """The flow status of a flow control (9.6.5.1); 3 to 15 are reserved."""

    CTS = 0
    WAIT = 1
    OVFLW = 2


class SingleFrame(NamedTuple):
    """A whole message (SF)."""

    data: bytes

    def encode(self, address: bytes = b"", least: int = 0) -> bytes:
        """The frame's bytes, with the SF_DL escape (9.6.2.1) if they do not fit 8 bytes, or are padded to `least`."""
        if len(self.data) < CLASSICAL_MAX_LENGTH - len(address) and least <= CLASSICAL_MAX_LENGTH:
            return address + _BYTES[len(self.data)] + self.data
        return address + b"\0" + _BYTES[len(self.data)] + self.data


class FirstFrame(NamedTuple):
    """The beginning of a message of `length` bytes (FF)."""

    length: int
    data: bytes

    def encode(self, address: bytes = b"") -> bytes:
        """The frame's bytes, FF_DL in 12 bits if it fits, else in 32 (9.6.3.1)."""
        if self.length <= FF_DL_12BIT_MAX:
            return address + (0x1000 | self.length).to_bytes(2, "big") + self.data
        return address + b"\x10\x00" + self.length.to_bytes(4, "big") + self.data


class ConsecutiveFrame(NamedTuple):
    """A part of a message (CF). After `decode` the data of the last one still has its padding."""

    sn: int
    data: bytes

    def encode(self, address: bytes = b"") -> bytes:
        """The frame's bytes."""
        return address + _BYTES[0x20 | self.sn] + self.data


class FlowControl(NamedTuple):
    """The receiver's answer to a first frame and to each block (FC). `status` may be a reserved value."""

    status: int
    bs: int
    stmin: int

    def encode(self, address: bytes = b"") -> bytes:
        """The frame's bytes."""
        return address + bytes((0x30 | self.status, self.bs, self.stmin))


class Malformed(NamedTuple):
    """A frame that is no N_PDU; `pci_type` is the type in its N_PCI, None if that type does not exist."""

    pci_type: NPciType | None
    reason: str
    """In words, with the numbers."""
    why: IgnoreReason = IgnoreReason.INVALID


NPdu = SingleFrame | FirstFrame | ConsecutiveFrame | FlowControl


def single_frame_capacity(dl: int, address_size: int) -> int:
    """How long a message a single frame of at most `dl` bytes holds (9.6.2.1)."""
    pci_size = 1 if dl == CLASSICAL_MAX_LENGTH else 2
    return dl - address_size - pci_size


def single_frame_end(frame_data: bytes, address_size: int, length: int) -> int:
    """Where the padding of a single frame begins."""
    return address_size + (1 if len(frame_data) <= CLASSICAL_MAX_LENGTH else 2) + length


def first_frame_capacity(dl: int, address_size: int, length: int) -> int:
    """How many bytes of a message of `length` bytes are in its first frame."""
    return dl - address_size - (2 if length <= FF_DL_12BIT_MAX else 6)


def encode_run(data: bytes, address: bytes, sn: int, size: int) -> list[bytes]:
    """The full consecutive frames of `data`, `size` bytes in each, the first with sequence number `sn`."""
    width = len(address) + 1 + size
    count = len(data) // size
    if count < 3 * size:
        heads = islice(cycle(_BYTES[0x20:0x30]), sn, None)
        begins = range(0, count * size, size)
        return [address + head + data[i : i + size] for head, i in zip(heads, begins, strict=False)]
    # A long run is built by columns: one assignment sets the bytes of all frames at one position.
    run = bytearray(count * width)
    columns = [*(bytes((byte,)) * count for byte in address), (_CF_PCIS * (count // 16 + 2))[sn : sn + count]]
    columns += [data[i : count * size : size] for i in range(size)]
    for i, column in enumerate(columns):
        run[i::width] = column
    return list(unpack(f"{width}s" * count, run))


_BYTES: Final = tuple(bytes((i,)) for i in range(256))
_CF_PCIS: Final = bytes(range(0x20, 0x30))
_MISSING_ESCAPE: Final = IgnoreReason.MISSING_ESCAPE
_RX_DL_TOO_SMALL: Final = IgnoreReason.RX_DL_TOO_SMALL


def decode(frame_data: bytes, address_size: int = 0) -> NPdu | Malformed:
    """The N_PDU in `frame_data`, after `address_size` address bytes; never raises."""
    if len(frame_data) <= address_size:
        return Malformed(None, "empty frame")
    if len(frame_data) > TX_DLS[-1]:
        return Malformed(None, f"frame of {len(frame_data)} bytes")
    kind = frame_data[address_size] >> 4
    if kind >= len(_DECODERS):
        return Malformed(None, f"reserved N_PCI type {kind}")
    return _DECODERS[kind](frame_data, address_size)


def _decode_consecutive(frame_data: bytes, start: int) -> ConsecutiveFrame:
    return ConsecutiveFrame(frame_data[start] & 0x0F, frame_data[start + 1 :])


def _decode_single(frame_data: bytes, start: int) -> SingleFrame | Malformed:
    length = frame_data[start] & 0x0F
    begin = start + 1
    if len(frame_data) > CLASSICAL_MAX_LENGTH:
        # 9.6.2.2: above 8 bytes only the escape is valid; SF_DL is in the next byte.
        if length:
            return Malformed(NPciType.SF, f"no SF_DL escape in a frame of {len(frame_data)} bytes", _MISSING_ESCAPE)
        length = frame_data[begin]
        begin += 1
    # 9.6.2.2: a frame whose SF_DL is 0 or more than it holds is ignored. A frame that is longer than necessary is
    # accepted, as in Linux, unless `check_padding_length` is set.
    if not 0 < length <= len(frame_data) - begin:
        return Malformed(NPciType.SF, f"SF_DL {length} in a frame of {len(frame_data)} bytes")
    return SingleFrame(frame_data[begin : begin + length])


def _decode_first(frame_data: bytes, start: int) -> FirstFrame | Malformed:
    # 9.6.3.2: a first frame is full; its length is RX_DL (9.5.4).
    if len(frame_data) not in TX_DLS:
        return Malformed(NPciType.FF, f"first frame of {len(frame_data)} bytes", _RX_DL_TOO_SMALL)
    length = int.from_bytes(frame_data[start : start + 2], "big") & FF_DL_12BIT_MAX
    begin = start + 2
    if not length:
        begin = start + 6
        length = int.from_bytes(frame_data[start + 2 : begin], "big")
        # 9.6.3.2: the escape is only for lengths above 12 bits; otherwise the frame is ignored.
        if length <= FF_DL_12BIT_MAX:
            return Malformed(NPciType.FF, f"FF_DL escape for {length} bytes")
    # 9.6.3.2: a first frame with an FF_DL below FF_DLmin, which fits a single frame, is ignored.
    if length <= single_frame_capacity(len(frame_data), start):
        return Malformed(NPciType.FF, f"FF_DL {length} fits a single frame")
    return FirstFrame(length, frame_data[begin:])


def _decode_flow_control(frame_data: bytes, start: int) -> FlowControl | Malformed:
    if len(frame_data) < start + FLOW_CONTROL_SIZE:
        return Malformed(NPciType.FC, f"flow control of {len(frame_data) - start} bytes instead of 3")
    return FlowControl(frame_data[start] & 0x0F, frame_data[start + 1], frame_data[start + 2])


# By NPciType.
_DECODERS: Final[tuple[Callable[[bytes, int], NPdu | Malformed], ...]] = (
    _decode_single,
    _decode_first,
    _decode_consecutive,
    _decode_flow_control,
)
