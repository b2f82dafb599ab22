"""Numbers, identifiers, bytes and times as they are given on the command line. WrongValue says what is allowed."""

import argparse
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from ...address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ...errors import OptionError
from ...opts.records import LinkLayerOptions
from ...stmin import STmin

_DIGITS_29_BITS: Final = 8  # as in can-utils: an identifier with so many digits has 29 bits
_HEX: Final = re.compile(r"(?:0[xX])?([0-9A-Fa-f]+)")
_WORD: Final = re.compile(r"\S+")
_SIZE: Final = re.compile(r"([0-9]{1,15})([KMGkmg]?)")
_SHIFTS: Final = {"": 0, "K": 10, "M": 20, "G": 30}
_SIZE_MAX: Final = 1 << 50
_TIME: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|ms|us|µs|ns)?")
_UNITS_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "µs": 1000, "ns": 1}
_LONGEST_S: Final = 1_000_000  # 11 days: no system refuses to wait so long
BUFFER_MAX: Final = 0x3FFFFFFF
"""Bytes of the largest receive buffer: Linux doubles the number, in an int."""
_LONGEST_TX_STMIN_NS: Final = 0xFFFFFFFF  # linux/can/isotp.h: 32 bits


class WrongValue(argparse.ArgumentTypeError, ValueError):  # noqa: N818 - reads as what it is
    """A value that cannot be; argparse shows its text beside the name of the option."""


def can_id(text: str) -> int:
    """A CAN identifier in hexadecimal: 8 digits for 29 bits (the result has CAN_EFF_FLAG), less for 11 bits."""
    found = _HEX.fullmatch(text)
    if not found:
        raise WrongValue(f"{text!r} is not a CAN identifier: hexadecimal, such as 7E0, or 18DA10F1 for 29 bits")
    digits, number = found[1], int(found[1], 16)
    if len(digits) >= _DIGITS_29_BITS:
        if number > CAN_EFF_MASK:
            raise WrongValue(f"{text!r} is more than 29 bits: allowed is up to 1FFFFFFF")
        return number | CAN_EFF_FLAG
    if number > CAN_SFF_MASK:
        raise WrongValue(
            f"{text!r} is more than 11 bits: allowed is up to 7FF; 29 bits are written with 8 digits: {number:08X}"
        )
    return number


def base(text: str) -> int:
    """The first four digits of the 29-bit identifiers of normal fixed addressing; the result is 14DA0000 for 14DA."""
    found = _HEX.fullmatch(text)
    if not found or len(found[1]) != 4 or int(found[1], 16) > CAN_EFF_MASK >> 16:
        raise WrongValue(f"{text!r} is not the first half of a 29-bit identifier: four digits, such as 18DA or 14DA")
    return int(found[1], 16) << 16


ANY_BASE: Final = -1


def any_base(text: str) -> int:
    """The same, or `any`, which is ANY_BASE."""
    return ANY_BASE if text == "any" else base(text)


def byte(text: str) -> int:
    """A byte in hexadecimal."""
    found = _HEX.fullmatch(text)
    if not found or int(found[1], 16) > 0xFF:
        raise WrongValue(f"{text!r} is not a byte: hexadecimal, 0 to FF")
    return int(found[1], 16)


def number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """What reads a decimal number within these limits."""
    allowed = f"{lowest} to {highest}" if highest is not None else f"{lowest} or more"

    def read(text: str) -> int:
        try:
            value = int(text) if text.isascii() else -1
        except ValueError:
            raise WrongValue(f"{text!r} is not a number: allowed is {allowed}") from None
        if value < lowest or (highest is not None and value > highest):
            raise WrongValue(f"{text!r}: allowed is {allowed}")
        return value

    return read


def id_range(text: str) -> range:
    """`ID-ID`, or one identifier."""
    return _range(text, can_id, 1 << 16)


def byte_range(text: str) -> range:
    """`00-FF`, or one byte."""
    return _range(text, byte, 1 << 8)


def _range(text: str, read: Callable[[str], int], longest: int) -> range:
    first, separator, last = text.partition("-")
    begin = read(first)
    end = read(last) if separator else begin
    if (begin ^ end) & CAN_EFF_FLAG:
        raise WrongValue(f"{text!r}: needed are two identifiers of 11 bits, or two of 29 bits (8 digits each)")
    if not begin <= end < begin + longest:
        raise WrongValue(f"{text!r}: needed are two numbers in order, less than {longest} apart, such as 700-7FF")
    return range(begin, end + 1)


def size(text: str) -> int:
    """A number of bytes, with K, M or G for 1024 of the unit below."""
    found = _SIZE.fullmatch(text)
    if not found or (number := int(found[1]) << _SHIFTS[found[2].upper()]) > _SIZE_MAX:
        raise WrongValue(f"{text!r:.60} is not a number of bytes: needed is one such as 500M or 4G, at most 1048576G")
    return number


