"""Finding links while frames come: a finder that sees each frame, and the frames whose meaning is not known yet."""

from collections import deque
from typing import Final

from ..engine.n_pdu import ConsecutiveFrame, decode
from .finder import LinkFinder
from .frames import Frame
from .links import FoundLinks
from .standards import Key

_KEYS_MAX: Final = 2048
_HELD_MAX: Final = 32


class Live:
    """What a live capture has besides streams.

    Args:
        address_size: see `LinkFinder`.
    """

    def __init__(self, address_size: int) -> None:
        self.finder = LinkFinder(address_size)
        self.links = FoundLinks(self.finder, is_live=True)
        self.missed = 0
        """How many frames of a link came before it was found and were not held any more."""
        self._held: dict[Key, deque[Frame]] = {}

    def look(self, now: int, channel: str, can_id: int, data: bytes, is_known: bool) -> list[Key]:
        """Show a frame to the finder; returns those of links that something new is known of.

        `is_known` says whether the frame has a stream already.
        """
        changed = self.finder.see(now, channel, can_id, data)
        if not changed and not is_known and data:
            changed = (self.finder.key(channel, can_id, data),)
        return [key for key in changed if key in self.finder]

    def hold(self, frame: Frame, is_known: bool) -> None:
        """Keep a frame until its meaning is known."""
        key = self.finder.key(frame[1], frame[2], frame[3])
        if not is_known and self.finder.is_hopeless(key):
            self._held.pop(key, None)
            return
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= _KEYS_MAX:
                del self._held[next(iter(self._held))]
            held = self._held[key] = deque(maxlen=_HELD_MAX)
        held.append(frame)

    def release(self, found: list[Key], new: set[Key], present: Key) -> list[Frame]:
        """The frames that were held of links that are found, oldest first.

        Args:
            found: those that something new is known of.
            new: which of them were not known before.
            present: whose frame is still to be taken.
        """
        released: list[Frame] = []
        for key in found:
            held = list(self._held.pop(key, ()))
            if key in new:
                while held and isinstance(decode(held[0][3], len(key) - 2), ConsecutiveFrame):
                    del held[0]  # its first frame is not held any more
                self.missed += max(0, self.finder.seen(key) - len(held) - (key == present))
            released += held
        return sorted(released, key=lambda frame: frame[0])
