"""Text logs with a row a frame: SavvyCAN and GVRET csv, python-can's csv, PEAK trc, BusMaster log."""

import base64
import re
from typing import ClassVar

from ..frames import TIME_MAX_NS, Frame, nanoseconds
from .base import TextReader, can_id, frame_data, payload
from .source import Source


class Gvret(TextReader):
    """1000000,000007E0,false,Tx,0,8,03,22,F1,90,00,00,00,00,"""  # noqa: D415

    format = "SavvyCAN/GVRET csv"
    pattern: ClassVar = re.compile(r"time stamp,id,extended,", re.I)

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._columns = ["time stamp", "id", "extended", "dir", "bus", "len"]

    def line(self, line: str) -> Frame | None:
        """See `TextReader.line`; times are in microseconds."""
        if self.pattern.match(line):
            titles = [title.strip().lower() for title in line.split(",")]
            self._columns = titles[: titles.index("d1")] if "d1" in titles else titles
            return None
        if not line.strip():
            return None
        row = line.split(",")
        fields = dict(zip(self._columns, row, strict=False))
        data = [each.strip() for each in row[len(self._columns) :] if each.strip()]
        time_ns = round(float(fields["time stamp"]) * 1000)
        if not 0 <= time_ns <= TIME_MAX_NS:
            raise ValueError(line)
        raw = payload([each.rjust(2, "0") for each in data], int(fields["len"]))
        has_29_bits = fields["extended"].strip().lower() in ("true", "1")
        return time_ns, fields.get("bus", "-").strip(), can_id(int(fields["id"], 16), has_29_bits), raw, len(raw) > 8


class PythonCanCsv(TextReader):
    """1700000000.0,0x7e0,0,0,0,4,AyLxkA=="""  # noqa: D415

    format = "python-can csv"
    pattern: ClassVar = re.compile(r"timestamp,arbitration_id,extended|[\d.]+,0x[0-9a-f]+,[01],[01],[01],\d+,")

    def line(self, line: str) -> Frame | None:
        """See `TextReader.line`."""
        if line.startswith("timestamp") or not line.strip():
            return None
        stamp, id_text, extended, remote, error, _, data = line.split(",")
        time_ns = nanoseconds(stamp)
        if time_ns is None:
            raise ValueError(stamp)
        if remote == "1" or error == "1":
            return None
        raw = frame_data(base64.b64decode(data, validate=True))
        return time_ns, "-", can_id(int(id_text, 16), extended == "1"), raw, len(raw) > 8


class Trc(TextReader):
    """2  1.000 DT  1  18DAF110 Rx -  8    00 00 00 00 00 00 00 00"""  # noqa: D415

    format = "PEAK trc"
    pattern: ClassVar = re.compile(
        r";\$FILEVERSION=|;\$STARTTIME=|;\$COLUMNS=|"
        r"\s*\d+\)\s+\d+(?:\.\d+)?\s+(?:\d\s+)?(?:[RT]x\s+)?[0-9A-F]{4,8}\s"
    )
    # Time, bus, direction or type, identifier, reserved, length, data; from 1.0, with an integer time, to 1.3.
    _ROW_1: ClassVar = re.compile(
        r"\s*\d+\)\s+(\d+(?:\.\d+)?)\s+(?:(\d)\s+)?(?:([RT]x|\w+)\s+)?([0-9A-F]{4}|[0-9A-F]{8})\s+"
        r"(?:-\s+)?(\d+)((?:\s+\w{2,3})*)\s*$"
    )
    _EPOCH_DAYS: ClassVar = 25569  # from 1899-12-30, where STARTTIME begins, to 1970

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._start_ns = 0
        self._columns = list("NOTIdlD")

    def line(self, line: str) -> Frame | None:
        """See `TextReader.line`; times are milliseconds since the start."""
        if not line.strip() or line.lstrip().startswith(";"):
            self._header(line.strip())
            return None
        found = self._ROW_1.match(line)
        if found is None:
            return self._row_2(line)
        stamp, bus, direction, id_text, length, data = found.groups()
        if direction not in (None, "Rx", "Tx") or id_text == "FFFFFFFF" or "RTR" in data:
            return None
        return self._frame(stamp, bus or "1", id_text, payload(data.split(), int(length)), False)

    def _header(self, line: str) -> None:
        name, _, value = line.partition("=")
        if name == ";$STARTTIME":
            days = float(value) - self._EPOCH_DAYS
            self._start_ns = max(0, round(days * 86_400_000_000) * 1000) if abs(days) < 100_000 else 0
        elif name == ";$COLUMNS":
            self._columns = value.strip().split(",")

    def _row_2(self, line: str) -> Frame | None:
        row = line.split(maxsplit=len(self._columns) - 1)
        fields = dict(zip(self._columns, row, strict=False))
        kind = fields["T"]
        if kind in ("RR", "ST", "ER", "EC", "EV"):
            return None
        if kind not in ("DT", "FD", "FB", "FE", "BI"):
            raise ValueError(line)
        data = payload(tokens := fields.get("D", "").split(), len(tokens))
        return self._frame(fields["O"], fields.get("B", "1"), fields["I"], data, kind != "DT")

    def _frame(self, stamp: str, bus: str, id_text: str, data: bytes, is_fd: bool) -> Frame:
        since_ns = nanoseconds(float(stamp) / 1000)
        if since_ns is None:
            raise ValueError(stamp)
        return self._start_ns + since_ns, bus, can_id(int(id_text, 16), len(id_text) > 4), data, is_fd


class BusMaster(TextReader):
    """14:08:05:1060 Rx 1 0x7E0 s 8 03 22 F1 90 00 00 00 00"""  # noqa: D415

    format = "BusMaster log"
    pattern: ClassVar = re.compile(r"\*\*\*BUSMASTER")
    _ROW: ClassVar = re.compile(
        r"(\d+):(\d+):(\d+):(\d{4})\s+(?:Rx|Tx)\s+(\d+)\s+(?:0x)?([0-9A-Fa-f]+)\s+(\w+)\s+(\d+)((?:\s+\w+)*)\s*$"
    )

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._base = 16
        self._is_relative = False
        self._last_ns = 0

    def line(self, line: str) -> Frame | None:
        """See `TextReader.line`; times have four decimals."""
        if not line.strip() or line.startswith("***"):
            self._base = {"***HEX***": 16, "***DEC***": 10}.get(line.strip(), self._base)
            self._is_relative = "RELATIVE" in line or (self._is_relative and "ABSOLUTE" not in line)
            return None
        found = self._ROW.match(line)
        if found is None:
            raise ValueError(line)
        hours, minutes, seconds, fraction, channel, id_text, kind, length, data = found.groups()
        time_ns = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1_000_000_000 + int(fraction) * 100_000
        if time_ns > TIME_MAX_NS:
            raise ValueError(line)
        self._last_ns = time_ns = self._last_ns + time_ns if self._is_relative else time_ns
        if kind.endswith("r"):
            return None
        raw = payload(data.split(), int(length), self._base)
        is_fd = "-fd" in kind or len(raw) > 8
        return time_ns, channel, can_id(int(id_text, self._base), kind.startswith("x")), raw, is_fd
