"""N_PDUs that arrive when they are not expected (9.8.3): idle, receiving, sending, in full and in half duplex."""

from collections.abc import Iterator
from typing import Final

from ..case import Ask, Case, Expect, Follow, Reports, Send, Setup, Silence, Step, message
from .frames import CTS, GRANT, expects, receive, sends, sent, wanted

DATA: Final = message(6 + 7 * 6)
_OTHER: Final = message(20, seed=1)
_FLOW_CONTROLS: Final = ("FC CTS", "FC CTS bs=1 stmin=50ms", "FC WAIT", "FC OVFLW", "FC 5")
_CONSECUTIVE: Final = ("CF 0 01 02", "CF 1 01 02 03 04 05 06 07", "CF 15 01 02 03 04 05 06 07")
REQUEST: Final = b"\x3e\x00"


def idle() -> Iterator[Case]:
    """Nothing is being sent or received."""
    for text in (*_FLOW_CONTROLS, *_CONSECUTIVE):
        yield Case(
            name=f"unexpected/idle/{text}",
            clause="9.8.3",
            what="An N_PDU that belongs to no message is ignored.",
            steps=(Send(text), *receive(REQUEST), Silence()),
        )
    yield Case(
        name="unexpected/idle/CF after the last one",
        clause="9.8.3",
        what="A consecutive frame after the end of its message is ignored.",
        steps=(*receive(DATA), Send("CF 7 01 02 03 04 05 06 07"), *receive(REQUEST), Silence()),
    )
    ask, last = Ask(REQUEST), Reports("sent")
    for text in _FLOW_CONTROLS:
        yield Case(
            name=f"unexpected/idle/{text} after a single frame",
            clause="9.8.3",
            what="A flow control after a single frame is ignored.",
            steps=(ask, Expect("02 3E 00"), last, Send(text), *receive(REQUEST), Silence()),
        )


def receiving() -> Iterator[Case]:
    """A message is being received: before its first CF, in the middle of a block, and after a block."""
    first, *others = sent(DATA)
    places: tuple[tuple[str, int, int], ...] = (("at its begin", 0, 0), ("in a block", 3, 0), ("after a block", 2, 2))
    for where, count, bs in places:
        begin: tuple[Step, ...] = (Send(first), Expect(CTS), Follow(tuple(others[:count]), goes_on=True))
        setup = Setup(bs=bs)
        yield Case(
            name=f"unexpected/receiving {where}/SF",
            clause="9.8.3",
            what="A single frame ends the message being received with N_UNEXP_PDU, and is received itself.",
            setup=setup,
            steps=(
                *begin,
                Send("SF 3E 00"),
                Reports("N_UNEXP_PDU"),
                Reports("message", REQUEST),
                *sends(others[count:]),
                Silence(),
            ),
        )
        yield Case(
            name=f"unexpected/receiving {where}/FF",
            clause="9.8.3",
            what="A first frame ends the message being received with N_UNEXP_PDU, and its message is received.",
            setup=setup,
            steps=(
                *(*begin, Send(sent(_OTHER)[0]), Reports("N_UNEXP_PDU"), Expect(CTS)),
                *(Follow(tuple(sent(_OTHER)[1:])), Reports("message", _OTHER)),
            ),
        )
        for text in _FLOW_CONTROLS:
            yield Case(
                name=f"unexpected/receiving {where}/{text}",
                clause="9.8.3",
                what="A flow control that is not expected is ignored, and the message goes on.",
                setup=setup,
                steps=(*begin, Send(text), Follow(tuple(others[count:])), Reports("message", DATA), Silence()),
            )


def sending() -> Iterator[Case]:
    """A message is being sent: before its flow control, and in a block."""
    first, *others = wanted(DATA)
    for where, count in (("before flow control", 0), ("in a block", 2)):
        begin: tuple[Step, ...] = (Ask(DATA), Expect(first))
        if count:
            begin += (Send("FC CTS stmin=100ms"), *expects(others[:count]))
        rest: tuple[Step, ...] = (*(() if count else (Send(GRANT),)), *expects(others[count:]), Reports("sent"))
        yield Case(
            name=f"unexpected/sending {where}/SF",
            clause="9.8.3",
            what="In full duplex a single frame is received while a message is sent.",
            steps=(*begin, Send("SF 3E 00"), Reports("message", REQUEST), *rest),
        )
        yield Case(
            name=f"unexpected/sending {where}/FF",
            clause="9.8.3",
            what="In full duplex a message of several frames is received while one is sent.",
            steps=(*begin, *receive(_OTHER), *rest),
        )
        for text in _CONSECUTIVE[:2]:
            yield Case(
                name=f"unexpected/sending {where}/{text}",
                clause="9.8.3",
                what="A consecutive frame that belongs to no message is ignored.",
                steps=(*begin, Send(text), *rest),
            )
        for kind, text in (("SF", "SF 3E 00"), ("FF", sent(_OTHER)[0])):
            yield Case(
                name=f"unexpected/sending {where}, half duplex/{kind}",
                clause="9.8.3",
                what="In half duplex a frame that would begin a message is ignored while one is sent.",
                setup=Setup(half_duplex=True),
                steps=(*begin, Send(text), *rest, *receive(b"\x3e\x80"), Silence()),
            )
    for text in _FLOW_CONTROLS:
        begin = (Ask(DATA), Expect(first), Send("FC CTS stmin=100ms"), *expects(others[:2]))
        yield Case(
            name=f"unexpected/sending in a block/{text}",
            clause="9.8.3",
            what="A flow control in the middle of a block is ignored.",
            steps=(*begin, Send(text), *(Expect(one, after_ms=20) for one in others[2:]), Reports("sent")),
        )
        yield Case(
            name=f"unexpected/after sending/{text}",
            clause="9.8.3",
            what="A flow control after the end of a message is ignored.",
            steps=(
                *(Ask(DATA), Expect(first), Send(GRANT), *expects(others), Reports("sent")),
                *(Send(text), *receive(REQUEST), Silence()),
            ),
        )


def cases() -> Iterator[Case]:
    """All of this subject."""
    yield from idle()
    yield from receiving()
    yield from sending()
