"""Routines: service 0x31."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

START: Final = 1
STOP: Final = 2
RESULTS: Final = 3


@dataclass(slots=True)
class Routine:
    """A routine.

    Each answer is the status record, the bytes after the routine's identifier: bytes, hexadecimal digits, an `Nrc`, a
    `Reply` with a time, or a function of the `Request` that returns any of these or raises `Refused`.

    Args:
        start: the answer to startRoutine.
        stop: the answer to stopRoutine; None: it cannot be stopped.
        results: the answer to requestRoutineResults; None: it has none.
        security: the level that has to be unlocked; None: none.
        sessions: those in which it may be used; None: all.
    """

    start: Any = b""
    stop: Any = None
    results: Any = None
    security: int | None = None
    sessions: Collection[int] | None = None
    was_started: bool = False

    def answer(self, sub_function: int) -> Any:
        """Its answer to a sub-function; None: it does not support that."""
        return {START: self.start, STOP: self.stop, RESULTS: self.results}.get(sub_function)
