"""Flow control: FS, BS, STmin, WAIT and OVFLW (9.6.5, 9.7), first as receiver, then as sender."""

from collections.abc import Iterator
from typing import Final

from ....stmin import STmin
from ..case import Ask, Case, Expect, Follow, Hold, Need, Reports, Send, Setup, Silence, Step, may_report, message
from .frames import CTS, GRANT, expects, receive, sends, sent, wanted

DATA: Final = message(6 + 7 * 8)  # a first frame and 8 consecutive ones
N_BR_MS: Final = 900.0
RESERVED_FS: Final = range(3, 16)
RESERVED_STMIN: Final = (0x80, 0xA5, 0xF0, 0xFA, 0xFF)
_CHOSEN: Final = frozenset({Need.BS, Need.STMIN})
_STMIN: Final = (1, 5, 20, 127, 0xF1, 0xF5, 0xF9)


# --- the subject receives


def receiver() -> Iterator[Case]:
    """What the flow control says, and when it comes."""
    for bs, stmin in ((0, 0), (1, 0), (8, 5), (255, 127), (0, 1), (0, 0xF1), (0, 0xF9), (16, 0xF5)):
        yield Case(
            name=f"flow control/sent/BS {bs} STmin {stmin:02X}",
            clause="9.6.5",
            what="The flow control after the first frame has the BS and STmin of the receiver.",
            setup=Setup(bs=bs, stmin=stmin),
            steps=(Send(sent(DATA)[0]), Expect(f"30 {bs:02X} {stmin:02X}")),
            also_needs=_CHOSEN,
        )
    for bs in (1, 2, 3, 4, 7, 8, 9):
        first, *others = sent(DATA)
        steps: list[Step] = [Send(first)]
        for begin in range(0, len(others), bs):
            steps += [Expect(f"FC CTS bs={bs}"), *sends(others[begin : begin + bs])]
        yield Case(
            name=f"flow control/sent/after each {bs}",
            clause="9.6.5.3",
            what=f"With BS {bs} a flow control follows each {bs} consecutive frames, and none the last one.",
            setup=Setup(bs=bs),
            steps=(*steps, Reports("message", DATA), Silence()),
        )
    yield Case(
        name="flow control/sent/only one with BS 0",
        clause="9.6.5.3",
        what="With BS 0 no flow control follows the first one, however many frames come.",
        steps=(*receive(message(6 + 7 * 300)), Silence()),
        also_needs=_CHOSEN,
    )
    for size in (101, 4095, 4096, 0xFFFFFFFF):
        yield Case(
            name=f"flow control/sent/OVFLW for {size} bytes",
            clause="9.6.3.2",
            what="A first frame that announces more than can be stored is answered with OVFLW.",
            setup=Setup(max_size=100),
            steps=(
                Send(_first_frame(size)),
                Expect("FC OVFLW .."),
                may_report("N_BUFFER_OVFLW"),
                *receive(message(20)),
            ),
            allows="that the receiver reports it, or not",
        )
    yield Case(
        name="flow control/sent/OVFLW for 1 GB",
        clause="9.6.3.2",
        what="A first frame that announces more than can be stored is answered with OVFLW.",
        steps=(
            Send(_first_frame(1 << 30)),
            Expect(f"FC OVFLW .. or {CTS}"),
            may_report("N_BUFFER_OVFLW or N_TIMEOUT_Cr"),
        ),
        allows="CTS, where so much can be stored; that the receiver reports it, or not",
    )
    yield from _not_ready()


def _first_frame(size: int) -> str:
    escape = f"10 00 {size.to_bytes(4, 'big').hex(' ')} 01 02"
    return escape if size > 4095 else f"{0x1000 | size:04X} 01 02 03 04 05 06"


