"""CAN frames as text that people write, to bytes and back.

    SF 3E 00                    single frame; data is hexadecimal
    FF 100 62 F1 90 01 02 03    first frame of a message of 100 bytes (decimal)
    CF 1 04 05 06 07            consecutive frame with SN 1 (decimal)
    FC CTS bs=8 stmin=1ms       flow control CTS, WAIT, OVFLW or a number; BS and STmin are 0 where they are left out;
                                STmin: 0, 5ms, 300us, or the raw byte, 0xF0
    10 64 62 F1 90              the bytes as they are; a first byte FF, CF or FC is written 0xFF, 0xCF, 0xFC
    SF 3E 00 | CC CC            the padding after `|`
    7E0: SF 3E 00               with the identifier, hexadecimal; 29 bits have 8 digits
    7E0/F1 fd: SF 3E 00         with the address byte, in a frame of CAN FD; `brs` in place of `fd`: with BRS

As a pattern `..` at the end stands for any rest of the data (of a flow control: for the BS and STmin that are left
out), and `??` for any byte. Without `|` any padding matches, also none; with `|` just this one. What stands before `:`
has to be so, and is not compared where it is left out.

    >>> parse("SF 3E 00").encode().hex(" ")
    '02 3e 00'
    >>> format_n_pdu(bytes.fromhex("30 08 01 AA"))
    'FC CTS bs=8 stmin=1ms | AA'
    >>> parse("FF 100 62 ..").matches(CanFrame(0x7E8, bytes.fromhex("10 64 62 F1 90 00 00 00")))
    True
"""

import errno
import re
from dataclasses import dataclass
from typing import Final

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..can_frame import CLASSICAL_MAX_LENGTH, CanFrame
from ..engine.n_pdu import (
    FF_DL_MAX,
    FLOW_CONTROL_SIZE,
    ConsecutiveFrame,
    FirstFrame,
    FlowControl,
    FlowStatus,
    SingleFrame,
    decode,
    single_frame_end,
)
from ..errors import IsoTpError
from ..stmin import STmin

__all__ = ["ANY_REST", "FrameText", "NotationError", "format_frame", "format_n_pdu", "parse"]

ANY_REST: Final = ".."
_ANY_BYTE: Final = "??"
_TYPES: Final = ("SF", "FF", "CF", "FC")
_LONGEST: Final = 64
_WHERE: Final = re.compile(r"([0-9A-Fa-f]+)(?:/([0-9A-Fa-f]{1,2}))?(?:\s+(fd|brs|classical))?")
_NUMBER: Final = re.compile("[0-9]{1,20}")  # Python refuses to read more than some thousand digits
_TIME: Final = re.compile(r"([0-9]+)(ms|us)")
_DIGITS_29_BITS: Final = 8

Bytes = tuple[int | None, ...]
"""Bytes of a pattern; None is any byte."""


class NotationError(IsoTpError, ValueError):
    """A text that is no frame; the error says which word is wrong and what is allowed."""

    default_errno = errno.EINVAL


