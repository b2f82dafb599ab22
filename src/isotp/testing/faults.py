"""Faults: what goes wrong with the frames of a bus, the same for the same seed."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple, Self, TypedDict, Unpack

from ..can_frame import CanFrame
from ..engine.n_pdu import FLOW_CONTROL_SIZE, NPciType
from ..errors import OptionError
from .notation import ANY_REST, FrameText, format_frame, parse

Copy = tuple[int, CanFrame]
"""A frame that arrives, after its delay in nanoseconds."""
Act = Callable[[list[Copy], Random], list[Copy]]
"""What a fault makes of the copies of a frame."""

_SAMPLE: Final = CanFrame(0, bytes(8))
_SHOWN: Final = 4


class When(TypedDict, total=False):
    """To which frames a fault happens, besides kind and number."""

    since: int
    """To this one, counted from 1, and all that follow."""
    chance: float
    """With this probability, 0 to 1."""


class Fault(NamedTuple):
    """A fault that happened."""

    rule: str
    """As it was asked for, such as `lose('FC', 3)`."""
    frame: CanFrame
    """As it was sent."""
    copies: tuple[Copy, ...]
    """What became of it: delays in nanoseconds, and frames."""

    def __str__(self) -> str:
        arrived = [format_frame(frame) + (f" after {ns / 1e6:g} ms" if ns else "") for ns, frame in self.copies]
        if len(arrived) > _SHOWN:
            arrived[_SHOWN:] = [f"and {len(arrived) - _SHOWN} more"]
        return f"{self.rule}: {format_frame(self.frame)} -> {', '.join(arrived) or 'nothing'}"


class Faults:
    """What goes wrong on a bus: `VirtualBus(fate=Faults().lose("FC", 3))`, or `Wire("vcan0", "vcan1", Faults(...))`.

    Each method adds a fault and returns the object:

        Faults().lose("FC", 3)                      # the third flow control
        Faults().lose("7E0: CF", since=5)           # all consecutive frames of 0x7E0 from the fifth on
        Faults(seed=7).double("CF", chance=0.1)     # every tenth or so
        Faults().replace("FC", 1, by=["FC WAIT", "FC WAIT", "FC CTS"], seconds=0.1)
        Faults().replace("CF", 2, by="CF 9 ..")     # the rest as it was sent

    The first argument says which frames: SF, FF, CF or FC, a text as in `isotp.testing.notation` ("FC WAIT ..",
    "7E8: FC"), or nothing: all. `number` is one of them, counted from 1; each fault counts by itself, for each
    identifier. Several faults of one frame happen in the order they were added. `done` says what happened.

    Args:
        seed: of the random numbers.
        loss: probability that a frame does not arrive.
        repeat: probability that it arrives twice.
        corrupt: probability that one bit of its data is wrong.
        jitter_ns: longest random delay of a frame, in nanoseconds; frames overtake each other.
        address_size: how many address bytes come before the N_PCI of the frames: 1 with extended and mixed addressing.

    Raises:
        OptionError: a value out of range, also in the methods.
        NotationError: a text that is no frame.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        loss: float = 0.0,
        repeat: float = 0.0,
        corrupt: float = 0.0,
        jitter_ns: int = 0,
        address_size: int = 0,
    ) -> None:
        for name, value in (("loss", loss), ("repeat", repeat), ("corrupt", corrupt)):
            _check_chance(name, value)
        if jitter_ns < 0:
            raise OptionError(f"jitter_ns={jitter_ns}: allowed is 0 or more nanoseconds")
        self.done: list[Fault] = []
        """The faults that happened, oldest first."""
        self._seed = seed
        self._address_size = address_size
        self._rules: list[_Rule] = []
        self._held: dict[int, list[Copy]] = {}  # of `swap`, by identifier
        if loss:
            self.lose(chance=loss)
        if corrupt:
            self.corrupt(chance=corrupt)
        if repeat:
            self.double(chance=repeat)
        if jitter_ns:
            self.jitter(seconds=jitter_ns / 1e9)

    def __call__(self, frame: CanFrame) -> list[Copy]:
        """The copies of `frame` that arrive: the delay of each in nanoseconds, and the frame as it arrives."""
        copies = [(0, frame)]
        swapped = self._held.pop(frame.can_id, [])
        for rule in self._rules:
            if rule.applies(frame):
                before, copies = copies, rule.act(copies, rule.random(frame.can_id))
                if copies != before:
                    self.done.append(Fault(rule.text, frame, tuple(copies)))
        return copies + swapped

    def lose(self, what: str = ANY_REST, number: int | None = None, **when: Unpack[When]) -> Self:
        """The frame does not arrive."""
        return self._add("lose", what, number, when, lambda copies, random: [])

    def double(self, what: str = ANY_REST, number: int | None = None, **when: Unpack[When]) -> Self:
        """It arrives twice."""
        return self._add("double", what, number, when, lambda copies, random: copies * 2)

    def delay(self, what: str = ANY_REST, number: int | None = None, *, seconds: float, **when: Unpack[When]) -> Self:
        """It arrives so much later; other frames overtake it."""
        late_ns = _ns(seconds)
        return self._add(
            "delay", what, number, when, lambda copies, random: [(ns + late_ns, frame) for ns, frame in copies]
        )

    def jitter(self, what: str = ANY_REST, number: int | None = None, *, seconds: float, **when: Unpack[When]) -> Self:
        """It arrives later, by a random time up to `seconds`."""
        most_ns = _ns(seconds)

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns + random.randint(0, most_ns), frame) for ns, frame in copies]

        return self._add("jitter", what, number, when, act)

    def swap(self, what: str = ANY_REST, number: int | None = None, **when: Unpack[When]) -> Self:
        """It arrives after the next frame of its identifier; if there is none, it does not arrive."""

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            for ns, frame in copies:
                self._held.setdefault(frame.can_id, []).append((ns, frame))
            return []

        return self._add("swap", what, number, when, act)

    def corrupt(self, what: str = ANY_REST, number: int | None = None, **when: Unpack[When]) -> Self:
        """One random bit of its data is wrong. CAN finds such an error; one in a gateway's memory nobody finds."""

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            at = random.random()
            return [(ns, _flipped(frame, int(at * 8 * len(frame.data)))) for ns, frame in copies]

        return self._add("corrupt", what, number, when, act)

    def cut(self, what: str = ANY_REST, number: int | None = None, *, length: int, **when: Unpack[When]) -> Self:
        """Only its first `length` bytes arrive."""
        if length < 0:
            raise OptionError(f"length={length}: allowed is 0 or more bytes")
        return self._add(
            "cut", what, number, when, lambda copies, random: [(ns, _cut(frame, length)) for ns, frame in copies]
        )

    def replace(
        self,
        what: str = ANY_REST,
        number: int | None = None,
        *,
        by: str | Sequence[str],
        seconds: float = 0.0,
        **when: Unpack[When],
    ) -> Self:
        """Other frames arrive in its place, the first one at once, the others `seconds` apart.

        Args:
            what: as in the other methods.
            number: as in the other methods.
            by: the texts of the frames. They have its identifier and address byte unless they say another one; `..` at
                the end stands for the rest of it.
            seconds: time between two of them.
            when: as in the other methods.

        Raises:
            NotationError: no such frame.
        """
        write, gap_ns = self._writer(what, by), _ns(seconds)

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns + i * gap_ns, made) for ns, frame in copies for i, made in enumerate(write(frame))]

        return self._add("replace", what, number, when, act)

    def insert(
        self, what: str = ANY_REST, number: int | None = None, *, frames: str | Sequence[str], **when: Unpack[When]
    ) -> Self:
        """Other frames arrive before it; `frames` are texts as for `replace`."""
        write = self._writer(what, frames)

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns, made) for ns, frame in copies[:1] for made in write(frame)] + copies

        return self._add("insert", what, number, when, act)

    def _add(self, verb: str, what: str, number: int | None, when: When, act: Act) -> Self:
        self._rules.append(_Rule(verb, what, number, when, act, f"{self._seed} {len(self._rules)}", self._address_size))
        return self

    def _writer(self, what: str, texts: str | Sequence[str]) -> Callable[[CanFrame], list[CanFrame]]:
        """What makes the frames of `texts` in place of a frame that is `what`."""
        parsed = [parse(text) for text in ((texts,) if isinstance(texts, str) else texts)]
        said = (_parse_what(what)[1], *parsed)
        size = self._address_size if all(one.address_byte is None for one in said) else 1

        def write(frame: CanFrame) -> list[CanFrame]:
            return [_written(text, frame, size) for text in parsed]

        write(_SAMPLE)  # raise here, and not where the frame is sent
        return write


