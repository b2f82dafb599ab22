"""Faults: what goes wrong with the frames of a bus, the same for the same seed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Final, Self

from ..can_frame import CanFrame
from ..engine.n_pdu import FLOW_CONTROL_SIZE
from ..errors import OptionError
from .fault_rules import Act, Copy, Course, Fault, Rule, Which, check_chance, parse_what
from .notation import ANY_REST, FrameText, parse

__all__ = ["Fault", "Faults"]

_SAMPLE: Final = CanFrame(0, bytes(8))


class Faults:
    """What goes wrong on a bus: `VirtualBus(fate=Faults().lose("FC", 3))`, or `Wire("vcan0", "vcan1", Faults(...))`.

    Each method adds a fault and returns the object:

        Faults().lose("FC", 3)                      # the third flow control
        Faults().lose("7E0: CF", since=5)           # all consecutive frames of 0x7E0 from the fifth on
        Faults(seed=7).double("CF", chance=0.1)     # every tenth or so
        Faults().replace("FC", 1, by=["FC WAIT", "FC WAIT", "FC CTS"], seconds=0.1)
        Faults().replace("CF", 2, by="CF 9 ..")     # the rest as it was sent

    The first argument says which frames: SF, FF, CF or FC, a text as in `isotp.testing.notation` ("FC WAIT ..",
    "7E8: FC"), or nothing: all. `number` is one of them, counted from 1; `since` is the first of all that follow; with
    `chance` it happens with this probability, 0 to 1. Each fault counts by itself, for each identifier. Several faults
    of one frame happen in the order they were added. `done` says what happened.

    Each VirtualBus and each Wire that is given the object counts its own frames, from 1.

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
            check_chance(name, value)
        if jitter_ns < 0:
            raise OptionError(f"jitter_ns={jitter_ns}: allowed is 0 or more nanoseconds")
        self._seed = seed
        self._address_size = address_size
        self._rules: list[Rule] = []
        self._course = Course(self._rules)
        if loss:
            self.lose(chance=loss)
        if corrupt:
            self.corrupt(chance=corrupt)
        if repeat:
            self.double(chance=repeat)
        if jitter_ns:
            self.jitter(seconds=jitter_ns / 1e9)

    @property
    def done(self) -> list[Fault]:
        """The faults that happened, oldest first, on the bus or wire that was given this object last."""
        return self._course.done

    def begin(self) -> Course:
        """The same faults for another bus, whose frames are counted from 1."""
        self._course = Course(self._rules)
        return self._course

    def __call__(self, frame: CanFrame) -> list[Copy]:
        """The copies of `frame` that arrive: the delay of each in nanoseconds, and the frame as it arrives."""
        return self._course(frame)

    def __repr__(self) -> str:
        said = (("seed", self._seed), ("address_size", self._address_size))
        made = f"Faults({', '.join(f'{name}={value}' for name, value in said if value)})"
        return ".".join([made, *map(repr, self._rules)])

    def lose(
        self, what: str = ANY_REST, number: int | None = None, *, since: int | None = None, chance: float = 1.0
    ) -> Self:
        """The frame does not arrive."""
        return self._add("lose", Which(what, number, since, chance), lambda copies, random: [])

    def double(
        self, what: str = ANY_REST, number: int | None = None, *, since: int | None = None, chance: float = 1.0
    ) -> Self:
        """It arrives twice."""
        return self._add("double", Which(what, number, since, chance), lambda copies, random: copies * 2)

    def delay(
        self,
        what: str = ANY_REST,
        number: int | None = None,
        *,
        seconds: float,
        since: int | None = None,
        chance: float = 1.0,
    ) -> Self:
        """It arrives so much later; other frames overtake it."""
        late_ns = _ns(seconds)

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns + late_ns, frame) for ns, frame in copies]

        return self._add("delay", Which(what, number, since, chance), act, seconds=seconds)

    def jitter(
        self,
        what: str = ANY_REST,
        number: int | None = None,
        *,
        seconds: float,
        since: int | None = None,
        chance: float = 1.0,
    ) -> Self:
        """It arrives later, by a random time up to `seconds`."""
        most_ns = _ns(seconds)

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns + random.randint(0, most_ns), frame) for ns, frame in copies]

        return self._add("jitter", Which(what, number, since, chance), act, seconds=seconds)

    def swap(
        self, what: str = ANY_REST, number: int | None = None, *, since: int | None = None, chance: float = 1.0
    ) -> Self:
        """It arrives after the next frame of its identifier; if there is none, it does not arrive."""
        return self._add("swap", Which(what, number, since, chance), lambda copies, random: copies)

    def corrupt(
        self, what: str = ANY_REST, number: int | None = None, *, since: int | None = None, chance: float = 1.0
    ) -> Self:
        """One random bit of its data is wrong. CAN finds such an error; one in a gateway's memory nobody finds."""

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            at = random.random()
            return [(ns, _flipped(frame, int(at * 8 * len(frame.data)))) for ns, frame in copies]

        return self._add("corrupt", Which(what, number, since, chance), act)

    def cut(
        self,
        what: str = ANY_REST,
        number: int | None = None,
        *,
        length: int,
        since: int | None = None,
        chance: float = 1.0,
    ) -> Self:
        """Only its first `length` bytes arrive; OptionError if that is negative."""
        if length < 0:
            raise OptionError(f"length={length}: allowed is 0 or more bytes")

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns, _cut(frame, length)) for ns, frame in copies]

        return self._add("cut", Which(what, number, since, chance), act, length=length)

    def replace(
        self,
        what: str = ANY_REST,
        number: int | None = None,
        *,
        by: str | Sequence[str],
        seconds: float = 0.0,
        since: int | None = None,
        chance: float = 1.0,
    ) -> Self:
        """Other frames arrive in its place, the first one at once, the others `seconds` apart.

        Args:
            what: as in the other methods.
            number: as in the other methods.
            by: the texts of the frames. They have its identifier and address byte unless they say another one; `..` at
                the end stands for the rest of it.
            seconds: time between two of them.
            since: as in the other methods.
            chance: as in the other methods.

        Raises:
            NotationError: no such frame.
        """
        write, gap_ns = self._writer(what, by), _ns(seconds)

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns + i * gap_ns, made) for ns, frame in copies for i, made in enumerate(write(frame))]

        return self._add(
            "replace", Which(what, number, since, chance), act, by=by, **({"seconds": seconds} if seconds else {})
        )

    def insert(
        self,
        what: str = ANY_REST,
        number: int | None = None,
        *,
        frames: str | Sequence[str],
        since: int | None = None,
        chance: float = 1.0,
    ) -> Self:
        """Other frames arrive before it; `frames` are texts as for `replace`."""
        write = self._writer(what, frames)

        def act(copies: list[Copy], random: Random) -> list[Copy]:
            return [(ns, made) for ns, frame in copies[:1] for made in write(frame)] + copies

        return self._add("insert", Which(what, number, since, chance), act, frames=frames)

    def _add(self, verb: str, which: Which, act: Act, **how: object) -> Self:
        seed = f"{self._seed} {len(self._rules)}"
        self._rules.append(Rule(verb, which, how, act, seed, self._address_size))
        return self

    def _writer(self, what: str, texts: str | Sequence[str]) -> Callable[[CanFrame], list[CanFrame]]:
        """What makes the frames of `texts` in place of a frame that is `what`."""
        parsed = [parse(text) for text in ((texts,) if isinstance(texts, str) else texts)]
        said = (parse_what(what)[1], *parsed)
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
