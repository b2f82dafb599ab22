"""The verdicts on what a capture finds."""

from collections.abc import Callable

from ...capture.message import Fault, Message
from ...capture.observer import Event
from ...capture.rules import Finding
from ...capture.time_spent import guess_bit_rate
from ...capture.verdict import Verdicts

_GUESSED_OF = 10_000  # events


class Judge:
    """Takes events, and judges them once the bit rate is known: given, or guessed from the first ones.

    Args:
        bit_rate: of the bus, in bit/s; None: guessed, 500,000 if that cannot be.
        p2_ns: P2server_max and P2*server_max of UDS, in nanoseconds.
        p2_star_ns: see `p2_ns`.
        found: gets each event with what the rules find in it.
    """

    def __init__(
        self,
        bit_rate: int | None,
        p2_ns: int,
        p2_star_ns: int,
        found: Callable[[Message | Fault, list[Finding]], None] = lambda *_: None,
    ) -> None:
        self.bit_rate = bit_rate
        self.how = "given"
        """Whether the bit rate was given, guessed, or assumed."""
        self._limits = p2_ns, p2_star_ns
        self._found = found
        self._waiting: list[Message | Fault] = []
        self._verdicts: Verdicts | None = None

    def take(self, event: Event) -> None:
        """Take an event of a capture; frames are left out."""
        if isinstance(event, Message | Fault):
            self._waiting.append(event)
            if self._verdicts is not None or len(self._waiting) >= _GUESSED_OF:
                self.verdicts()

    def verdicts(self) -> Verdicts:
        """The verdicts on all events so far."""
        if self._verdicts is None:
            if self.bit_rate is None:
                self.bit_rate = guess_bit_rate(each for each in self._waiting if isinstance(each, Message))
                self.how = "assumed" if self.bit_rate is None else "guessed"
            self.bit_rate = self.bit_rate or 500_000
            self._verdicts = Verdicts(self.bit_rate, *self._limits)
        for event in self._waiting:
            self._found(event, self._verdicts.take(event))
        self._waiting.clear()
        return self._verdicts


class Collector:
    """A `Display` that hands events to a judge.

    Args:
        judge: gets them.
        begin: gets the time of the first frame of all.
    """

    shows_frames = False

    def __init__(self, judge: Judge, begin: Callable[[int], None]) -> None:
        self.event, self.begin = judge.take, begin

    def flush(self) -> None:
        """See `Display`; there is nothing to show before the end."""
