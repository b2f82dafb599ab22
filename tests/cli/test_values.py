"""What is said on the command line, and what it means."""

from collections.abc import Callable
from typing import Any

import pytest

from isotp import CAN_EFF_FLAG
from isotp.cli.options import values
from isotp.stmin import STmin


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (values.can_id, "7E0", 0x7E0),
        (values.can_id, "0x7e0", 0x7E0),
        (values.can_id, "000007E0", 0x7E0 | CAN_EFF_FLAG),
        (values.can_id, "00000800", 0x800 | CAN_EFF_FLAG),
        (values.base, "14DA", 0x14DA0000),
        (values.any_base, "any", values.ANY_BASE),
        (values.number(0, 255), "255", 255),
        (values.any_address_bytes, "any", (None, None)),
        (values.can_id, "18DA10F1", 0x18DA10F1 | CAN_EFF_FLAG),
        (values.byte, "f", 15),
        (values.address_bytes, "12", (0x12, 0x12)),
        (values.address_bytes, "12:34", (0x12, 0x34)),
        (values.padding, "AA", (0xAA, None)),
        (values.padding, "AA:BB", (0xAA, 0xBB)),
        (values.padding, ":BB", (None, 0xBB)),
        (values.target_and_source, "10:F1", (0x10, 0xF1)),
        (values.link_layer, "72:64:1", (72, 64, 1)),
        (values.time_ns, "5ms", 5_000_000),
        (values.time_ns, "300us", 300_000),
        (values.time_ns, "0.5s", 500_000_000),
        (values.time_ns, "2", 2_000_000_000),
        (values.seconds, "20ms", 0.02),
        (values.stmin, "0", STmin(0)),
        (values.stmin, "5ms", STmin(5)),
        (values.stmin, "300us", STmin(0xF3)),
        (values.where, "virtual", ("virtual", "")),
        (values.where, "slcan:/dev/ttyUSB0:1", ("slcan", "/dev/ttyUSB0:1")),
        (values.hex_data, "22 F1 90", b"\x22\xf1\x90"),
        (values.hex_data, "22f190", b"\x22\xf1\x90"),
        (values.hex_data, " 0x22 01 0203 \n", b"\x22\x01\x02\x03"),
        (values.hex_data, "\n", b""),
    ],
)
def test_what_is_understood(read: Callable[[str], Any], text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text", "told"),
    [
        (values.can_id, "xyz", "hexadecimal"),
        (values.can_id, "20000000", "up to 1FFFFFFF"),
        (values.can_id, "", "hexadecimal"),
        (values.can_id, "-1", "hexadecimal"),
        (values.byte, "100", "0 to FF"),
        (values.target_and_source, "10", "10:F1"),
        (values.link_layer, "72:64", "72:64:0"),
        (values.time_ns, "5 parsecs", "5ms"),
        (values.time_ns, "\u0665ms", "5ms"),
        (values.seconds, "1000001s", "too long"),
        (values.seconds, "9" * 400, "too long"),
        (values.stmin, "5", "no unit"),
        (values.stmin, "150us", "100 to 900 us"),
        (values.stmin, "1.5us", "100us to 900us"),
        (values.stmin, "128ms", "127000 us"),
        (values.where, "pcan", "python-can"),
        (values.where, "pcan:", "python-can"),
        (values.can_id, "800", "29 bits are written with 8 digits: 00000800"),
        (values.can_id, "7FFFFFF", "29 bits are written with 8 digits: 07FFFFFF"),
        (values.base, "18D", "four digits"),
        (values.base, "2000", "four digits"),
        (values.number(0, 255), "256", "0 to 255"),
        (values.number(1), "0", "1 or more"),
        (values.number(1), "x", "not a number"),
        (values.number(1), "9" * 5000, "not a number"),
        (values.hex_data, "22 zz", "'zz'"),
        (values.hex_data, "22 F19", "'F19' has half a byte"),
        (values.hex_data, "22F19", "'22F19' has half a byte"),
        (values.hex_data, "22 F1 9", "'9' has half a byte"),
        (values.id_range, "7FF-700", "in order"),
        (values.id_range, "700-FFF", "'FFF' is more than 11 bits"),
        (values.id_range, "700-00000FFF", "two identifiers of 11 bits"),
        (values.id_range, "00000000-00010000", "less than 65536 apart"),
        (values.byte_range, "00-100", "0 to FF"),
    ],
)
def test_what_is_not_understood(read: Callable[[str], Any], text: str, told: str) -> None:
    with pytest.raises(ValueError) as raised:
        read(text)
    assert told in str(raised.value)


def test_ranges() -> None:
    assert list(values.id_range("7E0-7E2")) == [0x7E0, 0x7E1, 0x7E2]
    assert list(values.id_range("18DA00F1")) == [0x18DA00F1 | CAN_EFF_FLAG]
    assert len(values.byte_range("00-FF")) == 256
