"""Vector's text log, .asc."""

import re
from typing import ClassVar

from ..frames import Frame, nanoseconds
from .base import TextReader, can_id, payload
from .source import Source


class Asc(TextReader):
    """0.000000 1  7E0  Rx   d 8 03 22 F1 90 00 00 00 00"""  # noqa: D415

    format = "Vector asc"
    pattern: ClassVar = re.compile(
        r"date \w|base\s+(?:hex|dec)|Begin Trigger|// version|\s*\d+\.\d+ (?:CANFD )?\s*\d+ ", re.I
    )
    _CLASSICAL: ClassVar = re.compile(
        r"\s*(\d+\.\d+) +(\d+) +([0-9A-Fa-f]+)(x?) +(?:Rx|Tx|TxRq) +d +([0-9A-Fa-f]+)((?: +[0-9A-Fa-f]+)*)"
    )
    _FD: ClassVar = re.compile(
        r"\s*(\d+\.\d+) +CANFD +(\d+) +(?:Rx|Tx|TxRq) +([0-9A-Fa-f]+)(x?) +(?:\S+ +)?"
        r"[01] +[01] +[0-9A-Fa-f]+ +(\d+)((?: +[0-9A-Fa-f]+)*)"
    )
    _BASE: ClassVar = re.compile(r"base\s+(hex|dec)(?:\s+timestamps\s+(absolute|relative))?", re.I)
    _NO_FRAME: ClassVar = re.compile(r"\s*(?:$|//|date |base |(?:no )?internal |(?:begin|end) trigger|\d+\.\d+ )", re.I)

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._base = 16
        self._is_relative = False
        self._last_ns = 0

    def line(self, line: str) -> Frame | None:
        """See `TextReader.line`."""
        found = self._CLASSICAL.match(line)
        is_fd = found is None
        if found is None:
            found = self._FD.match(line)
        if found is None:
            if header := self._BASE.match(line):
                self._base = 10 if header[1].lower() == "dec" else 16
                self._is_relative = (header[2] or "").lower() == "relative"
            elif not self._NO_FRAME.match(line):
                raise ValueError(line)
            return None
        stamp, channel, id_text, extended, length_text, data = found.groups()
        if (time_ns := nanoseconds(stamp)) is None:
            raise ValueError(stamp)
        self._last_ns = time_ns = self._last_ns + time_ns if self._is_relative else time_ns
        length = int(length_text) if is_fd else min(8, int(length_text, self._base))
        if is_fd and not length and data:
            return None  # a remote frame
        raw = payload(data.split(), length, self._base)
        return time_ns, str(int(channel) - 1), can_id(int(id_text, self._base), bool(extended)), raw, is_fd
