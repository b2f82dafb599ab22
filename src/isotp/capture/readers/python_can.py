"""What python-can reads for us: its own database, .db, and MF4."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Final

from ...errors import not_installed
from ..frames import Frames, frames_of
from .base import Reader
from .source import Source, UnreadableError

_BATCH: Final = 2048


class _PythonCan(Reader):
    """A recording that python-can reads.

    Raises:
        UnavailableError: python-can is not installed.
    """

    suffix: ClassVar[str]

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        try:
            import can
        except ImportError:
            raise not_installed(
                "python-can", f"{self.name}: {self.format} is read by python-can, which is not installed"
            ) from None
        self._can = can

    def _messages(self, path: str) -> Any:
        raise NotImplementedError

    def batches(self) -> Iterator[Frames]:
        """See `Reader.batches`."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"recording{self.suffix}"  # the file may have any name, or be packed
            with path.open("wb") as copy:
                while block := self.source.read():
                    copy.write(block)
            yield from self._frames(str(path))

    def _frames(self, path: str) -> Iterator[Frames]:
        frames: Frames = []
        reader = None
        try:
            reader = self._messages(path)
            for frame in frames_of(reader):
                if frame is not None:
                    frames.append(frame)
                if len(frames) >= _BATCH:
                    yield frames
                    frames = []
        except (GeneratorExit, MemoryError):
            raise
        except Exception as e:  # whatever a reader makes of a damaged file
            yield frames
            raise UnreadableError(f"{self.name}: damaged: {' '.join(str(e).split()) or type(e).__name__}") from e
        finally:
            if reader is not None:
                reader.stop()
        yield frames


class Db(_PythonCan):
    """SQLite, as python-can writes it."""

    format = "python-can db"
    suffix = ".db"

    def _messages(self, path: str) -> Any:
        return self._can.SqliteReader(path)


class Mf4(_PythonCan):
    """ASAM MDF 4."""

    format = "ASAM mf4"
    suffix = ".mf4"

    def _messages(self, path: str) -> Any:
        return self._can.LogReader(path)
