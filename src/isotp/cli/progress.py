"""A progress bar: on stderr, on a terminal, once something takes long enough to be watched."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from . import terminal

if TYPE_CHECKING:
    from ..core.events import Event

_FIRST_S: Final = 0.3  # what is done by then needs no bar
_AGAIN_S: Final = 0.1
_ERASE: Final = "\r\x1b[2K"


class Bar:
    """One line that says how far something is; any thread may move it on.

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

    def advance(self, count: int) -> None:
        """So many more are done."""
        with self._lock:
            self._count += count
        self.show(self._count, min(1.0, self._count / self._total))

    def show(self, count: int, fraction: float | None) -> None:
        """Draw it now and then: so many are done, which is so much of all (0 to 1), if that is known."""
        now = time.monotonic()
        if not self.is_wanted or fraction is None or now - self._last < _AGAIN_S or now - self._begin < _FIRST_S:
            return
        width = max(5, min(30, terminal.width() - 45))
        done = round(fraction * width)
        rate = count / (now - self._begin)
        drawn = f"[{'#' * done + '.' * (width - done)}] {fraction:4.0%} {count:,} {self._unit}, {rate:,.0f}/s"
        with self._lock:
            sys.stderr.write(f"{_ERASE}{drawn}")
            sys.stderr.flush()
            self._is_shown, self._last = True, now

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Not drawn in this block, so that lines may be written."""
        with self._lock:
            if self._is_shown:
                self._is_shown = False
                sys.stderr.write(_ERASE)
                sys.stderr.flush()
            yield

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        with self.hidden():
            self.is_wanted = False


def of_engine(advance: Callable[[int], None]) -> "Callable[[Event], None]":
    """What calls `advance` with the bytes newly sent, given the events of an engine."""
    from ..core.events import Direction, MessageSent, Progress, TransferFailed

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
