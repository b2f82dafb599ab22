"""Progress bars: on stderr, on a terminal, once something takes long enough to be watched."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.events import Event


@contextmanager
def bar(what: str, total: int | None, *, in_bytes: bool = False) -> Iterator[Callable[[int], None]]:
    """`advance(n)` moves it on by `n` of `total`; where stderr is no terminal, nothing is shown and rich not loaded."""
    if not sys.stderr.isatty():
        yield lambda n: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}"), BarColumn(), count, TimeRemainingColumn())
    # What is printed goes above the bar, through its console: that is stderr, and only a terminal is both.
    shares = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=shares) as progress:
        task = progress.add_task(what, total=total)
        yield lambda n: progress.advance(task, n)


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
