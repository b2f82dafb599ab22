"""The verdicts on all links of a capture: the rules for each message, and what only several messages show.

The latter are response times (P2 and P2* of UDS), changes of padding, and throughput.
"""

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from ..address import CanAddress
from ..errors import N_Result
from .message import Fault, Message
from .rules import Finding, check, milliseconds
from .standards import NEGATIVE, POSITIVE
from .time_spent import TimeSpent, time_spent

P2_NS: Final = 50_000_000  # ISO 14229-2:2013, table 4
P2_STAR_NS: Final = 5_000_000_000
_RESPONSE_PENDING: Final = 0x78
_FINDINGS_MAX: Final = 20
_REQUESTS_MAX: Final = 4096


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
    response_times: deque[tuple[str, int]] = field(default_factory=lambda: deque(maxlen=10_000))
    """The latest 10,000: P2 or P2*, and nanoseconds."""

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
            findings += self._response_time(link, message)
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

    def _response_time(self, link: LinkVerdict, message: Message) -> Iterator[Finding]:
        """UDS: a response begins within P2 of the end of the request, or within P2* of response pending."""
        data = message.data
        if not data:
            return
        if not data[0] & POSITIVE:
            if len(self._requests) >= _REQUESTS_MAX:
                del self._requests[next(iter(self._requests))]
            self._requests[message.channel, message.source] = _Request(message.end_ns, data[0], False)
            return
        if message.target is None:
            return
        request = self._requests.get((message.channel, message.target))
        is_negative = data[0] == NEGATIVE and len(data) == 3
        service = data[1] if is_negative else data[0] & ~POSITIVE
        if request is None or request.service != service:
            return
        wait = message.begin_ns - request.time_ns
        name, limit = ("P2*", self._p2_star_ns) if request.is_pending else ("P2", self._p2_ns)
        link.response_times.append((name, wait))
        if wait > limit:
            after = "response pending" if request.is_pending else "the request"
            text = f"the response came {milliseconds(wait)} after {after}"
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
