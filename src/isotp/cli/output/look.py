"""How lines of a dump look: times, identifiers, bytes, colours."""

import re
import sys
import textwrap
from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Final

from ...address import CanAddress
from . import terminal
from .units import short_address

DIM: Final = 2
INDENT: Final = "    "
_COLOUR: Final = re.compile("\x1b\\[[0-9]+m")
_PRINTABLE: Final = bytes(byte if 0x20 <= byte < 0x7F else 0x2E for byte in range(256))
_NARROW: Final = 80


class Times(StrEnum):
    """How time stamps are shown, by the letters of can-utils."""

    ZERO = "z"
    ABSOLUTE = "a"
    DELTA = "d"
    DATE = "A"


class Look:
    """What every line of one output has in common.

    Args:
        times: how time stamps are shown.
        ascii_too: whether bytes are shown as characters, too.
    """

    def __init__(self, times: Times, ascii_too: bool) -> None:
        self.ascii_too = ascii_too
        self.width = terminal.width() if sys.stdout is not None and sys.stdout.isatty() else None
        """Columns of the terminal; None if it is none."""
        self.has_colours = bool(terminal.paint("", terminal.RED))
        self._shows_channel = self.width is None or self.width >= _NARROW
        self._reference = 0
        self.time: Callable[[int], str] = {
            Times.ZERO: self._since_first,
            Times.ABSOLUTE: _absolute,
            Times.DELTA: self._since_last,
            Times.DATE: _date,
        }[times]

    def begin(self, time_ns: int) -> None:
        """What times are counted from."""
        self._reference = time_ns

    def _since_first(self, time_ns: int) -> str:
        return f"{(time_ns - self._reference) / 1e9:11.6f}"

    def _since_last(self, time_ns: int) -> str:
        last, self._reference = self._reference, time_ns
        return f"{(time_ns - last) / 1e9:11.6f}"

    def paint(self, text: str, colour: int) -> str:
        """`text` in `colour` if colours are wanted."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.has_colours else text

    def head(self, channel: str, text: str, source: CanAddress, target: CanAddress | None) -> str:
        """Channel and `text`, in the colour of the direction."""
        colour = terminal.CYAN if target is None or source < target else terminal.YELLOW
        where = f"{terminal.visible(channel)}  " if self._shows_channel else ""
        return where + self.paint(text, colour)

    def link(self, channel: str, source: CanAddress, target: CanAddress | None) -> str:
        """Channel and both identifiers, in the colour of the direction."""
        text = short_address(source)
        if target is not None:
            text = f"{text} > {short_address(target)}"
        return self.head(channel, text, source, target)

    def fit(self, line: str, more: str) -> str:
        """`line` with `more` behind it, or below it if the terminal is too narrow for both."""
        if not more:
            return line
        if self.width is None or columns(line) + 2 + columns(more) <= self.width:
            return f"{line}  {more}"
        return "\n".join([line, *wrapped(more, self.width)])

    def text(self, data: bytes) -> str:
        """Bytes in hexadecimal, and as characters if that is wanted."""
        shown = data.hex(" ").upper()
        return f"{shown}  '{characters(data)}'" if self.ascii_too else shown


def columns(text: str) -> int:
    """How wide `text` is, colours left out."""
    return len(_COLOUR.sub("", text))


def wrapped(text: str, width: int) -> list[str]:
    """Indented lines; a colour of the whole is repeated on each."""
    colour = _COLOUR.match(text)
    begin, end = (colour[0], "\x1b[0m") if colour else ("", "")
    wide = max(width - len(INDENT), 20)
    lines = textwrap.wrap(_COLOUR.sub("", text), wide, break_on_hyphens=False)
    return [f"{INDENT}{begin}{line}{end}" for line in lines]


def characters(data: bytes) -> str:
    """Printable ASCII, and a point for all else."""
    return data.translate(_PRINTABLE).decode("ascii")


def _absolute(time_ns: int) -> str:
    return f"{time_ns // 1_000_000_000}.{time_ns % 1_000_000_000 // 1000:06d}"


def _date(time_ns: int) -> str:
    try:
        date = datetime.fromtimestamp(time_ns // 1_000_000_000)
    except (ValueError, OverflowError, OSError):  # a recording may say anything
        return _absolute(time_ns)
    return f"{date:%Y-%m-%d %H:%M:%S}.{time_ns % 1_000_000_000 // 1000:06d}"
