"""What candump writes to a log file (-l), to a pipe (-L), and to the screen."""

import re
from datetime import datetime
from functools import lru_cache
from itertools import pairwise, repeat
from typing import ClassVar, Final

from ...address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..frames import DATA_MAX, TIME_MAX_NS, Frame, Frames
from .base import TextReader, frame_data
from .source import Source

_ERROR_FLAG: Final = 0x20000000
_IDS_MAX: Final = 1 << 16


class _Ids(dict[str, int | None]):
    """Identifiers by their text; None for an error frame."""

    def __missing__(self, text: str) -> int | None:
        number = int(text, 16)
        if not 0 <= number <= (CAN_EFF_MASK | _ERROR_FLAG if len(text) > 3 else CAN_SFF_MASK):
            raise ValueError(text)
        found = None if number & _ERROR_FLAG else number | (CAN_EFF_FLAG if len(text) > 3 else 0)
        if len(self) >= _IDS_MAX:
            self.clear()
        self[text] = found
        return found


class CandumpLog(TextReader):
    """(1700000000.000250) can0 7E0#0210030000000000 R"""  # noqa: D415 - an example says it best

    format = "candump -l"
    pattern: ClassVar = re.compile(r"\s*\(\d+\.\d+\)\s+\S+\s+[0-9A-Fa-f]{3,8}#")

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._ids = _Ids()

    def parse(self, text: str) -> Frames:
        """See `TextReader.parse`: column by column, in a third of the time, where all lines are alike."""
        try:
            return self._columns(text)
        except ValueError:
            return super().parse(text)

    def _columns(self, text: str) -> Frames:
        columns = text.replace("#", " ").split()
        count = text.count("\n") + 1
        width, rest = divmod(len(columns), count)
        if rest or not 4 <= width <= 5 or "##" in text:
            raise ValueError
        stamps = "".join(columns[::width])
        size = len(columns[0])
        if not 9 < size <= 20 or len(stamps) != size * count:
            raise ValueError
        if stamps[::size] != "(" * count or stamps[size - 8 :: size] != "." * count:
            raise ValueError
        times = [int(stamp) * 1000 for stamp in stamps.replace(".", "")[1:-1].split(")(")]
        can_ids = list(map(self._ids.__getitem__, columns[2::width]))
        if len(max(columns[3::width], key=len)) > 2 * DATA_MAX:
            raise ValueError
        data = map(bytes.fromhex, columns[3::width])
        frames = list(zip(times, columns[1::width], can_ids, data, repeat(False, count), strict=True))
        if None in can_ids:
            frames = [frame for frame in frames if frame[2] is not None]
        return frames  # type: ignore[return-value]

    def line(self, line: str) -> Frame | None:
        """See `TextReader.line`."""
        if not line.strip():
            return None
        stamp, channel, frame, *_ = line.split()
        id_text, separator, data = frame.partition("#")
        can_id = self._ids[id_text]
        if not separator:
            raise ValueError(line)
        if can_id is None or data[:1] in ("R", "r"):
            return None
        is_fd = data[:1] == "#"
        raw = frame_data(
            bytes.fromhex(data[2:] if is_fd else data.partition("_")[0])
        )  # a raw DLC above 8 follows the underscore
        return _time_ns(stamp[1:-1]), channel, can_id, raw, is_fd


class CandumpScreen(TextReader):
    """(1700000000.100000)  can0  RX - -  7E0   [8]  03 22 F1 90 00 00 00 00   '."......'"""  # noqa: D415

    format = "candump"
    pattern: ClassVar = re.compile(
        r"\s*(?:\((?P<stamp>[^()]+)\)\s+)?(?P<channel>\S+)\s+(?:[RT]X\s+[B-]\s+[E-]\s+)?"
        r"(?P<id>[0-9A-F]{8}|[0-9A-F]{3})\s+(?:\[(?P<length>\d+)\]|\{[0-9A-F]+\})"
        r"(?P<data>(?: +[0-9A-F]{2}(?![0-9A-F]))*)(?P<rest>\s.*)?$"
    )
    _COLOUR: ClassVar = re.compile("\x1b\\[[0-9;]*m")

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._ids = _Ids()
        self._last_ns = 0
        self._stamp_ns = 0
        stamps = [found["stamp"] for line in source.seen().decode("latin-1").splitlines()
                  if (found := self.pattern.match(line))]  # fmt: skip
        self.is_timed = any(stamps)
        self._are_deltas = _are_deltas(stamps)

    def line(self, line: str) -> Frame | None:
        """See `TextReader.line`."""
        found = self.pattern.match(self._COLOUR.sub("", line) if "\x1b" in line else line)
        if found is None:
            if line.strip():
                raise ValueError(line)
            return None
        stamp, channel, id_text, length, data, rest = found.groups()
        time_ns = self._time(stamp)
        can_id = self._ids[id_text]
        if can_id is None or (rest and "remote request" in rest):
            return None
        raw = frame_data(bytes.fromhex(data))
        if length is not None and int(length) != len(raw):
            raise ValueError(line)
        return time_ns, channel, can_id, raw, length is not None and len(length) > 1

    def _time(self, stamp: str | None) -> int:
        if stamp is None:
            return self._last_ns
        if "-" in stamp:
            return _date_ns(stamp)
        time_ns = _time_ns(stamp)
        if time_ns < self._stamp_ns // 2:  # no clock goes back that far: these are times since the last frame
            self._are_deltas = True
        self._stamp_ns = time_ns
        self._last_ns = self._last_ns + time_ns if self._are_deltas else time_ns
        return self._last_ns


def _are_deltas(stamps: list[str | None]) -> bool:
    """Whether times are counted from the last frame (-td), not from the first (-tz)."""
    try:
        times = [_time_ns(stamp) for stamp in stamps if stamp is not None and "-" not in stamp]
    except ValueError:
        return False
    return any(after < before // 2 for before, after in pairwise(times))


def _time_ns(stamp: str) -> int:
    seconds, _, fraction = stamp.partition(".")
    time_ns = int(seconds) * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    if not 0 <= time_ns <= TIME_MAX_NS:
        raise ValueError(stamp)
    return time_ns


@lru_cache(16)
def _second_ns(text: str) -> int:
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").timestamp()) * 1_000_000_000


def _date_ns(stamp: str) -> int:
    date, _, fraction = stamp.partition(".")
    return _second_ns(date) + int(fraction[:9].ljust(9, "0"))
