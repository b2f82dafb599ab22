"""Reading along on a bus between others: all directions of all links, nothing sent, no input too strange."""

from collections import deque
from typing import Final

from ..address import Address, AsymmetricAddress, CanAddress
from ..can_frame import CanFrame
from ..engine.n_pdu import FirstFrame, FlowControl, Malformed, NPdu, decode
from ..engine.params import Params
from ..errors import BufferOverflowError
from .link_finder import Found, Held, Key, LinkFinder, has_address_byte, is_believable, usual_partner
from .stream import Fault, ObservedMessage, Stream

STREAMS_MAX: Final = 4096
MAX_PDU_SIZE: Final = 16 << 20
UNFINISHED_MAX: Final = 64 << 20
_IGNORED_MAX: Final = 1 << 16
_LOOK_NS: Final = 100_000_000  # no need to look more often whether a message broke off
_ANSWER_NS: Final = 1_200_000_000
_NEVER: Final = 1 << 63


class Observer:
    """Follows links from the outside: the ones given, or all that it finds.

    Classical and CAN FD frames are taken alike. Silence ends a message after N_Bs and N_Cr together, since
    the time limits that the two nodes have may not begin with a frame that is seen.

    Memory is bounded: of more than 4096 directions those that are silent the longest are forgotten, and of
    unfinished messages that announce more than `unfinished_max` together the oldest are given up.

    Args:
        addresses: each of one of the two nodes of a link; a half follows one direction. None at all: links are
            found by their traffic (see `link_finder`).
        address_size: 1 to find links whose frames begin with an address byte (extended and mixed addressing).
        max_pdu_size: longer messages are reported as failed, in bytes.
        unfinished_max: bytes that all unfinished messages together may announce.
    """

    def __init__(
        self,
        *addresses: Address | AsymmetricAddress,
        address_size: int = 0,
        max_pdu_size: int = MAX_PDU_SIZE,
        unfinished_max: int = UNFINISHED_MAX,
    ) -> None:
        self.events: deque[ObservedMessage | Fault] = deque()
        """What happened, oldest first; for the caller to take away."""
        self.released: list[tuple[Held, Stream]] = []
        """Earlier frames whose meaning the last one made known, for the caller to take away."""
        self._params = Params(listen_only=True, max_pdu_size=max_pdu_size)
        self._unfinished_max = unfinished_max
        self._address_size = address_size
        self._streams: dict[Key, Stream] = {}
        self._ignored: set[Key] = set()
        self._has_address_bytes = address_size > 0
        self._open: dict[Stream, int] = {}  # unfinished messages, oldest first, and their lengths
        self._announced = 0
        self._due = _NEVER
        self._finder = None if addresses else LinkFinder()
        for address in addresses:
            self._follow(address)

    def _follow(self, address: Address | AsymmetricAddress) -> None:
        ours, theirs = (half and self._stream(_key(half)) for half in (address.tx, address.rx))
        if ours and theirs:
            ours.partner, theirs.partner = theirs, ours
            ours.firm = theirs.firm = True

    def streams(self) -> list[Stream]:
        """The directions that are known."""
        return list(self._streams.values())

    def receive_frame(self, can_id: int, data: bytes, now: int, is_fd: bool = False) -> Stream | None:
        """Take a frame from the bus; None if it is of no link, or not known to be of one yet. Never raises.

        `now` is integer nanoseconds, and need not be the present: the time stamps of a recording do.
        """
        if now >= self._due:
            self.handle_timer(now)
        if can_id in self._ignored:
            return None
        stream = self._streams.get(can_id)
        if stream is None:
            if not self._has_address_bytes and self._finder is None:
                return None
            return self._look_up(can_id, data, now, is_fd)
        if not stream.keep(data, now):
            self._take(stream, can_id, data, now, is_fd)
        return stream

    def _look_up(self, can_id: int, data: bytes, now: int, is_fd: bool) -> Stream | None:
        """A frame of an identifier with address byte, or of one that is not known."""
        key: Key = can_id
        if self._address_size or has_address_byte(can_id) or self._finder is None:
            if not data:
                return None
            key = can_id, data[0]
            if (stream := self._streams.get(key)) is not None:
                if not stream.keep(data, now):
                    self._take(stream, can_id, data, now, is_fd)
                return stream
        if self._finder is None or key in self._ignored:
            return None
        n_pdu = decode(data, 0 if key is can_id else 1)
        frame = Held(key, can_id, data, is_fd, now)
        found = self._answer_to_known(frame, n_pdu) or self._finder.see(frame, n_pdu, 0 if key is can_id else 1)
        if found is None:
            if self._finder.is_hopeless(key):
                self._ignore(key)
            return None
        source = self._connect(found)
        stream = source if found.source == key else self._streams[key]
        self._take(stream, can_id, data, now, is_fd)
        return stream

    def _ignore(self, key: Key) -> None:
        if len(self._ignored) >= _IGNORED_MAX:
            self._ignored.clear()
        self._ignored.add(key)

    def _answer_to_known(self, frame: Held, n_pdu: NPdu | Malformed) -> Found | None:
        """Flow control of a stranger answers the last first frame whose own partner is not known."""
        address_size = 0 if frame.key == frame.can_id else 1
        if not isinstance(n_pdu, FlowControl) or not is_believable(n_pdu, frame.data, address_size):
            return None
        asked = self._who_asked(frame.key, frame.time_ns)
        return None if asked is None else Found(_key(asked.address), frame.key, True, [])

    def _who_asked(self, answering: Key, now: int) -> Stream | None:
        best = None
        for stream in reversed(self._open):
            if stream.firm or not stream.awaits_answer or now - stream.run.heard_ns > _ANSWER_NS:
                continue
            if usual_partner(answering) == _key(stream.address):
                return stream
            if best is None and _key(stream.address) != answering:
                best = stream
        return best

    def _connect(self, found: Found) -> Stream:
        """Make streams of what was found, and take what had been held back."""
        known = set(self._streams)
        source = self._stream(found.source)
        if found.partner is not None and (found.firm or found.partner in known or found.held):
            self._pair(source, self._stream(found.partner), found.firm)
        for frame in found.held:
            stream = self._streams[frame.key]
            if frame.key in known:  # flow control, told already
                n_pdu = decode(frame.data, stream.address_size)
                if isinstance(n_pdu, FlowControl):
                    source.hear_flow_control(n_pdu, _can_frame(frame), frame.time_ns)
            else:
                self.released.append((frame, stream))
                self._take(stream, frame.can_id, frame.data, frame.time_ns, frame.is_fd)
        return source

    def _pair(self, source: Stream, partner: Stream, firm: bool) -> None:
        for one, other in ((source, partner), (partner, source)):
            if firm or one.partner is None:
                former = one.partner
                if former is not None and former is not other and former.partner is one:
                    former.partner, former.firm = None, False
                one.partner, one.firm = other, firm

    def _stream(self, key: Key) -> Stream:
        stream = self._streams.get(key)
        if stream is None:
            if len(self._streams) >= STREAMS_MAX:
                self._forget()
            address = CanAddress(key) if isinstance(key, int) else CanAddress(*key)
            stream = self._streams[key] = Stream(address, self._params, self.events)
            self._has_address_bytes |= not isinstance(key, int)
            self._ignored.discard(key)
        return stream

    def _forget(self) -> None:
        """Make room: a quarter at once, so that it costs little per frame."""
        by_age = sorted(self._streams.items(), key=lambda item: item[1].last_heard_ns)
        for key, stream in by_age[: STREAMS_MAX // 4]:
            self._give_up(stream, "too many links at once")
            if stream.partner is not None and stream.partner.partner is stream:
                stream.partner.partner, stream.partner.firm = None, False
            del self._streams[key]

    def _take(self, stream: Stream, can_id: int, data: bytes, now: int, is_fd: bool) -> None:
        n_pdu = decode(data, stream.address_size)
        frame = CanFrame(can_id, data, is_fd)
        if isinstance(n_pdu, FlowControl):
            self._flow_control(stream, n_pdu, frame, now)
            return
        was_open = stream in self._open
        stream.receive(n_pdu, frame, now)
        if was_open and (isinstance(n_pdu, FirstFrame) or not stream.is_open):
            self._closed(stream)
        if isinstance(n_pdu, FirstFrame) and stream.is_open:
            self._opened(stream, n_pdu.length, now)

    def _flow_control(self, stream: Stream, n_pdu: FlowControl, frame: CanFrame, now: int) -> None:
        stream.heard_ns = now
        key = _key(stream.address)
        if not stream.firm and (asked := self._who_asked(key, now)) is not None:
            self._pair(asked, stream, True)
        target = stream.partner
        if target is None or (not stream.firm and not target.is_open):
            if self._finder is not None:
                self._finder.flow_control(Held(key, frame.can_id, frame.data, frame.is_fd, now))
            return
        target.hear_flow_control(n_pdu, frame, now)
        if not target.is_open:
            self._closed(target)

    def _opened(self, stream: Stream, length: int, now: int) -> None:
        self._open[stream] = length
        self._announced += length
        self._due = min(self._due, stream.receiver.get_timer() or now)
        while self._announced > self._unfinished_max and len(self._open) > 1:
            self._give_up(next(iter(self._open)), "too many unfinished messages at once")

    def _closed(self, stream: Stream) -> None:
        self._announced -= self._open.pop(stream, 0)
        if not self._open:
            self._due = _NEVER

    def _give_up(self, stream: Stream, why: str) -> None:
        if stream in self._open:
            done, total = stream.receiver.done, stream.receiver.total
            stream.give_up(BufferOverflowError(f"{why}: given up after {done} of {total} bytes"))
            self._closed(stream)

    def get_timer(self) -> int | None:
        """When to call `handle_timer`; None if nothing is being followed."""
        return None if self._due == _NEVER else self._due

    def handle_timer(self, now: int) -> None:
        """Time has passed: messages that broke off are reported. Harmless at any time."""
        due = _NEVER
        for stream in list(self._open):
            stream.handle_timer(now)
            if stream.is_open:
                due = min(due, stream.receiver.get_timer() or due)
            else:
                self._closed(stream)
        self._due = due if due == _NEVER else max(due, now + _LOOK_NS)

    def unfinished(self) -> list[Stream]:
        """The streams with a message under way, to report at the end of a recording."""
        return list(self._open)


def _key(address: CanAddress) -> Key:
    return address.can_id if address.address_byte is None else (address.can_id, address.address_byte)


def _can_frame(frame: Held) -> CanFrame:
    return CanFrame(frame.can_id, frame.data, frame.is_fd)
