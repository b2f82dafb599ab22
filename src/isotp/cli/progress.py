"""A progress bar: on stderr, on a terminal, once something takes long enough to be watched."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

    from ..core.events import Event

_FIRST_S: Final = 0.3  # what is done by then needs no bar
_AGAIN_S: Final = 0.1


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
        self._drawn: RichProgress | None = None
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
        rate = count / (now - self._begin)
        with self._lock:
            self._last = now
            if self._drawn is None:
                self._drawn = _drawing()
            words = f"{count:,} {self._unit}, {rate:,.0f}/s"
            self._drawn.update(self._drawn.task_ids[0], completed=fraction, words=words)
            self._drawn.start()  # nothing, if it is there
            self._drawn.refresh()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Not drawn in this block, so that lines may be written."""
        with self._lock:
            if self._drawn is not None:
                self._drawn.stop()
            yield

    def __enter__(self) -> "Bar":
        return self

    def __exit__(self, *_: object) -> None:
        with self.hidden():
            self.is_wanted = False


def _drawing() -> "RichProgress":
    """What draws the bar when it is told to, and by itself never; it erases it when it stops."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[words]}"))
    drawing = Progress(
        *columns,
        console=Console(stderr=True),
        auto_refresh=False,
        expand=True,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    drawing.add_task("", total=1.0, words="")
    return drawing


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
