"""What all readers have in common, and the reading of text by lines."""

from collections.abc import Iterator
from typing import ClassVar, Final

from ...address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..frames import DATA_MAX, Frame, Frames
from .source import BLOCK, Source


class Reader:
    """Reads the data frames of a recording; remote and error frames are left out.

    Args:
        source: where its bytes come from.
    """

    format: ClassVar[str]
    is_live: Final = False

    def __init__(self, source: Source) -> None:
        self.source = source
        self.name = source.name
        self.passed_over = 0
        """How many lines or records are no frames, as far as was read."""
        self.is_timed = True
        """Whether the recording has times; all frames are seen at 0 if not."""

    def batches(self) -> Iterator[Frames]:
        """The frames, in lists of some length, as soon as they can be read.

        Raises:
            UnreadableError: the file is damaged, and nothing can be read behind that.
        """
        raise NotImplementedError

    @property
    def can_be_read_again(self) -> bool:
        """Whether `again` works: not for a pipe."""
        return self.source.is_file

    def again(self) -> "Reader":
        """A reader of the same file, from its beginning."""
        self.source.rewind()
        return type(self)(self.source)

    def progress(self) -> float | None:
        """How much of the file has been read, 0 to 1; None if its size is not known."""
        return self.source.progress()

    def close(self) -> None:
        """Close the file."""
        self.source.close()


class TextReader(Reader):
    """A format with a frame a line: a subclass knows the lines."""

    def batches(self) -> Iterator[Frames]:
        """See `Reader.batches`."""
        rest = b""
        is_too_long = False  # no recording has a line that long; what is it?
        while block := self.source.read():
            lines, newline, rest = (rest + block).rpartition(b"\n")
            if is_too_long and newline:
                lines = lines.partition(b"\n")[2]
                is_too_long = False
            if len(rest) > BLOCK:
                self.passed_over += not is_too_long
                is_too_long = True
                rest = b""
            yield self.parse(lines.decode("latin-1")) if lines else []
        yield self.parse(rest.decode("latin-1")) if rest and not is_too_long else []

    def parse(self, text: str) -> Frames:
        """The frames in some whole lines."""
        frames: Frames = []
        for line in text.splitlines():
            try:
                frame = self.line(line)
            except (ValueError, LookupError, OverflowError):
                self.passed_over += 1
            else:
                if frame is not None:
                    frames.append(frame)
        return frames

    def line(self, line: str) -> Frame | None:
        """The frame in a line; None for a line that is rightly none, ValueError for one that makes no sense."""
        raise NotImplementedError


def can_id(number: int, has_29_bits: bool) -> int:
    """An identifier as `Frame` has it; ValueError if it is none."""
    if not 0 <= number <= (CAN_EFF_MASK if has_29_bits else CAN_SFF_MASK):
        raise ValueError(number)
    return number | CAN_EFF_FLAG if has_29_bits else number


def payload(tokens: list[str], length: int, base: int = 16) -> bytes:
    """The first `length` of `tokens` as bytes; ValueError if there are fewer, or one is no byte."""
    data = bytes.fromhex("".join(tokens[:length])) if base == 16 else bytes(int(each, base) for each in tokens[:length])
    if len(data) != length:
        raise ValueError(tokens)
    return frame_data(data)


def frame_data(data: bytes) -> bytes:
    """`data`; ValueError if no frame has so many bytes."""
    if len(data) > DATA_MAX:
        raise ValueError(data)
    return data
