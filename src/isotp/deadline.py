"""Deadline: until when a call may wait."""

import time
from typing import Final


class Deadline:
    """A point in time until which a call may wait; made when the call begins.

    Args:
        at: monotonic seconds; None: no limit.
        seconds: how long that was when the call began, for errors.
    """

    __slots__ = ("at", "seconds")

    def __init__(self, at: float | None, seconds: float = 0.0) -> None:
        self.at = at
        self.seconds = seconds

    @staticmethod
    def after(timeout: float | None) -> "Deadline":
        """The deadline of a call that begins now; `timeout` in seconds: None: no limit, 0: do not wait."""
        if timeout is None:
            return NEVER
        return Deadline(time.monotonic() + timeout, timeout) if timeout else NOW

    def __str__(self) -> str:
        return f"after {self.seconds:g} s"

    @property
    def is_now(self) -> bool:
        """Whether the call must not wait at all."""
        return self is NOW

    def at_most(self, seconds: float) -> "Deadline":
        """This deadline, or the one `seconds` from now if that is earlier."""
        at = time.monotonic() + seconds
        return self if self.at is not None and self.at <= at else Deadline(at)

    def left(self) -> float | None:
        """Seconds that are left, 0 if it has passed; None: no limit."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    def has_passed(self) -> bool:
        """Whether the call may wait no longer."""
        return self.at is not None and time.monotonic() >= self.at


LONGEST_WAIT_S: Final = 0.5
"""No wait is longer, and each is followed by a look. Python does not notice a signal that comes in the moment before a
wait begins (1 of 300 that came right after a line of output, in an emulated VM): Ctrl-C would end nothing."""
NEVER: Final = Deadline(None)
NOW: Final = Deadline(0.0)
