"""The layouts of Linux, of either byte order and word size."""

import struct
from typing import Literal

import pytest

from isotp.linux.constants import CONTROL_SIZE, timespec_ns, timestamp_and_drops

SECONDS, NANOSECONDS = 1_790_000_000, 123_456_789
TIME_NS = SECONDS * 1_000_000_000 + NANOSECONDS


@pytest.mark.parametrize("byteorder", ["little", "big"])
@pytest.mark.parametrize("word", ["i", "q"], ids=["32 bits", "64 bits"])
def test_timespec(byteorder: Literal["little", "big"], word: str) -> None:
    order = "<" if byteorder == "little" else ">"
    assert timespec_ns(struct.pack(f"{order}2{word}", SECONDS, NANOSECONDS), byteorder) == TIME_NS


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_control_messages(byteorder: Literal["little", "big"]) -> None:
    order = "<" if byteorder == "little" else ">"
    time = (1, 35, struct.pack(f"{order}qq", SECONDS, NANOSECONDS))  # SOL_SOCKET, SO_TIMESTAMPNS
    drops = (1, 40, struct.pack(f"{order}I", 258))  # SO_RXQ_OVFL
    assert timestamp_and_drops([], byteorder) == (0, None)
    assert timestamp_and_drops([time], byteorder) == (TIME_NS, None)
    assert timestamp_and_drops([time, drops], byteorder) == (TIME_NS, 258)


def test_room_for_control_messages() -> None:
    """A cmsghdr is a size_t and two ints, and everything is aligned to a word."""
    assert CONTROL_SIZE >= (16 + 16) + (16 + 8)
