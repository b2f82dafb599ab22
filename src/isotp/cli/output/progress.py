"""A progress bar: on stderr, on a terminal, for what takes long enough to be watched."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from . import terminal

_FIRST_S: Final = 0.3  # what is done by then needs no bar
_AGAIN_S: Final = 0.1
_ERASE: Final = "\r\x1b[2K"


class Bar:
    """One line that says how much is done.

    Every line begins with one sequence that erases the line before, so that nothing needs undoing, however the
    program ends.

    Args:
        unit: what is counted.
        total: how many there will be, for `advance`.
    """

    def __init__(self, unit: str, total: int = 0) -> None:
        self.is_wanted = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._unit = unit
        self._total = total
        self._count = 0
        self._lock = threading.Lock()
        self._is_shown = False
        self._begin = self._last = time.monotonic()
        self._end = threading.Event()
        self._drawer: threading.Thread | None = None

    def advance(self, count: int) -> None:
        """Count so many more, from one thread. Another thread draws, since a terminal may block who writes to it."""
        self._count += count
        if self._drawer is None and self.is_wanted:
            self._drawer = threading.Thread(target=self._draw_on, name="isotp progress", daemon=True)
            self._drawer.start()

    def _draw_on(self) -> None:
        while not self._end.wait(_AGAIN_S):
            self.show(self._count, min(1.0, self._count / self._total))

    def show(self, count: int, fraction: float | None) -> None:
        """Draw the bar if it is time to: `count` are done, which is `fraction` (0 to 1) of all; None: not known."""
        now = time.monotonic()
        if not self.is_wanted or fraction is None or now - self._last < _AGAIN_S or now - self._begin < _FIRST_S:
            return
        rate = count / (now - self._begin)
        done = f" {count:,} {self._unit}, {rate:,.0f}/s" if count else ""
        line = _line(fraction, f"{fraction:4.0%}{done}")
        with self._lock:
            self._last = now
            self._write(f"{_ERASE}{line}")
            self._is_shown = True

    def _write(self, text: str) -> None:
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):  # the terminal is gone
            self.is_wanted = False

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Erase the bar and keep it away in this block, so that lines may be written."""
        with self._lock:
            if self._is_shown:
                self._is_shown = False
                self._write(_ERASE)
            yield

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._drawer is not None:
            self._drawer.join()
        with self.hidden():
            self.is_wanted = False


def _line(fraction: float, words: str) -> str:
    """The bar, as wide as the terminal leaves room for, and `words`."""
    room = max(10, terminal.width() - len(words) - 2)
    block = "━" if "utf" in (sys.stderr.encoding or "").lower() else "="
    return f"{block * round(room * fraction):{room}} {words}"
