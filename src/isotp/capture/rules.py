"""The rules of ISO 15765-2 for a message of several frames: which frame broke one, and by how much.

Each rule is one function that yields `Finding`s; `MESSAGE_RULES` has them all.
"""

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ..engine.n_pdu import FlowStatus
from ..errors import N_Result
from ..stmin import STmin
from .message import NO_GAP, Message, bs_waits, cr_waits, stmin_gaps

N_BS_NS: Final = 1_000_000_000  # ISO 15765-2:2016, table 18
N_CR_NS: Final = 1_000_000_000
CLOCK_NS: Final = 1000  # recordings have microseconds


class Finding(NamedTuple):
    """Something that a rule found."""

    rule: str
    """A short name, such as STmin."""
    clause: str
    """Where the standard has the rule."""
    is_fault: bool
    """Whether it is against the standard; else it is worth knowing."""
    time_ns: int
    """When the frame was seen that showed it."""
    text: str
    """What happened, in a sentence."""
    value: float | None = None
    """What was measured and what is allowed, in nanoseconds or frames, where the rule compares two numbers."""
    limit: float | None = None


def milliseconds(time_ns: float) -> str:
    """A time with three decimals of a millisecond."""
    return f"{time_ns / 1e6:.3f} ms"


def check_stmin(message: Message) -> Iterator[Finding]:
    """Each gap between consecutive frames of a block is at least STmin of the flow control before it."""
    flow_controls = [fc for fc in message.flow_controls if fc.status == FlowStatus.CTS]
    if not flow_controls:
        return
    stmin_ns = STmin(flow_controls[0].stmin).ns  # the first one rules, others may change it
    lowest_ns = min(stmin_ns, *(STmin(fc.stmin).ns for fc in flow_controls))
    gaps = stmin_gaps(message)
    if min(gaps, default=NO_GAP) + CLOCK_NS >= lowest_ns:
        return
    for index, gap in enumerate(gaps, 2):
        if gap + CLOCK_NS < lowest_ns:
            early = milliseconds(lowest_ns - gap)
            text = f"consecutive frame {index} came {milliseconds(gap)} after the one before it, {early} too early"
            yield Finding("STmin", "ISO 15765-2:2016, 9.6.5.4", True, message.times_ns[index], text, gap, lowest_ns)


def check_n_bs(message: Message) -> Iterator[Finding]:
    """Flow control comes within N_Bs of a first frame, a block, or a WAIT."""
    for wait, fc in zip(bs_waits(message), message.flow_controls, strict=True):
        if wait > N_BS_NS:
            text = f"flow control came {milliseconds(wait)} after the frame before it"
            yield Finding("N_Bs", "ISO 15765-2:2016, 9.8.2", True, fc.time_ns, text, wait, N_BS_NS)


def check_n_cr(message: Message) -> Iterator[Finding]:
    """Consecutive frames come within N_Cr."""
    for index, wait in enumerate(cr_waits(message), 1):
        if wait > N_CR_NS:
            text = f"consecutive frame {index} came {milliseconds(wait)} after the frame before it"
            yield Finding("N_Cr", "ISO 15765-2:2016, 9.8.2", True, message.times_ns[index], text, wait, N_CR_NS)


def check_flow_control(message: Message) -> Iterator[Finding]:
    """Flow control comes after the first frame and after each block of BS frames, once, and nowhere else."""
    clause = "ISO 15765-2:2016, 9.6.5.3"
    if len(message.frames) > 1 and not message.flow_controls:
        text = "consecutive frames came without any flow control; it may be missing in the recording"
        yield Finding("missing flow control", "ISO 15765-2:2016, 9.4.5", False, message.times_ns[1], text)
        return
    begin, bs = 1, None  # after how many frames the block began, and its size; None before the first CTS
    for fc in message.flow_controls:
        block = fc.after - begin
        if fc.after < 1 or (bs is not None and block == 0 and fc.status == FlowStatus.CTS):
            text = "a second flow control followed the first one: two nodes may answer with one identifier"
            yield Finding("doubled flow control", clause, True, fc.time_ns, text)
        elif bs is not None and (bs == 0 or block < bs):
            text = f"flow control came after {block} consecutive frames of a block of {bs or 'unlimited size'}"
            yield Finding("unexpected flow control", clause, True, fc.time_ns, text, block, bs)
        elif bs and block > bs:
            yield _block_too_long(fc.time_ns, block, bs)
        if fc.status == FlowStatus.CTS:
            begin, bs = fc.after, fc.bs
        elif fc.status == FlowStatus.WAIT:
            begin, bs = fc.after, None
    if bs and len(message.frames) - begin > bs:
        yield _block_too_long(message.times_ns[begin + bs], len(message.frames) - begin, bs)


def _block_too_long(time_ns: int, block: int, bs: int) -> Finding:
    text = f"{block} consecutive frames came where BS allowed {bs} before the next flow control"
    return Finding("BS", "ISO 15765-2:2016, 9.6.5.3", True, time_ns, text, block, bs)


def check_flow_status(message: Message) -> Iterator[Finding]:
    """WAITs are worth knowing, a reserved flow status or STmin is a fault."""
    waits = [fc for fc in message.flow_controls if fc.status == FlowStatus.WAIT]
    if waits:
        text = f"the receiver asked to wait {len(waits)} times"
        yield Finding("WAIT", "ISO 15765-2:2016, 9.6.5.1", False, waits[0].time_ns, text, len(waits))
    for fc in message.flow_controls:
        if fc.status > FlowStatus.OVFLW:
            text = f"flow status {fc.status} is reserved"
            yield Finding("FS", "ISO 15765-2:2016, 9.6.5.2", True, fc.time_ns, text, fc.status)
        elif fc.status == FlowStatus.CTS and STmin(fc.stmin).is_reserved:
            text = f"STmin 0x{fc.stmin:02X} is reserved and stands for 127 ms"
            yield Finding("STmin reserved", "ISO 15765-2:2016, 9.6.5.5", True, fc.time_ns, text, fc.stmin)


_CLAUSES: Final = {
    N_Result.N_TIMEOUT_Bs: "ISO 15765-2:2016, 9.8.2",
    N_Result.N_TIMEOUT_Cr: "ISO 15765-2:2016, 9.8.2",
    N_Result.N_WRONG_SN: "ISO 15765-2:2016, 9.6.4",
    N_Result.N_UNEXP_PDU: "ISO 15765-2:2016, 9.8.3",
    N_Result.N_BUFFER_OVFLW: "ISO 15765-2:2016, 9.6.5.1",
}


def check_result(message: Message) -> Iterator[Finding]:
    """A message that failed."""
    if message.error is not None:
        result = message.error.n_result
        is_fault = result in _CLAUSES
        text = f"{result.name}: {message.error.what}"
        yield Finding(result.name, _CLAUSES.get(result, "ISO 15765-2:2016, 8.3.7"), is_fault, message.end_ns, text)


TIMED_RULES: Final = (check_stmin, check_n_bs, check_n_cr)
MESSAGE_RULES: Final[tuple[Callable[[Message], Iterator[Finding]], ...]] = (
    *TIMED_RULES,
    check_flow_control,
    check_flow_status,
    check_result,
)


def check(message: Message) -> list[Finding]:
    """What all rules find in one message, in the order of `MESSAGE_RULES`."""
    if message.is_single and message.error is None:
        return []
    if not message.times_ns:  # refused at its first frame
        return list(check_result(message))
    rules = MESSAGE_RULES if message.is_timed else MESSAGE_RULES[len(TIMED_RULES) :]
    return [finding for rule in rules for finding in rule(message)]
