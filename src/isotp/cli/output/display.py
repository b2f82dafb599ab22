"""Lines to standard output, many at once."""

import sys

from .watching import Enough


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
        """Write out what was collected."""
        if self._lines:
            self._lines.append("")
            text = "\n".join(self._lines)
            self._lines.clear()
            sys.stdout.write(text)
            sys.stdout.flush()
