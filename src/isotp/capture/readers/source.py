"""The bytes of a recording: plain or gzip, from a file or a pipe."""

import gzip
import io
import os
import sys
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Final

BLOCK: Final = 1 << 16
MAX_UNPACKED: Final = 1 << 28
"""Bytes that a recording may unpack to, unless `_TIMES` its packed size is more."""
_TIMES: Final = 100  # recordings of traffic shrink to a tenth or so; only the same again and again shrinks further
_GZIP: Final = b"\x1f\x8b"


class UnreadableError(OSError):
    """A recording that cannot be read, or no further."""


class Source:
    """An open file.

    Args:
        path: its name, or `-` for standard input.
        max_unpacked: how many bytes it may unpack to where that is more than 100 times what is packed.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], max_unpacked: int = MAX_UNPACKED) -> None:
        self.path = os.fspath(path)
        self._max_unpacked = max_unpacked
        self.name = "standard input" if self.path == "-" else _one_line(self.path)
        self._raw: BinaryIO = sys.stdin.buffer if self.path == "-" else Path(self.path).open("rb")  # noqa: SIM115
        status = os.fstat(self._raw.fileno()) if _has_descriptor(self._raw) else None
        self.is_file = status is not None and _is_regular(status)
        """Whether it can be read again."""
        self._size = status.st_size if status is not None and self.is_file else 0
        self._begin = self._raw.tell() if self.is_file else 0
        self._open()

    def _open(self) -> None:
        self._head = bytearray()
        self._is_at_end = False
        self.damage: str | None = None
        """What `head` met; raised once the file is read that far."""
        peeked = self._raw.peek(2) if isinstance(self._raw, io.BufferedReader) else b""
        self._is_gzip = peeked[:2] == _GZIP
        self._unpacked = 0
        self._packed = _Counted(self._raw)
        self._file: Any = gzip.GzipFile(fileobj=self._packed) if self._is_gzip else self._packed  # type: ignore[call-overload]

    def rewind(self) -> None:
        """Go back to the beginning; only if `is_file`."""
        self._raw.seek(self._begin)
        self._open()

    def head(self, size: int) -> bytes:
        """The next bytes, at most and for a file at least `size` if it has so many; they will be read again."""
        while len(self._head) < size and not self._is_at_end and self.damage is None:
            try:
                self._head += self._read(size - len(self._head))
            except UnreadableError as e:
                self.damage = str(e)
            if not self.is_file:
                break
        return bytes(self._head[:size])

    def seen(self) -> bytes:
        """The first 64 kB of a file, or what `head` has read of a pipe."""
        return self.head(BLOCK) if self.is_file else bytes(self._head)

    @property
    def is_at_end(self) -> bool:
        """Whether `head` has met the end."""
        return self._is_at_end

    def read(self) -> bytes:
        """The next bytes, as many as there are and at most 64 kB; none at the end."""
        if self._head:
            block = bytes(self._head)
            self._head.clear()
            return block
        return self._read(BLOCK)

    def read_exactly(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        parts = [bytes(self._head[:size])]
        del self._head[:size]
        missing = size - len(parts[0])
        while missing > 0 and (part := self._read(min(missing, 1 << 20))):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _read(self, size: int) -> bytes:
        if self.damage is not None:
            raise UnreadableError(self.damage)
        try:
            block: bytes = self._file.read1(size)
        except (EOFError, OSError, ValueError, zlib.error) as e:
            if isinstance(e, IsADirectoryError):
                raise
            raise UnreadableError(f"{self.name}: {e}") from e
        self._is_at_end = not block
        if self._is_gzip:
            self.count_unpacked(len(block))
        return block

    def count_unpacked(self, size: int) -> None:
        """Take note that so many bytes were unpacked; a reader whose format packs says it of those.

        Raises:
            UnreadableError: they are too many for what is packed.
        """
        self._unpacked += size
        if self._unpacked > max(self._max_unpacked, _TIMES * self._packed.count):
            raise UnreadableError(
                f"{self.name}: unpacks to more than {self._max_unpacked} bytes and {_TIMES} times its size, as a "
                "recording of traffic does not; if it is one, give a higher max_unpacked (--max-unpacked)"
            )

    def progress(self) -> float | None:
        """How much has been read, 0 to 1; None if its size is not known."""
        if not self._size or self._raw.closed:
            return None
        return (self._raw.tell() - self._begin) / max(1, self._size - self._begin)

    def close(self) -> None:
        """Close the file."""
        if self._is_gzip:
            self._file.close()
        if self._raw is not sys.stdin.buffer:
            self._raw.close()


class _Counted:
    """What is read of a file, counted.

    Args:
        file: open for reading.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file: Any = file
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        """As the file's own."""
        return self._counted(self._file.read(size))

    def read1(self, size: int = -1) -> bytes:
        """As the file's own."""
        return self._counted(self._file.read1(size))

    def _counted(self, block: bytes) -> bytes:
        self.count += len(block)
        return block


def _one_line(path: str) -> str:
    """A path as errors name it: control characters and such as in Python's source."""
    return path if path.isprintable() else path.encode("unicode_escape").decode()


def _has_descriptor(file: BinaryIO) -> bool:
    try:
        file.fileno()
    except (OSError, AttributeError, ValueError):
        return False
    return True


def _is_regular(status: os.stat_result) -> bool:
    return status.st_mode & 0o170000 == 0o100000
