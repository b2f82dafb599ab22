"""Unechoed: frames that a bus has taken and not echoed yet, to find the link that sent the frame of an echo."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

from ..can_frame import CanFrame
from .link import Link


class Unechoed:
    """Frames that were not echoed yet, by identifier: those with the same identifier keep their order.

    Identifier and data decide whether an echo is of a frame; flags do not, since controllers set them differently.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, deque[tuple[CanFrame, Link]]] = {}

    def add(self, link: Link, frames: Sequence[CanFrame]) -> None:
        """The bus has taken `frames` of `link`; they all have the same identifier."""
        if frames:
            self._by_id.setdefault(frames[0].can_id, deque()).extend(zip(frames, repeat(link), strict=False))
            link.unechoed += len(frames)

    def take_all(self, echoes: Iterable[CanFrame]) -> dict[Link, int]:
        """How many of `echoes` are of frames of which link; these frames are removed."""
        sent: dict[Link, int] = {}
        for echo in echoes:
            waiting = self._by_id.get(echo[0])
            link: Link | None
            if waiting and ((first := waiting[0][0]) is echo or first[1] == echo[1]):  # `take` without the call
                link = waiting.popleft()[1]
                link.unechoed -= 1
            else:
                link = self.take(echo)
            if link is not None:
                sent[link] = sent.get(link, 0) + 1
        return sent

    def take(self, echo: CanFrame) -> Link | None:
        """The link that sent the frame of `echo`; None: it was given up, or is not ours."""
        sent = self._by_id.get(echo[0])
        if not sent:
            return None
        if sent[0][0][1] != echo[1]:
            # Frames before it were never sent: the queue was flushed, or the controller restarted.
            lost = next((i for i, (frame, _) in enumerate(sent) if frame[1] == echo[1]), None)
            if lost is None:
                return None
            for _ in range(lost):
                sent.popleft()[1].unechoed -= 1
        link = sent.popleft()[1]
        link.unechoed -= 1
        return link

    def forget(self, link: Link, which: Callable[[CanFrame], bool]) -> None:
        """Forget the frames of `link` for which `which` returns True."""
        if not link.unechoed or link.tx is None:
            return
        sent = self._by_id.get(link.tx.can_id, deque())
        kept = deque((frame, sender) for frame, sender in sent if sender is not link or not which(frame))
        link.unechoed -= len(sent) - len(kept)
        self._by_id[link.tx.can_id] = kept
        if not kept:
            del self._by_id[link.tx.can_id]