class Bytes2(NamedTuple):
    """A byte for each direction."""

    tx: int | None
    rx: int | None


def address_bytes(text: str) -> Bytes2:
    """`ADDR[:RXADDR]`, as -x of can-utils; one address is for both directions."""
    tx, separator, rx = text.partition(":")
    first = byte(tx)
    return Bytes2(first, byte(rx) if separator else first)


def any_address_bytes(text: str) -> Bytes2:
    """The same, or `any`, which is no byte for either direction."""
    return Bytes2(None, None) if text == "any" else address_bytes(text)


def padding(text: str) -> Bytes2:
    """`[TX]:[RX]`, as -p of can-utils; one byte alone pads what is sent."""
    tx, _, rx = text.partition(":")
    return Bytes2(byte(tx) if tx else None, byte(rx) if rx else None)


def target_and_source(text: str) -> Bytes2:
    """`TA:SA`: the addresses that normal fixed identifiers are made of."""
    target, separator, source = text.partition(":")
    if not separator:
        raise WrongValue(f"{text!r}: two addresses are needed, target and source, such as 10:F1")
    return Bytes2(byte(target), byte(source))


class Where(NamedTuple):
    """A bus that is not an interface of SocketCAN."""

    kind: str
    channel: str

    @property
    def is_virtual(self) -> bool:
        """Whether it is a bus within this process."""
        return not self.channel

    @property
    def is_shared(self) -> bool:
        """Whether it is a link that an edge shares over Zenoh."""
        return self.kind == "zenoh"

    def __str__(self) -> str:
        return f"{self.kind}:{self.channel}" if self.channel else self.kind


def where(text: str) -> Where:
    """`virtual`, `INTERFACE:CHANNEL` of python-can, or `zenoh:LINK`."""
    kind, _, channel = text.partition(":")
    if text != "virtual" and not (kind and channel):
        raise WrongValue(
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
        raise WrongValue(f"{text!r}: needed is MTU:TX_DL:TX_FLAGS, such as 72:64:0 for CAN FD or 16:8:0")
    numbers = LinkLayer(*map(int, parts))
    try:
        LinkLayerOptions().changed(*numbers)
    except OptionError as e:
        raise WrongValue(f"{text!r}: {e.what}") from None
    return numbers


def time_ns(text: str) -> int:
    """A time with its unit (s, ms, us, ns), in nanoseconds; without a unit it is seconds."""
    found = _TIME.fullmatch(text)
    if not found:
        raise WrongValue(f"{text!r} is not a time: a number with its unit, such as 5ms, 300us or 2s")
    number, unit_ns = float(found[1]), _UNITS_NS[found[2] or "s"]
    if number * unit_ns > _LONGEST_S * 1e9:
        raise WrongValue(f"{text!r} is too long: allowed is up to {_LONGEST_S} s")
    return round(number * unit_ns)


def tx_stmin(text: str) -> int:
    """A separation time to send with, in nanoseconds."""
    ns = time_ns(text)
    if ns > _LONGEST_TX_STMIN_NS:
        raise WrongValue(f"{text!r} is too long: allowed is up to {_LONGEST_TX_STMIN_NS // 1_000_000}ms")
    return ns


def seconds(text: str) -> float:
    """A time with its unit, in seconds."""
    return time_ns(text) / 1e9


def stmin(text: str) -> STmin:
    """STmin from a time with its unit; 0 needs none."""
    if text != "0" and text.isdecimal():
        raise WrongValue(f"{text!r} has no unit: say {text}ms, or 100us to 900us")
    ns = time_ns(text)
    if ns % 1000:
        raise WrongValue(f"{text!r}: allowed are 100us to 900us in steps of 100us, and whole milliseconds up to 127ms")
    try:
        return STmin.from_us(ns // 1000)
    except ValueError as e:
        raise WrongValue(str(e)) from None


def hex_data(text: str) -> bytes:
    """Bytes in hexadecimal, two digits each, with or without spaces between them."""
    with suppress(ValueError):
        return bytes.fromhex(text)
    data = bytearray()  # with 0x, or wrong
    for word in _WORD.finditer(text):  # one after the other: a list of all takes 40 times the memory of `text`
        found = _HEX.fullmatch(word[0])
        if not found:
            raise WrongValue(f"{word[0]!r:.60} is not hexadecimal: needed are bytes such as 22 F1 90")
        if len(found[1]) % 2:
            raise WrongValue(f"{word[0]!r:.60} has half a byte: needed are two digits for each byte, such as 09")
        data += bytes.fromhex(found[1])
    return bytes(data)
