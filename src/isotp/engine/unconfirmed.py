"""Frames that the driver took and has not confirmed yet, in the order it took them."""

from collections import deque
from typing import Protocol


class Owner(Protocol):
    """Whose frame it is."""

    def confirmed(self, count: int, now: int) -> None:
        """Take note that its `count` oldest frames are on the bus."""


class Unconfirmed:
    """Who is to be told when the driver confirms the next frames."""

    def __init__(self) -> None:
        self._entries: deque[tuple[Owner | None, int]] = deque()

    def add(self, owner: Owner | None, count: int) -> None:
        """`count` frames were taken; nobody is to be told if `owner` is None."""
        self._entries.append((owner, count))

    def confirm(self, count: int, now: int) -> None:
        """The `count` oldest frames are on the bus. More than were taken does no harm."""
        while count > 0 and self._entries:
            owner, taken = self._entries.popleft()
            if taken > count:
                self._entries.appendleft((owner, taken - count))
                taken = count
            count -= taken
            if owner is not None:
                owner.confirmed(taken, now)

    def disown(self, owner: Owner) -> None:
        """The transfer is over; its frames will be confirmed all the same."""
        self._entries = deque((None if who is owner else who, count) for who, count in self._entries)

    def withdraw(self, owner: Owner) -> None:
        """The frames of this transfer, and of those before it, never get to the bus."""
        self._entries = deque((who, n) for who, n in self._entries if who is not None and who is not owner)

    def clear(self) -> None:
        """None of the frames will be confirmed."""
        self._entries.clear()
