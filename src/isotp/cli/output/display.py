"""What shows observed traffic, and how its lines get to standard output."""

import sys
from typing import Protocol

from ...capture.observer import Event


class Display(Protocol):
    """Shows frames or messages."""

    shows_frames: bool
    """Whether frames are among the events."""

    def begin(self, time_ns: int) -> None:
        """Take the time of the first frame of all, of whatever link."""

    def event(self, event: Event) -> None:
        """Show a message, a fault, or, if `shows_frames`, a frame of a link."""

    def flush(self) -> None:
        """Write the lines collected so far."""


class Enough(Exception):  # noqa: N818 - no error
    """The display has shown all that was asked for."""


class Writer:
    """Collects lines until `flush`.

    Args:
        limit: how many lines that count to write; 0 for no limit.
    """

    def __init__(self, limit: int = 0) -> None:
        self._lines: list[str] = []
        self._left = limit

    def line(self, text: str, counts: bool = True) -> None:
        """Write a line, or several.

        Raises:
            Enough: it was the last one wanted.
        """
        self._lines.append(text)
        if self._left and counts:
            self._left -= 1
            if not self._left:
                raise Enough

    def flush(self) -> None:
        """Write the lines collected so far."""
        if self._lines:
            self._lines.append("")
            text = "\n".join(self._lines)
            self._lines.clear()
            sys.stdout.write(text)
            sys.stdout.flush()
