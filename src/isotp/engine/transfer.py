"""Transfer: what sender and receiver have in common: a state, frames on their way to the bus, and failing."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum
from typing import ClassVar, Generic, TypeVar

from ..can_frame import CanFrame
from ..errors import TransferError
from .events import Direction, Event, FrameIgnored, IgnoreReason, TransferFailed
from .params import Params
from .states import ReceiverState, SenderState
from .unconfirmed import Unconfirmed

S = TypeVar("S", SenderState, ReceiverState)
I = TypeVar("I", bound=Enum)  # noqa: E741 - S and I as in the tables

_TRACE_LENGTH = 8


class Transfer(ABC, Generic[S, I]):
    """One half of a link; at most one message at a time.

    Args:
        params: of the link.
        link: the link in words, for errors.
        events: where events go.
        unconfirmed: the link's frames that the driver has to confirm.
    """

    direction: ClassVar[Direction]
    state: S
    _table: dict[S, dict[I, S]]

    def __init__(self, params: Params, link: str, events: list[Event], unconfirmed: Unconfirmed) -> None:
        self._params = params
        self._link = link
        self._events = events
        self._unconfirmed = unconfirmed
        self._out = 0  # frames taken and not confirmed
        self._out_ns = 0  # since when the oldest of them is on its way
        self._total = 0
        self._first_frame: tuple[CanFrame, ...] = ()
        self._trace: list[CanFrame] = []  # the last frames of the message; an empty deque has 700 bytes

    @property
    @abstractmethod
    def done(self) -> int:
        """How many bytes of the message are transferred."""

    def _takes(self, what: I) -> bool:
        return what in self._table[self.state]

    def _enter(self, what: I) -> None:
        self.state = self._table[self.state][what]

    def _begin(self, total: int) -> None:
        self._total = total
        self._first_frame = ()
        self._trace.clear()

    def _note(self, frames: Iterable[CanFrame]) -> None:
        """Keep frames of the message, to report the last ones if it fails."""
        self._trace += frames
        del self._trace[:-_TRACE_LENGTH]

    def _ignore(self, frame: CanFrame, why: IgnoreReason, text: str) -> None:
        self._events.append(FrameIgnored(frame, why, text))

    def _frames_taken(self, count: int, now: int) -> None:
        if not self._out:
            self._out_ns = now
        self._out += count
        self._unconfirmed.add(self, count)

    @abstractmethod
    def confirmed(self, count: int, now: int) -> None:
        """Our `count` oldest frames are on the bus."""

    def _finish(self, what: I) -> None:
        """End the message, transferred or failed. Frames of it may still be unconfirmed: an answer can arrive first."""
        self._enter(what)
        if self._out:
            self._unconfirmed.disown(self)
            self._out = 0

    def _withdraw(self) -> None:
        """Forget our frames on the way to the bus: the driver drops them and does not confirm them."""
        self._unconfirmed.withdraw(self)
        self._out = 0

    def _fail(self, what: I, error: TransferError) -> None:
        frames = (*self._first_frame, *self._trace)
        self._events.append(TransferFailed(self.direction, self.state, self.done, self._total, error, frames))
        self._finish(what)
