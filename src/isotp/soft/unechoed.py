"""Frames that a bus took and has not echoed yet, so that each echo finds the link that sent it."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

from ..can_frame import CanFrame
from .link import Link


class Unechoed:
    """Frames on their way, by identifier: those of one identifier do not overtake each other.

    An echo is known by identifier and data; controllers differ in the flags they put on it.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, deque[tuple[CanFrame, Link]]] = {}

    def add(self, link: Link, frames: Sequence[CanFrame]) -> None:
        """The bus took `frames` of `link`, which all have its one identifier."""
        if frames:
            self._by_id.setdefault(frames[0].can_id, deque()).extend(zip(frames, repeat(link), strict=False))
            link.unechoed += len(frames)

    def take_all(self, echoes: Iterable[CanFrame]) -> dict[Link, int]:
        """How many of its frames each link that sent some of `echoes` has on the wire now."""
        sent: dict[Link, int] = {}
        for echo in echoes:
            waiting = self._by_id.get(echo[0])
            link: Link | None
            if waiting and ((first := waiting[0][0]) is echo or first[1] == echo[1]):  # as `take`, without the call
                link = waiting.popleft()[1]
                link.unechoed -= 1
            else:
                link = self.take(echo)
            if link is not None:
                sent[link] = sent.get(link, 0) + 1
        return sent

    def take(self, echo: CanFrame) -> Link | None:
        """The link that sent `echo`; None for a frame that was given up, or that is not ours."""
        sent = self._by_id.get(echo[0])
        if not sent:
            return None
        if sent[0][0][1] != echo[1]:
            # Frames that never got to the wire (the queue was flushed, the controller restarted) lie before it.
            lost = next((i for i, (frame, _) in enumerate(sent) if frame[1] == echo[1]), None)
            if lost is None:
                return None
            for _ in range(lost):
                sent.popleft()[1].unechoed -= 1
        link = sent.popleft()[1]
        link.unechoed -= 1
        return link

    def forget(self, link: Link, which: Callable[[CanFrame], bool]) -> None:
        """Take no more notice of the frames of `link` that `which` says yes to."""
        if not link.unechoed or link.tx is None:
            return
        sent = self._by_id.get(link.tx.can_id, deque())
        kept = deque((frame, who) for frame, who in sent if who is not link or not which(frame))
        link.unechoed -= len(sent) - len(kept)
        self._by_id[link.tx.can_id] = kept
        if not kept:
            del self._by_id[link.tx.can_id]