def _not_ready() -> Iterator[Case]:
    first, *others = sent(DATA)
    wait = Expect("FC WAIT ..", within_ms=N_BR_MS)
    yield Case(
        name="flow control/sent/WAIT then CTS",
        clause="9.6.5.1",
        what="A receiver that is not ready sends WAIT within N_Br, and CTS once it is ready.",
        steps=(
            *(Hold(True), Send(first), wait, wait, Hold(False), Expect(CTS)),
            *(Follow(tuple(others)), Reports("message", DATA)),
        ),
    )
    yield Case(
        name="flow control/sent/WAIT between blocks",
        clause="9.6.5.1",
        what="A receiver may wait before each block.",
        setup=Setup(bs=4),
        steps=(
            Send(first),
            Expect(CTS),
            Hold(True),
            *sends(others[:4]),
            wait,
            Hold(False),
            Expect(CTS),
            *sends(others[4:]),
            Reports("message", DATA),
        ),
    )
    for limit in (0, 1, 3):
        yield Case(
            name=f"flow control/sent/N_WFTmax {limit}",
            clause="9.8.4",
            what=f"A receiver with N_WFTmax {limit} gives up after {limit} WAITs in a row.",
            setup=Setup(wftmax=limit),
            steps=(Hold(True), Send(first), *[wait] * limit, Reports("N_WFT_OVRN"), Silence(1500)),
        )
    yield Case(
        name="flow control/sent/N_WFTmax counts WAITs in a row",
        clause="9.7",
        what="A CTS sets the number of WAITs back.",
        setup=Setup(wftmax=1, bs=4),
        steps=(
            *(Hold(True), Send(first), wait, Hold(False), Expect(CTS)),
            *(Hold(True), *sends(others[:4]), wait, Hold(False), Expect(CTS)),
            *(*sends(others[4:]), Reports("message", DATA)),
        ),
    )


# --- the subject sends


def sender() -> Iterator[Case]:
    """What the sender makes of flow control."""
    first, *others = wanted(DATA)
    begin: tuple[Step, ...] = (Ask(DATA), Expect(first))
    for bs in (1, 2, 3, 4, 7, 8, 9, 255):
        steps = list(begin)
        for start in range(0, len(others), bs):
            steps += [Silence(20), Send(f"FC CTS bs={bs}"), *expects(others[start : start + bs])]
        yield Case(
            name=f"flow control/followed/BS {bs}",
            clause="9.6.5.3",
            what=f"With BS {bs} the sender waits for flow control after each {bs} consecutive frames.",
            steps=(*steps, Reports("sent")),
        )
    for stmin in _STMIN:
        yield _separated(f"flow control/followed/STmin {stmin:02X}", "9.6.5.4", stmin)
    for stmin in RESERVED_STMIN:
        yield _separated(f"flow control/reserved STmin {stmin:02X}", "9.6.5.5", stmin)
    blocks: list[Step] = []
    for one, other in zip(others[::2], others[1::2], strict=True):
        blocks += [Send("FC CTS bs=2 stmin=10ms"), Expect(one), Expect(other, after_ms=10)]
    yield Case(
        name="flow control/followed/BS 2 and STmin 10 ms",
        clause="9.6.5.4",
        what="STmin is kept within each block.",
        steps=(*begin, *blocks, Reports("sent")),
    )
    yield from _waits(begin, others)
    yield from _refused(begin, others)
    yield from _changing(begin, others)


def _separated(name: str, clause: str, stmin: int) -> Case:
    first, second, *others = wanted(message(6 + 7 * 3))
    gap_ms = STmin(stmin).ns / 1e6
    return Case(
        name=name,
        clause=clause,
        what=f"With STmin {stmin:02X} at least {gap_ms:g} ms are between two consecutive frames.",
        steps=(
            Ask(message(6 + 7 * 3)),
            Expect(first),
            Send(f"30 00 {stmin:02X}"),
            Expect(second),
            *(Expect(text, after_ms=gap_ms) for text in others),
            Reports("sent"),
        ),
    )


