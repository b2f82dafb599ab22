"""STmin against ISO 15765-2:2016, 9.6.5.4, over all 256 values."""

import math
import pickle

import pytest

from isotp import STmin

MILLISECONDS = range(0x00, 0x80)
MICROSECONDS = range(0xF1, 0xFA)


@pytest.mark.parametrize("raw", range(256))
def test_every_byte_has_a_time(raw: int) -> None:
    stmin = STmin(raw)
    assert stmin == raw
    assert hash(stmin) == hash(raw)
    assert bytes([stmin]) == bytes([raw])
    assert stmin.is_reserved == (raw not in MILLISECONDS and raw not in MICROSECONDS)
    if raw in MILLISECONDS:
        assert stmin.ns == raw * 1_000_000
        assert STmin.from_ms(raw) == STmin.from_us(raw * 1000) == stmin
        assert repr(stmin) == f"STmin(0x{raw:02X}: {raw} ms)"
    elif raw in MICROSECONDS:
        assert stmin.ns == (raw & 0x0F) * 100_000
        assert STmin.from_us((raw & 0x0F) * 100) == stmin
        assert repr(stmin) == f"STmin(0x{raw:02X}: {(raw & 0x0F) * 100} us)"
    else:
        assert stmin.ns == 127_000_000
        assert repr(stmin) == f"STmin(0x{raw:02X}: reserved, read as 127 ms)"


def test_no_other_time_can_be_said() -> None:
    said = {us: STmin.from_us(us).ns for us in range(0, 127_001, 50) if us % 1000 == 0 or (us < 1000 and us % 100 == 0)}
    assert said == {us: us * 1000 for us in said}
    assert len(said) == len(MILLISECONDS) + len(MICROSECONDS)


@pytest.mark.parametrize("us", [-1000, -100, 1, 99, 101, 950, 1100, 1500, 127_100, 128_000, 0.5, math.nan, math.inf])
def test_from_us_refuses(us: float) -> None:
    with pytest.raises(ValueError, match=r"STmin cannot say .* us: allowed are 100 to 900 us"):
        STmin.from_us(us)  # type: ignore[arg-type]


@pytest.mark.parametrize("ms", [-1, 128, 1000, 0.3, 5.5, math.nan, math.inf])
def test_from_ms_refuses(ms: float) -> None:
    with pytest.raises(ValueError):
        STmin.from_ms(ms)  # type: ignore[arg-type]


def test_from_ms_says_what_is_allowed() -> None:
    with pytest.raises(ValueError, match="cannot say 128 ms: allowed are whole milliseconds from 0 to 127"):
        STmin.from_ms(128)


@pytest.mark.parametrize("raw", [-1, 256, 0x1F1])
def test_not_a_byte(raw: int) -> None:
    with pytest.raises(ValueError, match="is not a byte: allowed is 0 to 0xFF"):
        STmin(raw)


def test_default_is_no_pause() -> None:
    assert STmin() == 0
    assert STmin().ns == 0


@pytest.mark.parametrize("raw", [0, 5, 0x80, 0xF3])
def test_pickle(raw: int) -> None:
    copy = pickle.loads(pickle.dumps(STmin(raw)))
    assert type(copy) is STmin
    assert copy == raw
