"""CAN frames of one link as a table, explained in the words of ISO 15765-2 (normal addressing, Classical CAN)."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from . import terminal
from .units import stmin_text

_WIDE: Final = 96  # columns from which the data bytes are set apart
_NARROW: Final = 76  # columns below which names are short
_LONGEST: Final = 40  # rows; longer tables show these many of both ends:
_FIRST, _LAST = 20, 6

_KINDS: Final = ("SingleFrame", "FirstFrame", "ConsecutiveFrame", "FlowControl")
_SHORT: Final = dict(zip(_KINDS, ("SF", "FF", "CF", "FC"), strict=True))
_FLOW_STATUS: Final = ("CTS", "WAIT", "OVFLW")


class Frame(NamedTuple):
    """A CAN frame as it was on the bus."""

    time_ns: int
    can_id: int
    data: bytes


def kind(frame: Frame) -> str:
    """The name of its N_PDU (ISO 15765-2:2016, 9.6.1)."""
    n_pci = frame.data[0] >> 4 if frame.data else len(_KINDS)
    return _KINDS[n_pci] if n_pci < len(_KINDS) else "unknown N_PDU"


def count(frames: Iterable[Frame]) -> str:
    """How many of each kind: "1 FirstFrame, 14 ConsecutiveFrames"."""
    kinds = Counter(map(kind, frames))
    return ", ".join(f"{number} {name}{'s' if number > 1 else ''}" for name, number in kinds.items())


def explain(frames: Iterable[Frame]) -> Iterator[str]:
    """For each frame what it says, and which bytes of the message it carries."""
    begin = length = 0
    for frame in frames:
        data = frame.data
        match kind(frame):
            case "SingleFrame":
                begin, length, carried = 0, data[0] & 0xF, 7
                text = f"SingleFrame SF_DL={length}"
            case "FirstFrame":
                begin, length, carried = 0, (data[0] & 0xF) << 8 | data[1], 6
                if length == 0:  # longer than 4095 bytes: FF_DL has four bytes more
                    length, carried = int.from_bytes(data[2:6], "big"), 2
                text = f"FirstFrame FF_DL={length}"
            case "ConsecutiveFrame":
                carried = 7
                text = f"ConsecutiveFrame SN={data[0] & 0xF}"
            case "FlowControl" if len(data) >= 3 and data[0] & 0xF < len(_FLOW_STATUS):
                yield f"FlowControl {_FLOW_STATUS[data[0] & 0xF]}, BS={data[1]}, STmin={stmin_text(data[2])}"
                continue
            case unknown:
                yield unknown
                continue
        end = min(begin + carried, length)
        yield f"{text}, bytes {begin}..{end - 1}"
        begin = end


def lines(frames: Sequence[Frame], forth: int, width: int) -> Iterator[str]:
    """The table, line by line; frames with the identifier `forth` get "->", all others "<-".

    80 columns are enough for messages of up to 9999 bytes. Where there are fewer, 60 are: the gaps are left out, and
    the kinds are CF and so on.
    """
    space, data_width = (" ", 23) if width >= _WIDE else ("", 16)
    is_narrow = width < _NARROW
    gap = "" if is_narrow else f" {'gap':>6}"
    yield f"{'ms':>8}{gap}    id  {'data':{data_width}} meaning"
    hidden = range(_FIRST, len(frames) - _LAST) if len(frames) > _LONGEST else range(0)
    for number, (frame, meaning) in enumerate(zip(frames, explain(frames), strict=True)):
        if hidden and number == hidden.start:
            yield from _summary(frames[hidden.start - 1 : hidden.stop], width)
        if number in hidden:
            continue
        time = f"{(frame.time_ns - frames[0].time_ns) / 1e6:8.3f}"
        if is_narrow:
            name = kind(frame)
            meaning = meaning.replace(name, _SHORT.get(name, name))
        else:
            gap = f" {(frame.time_ns - frames[number - 1].time_ns) / 1e6:6.3f}" if number else " " * 7
        arrow, colour = ("->", terminal.CYAN) if frame.can_id == forth else ("<-", terminal.YELLOW)
        rest = (
            f"{arrow} {frame.can_id:03X} {frame.data.hex(space) if space else frame.data.hex():{data_width}} {meaning}"
        )
        yield f"{time}{gap} {terminal.paint(rest, colour)}"


def _summary(frames: Sequence[Frame], width: int) -> Iterator[str]:
    """A line or two for a run of frames that is not shown; the first of `frames` is the one shown before it."""
    gaps = [
        (after.time_ns - before.time_ns) / 1e6
        for before, after in pairwise(frames)
        if kind(before) == kind(after) == "ConsecutiveFrame"
    ]
    text = f"... {len(frames) - 1} more frames: {count(frames[1:])}"
    if gaps:
        between = f"from one ConsecutiveFrame to the next {min(gaps):.3f} to {max(gaps):.3f} ms"
        yield from (f"{text};", f"    {between}") if len(text) + len(between) + 2 > width else (f"{text}; {between}",)
    else:
        yield text