def _waits(begin: tuple[Step, ...], others: list[str]) -> Iterator[Case]:
    wait = Send("FC WAIT")
    rest = (*expects(others), Reports("sent"))
    for count in (1, 2, 5):
        waits = [step for _ in range(count) for step in (wait, Silence(20))]
        yield Case(
            name=f"flow control/followed/WAIT x {count}",
            clause="9.6.5.1",
            what="After WAIT the sender waits for the next flow control.",
            steps=(*begin, *waits, Send(GRANT), *rest),
        )
    yield Case(
        name="flow control/followed/WAIT between blocks",
        clause="9.6.5.1",
        what="WAIT may come before each block.",
        steps=(
            *begin,
            Send("FC CTS bs=4"),
            *expects(others[:4]),
            wait,
            Silence(20),
            Send("FC CTS bs=4"),
            *expects(others[4:]),
            Reports("sent"),
        ),
    )
    yield Case(
        name="flow control/followed/BS of a WAIT is ignored",
        clause="9.6.5.1",
        what="BS is that of the CTS, not that of a WAIT before it.",
        steps=(*begin, Send("FC WAIT bs=1"), Send(GRANT), *rest),
    )
    yield Case(
        name="flow control/followed/BS of the CTS after a WAIT",
        clause="9.6.5.1",
        what="BS is that of the CTS, not that of a WAIT before it.",
        steps=(
            *(*begin, wait, Send("FC CTS bs=1"), Expect(others[0]), Silence()),
            *(Send("FC CTS bs=1"), Expect(others[1]), Silence()),
        ),
    )
    yield Case(
        name="flow control/followed/STmin of the CTS after a WAIT",
        clause="9.6.5.1",
        what="STmin is that of the CTS, not that of a WAIT before it.",
        steps=(
            *begin,
            wait,
            Send("FC CTS stmin=50ms"),
            Expect(others[0]),
            *(Expect(text, after_ms=50) for text in others[1:]),
            Reports("sent"),
        ),
    )


def _refused(begin: tuple[Step, ...], others: list[str]) -> Iterator[Case]:
    again = (Ask(b"\x3e\x00"), Expect("02 3E 00"), Reports("sent"))
    yield Case(
        name="flow control/OVFLW",
        clause="9.6.5.1",
        what="OVFLW ends the transmission with N_BUFFER_OVFLW; the next message can be sent.",
        steps=(*begin, Send("FC OVFLW"), Reports("N_BUFFER_OVFLW"), Silence(), *again),
    )
    yield Case(
        name="flow control/OVFLW after WAIT",
        clause="9.6.5.1",
        what="OVFLW ends the transmission with N_BUFFER_OVFLW.",
        steps=(*begin, Send("FC WAIT"), Send("FC OVFLW"), Reports("N_BUFFER_OVFLW"), Silence()),
    )
    for fs in RESERVED_FS:
        yield Case(
            name=f"flow control/reserved FS {fs}",
            clause="9.6.5.2",
            what="A reserved FS ends the transmission with N_INVALID_FS.",
            steps=(*begin, Send(f"FC {fs}"), Reports("N_INVALID_FS"), Silence(), *again),
        )
    yield Case(
        name="flow control/reserved FS between blocks",
        clause="9.6.5.2",
        what="A reserved FS ends the transmission with N_INVALID_FS.",
        steps=(
            *begin,
            Send("FC CTS bs=1"),
            Expect(others[0]),
            Send("FC 7 bs=1"),
            Reports("N_INVALID_FS"),
            Silence(),
        ),
    )


def _changing(begin: tuple[Step, ...], others: list[str]) -> Iterator[Case]:
    what = "A client that sends follows the BS and STmin of each CTS of a message."
    for name, setup in (("", Setup()), (" where it is set so", Setup(dynamic=True))):
        yield Case(
            name=f"flow control/changing BS{name}",
            clause="9.6.5.6",
            what=what,
            setup=setup,
            steps=(
                *begin,
                Send("FC CTS bs=1"),
                Expect(others[0]),
                Send("FC CTS bs=3"),
                *expects(others[1:4]),
                Silence(),
                Send("FC CTS"),
                *expects(others[4:]),
                Reports("sent"),
            ),
        )
        yield Case(
            name=f"flow control/changing STmin{name}",
            clause="9.6.5.6",
            what=what,
            setup=setup,
            steps=(
                *begin,
                Send("FC CTS bs=2"),
                *expects(others[:2]),
                Send("FC CTS bs=2 stmin=100ms"),
                Expect(others[2]),
                Expect(others[3], after_ms=100),
            ),
        )


def cases() -> Iterator[Case]:
    """All of this subject."""
    yield from receiver()
    yield from sender()