@dataclass(frozen=True, slots=True)
class FrameText:
    """What a text says about a frame; `parse` makes it."""

    text: str
    can_id: int | None = None
    """With CAN_EFF_FLAG for 29 bits; None: not said, as in all others."""
    address_byte: int | None = None
    is_fd: bool | None = None
    bitrate_switch: bool | None = None
    kind: str | None = None
    """SF, FF, CF, FC; None: the bytes as they are."""
    numbers: tuple[int | None, ...] = ()
    """FF: the length; CF: the SN; FC: flow status, BS, STmin, None where it may be any."""
    data: Bytes = ()
    padding: Bytes | None = None
    is_open: bool = False
    """Whether the text ends in `..`."""

    def encode(self, address: bytes = b"") -> bytes:
        """The bytes of the frame, `address` before the N_PCI.

        Raises:
            NotationError: the text is a pattern for several frames.
        """
        if self.is_open or None in (*self.numbers, *self.data, *(self.padding or ())):
            raise NotationError(
                f"{self.text!r} stands for more than one frame", remedy=f"say all bytes, without {ANY_REST} and ??"
            )
        numbers = [number or 0 for number in self.numbers]
        data, padding = (bytes(byte or 0 for byte in part) for part in (self.data, self.padding or ()))
        match self.kind:
            case "SF":
                # CAN FD needs the SF_DL escape in frames above 8 bytes, padding included.
                fits = len(address) + 1 + len(data) + len(padding) <= CLASSICAL_MAX_LENGTH
                return SingleFrame(data).encode(address, 0 if fits else _LONGEST) + padding
            case "FF":
                return FirstFrame(numbers[0], data).encode(address) + padding
            case "CF":
                return ConsecutiveFrame(numbers[0], data).encode(address) + padding
            case "FC":
                return FlowControl(*numbers).encode(address) + padding
        return address + data + padding

    def frame(
        self, can_id: int = 0, address: bytes = b"", *, is_fd: bool = False, bitrate_switch: bool = False
    ) -> CanFrame:
        """The frame; the arguments are what the text does not say. Raises NotationError as `encode`."""
        prefix = address if self.address_byte is None else bytes((self.address_byte,))
        return CanFrame(
            can_id if self.can_id is None else self.can_id,
            self.encode(prefix),
            is_fd if self.is_fd is None else self.is_fd,
            bitrate_switch if self.bitrate_switch is None else self.bitrate_switch,
        )

    def matches(self, frame: CanFrame, address_size: int = 0) -> bool:
        """Whether `frame`, with so many address bytes before the N_PCI, is what the text says."""
        if self.can_id not in (None, frame.can_id) or self.is_fd not in (None, frame.is_fd):
            return False
        if self.bitrate_switch not in (None, frame.bitrate_switch):
            return False
        if self.address_byte is not None:
            address_size = 1
            if frame.data[:1] != bytes((self.address_byte,)):
                return False
        if self.kind is None:
            return _equal((*self.data, *(self.padding or ())), frame.data[address_size:], self.is_open)
        return self._matches_n_pdu(frame.data, address_size)

    def _matches_n_pdu(self, data: bytes, start: int) -> bool:
        numbers: tuple[int, ...] = ()
        end = len(data)
        match decode(data, start):
            case SingleFrame(content):
                kind = "SF"
                end = single_frame_end(data, start, len(content))
            case FirstFrame(length, content):
                kind, numbers = "FF", (length,)
            case ConsecutiveFrame(sn, content):
                kind, numbers = "CF", (sn,)
            case FlowControl() as fc:
                kind, numbers, content = "FC", tuple(fc), b""
                end = start + FLOW_CONTROL_SIZE
            case _:
                return False
        padding = data[end:]
        if self.kind in ("FF", "CF") and self.padding is not None:  # where it begins only the text knows
            content, padding = content[: len(self.data)], content[len(self.data) :]
        return (
            kind == self.kind
            and _equal(self.numbers, numbers, False)
            and _equal(self.data, content, self.is_open)
            and (self.padding is None or _equal(self.padding, padding, False))
        )


def _equal(wanted: tuple[int | None, ...], have: bytes | tuple[int, ...], is_open: bool) -> bool:
    if len(have) < len(wanted) or (len(have) > len(wanted) and not is_open):
        return False
    return all(one is None or one == other for one, other in zip(wanted, have, strict=False))


def parse(text: str) -> FrameText:
    """What `text` says.

    Raises:
        NotationError: it is no frame.
    """
    where, colon, rest = text.rpartition(":")
    prefix = _where(text, where.strip()) if colon else (None, None, None, None)
    n_pdu, bar, tail = rest.partition("|")
    words = n_pdu.split()
    is_open = bool(words) and words[-1] == ANY_REST
    if is_open:
        del words[-1]
    padding = _bytes(text, tail.split()) if bar else None
    kind = words.pop(0) if words and words[0] in _TYPES else None
    numbers = _numbers(text, kind, words, is_open)
    data = () if kind == "FC" else _bytes(text, words)
    if kind is None and not data and not is_open and not (colon or text.strip() == "|"):
        raise NotationError(f"{text!r} is no frame: needed are SF, FF, CF, FC or bytes, such as 'SF 3E 00'")
    if len(data) + len(padding or ()) > _LONGEST:
        raise NotationError(f"{text!r}: a frame has at most {_LONGEST} bytes")
    return FrameText(text, *prefix, kind, numbers, data, padding, is_open)


def _where(text: str, where: str) -> tuple[int | None, int | None, bool | None, bool | None]:
    found = _WHERE.fullmatch(where)
    if not found:
        raise NotationError(f"{where!r} in {text!r}: allowed is an identifier, such as '7E0:', '600/F1:' or '7E0 fd:'")
    number, is_29bit = int(found[1], 16), len(found[1]) >= _DIGITS_29_BITS
    if number > (CAN_EFF_MASK if is_29bit else CAN_SFF_MASK):
        raise NotationError(
            f"{found[1]} in {text!r} is no identifier: allowed is 0 to 7FF, or 8 digits, up to 1FFFFFFF"
        )
    is_fd = None if found[3] is None else found[3] != "classical"
    brs = None if found[3] is None else found[3] == "brs"
    return number | CAN_EFF_FLAG if is_29bit else number, int(found[2], 16) if found[2] else None, is_fd, brs


def _numbers(text: str, kind: str | None, words: list[str], is_open: bool) -> tuple[int | None, ...]:
    """Take the numbers of the N_PCI from `words`."""
    if kind == "FF":
        return (_decimal(text, "the length of the message", words, 1, FF_DL_MAX),)
    if kind == "CF":
        return (_decimal(text, "the SN", words, 0, 15),)
    if kind == "FC":
        return _flow_control(text, words, None if is_open else 0)
    return ()


