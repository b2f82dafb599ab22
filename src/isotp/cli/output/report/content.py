"""What a report has of a recording: rows for its table, and values for its figures."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from ....address import CanAddress
from ....capture import uds
from ....capture.message import NO_GAP, Fault, Message, stmin_gaps
from ....capture.rules import Finding
from ....capture.time_spent import frame_bits
from ....stmin import STmin
from ..terminal import visible
from ..units import short_address
from .masking import hexadecimal, masked_text, shown

PLAIN, NEGATIVE, FAILED, FAULT = range(4)
KINDS: Final = ("message", "negative response", "failed", "frame out of place")
_HEAD: Final = 512  # bytes of a message in the table
_FIRST, _LAST = 48, 8  # frames of a longer message
_FRAMES_MAX: Final = 300_000  # of all messages

Link = tuple[str, CanAddress]


class Content:
    """Takes messages and faults.

    Args:
        names: whether UDS services are named.
        is_masked: whether VINs are hidden.
        limit: how many messages and faults to keep; the first ones.
    """

    def __init__(self, names: bool, is_masked: bool, limit: int) -> None:
        self._names = names
        self.is_masked = is_masked
        self._limit = limit
        self._links: dict[Link, int] = {}
        self._sources: list[CanAddress] = []
        self._targets: list[CanAddress | None] = []
        self._requests: Counter[int] = Counter()  # of a link, less its responses
        self._frames_left = _FRAMES_MAX
        self.begin_ns = 0
        self.left_out = 0
        """How many messages and faults came after the limit."""
        self.rows: list[list[Any]] = []
        """Begin and duration (us), link, length, bytes, name, kind, what was found, and the frames of each.

        A frame is its time (us), 0 or for flow control 1 or for a remark 2, and its bytes.
        """
        self.gaps: dict[int, Counter[float]] = {}
        """Of each link, the gaps that STmin rules, in ms with three digits."""
        self.stmins: set[float] = set()
        """Each STmin that was asked for, in ms."""
        self.frame_size = 8
        """The longest frame."""
        self.frame_bits = frame_bits(0, 8)

    def begin(self, time_ns: int) -> None:
        """Take the time of the first frame of all."""
        self.begin_ns = time_ns

    def take(self, event: Message | Fault, findings: list[Finding]) -> None:
        """Take an event, with what the rules find in it."""
        if len(self.rows) >= self._limit:
            self.left_out += 1
            return
        text = "; ".join(finding.text for finding in findings)
        self.rows.append(self._fault(event, text) if isinstance(event, Fault) else self._message(event, text))

    def _fault(self, fault: Fault, text: str) -> list[Any]:
        link = self._link(fault.stream.channel, fault.stream.address, fault.stream.target)
        data = fault.frame_data
        raw = hexadecimal(data, set(range(1, len(data))) if self.is_masked else set())
        begin = self._us(fault.time_ns)
        return [begin, 0, link, len(data), raw, "", FAULT, text, [[begin, 0, raw]]]

    def _message(self, message: Message, text: str) -> list[Any]:
        link = self._link(message.channel, message.source, message.target)
        words = uds.describe(message.data, message.length) if self._names else None
        is_negative = len(message.data) == 3 and message.data[0] == 0x7F
        kind = FAILED if message.error is not None else NEGATIVE if is_negative else PLAIN
        if message.data:
            self._requests[link] += -1 if message.data[0] & 0x40 else 1
        self._take_timing(link, message)
        data, raw = shown(message, self.is_masked)
        begin, end = self._us(message.begin_ns), self._us(message.end_ns)
        frames = self._frames(message, raw)
        name = str(words) if words else ""
        return [begin, end - begin, link, message.length, data[: 2 * _HEAD], name, kind, text, frames]

    def _frames(self, message: Message, raw: list[str]) -> list[list[Any]]:
        times = message.times_ns or [message.begin_ns] * len(raw)
        frames: list[list[Any]] = [[self._us(time_ns), 0, each] for time_ns, each in zip(times, raw, strict=True)]
        address_size = 0 if message.source.address_byte is None else 1
        for before, fc in enumerate(message.flow_controls):
            # Behind its N_PCI a flow control may have leftovers of another message.
            padding = range(address_size + 3, len(fc.data)) if self.is_masked else ()
            frames.insert(fc.after + before, [self._us(fc.time_ns), 1, hexadecimal(fc.data, set(padding))])
        if len(frames) > _FIRST + _LAST:
            left_out = len(frames) - _FIRST - _LAST
            frames[_FIRST:-_LAST] = [[frames[_FIRST][0], 2, f"{left_out} more frames"]]
        self._frames_left -= len(frames)
        return frames if self._frames_left >= 0 else []

    def _take_timing(self, link: int, message: Message) -> None:
        size = max(map(len, message.frames), default=0)
        if size > self.frame_size:
            self.frame_size = size
        self.frame_bits = max(self.frame_bits, frame_bits(message.source.can_id, self.frame_size))
        if message.is_timed and message.stmin is not None and not message.is_single and message.times_ns:
            self.stmins.add(STmin(message.stmin).ns / 1e6)
            gaps = self.gaps.setdefault(link, Counter())
            gaps.update(float(f"{gap / 1e6:.3g}") for gap in stmin_gaps(message) if gap != NO_GAP)

    def _us(self, time_ns: int) -> int:
        return (time_ns - self.begin_ns) // 1000

    def _link(self, channel: str, source: CanAddress, target: CanAddress | None) -> int:
        channel = visible(channel)
        link = self._links.setdefault((channel, source), len(self._links))
        if link == len(self._targets):
            self._sources.append(source)
            self._targets.append(None)
        self._targets[link] = target or self._targets[link]
        return link

    def link_name(self, link: int) -> str:
        """`7E0 > 7E8`."""
        source, target = self._sources[link], self._targets[link]
        return f"{short_address(source)} > {short_address(target)}" if target else short_address(source)

    def links(self) -> list[list[Any]]:
        """Channel, source, target, and the lines of the sequence chart from and to which arrows go (-1: to all)."""
        nodes = self._nodes()
        order = list(dict.fromkeys(nodes.values()))
        found = []
        for (channel, source), target in zip(self._links, self._targets, strict=True):
            name = masked_text(channel) if self.is_masked else channel
            to = nodes.get((channel, target)) if target else None
            texts = [name, short_address(source), short_address(target) if target else ""]
            found.append([*texts, order.index(nodes[channel, source]), -1 if to is None else order.index(to)])
        return found

    def nodes(self) -> list[str]:
        """The lines of the sequence chart."""
        return list(dict.fromkeys(self._nodes().values()))

    def _nodes(self) -> dict[Link, str]:
        """Who sends with an identifier: those that send more requests than responses are one tester on each channel."""
        nodes: dict[Link, str] = {}
        several = len({channel for channel, _ in self._links}) > 1
        for channel, address in self._addresses():
            link = self._links.get((channel, address))
            partner = self._targets[link] if link is not None else None
            where = f" {masked_text(channel) if self.is_masked else channel}" if several else ""
            is_tester = link is not None and self._requests[link] > 0
            if is_tester and (partner is None or nodes.get((channel, partner)) != f"tester{where}"):
                nodes[channel, address] = f"tester{where}"
            else:
                nodes[channel, address] = f"{short_address(address)}{where}"
        return nodes

    def _addresses(self) -> Iterator[Link]:
        yield from self._links
        for (channel, _), target in zip(self._links, self._targets, strict=True):
            if target is not None and (channel, target) not in self._links:
                yield channel, target