def _written(text: FrameText, frame: CanFrame, size: int) -> CanFrame:
    """What `text` says in place of `frame`, which has `size` address bytes."""
    sent = frame.data[size:].ljust(FLOW_CONTROL_SIZE, b"\0")
    numbers = tuple(sent[i] if n is None else n for i, n in enumerate(text.numbers))
    closed = replace(text, is_open=False, numbers=numbers)
    made = closed.frame(frame.can_id, frame.data[:size], is_fd=frame.is_fd, bitrate_switch=frame.bitrate_switch)
    return made._replace(data=made.data + frame.data[len(made.data) :]) if text.is_open else made


def _parse_what(what: str) -> tuple[NPciType | None, FrameText]:
    """The kind of N_PDU, if `what` says only that of its data, and the pattern of the rest."""
    where, colon, word = what.rpartition(":")
    kind = NPciType.__members__.get(word.strip())
    return kind, parse(what if kind is None else f"{where}{colon} {ANY_REST}")


class _Rule:
    """A fault, and to which frames it happens."""

    def __init__(
        self, verb: str, what: str, number: int | None, when: When, act: Act, seed: str, address_size: int
    ) -> None:
        self._first = when.get("since", 1) if number is None else number
        self._last = number
        self._chance = when.get("chance", 1.0)
        if self._first < 1 or (number is not None and "since" in when):
            raise OptionError(f"number={number}, {when}: allowed is one of number and since, counted from 1")
        _check_chance("chance", self._chance)
        self._kind, self._pattern = _parse_what(what)
        self._address_size = address_size if self._pattern.address_byte is None else 1
        words = [repr(what), *([str(number)] if number else []), *(f"{name}={value}" for name, value in when.items())]
        self.text = f"{verb}({', '.join(words)})"
        self.act = act
        self._seed = seed
        self._count: Counter[int] = Counter()
        self._randoms: dict[int, Random] = {}

    def random(self, can_id: int) -> Random:
        """The random numbers for an identifier: faults do not depend on how identifiers take turns."""
        if can_id not in self._randoms:
            self._randoms[can_id] = Random(f"{self._seed} {can_id}")
        return self._randoms[can_id]

    def applies(self, frame: CanFrame) -> bool:
        """Whether the fault happens to this frame, which is counted."""
        if not self._matches(frame):
            return False
        self._count[frame.can_id] += 1
        count = self._count[frame.can_id]
        if count < self._first or (self._last is not None and count > self._last):
            return False
        return self._chance == 1 or self.random(frame.can_id).random() < self._chance

    def _matches(self, frame: CanFrame) -> bool:
        size = self._address_size
        if self._kind is not None and (len(frame.data) <= size or frame.data[size] >> 4 != self._kind):
            return False
        return self._pattern.matches(frame, size)


def _check_chance(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise OptionError(f"{name}={value!r}: allowed is a probability, 0 to 1")


def _ns(seconds: float) -> int:
    if not seconds >= 0:
        raise OptionError(f"seconds={seconds!r}: allowed is 0 or more")
    return round(seconds * 1e9)


def _flipped(frame: CanFrame, bit: int) -> CanFrame:
    if not frame.data:
        return frame
    flipped = bytearray(frame.data)
    flipped[bit // 8] ^= 1 << bit % 8
    return frame._replace(data=bytes(flipped))


def _cut(frame: CanFrame, length: int) -> CanFrame:
    return frame._replace(data=frame.data[:length])
