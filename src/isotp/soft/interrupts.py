"""Ctrl-C, put off while a bus is between two states.

A turn of the hub hands frames from one place to the next; an exception between any two lines of it would lose some.
The interpreter runs signal handlers in the main thread between any two instructions, and the handler of Ctrl-C
raises. Where a program has installed a handler of its own that raises, a turn is repeated as well as it can be.
"""

import signal as _slow_signal
import threading
from importlib import import_module
from types import TracebackType
from typing import Any, Final

try:  # what `signal` wraps: its enums take 7 us for each call, twice what a short message takes
    _signals: Any = import_module("_signal")
except ImportError:
    _signals = _slow_signal

_SIGINT: Final = int(_slow_signal.SIGINT)


class put_off:  # noqa: N801 - reads as the statement it is
    """Raise the KeyboardInterrupt of a Ctrl-C within the block at its end."""

    __slots__ = ("_came", "_mine")

    def __init__(self) -> None:
        self._mine = False
        self._came = False

    def _come(self, *_: Any) -> None:
        self._came = True

    def __enter__(self) -> None:
        if (
            threading.current_thread() is threading.main_thread()
            and _signals.getsignal(_SIGINT) is _signals.default_int_handler
        ):
            self._mine = True
            _signals.signal(_SIGINT, self._come)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mine:
            _signals.signal(_SIGINT, _signals.default_int_handler)
            if self._came:
                raise KeyboardInterrupt
