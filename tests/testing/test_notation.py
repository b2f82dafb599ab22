"""Frames as text: both ways, as patterns, and the errors."""

import contextlib
import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp import IsoTpError
from isotp.can_frame import LENGTH_OF_DLC, CanFrame
from isotp.testing import notation
from isotp.testing.notation import NotationError, format_frame, format_n_pdu, parse

SHORT = st.binary(max_size=8)
FRAMES = st.builds(
    CanFrame,
    st.one_of(st.integers(0, 0x7FF), st.integers(0x80000000, 0x9FFFFFFF)),
    st.one_of(SHORT, st.sampled_from(LENGTH_OF_DLC).flatmap(lambda n: st.binary(min_size=n, max_size=n))),
)


def test_the_examples_of_the_docstring() -> None:
    assert doctest.testmod(notation).failed == 0


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("SF 3E 00", "02 3E 00"),
        ("SF 3E 00 | CC CC", "02 3E 00 CC CC"),
        ("SF 01 02 03 04 05 06 07 08", "00 08 01 02 03 04 05 06 07 08"),
        ("SF 01 | 00 00 00 00 00 00 00 00 00", "00 01 01 00 00 00 00 00 00 00 00 00"),
        ("FF 100 62 F1 90 01 02 03", "10 64 62 F1 90 01 02 03"),
        ("FF 4095 62", "1F FF 62"),
        ("FF 4096 62", "10 00 00 00 10 00 62"),
        ("CF 15 01", "2F 01"),
        ("FC CTS", "30 00 00"),
        ("FC CTS bs=8 stmin=1ms", "30 08 01"),
        ("FC WAIT stmin=300us", "31 00 F3"),
        ("FC OVFLW bs=255 stmin=0xF0", "32 FF F0"),
        ("FC 15", "3F 00 00"),
        ("10 64 62", "10 64 62"),
        ("106462", "10 64 62"),
        ("0xFF 00", "FF 00"),
        ("|", ""),
    ],
)
def test_text_to_bytes(text: str, data: str) -> None:
    assert parse(text).encode() == bytes.fromhex(data)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("7E0: SF 01", CanFrame(0x7E0, b"\1\1")),
        ("18DA10F1: SF 01", CanFrame(0x98DA10F1, b"\1\1")),
        ("600/F1: SF 01", CanFrame(0x600, b"\xf1\1\1")),
        ("7E0 fd: SF 01", CanFrame(0x7E0, b"\1\1", True)),
        ("7E0/F1 brs: SF 01", CanFrame(0x7E0, b"\xf1\1\1", True, True)),
        ("SF 01", CanFrame(0x123, b"\1\1")),
        ("7E0:", CanFrame(0x7E0, b"")),
    ],
)
def test_text_to_frame(text: str, frame: CanFrame) -> None:
    assert parse(text).frame(0x123) == frame


def test_what_the_text_leaves_out_is_an_argument() -> None:
    said = parse("7E0/F1 classical: SF 01").frame(0x123, b"\xaa", is_fd=True, bitrate_switch=True)
    assert said == CanFrame(0x7E0, b"\xf1\1\1")
    left_out = parse("SF 01").frame(0x123, b"\xaa", is_fd=True, bitrate_switch=True)
    assert left_out == CanFrame(0x123, b"\xaa\1\1", True, True)


@pytest.mark.parametrize(
    ("text", "data", "matches"),
    [
        ("SF 3E 00", "02 3E 00", True),
        ("SF 3E 00", "02 3E 00 CC CC CC CC CC", True),
        ("SF 3E 00 |", "02 3E 00 CC", False),
        ("SF 3E 00 |", "02 3E 00", True),
        ("SF 3E 00 | CC", "02 3E 00 CC", True),
        ("SF 3E 00 | CC", "02 3E 00 AA", False),
        ("SF 3E 00 | ??", "02 3E 00 AA", True),
        ("SF 3E ..", "02 3E 00", True),
        ("SF 3E ..", "02 3F 00", False),
        ("SF ..", "07 01 02 03 04 05 06 07", True),
        ("SF 3E ??", "02 3E 80", True),
        ("SF 3E", "02 3E 80", False),
        ("SF ..", "10 08 01 02 03 04 05 06", False),
        ("FF 100 62 ..", "10 64 62 F1 90 01 02 03", True),
        ("FF 101 62 ..", "10 64 62 F1 90 01 02 03", False),
        ("CF 1 ..", "21 01", True),
        ("CF 1 01", "21 01 CC", False),
        ("CF 1 01 | CC", "21 01 CC", True),
        ("CF 2 ..", "21 01", False),
        ("FC CTS", "30 00 00 CC", True),
        ("FC CTS", "30 08 00", False),
        ("FC CTS ..", "30 08 05", True),
        ("FC CTS bs=8 ..", "30 08 05", True),
        ("FC CTS bs=8 ..", "30 09 05", False),
        ("FC WAIT ..", "30 00 00", False),
        ("30 ?? 05", "30 08 05", True),
        ("30 ?? 05", "30 08 05 00", False),
        ("30 ..", "30 08 05 00", True),
        ("..", "", True),
        ("SF 3E ..", "", False),
    ],
)
def test_patterns(text: str, data: str, matches: bool) -> None:
    assert parse(text).matches(CanFrame(0x7E8, bytes.fromhex(data))) is matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("7E8: SF 01", True),
        ("7E9: SF 01", False),
        ("000007E8: SF 01", False),
        ("7E8 fd: SF 01", False),
        ("7E8 classical: SF 01", True),
    ],
)
def test_what_stands_before_the_colon_is_compared(text: str, matches: bool) -> None:
    assert parse(text).matches(CanFrame(0x7E8, b"\1\1")) is matches


