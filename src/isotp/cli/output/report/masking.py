"""What a report shows of a message: its bytes in hexadecimal, with vehicle identification numbers as XX if wanted."""

import re
from typing import Final

from ....capture.message import Message

MASKED: Final = "XX"
_LENGTH: Final = 17
_VIN: Final = re.compile(rb"[A-HJ-NPR-Z0-9]{%d,}" % _LENGTH)  # ISO 3779: no I, O, Q
_VIN_TEXT: Final = re.compile(f"[A-HJ-NPR-Za-hj-npr-z0-9]{{{_LENGTH},}}")
_VIN_IDENTIFIER: Final = b"\xf1\x90"
_WITH_IDENTIFIER: Final = (0x62, 0x2E)  # ReadDataByIdentifier response, WriteDataByIdentifier request
_OBD_VIN: Final = b"\x49\x02"


def masked_text(text: str) -> str:
    """A name that may hold a VIN, such as that of a file."""
    return _VIN_TEXT.sub("*" * _LENGTH, text)


def hexadecimal(data: bytes, hidden: set[int]) -> str:
    """Bytes in hexadecimal; XX for those at the positions in `hidden`."""
    shown = data.hex().upper()
    if not hidden:
        return shown
    return "".join(MASKED if at in hidden else shown[2 * at : 2 * at + 2] for at in range(len(data)))


def vin_positions(data: bytes) -> set[int]:
    """Which bytes of a message are of a VIN, or may be."""
    hidden = {at for found in _VIN.finditer(data) for at in range(*found.span())}
    if data[:1] and data[0] in _WITH_IDENTIFIER:
        at = data.find(_VIN_IDENTIFIER, 1)
        while at >= 0:
            hidden.update(range(at + 2, at + 2 + _LENGTH))
            at = data.find(_VIN_IDENTIFIER, at + 1)
    if data.startswith(_OBD_VIN):
        hidden.update(range(2, len(data)))
    return hidden


def shown(message: Message, is_masked: bool) -> tuple[str, list[str]]:
    """A message and each of its frames in hexadecimal.

    Of a message that broke off only three bytes are shown if it is masked: what came of a VIN is not recognised.
    Padding is hidden, too: it may be leftovers of an earlier message.
    """
    if not is_masked:
        return message.data.hex().upper(), [frame.hex().upper() for frame in message.frames]
    begins = [_payload_begin(message, index) for index in range(len(message.frames))]
    payload = b"".join(frame[begin:] for frame, begin in zip(message.frames, begins, strict=True))[: message.length]
    hidden = set(range(3, len(payload))) if message.error else vin_positions(payload)
    frames, at = [], 0
    for frame, begin in zip(message.frames, begins, strict=True):
        where = {byte: at + byte - begin for byte in range(begin, len(frame))}
        positions = {byte for byte, place in where.items() if place in hidden or place >= message.length}
        frames.append(hexadecimal(frame, positions))
        at += len(frame) - begin
    return hexadecimal(message.data, hidden), frames


def _payload_begin(message: Message, index: int) -> int:
    """Where the payload of a frame begins (ISO 15765-2:2016, table 9)."""
    address_size = 0 if message.source.address_byte is None else 1
    if index:
        return address_size + 1
    if message.is_single:
        return address_size + (1 if message.frames[0][address_size] & 0xF else 2)
    return address_size + (2 if message.length <= 0xFFF else 6)
