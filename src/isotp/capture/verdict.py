"""Whether messages and links keep to ISO 15765-2, and where their time goes.

Each rule is one function of a message that yields `Finding`s; `MESSAGE_RULES` has them all. `Verdicts` applies them
to all messages of a capture and adds what only several messages show: response times, padding, throughput.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..address import CAN_EFF_FLAG, CanAddress
from ..engine.n_pdu import FlowStatus
from ..errors import N_Result
from ..stmin import STmin
from .message import NO_GAP, Fault, Message, bs_waits, cr_waits, stmin_gaps

N_BS_NS: Final = 1_000_000_000  # ISO 15765-2:2016, table 18
N_CR_NS: Final = 1_000_000_000
P2_NS: Final = 50_000_000  # ISO 14229-2:2013, table 4
P2_STAR_NS: Final = 5_000_000_000
CLOCK_NS: Final = 1000  # recordings have microseconds
_RESPONSE_PENDING: Final = 0x78
_NEGATIVE: Final = 0x7F
_POSITIVE: Final = 0x40
_FINDINGS_MAX: Final = 20
_REQUESTS_MAX: Final = 4096


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


# --- rules for a message of several frames


def _ms(time_ns: float) -> str:
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
            text = (
                f"consecutive frame {index} came {_ms(gap)} after the one before it, {_ms(lowest_ns - gap)} too early"
            )
            yield Finding("STmin", "ISO 15765-2:2016, 9.6.5.4", True, message.times_ns[index], text, gap, lowest_ns)


def check_n_bs(message: Message) -> Iterator[Finding]:
    """Flow control comes within N_Bs of a first frame, a block, or a WAIT."""
    for wait, fc in zip(bs_waits(message), message.flow_controls, strict=True):
        if wait > N_BS_NS:
            text = f"flow control came {_ms(wait)} after the frame before it"
            yield Finding("N_Bs", "ISO 15765-2:2016, 9.8.2", True, fc.time_ns, text, wait, N_BS_NS)


def check_n_cr(message: Message) -> Iterator[Finding]:
    """Consecutive frames come within N_Cr."""
    for index, wait in enumerate(cr_waits(message), 1):
        if wait > N_CR_NS:
            text = f"consecutive frame {index} came {_ms(wait)} after the frame before it"
            yield Finding("N_Cr", "ISO 15765-2:2016, 9.8.2", True, message.times_ns[index], text, wait, N_CR_NS)


def check_flow_control(message: Message) -> Iterator[Finding]:
    """Flow control comes after the first frame and after each block of BS frames, once, and nowhere else."""
    clause = "ISO 15765-2:2016, 9.6.5.3"
    if len(message.frames) > 1 and not message.flow_controls:
        text = "consecutive frames came without any flow control; it may be missing in the recording"
        yield Finding("missing flow control", "ISO 15765-2:2016, 9.5", False, message.times_ns[1], text)
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


# --- where the time goes


class TimeSpent(NamedTuple):
    """Where the time of messages of several frames went, in nanoseconds."""

    total_ns: int
    on_bus_ns: int
    """What the frames themselves take at the bit rate, without stuff bits."""
    stmin_ns: int
    """Waiting because the receiver asked for a separation time."""
    receiver_ns: int
    """Waiting for flow control."""
    sender_ns: int
    """The rest: the sender could have gone on and did not, or other traffic had the bus."""


BIT_RATES: Final = (125_000, 250_000, 500_000, 1_000_000)


def frame_bits(can_id: int, size: int) -> int:
    """The bits of a classical frame with the pause behind it, without stuff bits (ISO 11898-1:2015, 10.4)."""
    return (67 if can_id & CAN_EFF_FLAG else 47) + 8 * size


def time_spent(message: Message, bit_rate: int) -> TimeSpent:
    """Where the time of one message went; CAN FD frames count as if their data went at `bit_rate`, too."""
    times, can_id = message.times_ns, message.source.can_id
    bit_ns = 1e9 / bit_rate
    on_bus = [round(frame_bits(can_id, len(frame)) * bit_ns) for frame in message.frames[1:]]
    gaps = stmin_gaps(message)
    stmin_ns = min((STmin(fc.stmin).ns for fc in message.flow_controls if fc.status == FlowStatus.CTS), default=0)
    asked = sum(min(gap, stmin_ns) for gap in gaps if gap != NO_GAP) if stmin_ns else 0
    on_bus_gaps = sum(own for gap, own in zip(gaps, on_bus[1:], strict=False) if gap != NO_GAP) if stmin_ns else 0
    waited_for_stmin = max(0, asked - on_bus_gaps)  # while STmin runs, the next frame is on the bus for a part of it
    receiver = sum(bs_waits(message))
    total = max(0, times[-1] - times[0])
    sender = max(0, total - sum(on_bus) - waited_for_stmin - receiver)
    return TimeSpent(total, sum(on_bus), waited_for_stmin, receiver, sender)


def guess_bit_rate(messages: Iterable[Message]) -> int | None:
    """The lowest usual bit rate at which consecutive frames can follow each other as closely as they did."""
    needed = 0.0
    for message in messages:
        gap = message.min_gap_ns
        if gap and not message.is_fd:
            needed = max(needed, frame_bits(message.source.can_id, len(message.frames[0])) * 1e9 / (gap + CLOCK_NS))
    return next((rate for rate in BIT_RATES if needed and rate >= needed * 0.95), None)


# --- links


@dataclass
class LinkVerdict:
    """What the messages of one direction add up to."""

    channel: str
    source: CanAddress
    target: CanAddress | None
    messages: int = 0
    failed: int = 0
    results: Counter[N_Result] = field(default_factory=Counter)
    size: int = 0
    """Bytes of all complete messages of several frames, and the time they took."""
    spent: TimeSpent = field(default_factory=lambda: TimeSpent(0, 0, 0, 0, 0))
    paddings: Counter[int | None] = field(default_factory=Counter)
    """How many frames were padded with each byte; None for different bytes in one frame."""
    counts: Counter[str] = field(default_factory=Counter)
    """How many findings each rule has, and which of them are faults."""
    faults: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    """The first 20 of each rule."""

    @property
    def rate(self) -> float | None:
        """Throughput of messages of several frames, in bytes per second."""
        return self.size * 1e9 / self.spent.total_ns if self.spent.total_ns else None

    @property
    def share_of_bus(self) -> float | None:
        """The same as a share of what the bus could carry; None where there was no such message."""
        return self.spent.on_bus_ns / self.spent.total_ns if self.spent.total_ns else None

    def add(self, finding: Finding) -> None:
        """Take a finding."""
        self.counts[finding.rule] += 1
        self.faults[finding.rule] += finding.is_fault
        if self.counts[finding.rule] <= _FINDINGS_MAX:
            self.findings.append(finding)


class _Request(NamedTuple):
    time_ns: int
    service: int
    is_pending: bool


class Verdicts:
    """The verdicts on all links of a capture.

        capture = isotp.capture.Capture("trace.asc")
        verdicts = Verdicts(bit_rate=500_000)
        for event in capture.events():
            verdicts.take(event)
        for link in verdicts.links(): ...

    Args:
        bit_rate: of the bus, in bit/s; `guess_bit_rate` makes one of the messages.
        p2_ns: P2server_max and P2*server_max of UDS, in nanoseconds.
        p2_star_ns: see `p2_ns`.
        links_max: of more links, those beyond are not judged.
    """

    def __init__(
        self, bit_rate: int = 500_000, p2_ns: int = P2_NS, p2_star_ns: int = P2_STAR_NS, links_max: int = 4096
    ) -> None:
        self._bit_rate = bit_rate
        self._p2_ns, self._p2_star_ns = p2_ns, p2_star_ns
        self._links_max = links_max
        self._links: dict[tuple[str, CanAddress], LinkVerdict] = {}
        self._requests: dict[tuple[str, CanAddress], _Request] = {}

    def links(self) -> list[LinkVerdict]:
        """One for each direction, in the order of their first messages."""
        return list(self._links.values())

    @property
    def has_faults(self) -> bool:
        """Whether anything is against the standard."""
        return any(sum(link.faults.values()) for link in self._links.values())

    def take(self, event: object) -> list[Finding]:
        """Take an event of a capture; returns what the rules find in it."""
        if isinstance(event, Message):
            return self._message(event)
        if isinstance(event, Fault):
            link = self._link(event.stream.channel, event.stream.address, event.stream.target)
            finding = Finding("frame", "ISO 15765-2:2016, 9.8.3", True, event.time_ns, event.reason)
            if link is not None:
                link.add(finding)
            return [finding]
        return []

    def _link(self, channel: str, source: CanAddress, target: CanAddress | None) -> LinkVerdict | None:
        link = self._links.get((channel, source))
        if link is None and len(self._links) < self._links_max:
            link = self._links[channel, source] = LinkVerdict(channel, source, target)
        if link is not None:
            link.target = target or link.target
        return link

    def _message(self, message: Message) -> list[Finding]:
        link = self._link(message.channel, message.source, message.target)
        if link is None:
            return []
        link.messages += 1
        link.results[message.n_result] += 1
        findings = check(message)
        if message.is_timed:
            findings += self._response_time(message)
        if message.error is not None:
            link.failed += 1
        else:
            findings += _padding(link, message)
            if not message.is_single and message.is_timed:
                link.size += message.length
                spent = time_spent(message, self._bit_rate)
                link.spent = TimeSpent(*(a + b for a, b in zip(link.spent, spent, strict=True)))
        for finding in findings:
            link.add(finding)
        return findings

    def _response_time(self, message: Message) -> Iterator[Finding]:
        """UDS: a response begins within P2 of the end of the request, or within P2* of response pending."""
        data = message.data
        if not data:
            return
        if not data[0] & _POSITIVE:
            if len(self._requests) >= _REQUESTS_MAX:
                del self._requests[next(iter(self._requests))]
            self._requests[message.channel, message.source] = _Request(message.end_ns, data[0], False)
            return
        if message.target is None:
            return
        request = self._requests.get((message.channel, message.target))
        is_negative = data[0] == _NEGATIVE and len(data) == 3
        service = data[1] if is_negative else data[0] & ~_POSITIVE
        if request is None or request.service != service:
            return
        wait = message.begin_ns - request.time_ns
        name, limit = ("P2*", self._p2_star_ns) if request.is_pending else ("P2", self._p2_ns)
        if wait > limit:
            text = f"the response came {_ms(wait)} after {'response pending' if request.is_pending else 'the request'}"
            yield Finding(name, "ISO 14229-2:2013, 7.2", True, message.begin_ns, text, wait, limit)
        key = message.channel, message.target
        if is_negative and data[2] == _RESPONSE_PENDING:
            self._requests[key] = _Request(message.end_ns, service, True)
        else:
            del self._requests[key]


def _padding(link: LinkVerdict, message: Message) -> Iterator[Finding]:
    """Padding may have any value; a node that changes it is worth knowing."""
    last = message.frames[-1]
    address_size = 0 if message.source.address_byte is None else 1
    if message.is_single:
        used = address_size + (1 if len(last) <= 8 else 2) + message.length
    else:
        payload = len(message.frames[0]) - address_size - 1
        first = payload + 1 - (2 if message.length <= 0xFFF else 6)
        rest = message.length - first - payload * (len(message.frames) - 2)
        used = address_size + 1 + rest
    padding = last[used:]
    if not padding:
        return
    byte = padding[0] if len(set(padding)) == 1 else None
    if link.paddings and byte not in link.paddings:
        before = next(iter(link.paddings))
        names = ["leftover bytes" if each is None else f"0x{each:02X}" for each in (before, byte)]
        text = f"padding changes from {names[0]} to {names[1]}"
        yield Finding("padding", "ISO 15765-2:2016, 10.4.2", False, message.end_ns, text)
    link.paddings[byte] += 1
