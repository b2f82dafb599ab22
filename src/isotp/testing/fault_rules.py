"""What `Faults` consists of: rules, and for each bus the course that counts its frames."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Final, NamedTuple

from ..can_frame import CanFrame
from ..engine.n_pdu import NPciType
from ..errors import OptionError
from .notation import ANY_REST, FrameText, format_frame, parse

Copy = tuple[int, CanFrame]
"""A frame that arrives, after its delay in nanoseconds."""
Act = Callable[[list[Copy], Random], list[Copy]]
"""What a fault makes of the copies of a frame."""

_SHOWN: Final = 4
_AFTER_NEXT: Final = "after the next frame of its identifier"


class Fault(NamedTuple):
    """A fault that happened."""

    rule: str
    """As it was asked for, such as `lose('FC', 3)`."""
    frame: CanFrame
    """As it was sent."""
    copies: tuple[Copy, ...]
    """What became of it: delays in nanoseconds, and frames."""
    is_held: bool = False
    """Whether the copies arrive after the next frame."""

    @property
    def outcome(self) -> str:
        """What arrived in place of the frame, in words."""
        arrived = [format_frame(frame) + (f" after {ns / 1e6:g} ms" if ns else "") for ns, frame in self.copies]
        if len(arrived) > _SHOWN:
            arrived[_SHOWN:] = [f"and {len(arrived) - _SHOWN} more"]
        return _AFTER_NEXT if self.is_held else ", ".join(arrived) or "nothing"

    def __str__(self) -> str:
        return f"{self.rule}: {format_frame(self.frame)} -> {self.outcome}"


class Which(NamedTuple):
    """To which frames a fault happens, as the methods of `Faults` are told."""

    what: str
    number: int | None
    since: int | None
    chance: float

    def check(self) -> None:
        """Raise OptionError for a value out of range."""
        first = self.since if self.number is None else self.number
        if (first is not None and first < 1) or None not in (self.number, self.since):
            raise OptionError(
                f"number={self.number}, since={self.since}: allowed is one of them, counted from 1, or neither"
            )
        check_chance("chance", self.chance)

    def __str__(self) -> str:
        since = [] if self.since is None else [f"since={self.since}"]
        chance = [] if self.chance == 1 else [f"chance={self.chance}"]
        return ", ".join([repr(self.what), *([] if self.number is None else [str(self.number)]), *since, *chance])


class Rule:
    """A fault that was asked for.

    Args:
        verb: the name of its method.
        which: to which frames it happens.
        how: the other arguments.
        act: what it does.
        seed: of its random numbers.
        address_size: how many address bytes frames have where `which` says none.
    """

    def __init__(self, verb: str, which: Which, how: dict[str, object], act: Act, seed: str, address_size: int) -> None:
        which.check()
        self.text = f"{verb}({which})"
        self._repr = f"{verb}({', '.join([str(which), *(f'{name}={value!r}' for name, value in how.items())])})"
        self.act, self.seed, self.chance = act, seed, which.chance
        self.holds = verb == "swap"
        self._first = which.number or which.since or 1
        self._last = which.number
        self._kind, self._pattern = parse_what(which.what)
        self._address_size = address_size if self._pattern.address_byte is None else 1

    def __repr__(self) -> str:
        return self._repr

    def matches(self, frame: CanFrame) -> bool:
        """Whether it counts this frame."""
        size = self._address_size
        if self._kind is not None and (len(frame.data) <= size or frame.data[size] >> 4 != self._kind):
            return False
        return self._pattern.matches(frame, size)

    def includes(self, count: int) -> bool:
        """Whether it happens to the frame with this number."""
        return self._first <= count and (self._last is None or count <= self._last)


class Course:
    """The frames of one bus, and the faults that happen to them.

    Args:
        rules: the faults; more may be added later.
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self.done: list[Fault] = []
        """The faults that happened, oldest first."""
        self._rules = rules
        self._counts: Counter[tuple[Rule, int]] = Counter()
        self._randoms: dict[tuple[Rule, int], Random] = {}
        self._held: dict[int, list[Copy]] = {}  # by identifier

    def __call__(self, frame: CanFrame) -> list[Copy]:
        """The copies of `frame` that arrive: the delay of each in nanoseconds, and the frame as it arrives."""
        copies = [(0, frame)]
        swapped = self._held.pop(frame.can_id, [])
        for rule in self._rules:
            if not self._happens(rule, frame):
                continue
            before, copies = copies, rule.act(copies, self._random(rule, frame))
            if rule.holds:
                self._held.setdefault(frame.can_id, []).extend(before)
                copies = []
            if copies != before:
                self.done.append(Fault(rule.text, frame, tuple(copies), rule.holds))
        return copies + swapped

    def _happens(self, rule: Rule, frame: CanFrame) -> bool:
        """Whether `rule` happens to this frame, which is counted."""
        if not rule.matches(frame):
            return False
        self._counts[rule, frame.can_id] += 1
        if not rule.includes(self._counts[rule, frame.can_id]):
            return False
        return rule.chance == 1 or self._random(rule, frame).random() < rule.chance

    def _random(self, rule: Rule, frame: CanFrame) -> Random:
        """The random numbers for an identifier: faults do not depend on how identifiers take turns."""
        key = rule, frame.can_id
        if key not in self._randoms:
            self._randoms[key] = Random(f"{rule.seed} {frame.can_id}")
        return self._randoms[key]


def parse_what(what: str) -> tuple[NPciType | None, FrameText]:
    """The kind of N_PDU, if `what` says only that of its data, and the pattern of the rest."""
    where, colon, word = what.rpartition(":")
    kind = NPciType.__members__.get(word.strip())
    return kind, parse(what if kind is None else f"{where}{colon} {ANY_REST}")


def check_chance(name: str, value: float) -> None:
    """Raise OptionError if it is no probability."""
    if not 0 <= value <= 1:
        raise OptionError(f"{name}={value!r}: allowed is a probability, 0 to 1")
