"""What the options of all commands are given, as text, and what it means. ValueError says what is allowed."""

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK
from ..errors import OptionError
from ..opts.records import LinkLayerOptions
from ..stmin import STmin

_EXTENDED_DIGITS: Final = 8  # as in can-utils: so many digits mean a 29-bit identifier
_HEX: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]+)")
_TIME: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|ms|us|µs|ns)?")
_UNITS_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "µs": 1000, "ns": 1}
_LONGEST_S: Final = 1_000_000  # 11 days; no system refuses to wait so long
_BUFFER_MAX: Final = 0x3FFFFFFF  # Linux doubles it, in an int
_LONGEST_TX_STMIN_NS: Final = 0xFFFFFFFF  # linux/can/isotp.h: 32 bits


def can_id(text: str) -> int:
    """A CAN identifier in hexadecimal, with CAN_EFF_FLAG if it has 8 digits or needs 29 bits."""
    found = _HEX.fullmatch(text)
    number = int(found[1], 16) if found else -1
    if not found or not 0 <= number <= CAN_EFF_MASK:
        raise ValueError(
            f"{text!r} is not a CAN identifier: hexadecimal, such as 7E0, or with 8 digits for 29 bits, "
            "such as 18DA10F1 (up to 1FFFFFFF)"
        )
    return number | CAN_EFF_FLAG if number > 0x7FF or len(found[1]) >= _EXTENDED_DIGITS else number


def byte(text: str) -> int:
    """A byte in hexadecimal."""
    found = _HEX.fullmatch(text)
    if not found or int(found[1], 16) > 0xFF:
        raise ValueError(f"{text!r} is not a byte: hexadecimal, 0 to FF")
    return int(found[1], 16)


class Range:
    """Numbers from `first` to `last`, both included."""

    def __init__(self, first: int, last: int) -> None:
        self._numbers = range(first, last + 1)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def id_range(text: str) -> Range:
    """`ID-ID`, or one identifier."""
    return _range(text, can_id, 1 << 16)


def byte_range(text: str) -> Range:
    """`00-FF`, or one byte."""
    return _range(text, byte, 1 << 8)


def _range(text: str, number: Callable[[str], int], longest: int) -> Range:
    first, separator, last = text.partition("-")
    begin = number(first)
    end = number(last) if separator else begin
    if end < begin or end - begin >= longest:
        raise ValueError(f"{text!r}: needed are two numbers in order, at most {longest} apart, such as 700-7FF")
    return Range(begin, end)


class Bytes2(NamedTuple):
    """A byte for each direction."""

    tx: int | None
    rx: int | None


def address_bytes(text: str) -> Bytes2:
    """`ADDR[:RXADDR]`, as -x of can-utils; one address is for both directions."""
    tx, separator, rx = text.partition(":")
    first = byte(tx)
    return Bytes2(first, byte(rx) if separator else first)


def padding(text: str) -> Bytes2:
    """`[TX]:[RX]`, as -p of can-utils; one byte alone pads what is sent."""
    tx, _, rx = text.partition(":")
    return Bytes2(byte(tx) if tx else None, byte(rx) if rx else None)


def target_and_source(text: str) -> Bytes2:
    """`TA:SA`: the addresses that normal fixed identifiers are made of."""
    target, separator, source = text.partition(":")
    if not separator:
        raise ValueError(f"{text!r}: two addresses are needed, target and source, such as 10:F1")
    return Bytes2(byte(target), byte(source))


class Where(NamedTuple):
    """A bus that is not an interface of SocketCAN."""

    kind: str
    channel: str

    @property
    def is_virtual(self) -> bool:
        """Whether it is a bus within this process."""
        return not self.channel

    def __str__(self) -> str:
        return f"{self.kind}:{self.channel}" if self.channel else self.kind


def where(text: str) -> Where:
    """`virtual`, or `INTERFACE:CHANNEL` of python-can."""
    kind, _, channel = text.partition(":")
    if text != "virtual" and not (kind and channel):
        raise ValueError(
            f"{text!r}: allowed is virtual, or an interface of python-can with its channel, such as pcan:PCAN_USBBUS1"
        )
    return Where(kind, channel)


class LinkLayer(NamedTuple):
    """CAN_ISOTP_LL_OPTS."""

    mtu: int
    tx_dl: int
    tx_flags: int


def link_layer(text: str) -> LinkLayer:
    """`MTU:TX_DL:TX_FLAGS`, decimal, as -L of can-utils."""
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        raise ValueError(f"{text!r}: needed is MTU:TX_DL:TX_FLAGS, such as 72:64:0 for CAN FD or 16:8:0")
    numbers = LinkLayer(*map(int, parts))
    try:
        LinkLayerOptions().changed(*numbers)
    except OptionError as e:
        raise ValueError(f"{text!r}: {e.what}") from None
    return numbers


def time_ns(text: str) -> int:
    """A time with its unit (s, ms, us, ns), in nanoseconds; without a unit it is seconds."""
    found = _TIME.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not a time: a number with its unit, such as 5ms, 300us or 2s")
    number, unit_ns = float(found[1]), _UNITS_NS[found[2] or "s"]
    if number * unit_ns > _LONGEST_S * 1e9:
        raise ValueError(f"{text!r} is too long: allowed is up to {_LONGEST_S} s")
    return round(number * unit_ns)


def tx_stmin(text: str) -> int:
    """A separation time to send with, in nanoseconds."""
    ns = time_ns(text)
    if ns > _LONGEST_TX_STMIN_NS:
        raise ValueError(f"{text!r} is too long: allowed is up to {_LONGEST_TX_STMIN_NS // 1_000_000}ms")
    return ns


def seconds(text: str | float) -> float:
    """The same in seconds; a number, as a default is, is seconds already."""
    return time_ns(text) / 1e9 if isinstance(text, str) else text


def stmin(text: str) -> STmin:
    """STmin from a time with its unit; 0 needs none."""
    if text != "0" and text.isdecimal():
        raise ValueError(f"{text!r} has no unit: say {text}ms, or 100us to 900us")
    ns = time_ns(text)
    if ns % 1000:
        raise ValueError(f"{text!r}: allowed are 100us to 900us in steps of 100us, and whole milliseconds up to 127ms")
    return STmin.from_us(ns // 1000)


def buffer_size(text: str) -> int:
    """Bytes that a socket may keep, decimal."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:20]) <= _BUFFER_MAX):
        raise ValueError(f"{text!r}: allowed is 1 to {_BUFFER_MAX} bytes")
    return int(text)


def pad_check(text: str) -> str:
    """`l`, `c` or `a`, as -P of can-utils."""
    if text not in ("l", "c", "a"):
        raise ValueError(f"{text!r}: allowed is l (length), c (content) or a (all)")
    return text


def hex_data(text: str) -> bytes:
    """Bytes in hexadecimal, with or without spaces between them."""
    words = [word.removeprefix("0x") for word in text.split()]
    joined = " ".join("0" + word if len(word) == 1 else word for word in words)
    try:
        return bytes.fromhex(joined)
    except ValueError:
        wrong = next((word for word in words if not _HEX.fullmatch(word)), text)
        raise ValueError(f"{wrong!r} is not hexadecimal: needed are bytes such as 22 F1 90") from None
