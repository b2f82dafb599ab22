"""A progress bar: on stderr, on a terminal, once something takes long enough to be watched."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..engine.events import Event

_FIRST_S: Final = 0.3  # what is done by then needs no bar
_AGAIN_S: Final = 0.1
_ERASE: Final = "\r\x1b[2K"


class Bar:
    """One line that says how far something is.

    rich makes the line; where it goes is told by one sequence that needs no undoing, however the program ends.

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
        """So many more are done, as one thread says: drawing, which a terminal may hold up, is left to another."""
        self._count += count
        if self._drawer is None and self.is_wanted:
            self._drawer = threading.Thread(target=self._draw_on, name="isotp progress", daemon=True)
            self._drawer.start()

    def _draw_on(self) -> None:
        while not self._end.wait(_AGAIN_S):
            self.show(self._count, min(1.0, self._count / self._total))

    def show(self, count: int, fraction: float | None) -> None:
        """Draw it now and then: so many are done, which is so much of all (0 to 1), if that is known."""
        now = time.monotonic()
        if not self.is_wanted or fraction is None or now - self._last < _AGAIN_S or now - self._begin < _FIRST_S:
            return
        rate = count / (now - self._begin)
        line = _line(fraction, f"{count:,} {self._unit}, {rate:,.0f}/s")
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
        """Not drawn in this block, so that lines may be written."""
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
    from rich.console import Console
    from rich.progress_bar import ProgressBar
    from rich.table import Column, Table

    console = Console(stderr=True)
    line = Table.grid(Column(), Column(no_wrap=True), padding=(0, 1), expand=True)
    line.add_row(ProgressBar(total=1.0, completed=fraction), f"{fraction:4.0%} {words}")
    with console.capture() as drawn:
        console.print(line, width=max(20, console.width - 1), highlight=False)
    return drawn.get().rstrip("\n")


def of_engine(advance: Callable[[int], None]) -> "Callable[[Event], None]":
    """What calls `advance` with the bytes newly sent, given the events of an engine."""
    from ..engine.events import Direction, MessageSent, Progress, TransferFailed

    told = 0

    def take(event: "Event") -> None:
        nonlocal told
        if isinstance(event, Progress) and event.direction is Direction.SENDING:
            advance(event.done - told)
            told = event.done
        elif isinstance(event, MessageSent | TransferFailed):
            if isinstance(event, MessageSent):
                advance(event.length - told)
            told = 0

    return take
