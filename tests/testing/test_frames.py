"""Frames: what was on a bus, compared with texts, whole and in parts."""

import re
from typing import Any

import pytest

import isotp
from isotp.bus import CanFrame
from isotp.testing import Frames
from isotp.testing.notation import NotationError, parse


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
    for invalid in (["SF 3E 00", "FC STOP"], ["SF ..", "SF 3E", "SX"]):  # another number of frames, too
        with pytest.raises(NotationError):
            assert frames != invalid
        with pytest.raises(NotationError):
            assert frames[:1] != invalid


@pytest.mark.parametrize("wrong", ["SF 3E 00", [b"\x02\x3e\x00"], [None]])
def test_what_is_no_text_is_an_error(wrong: Any) -> None:
    frames = seen("02 3E 00")
    for part in (frames, frames[:1]):
        with pytest.raises(TypeError, match=r"allowed .*'SF 22 F1 90'"):
            assert part != wrong


# --- what is shown


def explained(have: list[str], wanted: list[str]) -> list[str]:
    """The comparison, without times."""
    lines = seen(*(parse(text).encode().hex() for text in have)).explain(wanted)
    assert lines[0] == "the frames on the bus (left) are those wanted (right)"
    return [" ".join(re.sub(r"[0-9.]+ ms|7E0:", "", line).split()) for line in lines[1:]]


def test_a_frame_too_many_or_too_few_is_one_line() -> None:
    have = ["SF 01", "FC WAIT", "FC CTS", "CF 1 AA", "CF 2 BB"]
    assert explained(have, ["SF 01", "FC CTS", "CF 1 ..", "CF 2 .."]) == [
        "SF 01 SF 01",
        "! FC WAIT bs=0 stmin=0 nothing",
        "FC CTS bs=0 stmin=0 FC CTS",
        "CF 1 AA CF 1 ..",
        "(1 more as wanted)",
    ]
    assert explained(["SF 01", "CF 1 AA", "CF 2 BB"], ["SF 01", "FC CTS", "CF 1 ..", "CF 2 .."]) == [
        "SF 01 SF 01",
        "! nothing FC CTS",
        "CF 1 AA CF 1 ..",
        "CF 2 BB CF 2 ..",
    ]


def test_frames_that_differ_are_beside_each_other() -> None:
    have = ["SF 01", "SF 02", "SF 03", "SF 04", "SF 05"]
    assert explained(have, ["SF 01", "SF 02", "SF 03", "SF 14"]) == [
        "(1 more as wanted)",
        "SF 02 SF 02",
        "SF 03 SF 03",
        "! SF 04 SF 14",
        "! SF 05 nothing",
    ]
    assert explained(have[:1], []) == ["! SF 01 nothing"]


def test_texts_that_match_several_frames() -> None:
    have = ["FC CTS bs=8", "CF 1 AA", "FC CTS bs=8", "CF 2 BB", "CF 3 CC"]
    marked = [line for line in explained(have, ["FC CTS ..", "..", "FC CTS bs=8", "CF 3 CC"]) if line[0] == "!"]
    assert marked == ["! CF 2 BB nothing"]


def test_a_comparison_of_many_frames_ends_soon() -> None:
    frames = seen(*["10 FF 01 02 03 04 05 06", *(f"2{n % 16:X} {n % 251:02X}" for n in range(3000))])
    wanted = [f"CF {n % 16} {n % 241:02X}" for n in range(3000)]
    assert len(frames.explain(wanted)) > 100


def test_faults_are_shown_beside_the_frames() -> None:
    faults = isotp.Faults().lose("FC", 1).double("FC", since=2).replace("FC", 2, by="FC WAIT").swap("SF")
    bus = isotp.VirtualBus(clock=lambda: 0, fate=faults)
    bus.send([parse("7E8: FC OVFLW").frame()])  # before
    frames = Frames(bus)
    sent = parse("7E8: FC CTS").frame()
    bus.send([sent, parse("7E0: CF 1 AA").frame()])
    bus.send([sent])
    bus.send([parse("7E0: SF 01").frame()])
    faults.lose("CF")
    bus.send([parse("7E0: CF 2 BB").frame()])
    wait = "7E8: FC WAIT bs=0 stmin=0"
    assert [line[15:] for line in str(frames).splitlines()] == [
        "7E8: FC CTS bs=0 stmin=0   double('FC', since=2) -> 7E8: FC CTS bs=0 stmin=0, 7E8: FC CTS bs=0 stmin=0"
        f"   replace('FC', 2) -> {wait}, {wait}",
        "7E0: CF 1 AA",
        "7E8: FC CTS bs=0 stmin=0   double('FC', since=2) -> 7E8: FC CTS bs=0 stmin=0, 7E8: FC CTS bs=0 stmin=0",
        "7E0: SF 01   swap('SF') -> after the next frame of its identifier",
        "7E0: CF 2 BB   lose('CF') -> nothing",
    ]
