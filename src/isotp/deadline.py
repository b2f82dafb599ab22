"""Deadline: until when a call may wait."""

import time
from typing import Final


class Deadline:
    """A point in time that a call may wait for, made when the call begins.

    Args:
        at: monotonic seconds; None: no limit.
    """

    __slots__ = ("at",)

    def __init__(self, at: float | None) -> None:
        self.at = at

    @classmethod
    def after(cls, timeout: float | None) -> "Deadline":
        """The deadline of a call that begins now; `timeout` in seconds, None: no limit, 0: do not wait."""
        if timeout is None:
            return NEVER
        return cls(time.monotonic() + timeout) if timeout else NOW

    @property
    def is_now(self) -> bool:
        """Whether the call must not wait at all."""
        return self is NOW

    def left(self) -> float | None:
        """Seconds that are left, 0 if it has passed; None: no limit."""
        return None if self.at is None else max(0.0, self.at - time.monotonic())

    def has_passed(self) -> bool:
        """Whether the call may wait no longer."""
        return self.at is not None and time.monotonic() >= self.at


NEVER: Final = Deadline(None)
NOW: Final = Deadline(0.0)
