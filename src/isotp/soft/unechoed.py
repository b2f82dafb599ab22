"""Unechoed: frames that a bus has taken and not echoed yet, to find the link that sent the frame of an echo."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from ..can_frame import CanFrame
from .link import Link

_CAN_ID: Final = itemgetter(0)


class Unechoed:
    """Frames that were not echoed yet, by identifier: those with the same identifier keep their order.

    Identifier and data decide whether an echo is of a frame; flags do not, since controllers set them differently.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, deque[tuple[Link, list[CanFrame]]]] = {}  # the frames that were taken together

    def add(self, link: Link, frames: Sequence[CanFrame]) -> None:
        """The bus has taken `frames` of `link`; they all have the same identifier."""
        if frames:
            self._by_id.setdefault(frames[0].can_id, deque()).append((link, list(frames)))
            link.unechoed += len(frames)

    def take_all(self, echoes: Iterable[CanFrame]) -> dict[Link, int]:
        """How many of `echoes` are of frames of which link; these frames are removed."""
        sent: dict[Link, int] = {}
        for can_id, run in groupby(echoes, _CAN_ID):
            together = list(run)
            waiting = self._by_id.get(can_id)
            count = len(together)
            if waiting and waiting[0][1][:count] == together:  # the other way takes eight times as long for 16
                link, frames = waiting[0]
                del frames[:count]
                if not frames:
                    waiting.popleft()
                link.unechoed -= count
                sent[link] = sent.get(link, 0) + count
            else:
                for echo in together:
                    if (sender := self.take(echo)) is not None:
                        sent[sender] = sent.get(sender, 0) + 1
        return sent

    def take(self, echo: CanFrame) -> Link | None:
        """The link that sent the frame of `echo`; None: it was given up, or is not ours."""
        waiting = self._by_id.get(echo[0], deque())
        if not any(echo[1] == frame[1] for _, frames in waiting for frame in frames):
            return None
        while True:
            link, frames = waiting[0]
            # Frames before it were never sent: the queue was flushed, or the controller restarted.
            frame = frames.pop(0)
            link.unechoed -= 1
            if not frames:
                waiting.popleft()
            if frame[1] == echo[1]:
                return link

    def forget(self, link: Link, which: Callable[[CanFrame], bool]) -> None:
        """Forget the frames of `link` for which `which` returns True."""
        if not link.unechoed or link.tx is None:
            return
        kept: deque[tuple[Link, list[CanFrame]]] = deque()
        for sender, frames in self._by_id.get(link.tx.can_id, ()):
            left = [frame for frame in frames if sender is not link or not which(frame)]
            sender.unechoed -= len(frames) - len(left)
            if left:
                kept.append((sender, left))
        self._by_id[link.tx.can_id] = kept
        if not kept:
            del self._by_id[link.tx.can_id]