def test_address_bytes_are_compared_where_they_are_given() -> None:
    frame = CanFrame(0x600, b"\xf1\1\1")
    assert parse("SF 01").matches(frame, 1)
    assert parse("600/F1: SF 01").matches(frame)
    assert not parse("600/F2: SF 01").matches(frame)
    assert not parse("SF 01").matches(frame)


@given(FRAMES, st.integers(0, 1))
def test_bytes_to_text_and_back(frame: CanFrame, address_size: int) -> None:
    text = format_n_pdu(frame.data, address_size)
    address = frame.data[:address_size]
    assert parse(text).encode(address) == frame.data
    if len(frame.data) >= address_size:
        assert parse(text).matches(frame, address_size)


@given(FRAMES, st.booleans(), st.booleans())
def test_frame_to_text_and_back(frame: CanFrame, is_fd: bool, brs: bool) -> None:
    frame = frame._replace(is_fd=is_fd, bitrate_switch=is_fd and brs)
    assert parse(format_frame(frame)).frame() == frame
    assert parse(format_frame(frame)).matches(frame)


@given(FRAMES, FRAMES)
def test_the_text_of_one_frame_matches_no_other(one: CanFrame, other: CanFrame) -> None:
    """What is padded only in one of them does match: the text without `|` does not speak of padding."""
    text = format_n_pdu(one.data)
    if "|" in text or parse(text).kind not in ("SF", "FC"):
        assert parse(text).matches(other) is (one.data == other.data)


@given(st.text("SFCO0123456789abxX :|.?/=msbtinCTW ", max_size=20))
def test_any_text_is_a_frame_or_an_error(text: str) -> None:
    with contextlib.suppress(NotationError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'SF 3E 00'"),
        ("XX 00", "'XX'"),
        ("SF 3", "'3' in 'SF 3' is no byte"),
        ("FF 3E..", "decimal, 1 to 4294967295"),
        ("FF", "the length of the message is needed"),
        ("CF 16", "0 to 15"),
        ("FC", "CTS, WAIT, OVFLW or 0 to 15"),
        ("FC GO", "not 'GO'"),
        ("FC CTS 8", "allowed are bs=8 and stmin=5ms"),
        ("FC CTS bs=256", "0 to 255"),
        ("FC CTS stmin=128ms", "stmin=128ms in 'FC CTS stmin=128ms'"),
        ("FC CTS stmin=x", "0, 5ms, 300us or the byte"),
        ("8FF: SF 01", "8FF in '8FF: SF 01' is no identifier"),
        ("7E0#: 01", "'7E0#'"),
        ("00" * 65, "at most 64 bytes"),
        ("FCC", "; a frame begins with SF, FF, CF, FC, bytes or an identifier, 7E8:"),
        ("7E8 FC", "'7E8' in '7E8 FC' is no byte: "),
        ("7E8 FC", "bytes or an identifier, 7E8:"),
        (".. 01", "'..' in '.. 01' is no byte"),
    ],
)
def test_errors(text: str, says: str) -> None:
    with pytest.raises(NotationError, match=re.escape(says)):
        parse(text)


def test_the_error_is_of_the_one_tree() -> None:
    assert issubclass(NotationError, IsoTpError)


@pytest.mark.parametrize("text", ["SF ..", "SF ??", "FC CTS bs=1 ..", "..", "SF 01 | ??"])
def test_a_pattern_is_no_frame_to_send(text: str) -> None:
    with pytest.raises(NotationError, match="more than one frame"):
        parse(text).encode()