def _decimal(text: str, what: str, words: list[str], low: int, high: int) -> int:
    word = words.pop(0) if words else ""
    if not (_NUMBER.fullmatch(word) and low <= int(word) <= high):
        raise NotationError(f"{text!r}: {what} is needed, decimal, {low} to {high}, not {word!r}")
    return int(word)


def _flow_control(text: str, words: list[str], left_out: int | None) -> tuple[int | None, ...]:
    status = words.pop(0) if words else ""
    if status in FlowStatus.__members__:
        fs = FlowStatus[status].value
    elif _NUMBER.fullmatch(status) and int(status) <= 15:
        fs = int(status)
    else:
        raise NotationError(f"{text!r}: a flow status is needed, CTS, WAIT, OVFLW or 0 to 15, not {status!r}")
    bs = stmin = left_out
    for word in words:
        name, _, value = word.partition("=")
        if name == "bs":
            bs = _decimal(text, "BS", [value], 0, 255)
        elif name == "stmin":
            stmin = _stmin(text, value)
        else:
            raise NotationError(f"{word!r} in {text!r}: allowed are bs=8 and stmin=5ms")
    words.clear()
    return fs, bs, stmin


def _stmin(text: str, value: str) -> int:
    try:
        if found := _TIME.fullmatch(value):
            return STmin.from_ms(int(found[1])) if found[2] == "ms" else STmin.from_us(int(found[1]))
        return STmin(int(value, 16 if value.startswith("0x") else 10) if value != "0" else 0)
    except ValueError as e:
        raise NotationError(f"stmin={value} in {text!r}: {e}; written are 0, 5ms, 300us or the byte, 0xF0") from None


def _bytes(text: str, words: list[str]) -> Bytes:
    found: list[int | None] = []
    for word in words:
        digits = word.removeprefix("0x")
        if word == _ANY_BYTE:
            found.append(None)
        elif len(digits) % 2 == 0 and re.fullmatch("[0-9A-Fa-f]+", digits):
            found += bytes.fromhex(digits)
        else:
            begins = "" if found else "; a frame begins with SF, FF, CF, FC, bytes or an identifier, 7E8:"
            raise NotationError(
                f"{word!r} in {text!r} is no byte: two hexadecimal digits each, {_ANY_BYTE} for any byte, {ANY_REST} "
                f"at the end for any rest{begins}"
            )
    return tuple(found)


def format_n_pdu(data: bytes, address_size: int = 0) -> str:
    """The text of a frame's data, without the address bytes; `parse(...).encode(...)` gives the same bytes."""
    address, rest = data[:address_size], data[address_size:]
    text = _words(data, address_size)
    if text is None or parse(text).encode(address) != data:
        first = rest[:1].hex().upper()
        text = ("0x" if first in _TYPES else "") + rest.hex(" ").upper() if rest else "|"
    return text


def _words(data: bytes, start: int) -> str | None:
    end = len(data)
    match decode(data, start):
        case SingleFrame(content):
            head = ["SF", content.hex(" ").upper()]
            end = single_frame_end(data, start, len(content))
        case FirstFrame(length, content):
            head = ["FF", str(length), content.hex(" ").upper()]
        case ConsecutiveFrame(sn, content):
            head = ["CF", str(sn), content.hex(" ").upper()]
        case FlowControl(status, bs, stmin):
            name = FlowStatus(status).name if status in tuple(FlowStatus) else str(status)
            head = ["FC", name, f"bs={bs}", f"stmin={_stmin_text(STmin(stmin))}"]
            end = start + FLOW_CONTROL_SIZE
        case _:
            return None
    if end < len(data):
        head += ["|", data[end:].hex(" ").upper()]
    return " ".join(filter(None, head))


def _stmin_text(stmin: STmin) -> str:
    if stmin.is_reserved:
        return f"0x{int(stmin):02X}"
    if stmin > 0x7F:
        return f"{stmin.ns // 1000}us"
    return f"{int(stmin)}ms" if stmin else "0"


def format_frame(frame: CanFrame, address_size: int = 0) -> str:
    """The text of a frame with its identifier; `parse(...).frame()` gives the same frame."""
    is_29bit = frame.can_id & CAN_EFF_FLAG
    where = f"{frame.can_id & CAN_EFF_MASK:08X}" if is_29bit else f"{frame.can_id:03X}"
    if address_size and frame.data:
        where += f"/{frame.data[0]:02X}"
    if frame.is_fd:
        where += " brs" if frame.bitrate_switch else " fd"
    return f"{where}: {format_n_pdu(frame.data, address_size)}"
