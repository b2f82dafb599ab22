"""Invalid N_PCI: reserved types, SF_DL, FF_DL and SN that cannot be, frames of the wrong length (9.5, 9.6)."""

from collections.abc import Iterator
from typing import Final

from ..case import Case, Expect, Follow, Reports, Send, Setup, Silence, Step, message
from .frames import CTS, receive, segments, sends, sent, sf_max, text
from .segmentation import TX_DLS
from .unexpected import DATA, REQUEST

_SF: Final = "A single frame with an SF_DL that cannot be is ignored."
_FF: Final = "A first frame with an FF_DL that cannot be is ignored."


def invalid_frames() -> Iterator[tuple[str, str, str, str]]:
    """Name, clause, requirement and bytes of frames of Classical CAN that are to be ignored."""
    for kind in range(4, 16):
        first = f"{kind:X}0"
        frame = f"{'0x' if first in ('FF', 'CF', 'FC') else ''}{first} 08 01 02 03 04 05 06"
        yield f"N_PCI type {kind}", "9.6.1", "A frame with a reserved N_PCI type is ignored.", frame
    for length in (0, *range(8, 16)):
        yield f"SF_DL {length}", "9.6.2.2", _SF, f"{length:02X} 01 02 03 04 05 06 07"
    for length in range(1, 8):
        frame = " ".join([f"{length:02X}", *["55"] * (length - 1), "|"])
        yield f"SF_DL {length} in a frame of {length} bytes", "9.6.2.2", _SF, frame
    yield "SF_DL escape in Classical CAN", "9.6.2.2", _SF, "00 05 01 02 03 04 05 06"
    for length in range(1, 8):
        yield f"FF_DL {length}", "9.6.3.2", _FF, f"10 {length:02X} 01 02 03 04 05 06"
    for length in (0, 8, 100, 4094, 4095):
        what = "A first frame with the FF_DL escape for 4095 bytes or less is ignored."
        yield f"FF_DL escape for {length} bytes", "9.6.3.2", what, f"10 00 {length:08X} 01 02"
    for length in range(2, 8):
        frame = " ".join(["10", "14", *["01"] * (length - 2), "|"])
        yield f"FF of {length} bytes", "9.6.3.2", "A first frame of less than 8 bytes is ignored.", frame
    yield "no bytes", "9.6.1", "A frame without N_PCI is ignored.", "|"


def ignored() -> Iterator[Case]:
    """Idle, and in the middle of a message."""
    first, *others = sent(DATA)
    for name, clause, what, frame in invalid_frames():
        yield Case(
            name=f"invalid/idle/{name}",
            clause=clause,
            what=what,
            steps=(Send(frame), *receive(REQUEST), Silence()),
        )
        yield Case(
            name=f"invalid/receiving/{name}",
            clause=clause,
            what=f"{what} So is it in the middle of a message, which goes on.",
            steps=(
                *(Send(first), Expect(CTS), Follow(tuple(others[:2]), goes_on=True), Send(frame)),
                *(Follow(tuple(others[2:])), Reports("message", DATA), Silence()),
            ),
        )


def can_fd() -> Iterator[Case]:
    """SF_DL and FF_DL in frames of CAN FD."""
    for dl in TX_DLS[1:]:
        for name, frame in (
            ("SF_DL without the escape", f"05 {'01 ' * (dl - 1)}"),
            ("SF_DL escape 0", f"00 00 {'01 ' * (dl - 2)}"),
            ("SF_DL escape, one byte more than fits", f"00 {dl - 1:02X} {'01 ' * (dl - 2)}"),
        ):
            yield _fd_ignored(f"{name}, CAN_DL {dl}", "9.6.2.2", _SF, frame)
        most = sf_max(dl)
        yield _fd_ignored(f"FF_DL {most}, RX_DL {dl}", "9.6.3.2", _FF, f"10 {most:02X} {'01 ' * (dl - 2)}")


def _fd_ignored(name: str, clause: str, what: str, frame: str) -> Case:
    setup = Setup(can_fd=True, tx_dl=64)
    return Case(
        name=f"invalid/CAN FD/{name}",
        clause=clause,
        what=what,
        setup=setup,
        steps=(Send(frame.strip()), *receive(REQUEST), Silence()),
    )


def sequence() -> Iterator[Case]:
    """SN, and the length of consecutive frames."""
    first, *others = sent(DATA)
    begin: tuple[Step, ...] = (Send(first), Expect(CTS))
    end = (Reports("N_WRONG_SN"), Silence(), *receive(message(20)))
    what = "A wrong SN ends the reception with N_WRONG_SN; the next message is received."
    for sn in (0, *range(2, 16)):
        yield Case(
            name=f"sequence/SN {sn} instead of 1",
            clause="9.6.4.4",
            what=what,
            steps=(*begin, Send(f"2{sn:X} 01 02 03 04 05 06 07"), *end),
        )
    long, *fifteen = sent(message(6 + 7 * 20))[:16]
    for name, start, right, wrong in (
        ("a frame twice", first, others[:1], others[:1]),
        ("a frame left out", first, others[:1], others[2:3]),
        ("two frames swapped", first, others[:1], [others[2], others[1]]),
        ("SN 15 after 15", long, fifteen, ["2F 01 02 03 04 05 06 07"]),
        ("SN 1 after 15", long, fifteen, ["21 01 02 03 04 05 06 07"]),
    ):
        steps = (Send(start), Expect(CTS), Follow(tuple(right), goes_on=True), *sends(wrong))
        yield Case(name=f"sequence/{name}", clause="9.6.4.4", what=what, steps=(*steps, *end))
    yield from _lengths()


def _lengths() -> Iterator[Case]:
    first, *others = sent(DATA)
    begin: tuple[Step, ...] = (Send(first), Expect(CTS), Follow((others[0],), goes_on=True))
    rest: tuple[Step, ...] = (Follow(tuple(others[1:])), Reports("message", DATA), Silence())
    what = "A consecutive frame in the middle of a message that is shorter than the first frame is ignored."
    for length in range(1, 8):
        frame = " ".join(others[1].split()[:length])
        yield Case(
            name=f"sequence/CF of {length} bytes", clause="9.6.4.1", what=what, steps=(*begin, Send(frame), *rest)
        )
    short = message(6 + 7 + 5)
    first, second, last = sent(short)
    for length in range(1, 6):
        frame = " ".join(last.split()[:length])
        yield Case(
            name=f"sequence/last CF of {length} bytes instead of 6",
            clause="9.6.4.1",
            what="A last consecutive frame that holds less than what is left of the message is ignored.",
            steps=(
                *(Send(first), Expect(CTS), Follow((second,), goes_on=True), Send(frame), Follow((last,))),
                Reports("message", short),
            ),
        )
    for dl in TX_DLS[1:]:
        data = message(6 + 7 * 3)
        first, *others = (text(one, "CC") for one in segments(data, 8))
        longer = " ".join([others[1], *["CC"] * (dl - 8)])
        yield Case(
            name=f"sequence/CAN FD/CF of {dl} bytes, RX_DL 8",
            clause="9.6.4.1",
            what="A consecutive frame that is longer than the first frame is ignored.",
            setup=Setup(can_fd=True, tx_dl=64),
            steps=(
                *(Send(first), Expect(CTS), Follow((others[0],), goes_on=True), Send(longer)),
                Follow(tuple(others[1:])),
                *(Reports("message", data), Silence()),
            ),
        )


def cases() -> Iterator[Case]:
    """All of this subject."""
    yield from ignored()
    yield from can_fd()
    yield from sequence()
