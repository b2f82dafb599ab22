"""Recordings of every kind: which one it is, is seen from its content, not from its name."""

import os
from typing import Final

from ..frames import Frames
from .base import Reader, TextReader
from .blf import MAGIC as _BLF
from .blf import Blf
from .candump import CandumpLog, CandumpScreen
from .pcap import MAGICS as _PCAP
from .pcap import Pcap, PcapNg
from .python_can import Db, Mf4
from .source import MAX_UNPACKED, Source, UnreadableError
from .tables import BusMaster, Gvret, PythonCanCsv, Trc
from .vector import Asc

__all__ = ["MAX_UNPACKED", "Frames", "Reader", "UnreadableError", "open_recording"]

_BINARY: Final[tuple[tuple[bytes, type[Reader]], ...]] = (
    (_BLF, Blf),
    *((magic, PcapNg if magic == _PCAP[-1] else Pcap) for magic in _PCAP),
    (b"SQLite format 3\0", Db),
    (b"MDF ", Mf4),
    (b"UnFinMF ", Mf4),
)
_TEXT: Final = (CandumpLog, CandumpScreen, Gvret, PythonCanCsv, Trc, BusMaster, Asc)
_HEAD: Final = 1 << 16
_LINES: Final = 20  # so many lines of a pipe may make no sense before it is refused
READABLE: Final = (
    "candump (-l, -L, and what it prints), pcap and pcapng, SavvyCAN/GVRET csv, PEAK trc, Vector asc and blf, "
    "BusMaster log, python-can's csv and db, mf4; each plain or gzip"
)


class _Empty(TextReader):
    """A file without a byte."""

    format = "empty"


def open_recording(path: str | os.PathLike[str], max_unpacked: int = MAX_UNPACKED) -> Reader:
    """A reader for the recording in a file, or from standard input (`-`); see `Source` for `max_unpacked`.

    Raises:
        OSError: it cannot be opened.
        UnreadableError: its content is no recording of a kind that can be read.
        UnavailableError: it takes python-can, which is not installed.
    """
    source = Source(path, max_unpacked)
    try:
        return _kind(source)(source)
    except BaseException:
        source.close()
        raise


def _kind(source: Source) -> type[Reader]:
    size = 1
    while True:
        head = source.head(_HEAD if source.is_file else size)
        for magic, kind in _BINARY:
            if head.startswith(magic):
                return kind
        lines = head.decode("latin-1").splitlines()
        is_all = source.is_file or source.is_at_end or source.damage is not None or len(head) >= _HEAD
        for line in lines if is_all or head.endswith(b"\n") else lines[:-1]:
            for text_kind in _TEXT:
                if text_kind.pattern.match(line):
                    return text_kind
        if not head and source.damage is not None:
            raise UnreadableError(source.damage)
        if is_all or sum(bool(line.strip()) for line in lines) > _LINES:
            if not head:
                return _Empty
            raise UnreadableError(
                f"{source.name}: no recording of a kind that can be read; can be read: {READABLE}. "
                "To record: candump -l can0"
            )
        size = len(head) + _HEAD
