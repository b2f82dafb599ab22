"""An ECU on a bus: it cannot be asked to send, and reports nothing; what it answers is all that can be judged.

That it has received a message shows in its answer, be it a negative one; that it has not, in its silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from ....stmin import STmin
from ..case import FORGET_MS, Case, Expect, Follow, Need, Pause, Send, Setup, Silence, Step
from .frames import segments, sent, text
from .invalid import invalid_frames

FC: Final = "FC CTS .. or FC WAIT .."
_NEGATIVE: Final = 0x7F
_POSITIVE: Final = 0x40
_QUIET: Final = Silence(200)
_FLOW_CONTROLS: Final = ("FC CTS", "FC WAIT", "FC OVFLW", "FC 5")


def _pending(request: bytes) -> str:
    """UDS's "response pending", which is no answer yet."""
    return f"SF {_NEGATIVE:02X} {request[0]:02X} 78"


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What the ECU is asked.

    Args:
        request: a request that fits a single frame and is always answered by a single frame. Longer ones are made of it
            with bytes 00 behind it; the ECU may answer those with a negative response.
        reply_to: a request that is answered with several frames; b"": none is known.
        reply: that answer; b"" where none is known.
        reply_dl: the length of its first frame.
    """

    request: bytes = b"\x3e\x00"
    reply_to: bytes = b""
    reply: bytes = b""
    reply_dl: int = 8

    def long(self, size: int) -> bytes:
        """A request of `size` bytes."""
        return self.request.ljust(size, b"\0")

    def answer(self) -> Expect:
        """A single frame that answers."""
        service = self.request[0]
        text = f"SF {service + _POSITIVE:02X} .. or SF {_NEGATIVE:02X} {service:02X} .."
        return Expect(text, pending=_pending(self.request))


def ecu_cases(dialogue: Dialogue, can_fd: bool = False, address_size: int = 0) -> tuple[Case, ...]:
    """The cases for an ECU.

    Args:
        dialogue: what it is asked.
        can_fd: whether its frames are CAN FD; those of the tester have 8 bytes in any case.
        address_size: how many address bytes are in each frame.
    """
    setup = Setup(can_fd=can_fd)
    groups = _Requests(dialogue, address_size), _Replies(dialogue, address_size)
    return tuple(replace(case, setup=setup) for group in groups for case in group.cases())


@dataclass(frozen=True)
class _Requests:
    """What the ECU makes of requests."""

    dialogue: Dialogue
    size: int

    def cases(self) -> Iterator[Case]:
        """All of them."""
        yield from self._single()
        yield from self._long()
        yield from self._interrupted()
        yield from self._ignored()

    def _case(self, name: str, clause: str, what: str, *steps: Step, allows: str = "") -> Case:
        needs = frozenset({Need.ANSWER})
        return Case(name=f"ECU/{name}", clause=clause, what=what, steps=steps, allows=allows, also_needs=needs)

    def _frames(self, data: bytes, padding: int | None = None) -> list[str]:
        return sent(data, padding=padding, address_size=self.size)

    @property
    def _asked(self) -> tuple[Step, ...]:
        """The ECU is there, and answers what it is asked."""
        return Send(self._frames(self.dialogue.request)[0]), self.dialogue.answer()

    def _single(self) -> Iterator[Case]:
        data, answer = self.dialogue.request, self.dialogue.answer()
        yield self._case("request/single frame", "9.2", "A single frame is received.", *self._asked, _QUIET)
        for padding in (0x00, 0x55, 0xAA, 0xCC, 0xFF):
            yield self._case(
                f"request/padded with {padding:02X}",
                "10.4",
                "The padding byte means nothing: a padded single frame is received.",
                Send(self._frames(data, padding)[0]),
                answer,
            )
        yield self._case(
            "answer/length",
            "10.4",
            "A frame has 8 bytes, or no more than it needs.",
            self._asked[0],
            replace(answer, is_sized=True),
        )

    def _long(self) -> Iterator[Case]:
        for size in (8, 9, 13, 14, 20, 27, 62, 118, 119):
            first, *others = self._frames(self.dialogue.long(size))
            yield self._case(
                f"request/{size} bytes",
                "9.3",
                "A message of several frames is received; the tester follows BS and STmin of the flow control.",
                Send(first),
                Expect(FC),
                Follow(tuple(others)),
                self.dialogue.answer(),
                _QUIET,
                allows="any answer to a request of this length, also a negative one",
            )
        first, *others = self._frames(self.dialogue.long(20), 0xCC)
        yield self._case(
            "request/20 bytes, padded",
            "10.4",
            "The padding of the last frame is no part of the message.",
            *(Send(first), Expect(FC), Follow(tuple(others)), self.dialogue.answer()),
        )
        for size in (4095, 1 << 30):
            first = f"1FFF{'00' * (6 - self.size)}" if size == 4095 else f"1000{size:08X}{'00' * (2 - self.size)}"
            yield self._case(
                f"request/first frame for {size} bytes",
                "9.6.3.2",
                "A first frame is answered, with OVFLW if so much cannot be stored.",
                Send(first),
                Expect(f"{FC} or FC OVFLW .."),
                Pause(FORGET_MS),
                *self._asked,
            )

    def _interrupted(self) -> Iterator[Case]:
        first, *others = self._frames(self.dialogue.long(34))
        begin: tuple[Step, ...] = (Send(first), Expect(FC), Follow((others[0],), goes_on=True))
        short = self._frames(self.dialogue.long(20))
        answer = self.dialogue.answer()
        yield self._case(
            "unexpected/SF while receiving",
            "9.8.3",
            "A single frame ends the message being received, and is received itself.",
            *begin,
            *self._asked,
            *(Send(one) for one in others[1:]),
            _QUIET,
        )
        yield self._case(
            "unexpected/FF while receiving",
            "9.8.3",
            "A first frame ends the message being received, and its message is received.",
            *(*begin, Send(short[0]), Expect(FC), Follow(tuple(short[1:])), answer, _QUIET),
        )
        for frame in (*_FLOW_CONTROLS, "0x40 01 02"):
            kind = frame.removeprefix("0x")
            yield self._case(
                f"unexpected/{kind} while receiving",
                "9.8.3",
                "What is not expected is ignored, and the message goes on.",
                *(*begin, Send(frame), Follow(tuple(others[1:])), answer),
            )
        for sn in (1, 3, 0, 15):
            yield self._case(
                f"sequence/SN {sn} instead of 2",
                "9.6.4.4",
                "A wrong SN ends the reception: the message is not answered, the next one is.",
                *begin,
                Follow((f"2{sn:X}{others[1][2:]}",)),
                *(Send(one) for one in others[2:]),
                Silence(1200),
                *self._asked,
            )
        yield self._case(
            "timing/N_Cr over",
            "9.8.2",
            "Consecutive frames that come after N_Cr do nothing; the next message is answered.",
            *(*begin, Pause(FORGET_MS), *(Send(one) for one in others[1:]), _QUIET, *self._asked),
        )
        yield self._case(
            "timing/N_Cr almost over",
            "9.8.2",
            "A consecutive frame 600 ms after the one before is in time.",
            *(*begin, Pause(600), Follow(tuple(others[1:])), answer),
        )

    def _ignored(self) -> Iterator[Case]:
        for frame in (*_FLOW_CONTROLS, "CF 0 01 02 03", "CF 1 01 02 03", "CF 15 01 02 03"):
            yield self._case(
                f"unexpected/{frame}",
                "9.8.3",
                "An N_PDU that belongs to no message is ignored.",
                *(Send(frame), _QUIET, *self._asked),
            )
        for name, clause, what, frame in invalid_frames():
            if self.size == 0:  # with an address byte the limits are others
                yield self._case(f"invalid/{name}", clause, what, Send(frame), _QUIET, *self._asked)


@dataclass(frozen=True)
class _Replies:
    """How the ECU sends a message of several frames."""

    dialogue: Dialogue
    size: int

    def cases(self) -> Iterator[Case]:
        """All of them; without a reply that is known one that says what is missing."""
        dialogue = self.dialogue
        request = sent(dialogue.reply_to or dialogue.request, address_size=self.size)
        reply = dialogue.reply or dialogue.long(20)
        first, *others = (text(one, "??", address_size=self.size) for one in self._segments(reply))
        rest = [Expect(one) for one in others[:-1]]
        rest.append(Expect(f"{' '.join(word for word in others[-1].split() if word != '??')} .."))
        answer = Expect(first, pending=_pending(dialogue.reply_to or dialogue.request))
        ask: tuple[Step, ...] = (Send(request[0]), answer)
        if len(request) > 1:
            ask = (Send(request[0]), Expect(FC), Follow(tuple(request[1:])), answer)
        yield from self._followed(ask, rest)
        yield from self._refused(ask, rest)

    def _segments(self, data: bytes) -> Iterator[bytes]:
        return segments(data, self.dialogue.reply_dl, self.size)

    def _case(self, name: str, clause: str, what: str, *steps: Step) -> Case:
        needs = frozenset({Need.ANSWER, Need.LONG_ANSWER})
        return Case(name=f"ECU/{name}", clause=clause, what=what, steps=steps, also_needs=needs)

    def _followed(self, ask: tuple[Step, ...], rest: list[Expect]) -> Iterator[Case]:
        yield self._case("reply/BS 0", "9.3", "A long answer is segmented.", *(*ask, Send("FC CTS"), *rest, _QUIET))
        for bs in (1, 2, 8):
            steps = list(ask)
            for begin in range(0, len(rest), bs):
                steps += [Send(f"FC CTS bs={bs}"), *rest[begin : begin + bs], Silence(50)]
            yield self._case(f"reply/BS {bs}", "9.6.5.3", "The sender waits for flow control after each BS.", *steps)
        for stmin in (1, 20, 127, 0xF5, 0x80, 0xFF):
            gap_ms = STmin(stmin).ns / 1e6
            apart = [replace(one, after_ms=gap_ms) for one in rest[1:]]
            yield self._case(
                f"reply/STmin {stmin:02X}",
                "9.6.5.5" if STmin(stmin).is_reserved else "9.6.5.4",
                f"At least {gap_ms:g} ms are between two consecutive frames.",
                *(*ask, Send(f"30 00 {stmin:02X}"), rest[0], *apart),
            )
        for count in (1, 3):
            waits: list[Step] = [Send("FC WAIT"), Silence(100)] * count
            yield self._case(
                f"reply/WAIT x {count}",
                "9.6.5.1",
                "After WAIT the sender waits for the next flow control.",
                *(*ask, *waits, Send("FC CTS"), *rest),
            )
        yield self._case(
            "reply/flow control after 600 ms",
            "9.8.2",
            "A flow control 600 ms after the first frame is in time.",
            *(*ask, Pause(600), Send("FC CTS"), *rest),
        )
        for frame in ("FC WAIT", "CF 1 01 02 03"):
            yield self._case(
                f"reply/{frame} in a block",
                "9.8.3",
                "What is not expected in a block is ignored.",
                *(*ask, Send("FC CTS stmin=100ms"), rest[0], Send(frame), *rest[1:]),
            )

    def _refused(self, ask: tuple[Step, ...], rest: list[Expect]) -> Iterator[Case]:
        again = (*ask, Send("FC CTS"), *rest)
        for frame, clause in (("FC OVFLW", "9.6.5.1"), ("FC 3", "9.6.5.2"), ("FC 15", "9.6.5.2")):
            yield self._case(
                f"reply/{frame}",
                clause,
                "The sender gives up; the next answer is sent.",
                *(*ask, Send(frame), Silence(500), *again),
            )
        yield self._case(
            "reply/no flow control",
            "9.8.2",
            "Without flow control the sender gives up: one that is too late does nothing, and the next answer is sent.",
            *(*ask, Silence(FORGET_MS), Send("FC CTS"), _QUIET, *again),
        )
