"""Frames: what was on a bus, compared with texts, whole and in parts."""

import pytest

import isotp
from isotp.bus import CanFrame
from isotp.testing import Frames
from isotp.testing.notation import NotationError


def seen(*frames: str) -> Frames:
    """What is seen of these frames, hexadecimal."""
    bus = isotp.VirtualBus()
    noted = Frames(bus)
    for data in frames:
        bus.inject(CanFrame(0x7E0, bytes.fromhex(data)))
    return noted


MESSAGE = ("10 09 01 02 03 04 05 06", "21 07 08 09 CC CC CC CC")


def test_the_padding_of_a_last_frame_is_none_of_its_data() -> None:
    frames = seen(*MESSAGE, "02 3E 00 CC")
    assert frames == ["FF 9 01 02 03 04 05 06", "CF 1 07 08 09", "SF 3E 00"]
    assert frames == ["FF 9 ..", "CF 1 07 08 09 | CC CC CC CC", "SF 3E 00 | CC"]
    assert frames != ["FF 9 ..", "CF 1 07 08 09 CC CC CC CC", "SF 3E 00"]
    assert frames != ["FF 9 ..", "CF 1 07 08 09 |", "SF 3E 00"]
    assert str(frames).splitlines()[1].endswith("7E0: CF 1 07 08 09 | CC CC CC CC")


def test_bytes_as_they_are_include_the_padding() -> None:
    frames = seen(*MESSAGE, "02 3E 00 CC")
    assert frames == [*MESSAGE, "02 3E 00 CC"]
    assert frames != [*MESSAGE, "02 3E 00"]
    assert frames != [MESSAGE[0], "21 07 08 09", "02 3E 00 CC"]


@pytest.mark.parametrize("between", [(), ("02 3E 00",), ("20 01",)])
def test_a_consecutive_frame_of_no_message_has_no_padding(between: tuple[str, ...]) -> None:
    after = seen(*MESSAGE, *between, "22 0A 0B 0C")
    assert after[-1] == "CF 2 0A 0B 0C"
    assert after[-1] != "CF 2"


def test_a_frame_that_comes_twice_does_not_shift_the_padding() -> None:
    frames = seen("10 10 01 02 03 04 05 06", *["21 07 08 09 0A 0B 0C 0D"] * 2, "22 0E 0F 10 CC CC CC CC")
    assert frames[2:] == ["CF 1 07 08 09 0A 0B 0C 0D", "CF 2 0E 0F 10"]


def test_parts_of_what_was_seen() -> None:
    frames = seen(*MESSAGE, "02 3E 00", "30 00 00")
    assert "SF 3E 00" in frames
    assert "FC CTS .." in frames
    assert "FC WAIT .." not in frames
    assert frames.count("CF 1 ..") == 1
    assert frames.index("SF ..") == 2
    assert frames[2:] == ["SF 3E 00", "FC CTS"]
    assert frames[0] == "FF 9 .."
    assert frames[0] != "FF 10 .."
    assert CanFrame(0x7E0, b"\x02\x3e\x00") in frames
    assert frames[2].frame.data == b"\x02\x3e\x00"
    assert repr(frames[2:]) == "[7E0: SF 3E 00, 7E0: FC CTS bs=0 stmin=0]"


def test_what_is_no_frame_is_an_error() -> None:
    frames = seen("02 3E 00")
    with pytest.raises(NotationError):
        assert "SF 3" not in frames
    with pytest.raises(NotationError):
        assert frames != ["SX 3E"]
