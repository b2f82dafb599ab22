"""Frames that the driver took and has not confirmed yet, in the order it took them."""

from typing import Protocol


class Owner(Protocol):
    """The half of a link that a frame belongs to."""

    def confirmed(self, count: int, now: int) -> None:
        """Its `count` oldest frames are on the bus."""


class Unconfirmed:
    """Frames in the order in which the driver took them, each with its owner."""

    def __init__(self) -> None:
        self._entries: list[tuple[Owner | None, int]] = []

    def add(self, owner: Owner | None, count: int) -> None:
        """`count` frames were taken; None: no owner has to know when they are confirmed."""
        self._entries.append((owner, count))

    def confirm(self, count: int, now: int) -> None:
        """The `count` oldest frames are on the bus. More than were taken does no harm."""
        while count > 0 and self._entries:
            owner, taken = self._entries.pop(0)
            if taken > count:
                self._entries.insert(0, (owner, taken - count))
                taken = count
            count -= taken
            if owner is not None:
                owner.confirmed(taken, now)

    def disown(self, owner: Owner) -> None:
        """The transfer of `owner` is over; its frames will still be confirmed."""
        self._entries = [(None if one is owner else one, count) for one, count in self._entries]

    def withdraw(self, owner: Owner) -> None:
        """The frames of `owner`, and those without an owner, will not be confirmed."""
        self._entries = [(one, n) for one, n in self._entries if one is not None and one is not owner]

    def clear(self) -> None:
        """None of the frames will be confirmed."""
        self._entries.clear()
