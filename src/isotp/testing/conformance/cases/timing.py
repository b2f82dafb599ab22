"""N_As to N_Cr: what happens when one is over, and what sets it back (9.8.1, 9.8.2)."""

from collections.abc import Iterator
from typing import Final

from ..case import Ask, Block, Case, Expect, Follow, Pause, Reports, Send, Setup, Silence, Step, message
from .frames import CTS, GRANT, expects, receive, sends, sent, wanted

_DATA: Final = message(6 + 7 * 4)
_LIMIT_MS: Final = 1000
_LATEST_MS: Final = 1500  # how soon after the limit is left to the implementation
_ALMOST_MS: Final = 600  # so much less than the limit that a machine with other work to do is in time
_REQUEST: Final = (Ask(b"\x3e\x00"), Expect("02 3E 00"), Reports("sent"))


def _over(result: str) -> Reports:
    return Reports(result, after_ms=_LIMIT_MS, within_ms=_LATEST_MS)


def sender() -> Iterator[Case]:
    """N_Bs."""
    first, *others = wanted(_DATA)
    begin: tuple[Step, ...] = (Ask(_DATA), Expect(first))
    rest = (*expects(others), Reports("sent"))
    over = _over("N_TIMEOUT_Bs")
    for name, what, steps in (
        ("after the first frame", "without flow control the sender gives up after 1000 ms.", (over,)),
        (
            "after a block",
            "it runs again after each block.",
            (Send("FC CTS bs=2"), *expects(others[:2]), over),
        ),
        ("after a WAIT", "a WAIT sets it back to 0.", (Pause(_ALMOST_MS), Send("FC WAIT"), over)),
        (
            "after two WAITs",
            "each WAIT sets it back to 0.",
            (Pause(_ALMOST_MS), Send("FC WAIT"), Pause(_ALMOST_MS), Send("FC WAIT"), over),
        ),
        ("almost over", "a flow control after 600 ms is in time.", (Pause(_ALMOST_MS), Send(GRANT), *rest)),
        (
            "almost over after a WAIT",
            "a flow control 600 ms after a WAIT is in time.",
            (Pause(_ALMOST_MS), Send("FC WAIT"), Pause(_ALMOST_MS), Send(GRANT), *rest),
        ),
        (
            "almost over between blocks",
            "a flow control 600 ms after a block is in time.",
            (
                *(Send("FC CTS bs=2"), *expects(others[:2]), Pause(_ALMOST_MS), Send("FC CTS bs=2")),
                *(*expects(others[2:]), Reports("sent")),
            ),
        ),
        (
            "over, flow control after it",
            "a flow control that is too late does nothing.",
            (over, Send(GRANT), Silence()),
        ),
        ("over, next message", "the next message can be sent.", (over, *_REQUEST)),
    ):
        yield Case(
            name=f"timing/N_Bs/{name}", clause="9.8.2", what=f"N_Bs: {what}", steps=(*begin, *steps), allows=_allows()
        )


def receiver() -> Iterator[Case]:
    """N_Cr."""
    first, *others = sent(_DATA)
    begin: tuple[Step, ...] = (Send(first), Expect(CTS))
    over = _over("N_TIMEOUT_Cr")
    message_follows = receive(message(20))
    for name, what, setup, steps in (
        ("after flow control", "without consecutive frame the receiver gives up after 1000 ms.", 0, (over,)),
        (
            "after a frame",
            "it runs again after each consecutive frame.",
            0,
            (Follow(tuple(others[:2]), goes_on=True), over),
        ),
        (
            "after the flow control of a block",
            "it runs again after each flow control.",
            2,
            (Follow(tuple(others[:2]), goes_on=True), over),
        ),
        (
            "almost over",
            "consecutive frames 600 ms apart are in time.",
            0,
            (
                *[step for text in others[:2] for step in (Pause(_ALMOST_MS), Follow((text,), goes_on=True))],
                *(Follow(tuple(others[2:])), Reports("message", _DATA)),
            ),
        ),
        (
            "over, frames after it",
            "consecutive frames that are too late do nothing.",
            0,
            (Follow((others[0],), goes_on=True), over, *sends(others[1:]), Silence(), *message_follows),
        ),
        ("over, next message", "the next message can be received.", 0, (over, *message_follows)),
        ("over, next single frame", "the next message can be received.", 0, (over, *receive(b"\x3e\x00"))),
    ):
        yield Case(
            name=f"timing/N_Cr/{name}",
            clause="9.8.2",
            what=f"N_Cr: {what}",
            setup=Setup(bs=setup),
            steps=(*begin, *steps),
            allows=_allows(),
        )


def _allows() -> str:
    return f"up to {_LATEST_MS - _LIMIT_MS} ms more than the limit before it is reported"


def bus() -> Iterator[Case]:
    """N_As and N_Ar: frames that do not get onto the bus."""
    first, *others = wanted(_DATA)
    over = Reports("N_TIMEOUT_A", after_ms=_LIMIT_MS, within_ms=_LATEST_MS)
    for name, steps in (
        ("N_As/single frame", (Block(True), Ask(b"\x3e\x00"), over)),
        ("N_As/first frame", (Block(True), Ask(_DATA), over, Block(False), *_REQUEST)),
        (
            "N_As/consecutive frame",
            (
                *(Ask(_DATA), Expect(first), Send("FC CTS stmin=10ms"), Expect(others[0]), Block(True)),
                *(Reports("N_TIMEOUT_A", after_ms=_LIMIT_MS, within_ms=_LATEST_MS + 10),),
            ),
        ),
        ("N_Ar/flow control", (Block(True), Send(sent(_DATA)[0]), over, Block(False), *receive(b"\x3e\x00"))),
    ):
        yield Case(
            name=f"timing/{name}",
            clause="9.8.2",
            what="A frame that is not on the bus after 1000 ms ends the transfer with N_TIMEOUT_A.",
            steps=steps,
            allows=_allows(),
        )


def cases() -> Iterator[Case]:
    """All of this subject."""
    yield from sender()
    yield from receiver()
    yield from bus()
