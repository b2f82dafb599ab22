"""CAN frames from a log file: candump's format read here, all others by python-can."""

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..errors import UnavailableError

_BLOCK: Final = 1 << 16
_BATCH: Final = 2048
_NAMES_MAX: Final = 1 << 16
_CANDUMP: Final = (".log", ".log.gz")
_ERROR_FLAG: Final = 0x20000000
_LATEST_NS: Final = (1 << 63) - 1  # the year 2262


Frames = list[tuple[int, str, int, bytes, bool]]
"""Data frames: when seen (nanoseconds), on which channel, CAN identifier, data, whether CAN FD. Plain tuples, since
making anything else takes longer than all the rest."""


class UnreadableError(OSError):
    """A log file that cannot be read, or no further."""


class CandumpLog:
    """A log of `candump -l` or `candump -L`.

    python-can reads these, too, in three times the time, and no further than the first line that is damaged.

    Args:
        path: `.log`, `.log.gz`, or `-` for standard input.
    """

    is_live: Final = False

    def __init__(self, path: str) -> None:
        self.name = "standard input" if path == "-" else path
        self._raw = sys.stdin.buffer if path == "-" else Path(path).open("rb")  # noqa: SIM115 - closed by `close`
        self._file: Any = gzip.GzipFile(fileobj=self._raw) if path.endswith(".gz") else self._raw
        self._size = _size(self._raw)
        self.passed_over = 0
        """Lines that are no CAN frame."""
        self._ids: dict[str, int | None] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()

    def progress(self) -> float | None:
        """How much of the file has been read, 0 to 1; None if its size is not known."""
        return self._raw.tell() / self._size if self._size else None

    def batches(self) -> Iterator[Frames]:
        """The frames, in lists of some length."""
        rest = b""
        while block := self._read():
            lines = (rest + block).split(b"\n")
            rest = lines.pop()
            if len(rest) > _BLOCK:  # no log has such a line; what is it?
                rest = b"\xff"  # which no line begins with
            yield self._parse(lines)
        yield self._parse([rest])

    def _read(self) -> bytes:
        try:
            block: bytes = self._file.read1(_BLOCK)
        except (EOFError, OSError, ValueError, zlib.error) as e:
            raise UnreadableError(f"{self.name}: {e}") from e
        return block

    def _parse(self, lines: list[bytes]) -> Frames:
        frames: Frames = []
        append, ids, fromhex = frames.append, self._ids, bytes.fromhex
        for line in lines:
            try:
                # (1700000000.000250) can0 7E0#0210030000000000 R
                stamp, channel, frame, *_ = line.decode("ascii").split()
                id_text, _, data = frame.partition("#")
                can_id = ids[id_text] if id_text in ids else self._can_id(id_text)
                is_fd = data[:1] == "#"
                if can_id is None or (data and data[0] in "Rr"):
                    continue
                raw = fromhex(data[2:] if is_fd else data)
                time_ns = int(stamp[1:-8] + stamp[-7:-1]) * 1000 if stamp[-8:-7] == "." else _time_ns(stamp)
                if time_ns > _LATEST_NS:
                    raise OverflowError
                append((time_ns, channel, can_id, raw, is_fd))
            except (ValueError, IndexError, OverflowError):
                if "_" in line.decode("ascii", "replace") and (longer := self._with_raw_dlc(line)):
                    append(longer)
                elif line.strip():
                    self.passed_over += 1
        return frames

    def _with_raw_dlc(self, line: bytes) -> tuple[int, str, int, bytes, bool] | None:
        """A frame with a DLC above 8, which candump writes behind an underscore."""
        head, _, _ = line.partition(b"_")
        if b"_" in head or b"#" not in head:
            return None
        parsed = self._parse([head])
        return parsed[0] if parsed else None

    def _can_id(self, text: str) -> int | None:
        """The identifier; None for an error frame."""
        number = int(text, 16)
        if not 0 <= number <= (CAN_EFF_MASK | _ERROR_FLAG if len(text) > 3 else CAN_SFF_MASK):
            raise ValueError(text)
        can_id = None if number & _ERROR_FLAG else number | (CAN_EFF_FLAG if len(text) > 3 else 0)
        if len(self._ids) >= _NAMES_MAX:
            self._ids.clear()
        self._ids[text] = can_id
        return can_id


def _time_ns(stamp: str) -> int:
    """A time stamp that has not six decimals."""
    return round(float(stamp.strip("()")) * 1e9)


class PythonCanLog:
    """A log file in any format that python-can reads: .asc, .blf, .trc, .csv, .db, .mf4 and so on."""

    is_live: Final = False

    def __init__(self, path: str) -> None:
        try:
            import can
        except ImportError:
            raise UnavailableError("python-can is not installed", remedy="pip install 'isotp[can]'") from None
        self.name = path
        self.passed_over = 0
        """Frames without a time."""
        try:
            self._reader: Any = can.LogReader(path)
        except OSError:
            raise
        except Exception as e:  # readers raise what they like
            raise UnreadableError(f"{path}: {' '.join(str(e).split())}") from e
        self._file = getattr(self._reader, "file", None)
        self._size = _size(self._file)

    def close(self) -> None:
        """Close the file."""
        self._reader.stop()

    def progress(self) -> float | None:
        """See `CandumpLog.progress`."""
        if not self._size or self._file is None or self._file.closed:
            return None
        return os.lseek(self._file.fileno(), 0, os.SEEK_CUR) / self._size

    def batches(self) -> Iterator[Frames]:
        """See `CandumpLog.batches`."""
        frames: Frames = []
        names: dict[object, str] = {}
        count = 0
        try:
            for message in self._reader:
                if message.is_error_frame or message.is_remote_frame:
                    continue
                channel = names.get(message.channel)
                if channel is None:
                    channel = names[message.channel] = _channel(message.channel)
                can_id = message.arbitration_id
                if message.is_extended_id:
                    can_id |= CAN_EFF_FLAG
                try:
                    time_ns = int(message.timestamp * 1e6 + 0.5) * 1000
                except (ValueError, OverflowError):  # not a number, or infinite
                    self.passed_over += 1
                    continue
                frames.append((time_ns, channel, can_id, bytes(message.data), message.is_fd))
                if len(frames) >= _BATCH:
                    count += len(frames)
                    yield frames
                    frames = []
        except GeneratorExit:
            raise
        except Exception as e:  # whatever a reader makes of a damaged file
            yield frames
            reason = " ".join(str(e).split()) or type(e).__name__
            raise UnreadableError(f"{self.name}: damaged after frame {count + len(frames)}: {reason}") from e
        yield frames


def _channel(channel: object) -> str:
    return "-" if channel is None else str(channel)


def _size(file: BinaryIO | Any) -> int:
    """The size of a regular file; 0 of anything else."""
    try:
        return os.fstat(file.fileno()).st_size
    except (AttributeError, OSError, io.UnsupportedOperation, ValueError):
        return 0


def open_log(path: str) -> CandumpLog | PythonCanLog:
    """A log file by the end of its name.

    Raises:
        OSError: it cannot be opened, or has a format that nobody here knows.
    """
    return CandumpLog(path) if path == "-" or path.lower().endswith(_CANDUMP) else PythonCanLog(path)
