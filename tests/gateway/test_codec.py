"""Headers of DoIP."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.gateway.codec import Header, HeaderNack, Kind, message, read_header

ALL = frozenset(Kind)


def test_a_message() -> None:
    data = message(2, Kind.DIAGNOSTIC, 0x0E00, 0x0001, b"\x22\xf1\x90")
    assert data.hex(" ") == "02 fd 80 01 00 00 00 07 0e 00 00 01 22 f1 90"
    assert read_header(data) == Header(2, Kind.DIAGNOSTIC, 7)


@pytest.mark.parametrize(
    ("kind", "allowed"),
    [
        (0x0000, {1}),
        (0x0001, {0}),
        (0x0002, {6}),
        (0x0003, {17}),
        (0x0004, {32, 33}),
        (0x0005, {7, 11}),
        (0x0006, {9, 13}),
        (0x0007, {0}),
        (0x0008, {2}),
        (0x4001, {0}),
        (0x4002, {3, 7}),
        (0x4003, {0}),
        (0x4004, {1}),
        (0x8001, set(range(5, 40))),
        (0x8002, set(range(5, 40))),
        (0x8003, set(range(5, 40))),
    ],
)
def test_lengths(kind: int, allowed: set[int]) -> None:
    fits = {length for length in range(40) if Header(2, kind, length).fault(ALL, 100) is None}
    assert fits == allowed
    assert Header(2, kind, 40).fault(ALL, 39) is HeaderNack.TOO_LARGE
    assert Header(2, kind, 0).fault(frozenset(), 39) is HeaderNack.UNKNOWN_TYPE


@given(st.binary(max_size=20))
def test_what_is_no_header_is_none(data: bytes) -> None:
    header = read_header(data)
    if header is not None:
        assert len(data) >= 8
        assert data[0] ^ data[1] == 0xFF
