"""Frames of a bus or a recording in, messages of all links out; nothing sent, no input too strange."""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from ..address import Address, AsymmetricAddress, CanAddress
from ..engine.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, Malformed, decode
from ..errors import BufferOverflowError
from .finder import Key, LinkFinder, is_functional, usual_partner
from .frames import Frame
from .message import Fault, LinkFrame, Message
from .stream import SILENCE_NS, Stream

STREAMS_MAX: Final = 4096
MAX_PDU_SIZE: Final = 16 << 20
UNFINISHED_MAX: Final = 1_000_000
_HELD_KEYS_MAX: Final = 2048
_HELD_MAX: Final = 32
_LOOK_NS: Final = 100_000_000  # no need to look more often whether a message broke off
_NEVER: Final = 1 << 63
_CHANNEL: Final = "-"

Event = Message | Fault | LinkFrame


class Observer:
    """Follows links from the outside: the ones given, the ones a finder found, or, live, those that it finds.

    Classical and CAN FD frames are taken alike. Live, a frame whose meaning is not known yet is held, and shown with
    its own time once it is: the last 32 of an identifier.

    Memory is bounded: of more than 4096 directions those that are silent the longest are forgotten, and of
    unfinished messages that announce more than `unfinished_max` frames together the oldest are given up.

    Args:
        addresses: each of one of the two nodes of a link, on any channel; a half follows one direction.
        finder: one that has seen the whole recording. Without it, and without addresses, links are found live.
        address_size: 1 to find links whose frames begin with an address byte (extended and mixed addressing).
        max_pdu_size: longer messages are reported as failed, in bytes.
        unfinished_max: frames that all unfinished messages together may announce.
        shows_frames: whether each frame of a link becomes an event, too.
        is_timed: whether the frames have times.
    """

    def __init__(
        self,
        *addresses: Address | AsymmetricAddress,
        finder: LinkFinder | None = None,
        address_size: int = 0,
        max_pdu_size: int = MAX_PDU_SIZE,
        unfinished_max: int = UNFINISHED_MAX,
        shows_frames: bool = False,
        is_timed: bool = True,
    ) -> None:
        self.events: deque[Any] = deque()
        """`Message`, `Fault` and, if wanted, `LinkFrame`, oldest first; for the caller to take away."""
        self.released: deque[tuple[LinkFrame, Stream]] = deque(maxlen=256)
        """Held frames whose meaning the last one made known; for the command line, until it takes `LinkFrame`."""
        self.frames = 0
        """How many frames were taken, how many of them belong to a link, and how many of a link came before it was
        found and were not held any more."""
        self.shown = 0
        self.missed = 0
        self._max_pdu_size = max_pdu_size
        self._unfinished_max = unfinished_max
        self._shows_frames = shows_frames
        self._is_timed = is_timed
        self._streams: dict[Key, Stream] = {}
        self._open: dict[Stream, int] = {}  # those with a message under way, oldest first, and its frames
        self._announced = 0
        self._due = _NEVER
        self._given = _Given(addresses) if addresses else None
        self._is_live = finder is None and not addresses
        self._finder = LinkFinder(address_size) if finder is None else finder
        self._answers = {} if finder is None else finder.answers()
        self._partners: dict[Key, Key] = {}  # whose flow control is expected by each
        self._served: dict[Key, list[Key]] = {}  # the same, seen from the other side
        self._held: dict[Key, deque[Frame]] = {}
        self._ids: set[tuple[str, int]] | None = None
        """The identifiers of a recording that are of links."""
        if finder is not None:
            keys = finder.keys()
            self._ids = {key[:2] for key in keys}
            for key in keys:
                self._settle(key)

    # --- whose frames they are

    def _key(self, channel: str, can_id: int, data: bytes) -> Key | None:
        """The key of a frame of a link; None if it is of none."""
        if self._given is not None:
            return self._given.key(channel, can_id, data)
        if not data:
            return (channel, can_id) if (channel, can_id) in self._streams else None
        key = self._finder.key(channel, can_id, data)
        return key if key in self._finder else None

    def _partner_of(self, key: Key) -> Key | None:
        """Whose flow control answers `key`, as far as is known: a proof, else who it talks to, else the standards."""
        if self._given is not None:
            return self._given.partner(key)
        finder = self._finder
        found = finder.answering(key) if self._is_live else self._answers.get(key)
        if found is not None:
            return found
        if (other := finder.talking(key)) is not None and other in finder:
            return other
        usual = usual_partner(key)
        return usual if usual is not None and usual in finder else None

    def _settle(self, key: Key) -> None:
        """Note the partner of `key`, which may be another one than before, and where messages go by that."""
        old, new = self._partners.get(key), self._partner_of(key)
        if old != new:
            self._unsettle(key)
            if new is not None:
                self._partners[key] = new
                self._served.setdefault(new, []).append(key)
        for each in (key, old, new):
            if each is not None and (stream := self._streams.get(each)) is not None:
                stream.target = self._target(each)

    def _target(self, key: Key) -> CanAddress | None:
        """Where the messages of `key` go: to its partner; None if to many, or as long as that is not clear."""
        served = self._served.get(key, ())
        if is_functional(key[1]) or len(served) > 1 or not self._finder.is_clear(key):
            return None
        partner = self._partners.get(key) or (served[0] if served else None)
        return CanAddress(*partner[1:]) if partner is not None else None

    def _stream(self, key: Key) -> Stream:
        stream = self._streams.get(key)
        if stream is None:
            if len(self._streams) >= STREAMS_MAX:
                self._forget()
            stream = self._streams[key] = Stream(key, self.events.append, self._is_timed)
            if self._given is not None:
                for each in (key, self._given.partner(key)):
                    if each is not None:
                        self._settle(each)
            stream.target = self._target(key)
        return stream

    def _forget(self) -> None:
        """Make room: a quarter at once, so that it costs little per frame."""
        by_age = sorted(self._streams.values(), key=lambda stream: stream.last_ns)
        for stream in by_age[: STREAMS_MAX // 4]:
            self._give_up(stream, "too many links at once")
            del self._streams[stream.key]
            if self._given is not None or self._is_live:
                self._unsettle(stream.key)

    def _drop(self, stream: Stream) -> None:
        self._give_up(stream, "no ISO-TP")
        del self._streams[stream.key]
        self._unsettle(stream.key)
        for key in list(self._streams):
            self._settle(key)

    def _unsettle(self, key: Key) -> None:
        partner = self._partners.pop(key, None)
        if partner is not None:
            self._served[partner].remove(key)
            if not self._served[partner]:
                del self._served[partner]

    def streams(self) -> list[Stream]:
        """The directions that are known and were seen."""
        return list(self._streams.values())

    # --- frames

    def take(self, frames: Iterable[Frame]) -> None:
        """Take frames, oldest first; what comes of them is in `events`. Never raises."""
        get = self._streams.get
        show = self.events.append if self._shows_frames else None
        is_live, ids = self._is_live, self._ids
        count = shown = 0
        for now, channel, can_id, data, is_fd in frames:
            count += 1
            if now >= self._due:
                self.handle_timer(now)
            if is_live:
                self._look(now, channel, can_id, data)
            key = channel, can_id
            stream = get(key)
            if stream is None:
                if ids is not None and key not in ids:
                    continue
                stream = self._find(channel, can_id, data)
                if stream is None:
                    if is_live and data:
                        self._hold((now, channel, can_id, data, is_fd))
                    continue
            shown += 1
            if show is not None:
                show(LinkFrame(stream, now, data, is_fd))
            if not stream.keep(data, now):
                self._receive(stream, data, is_fd, now)
        self.frames += count
        self.shown += shown

    def receive_frame(
        self, can_id: int, data: bytes, now: int, is_fd: bool = False, channel: str = _CHANNEL
    ) -> Stream | None:
        """Take a frame; returns its stream, None if it is of no link, or not known to be of one yet. Never raises.

        `now` is integer nanoseconds, and need not be the present: the time stamps of a recording do.
        """
        shown = self.shown
        self.take(((now, channel, can_id, data, is_fd),))
        return None if self.shown == shown else self._find(channel, can_id, data)

    def _find(self, channel: str, can_id: int, data: bytes) -> Stream | None:
        key = self._key(channel, can_id, data)
        if key is None:
            return None
        return self._streams.get(key) or self._stream(key)

    def _receive(self, stream: Stream, data: bytes, is_fd: bool, now: int) -> None:
        stream.expire(now)
        n_pdu = decode(data, stream.address_size)
        if isinstance(n_pdu, Malformed) and self._is_live and stream.key not in self._finder:
            self._drop(stream)  # it looked like a link for a while
            return
        if isinstance(n_pdu, FlowControl):
            self._flow_control(stream, n_pdu, data, is_fd, now)
            return
        if isinstance(n_pdu, FirstFrame) and (error := self._too_long(n_pdu, data)) is not None:
            stream.refuse(n_pdu, data, is_fd, now, error)
        else:
            stream.receive(n_pdu, data, is_fd, now)
        if not stream.is_open or isinstance(n_pdu, FirstFrame):
            self._closed(stream)
        if isinstance(n_pdu, FirstFrame) and stream.is_open:
            self._opened(stream, now)

    def _too_long(self, n_pdu: FirstFrame, data: bytes) -> BufferOverflowError | None:
        limit = min(self._max_pdu_size, self._unfinished_max * (len(data) - 2))
        if n_pdu.length <= limit:
            return None
        return BufferOverflowError(f"the sender announced {n_pdu.length} bytes, and up to {limit} are followed")

    def _flow_control(self, stream: Stream, n_pdu: FlowControl, data: bytes, is_fd: bool, now: int) -> None:
        stream.heard_ns = now
        key = stream.key
        served = self._served.get(key, ())
        open_ones = [self._streams[each] for each in served if each in self._streams and self._streams[each].is_open]
        target = _waiting(open_ones)
        if target is not None:
            target.hear_flow_control(n_pdu, data, now)
            if not target.is_open:
                self._closed(target)
            elif n_pdu.status > 2:
                self.events.append(Fault(stream, now, f"reserved flow status {n_pdu.status}", data))
        elif self._is_live and self._finder.is_awaited(key, now):
            self._hold((now, key[0], key[1], data, is_fd))
        elif served:
            stream.fault(now, "flow control without a message", data)

    # --- live

    def _look(self, now: int, channel: str, can_id: int, data: bytes) -> None:
        """Show a frame to the finder, and take what had been held if that makes its meaning known."""
        if not data:
            return
        finder = self._finder
        changed = finder.see(now, channel, can_id, data)
        key = finder.key(channel, can_id, data)
        if not changed:
            if key in self._streams or key not in finder:
                return
            changed = (key,)
        found = [each for each in changed if each in finder]
        for each in found:
            for other in (each, usual_partner(each), finder.talking(each)):
                if other is not None and other in finder:
                    self._settle(other)
        self._release(found, key)

    def _hold(self, frame: Frame) -> None:
        key = self._finder.key(frame[1], frame[2], frame[3])
        if key not in self._streams and self._finder.is_hopeless(key):
            self._held.pop(key, None)
            return
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= _HELD_KEYS_MAX:
                del self._held[next(iter(self._held))]
            held = self._held[key] = deque(maxlen=_HELD_MAX)
        held.append(frame)

    def _release(self, found: list[Key], present: Key) -> None:
        """Take the frames that were held of links that are found; the frame of `present` is still to be taken."""
        new = {key for key in found if key not in self._streams}
        held: list[Frame] = []
        for key in found:
            frames = list(self._held.pop(key, ()))
            if key in new:
                while frames and isinstance(decode(frames[0][3], len(key) - 2), ConsecutiveFrame):
                    del frames[0]  # its first frame is not held any more
                self.missed += max(0, self._finder.seen(key) - len(frames) - (key == present))
            held += frames
        held.sort(key=lambda frame: frame[0])
        for now, channel, can_id, data, is_fd in held:
            stream = self._find(channel, can_id, data)
            assert stream is not None
            if stream.key in new:  # flow control of one that was known was shown already
                self.shown += 1
                frame = LinkFrame(stream, now, data, is_fd)
                self.released.append((frame, stream))
                if self._shows_frames:
                    self.events.append(frame)
            if not stream.keep(data, now):
                self._receive(stream, data, is_fd, now)

    # --- messages under way

    def _opened(self, stream: Stream, now: int) -> None:
        self._open[stream] = stream.frames_wanted
        self._announced += stream.frames_wanted
        self._due = min(self._due, now + SILENCE_NS)
        while self._announced > self._unfinished_max or len(self._open) > STREAMS_MAX:
            self._give_up(next(iter(self._open)), "too many unfinished messages at once")

    def _closed(self, stream: Stream) -> None:
        self._announced -= self._open.pop(stream, 0)
        if not self._open:
            self._due = _NEVER

    def _give_up(self, stream: Stream, why: str) -> None:
        if stream in self._open:
            stream.give_up(BufferOverflowError(f"{why}: given up after {stream.done} of {stream.total} bytes"))
            self._closed(stream)

    def get_timer(self) -> int | None:
        """When to call `handle_timer`; None if nothing is being followed."""
        return None if self._due == _NEVER else self._due

    def handle_timer(self, now: int) -> None:
        """Time has passed: messages that broke off are reported. Harmless at any time."""
        due = _NEVER
        for stream in list(self._open):
            stream.expire(now)
            if stream.is_open:
                due = min(due, stream.last_ns + SILENCE_NS)
            else:
                self._closed(stream)
        self._due = due if due == _NEVER else max(due, now + _LOOK_NS)

    def unfinished(self) -> list[Stream]:
        """The streams with a message under way, to report at the end of a recording."""
        return list(self._open)


def _waiting(streams: list[Stream]) -> Stream | None:
    """Which of several messages under way flow control is for: the one that waits for it, and the longest."""
    for waits in (
        [stream for stream in streams if stream.awaits_flow_control],
        [stream for stream in streams if not stream.flow_controls],
        streams,
    ):
        if waits:
            return min(waits, key=lambda stream: stream.last_ns)
    return None


class _Given:
    """The links that the user named; they are the same on each channel.

    Args:
        addresses: one of each link.
    """

    def __init__(self, addresses: Iterable[Address | AsymmetricAddress]) -> None:
        partners: dict[CanAddress, set[CanAddress]] = {}
        for address in addresses:
            for ours, theirs in ((address.tx, address.rx), (address.rx, address.tx)):
                if ours is not None:
                    partners.setdefault(ours, set()).update({theirs} if theirs is not None else set())
        self._partners = partners
        self._ids = {half.can_id: half.address_byte is not None for half in partners}

    def key(self, channel: str, can_id: int, data: bytes) -> Key | None:
        """See `Observer`."""
        has_byte = self._ids.get(can_id)
        if has_byte is None:
            return None
        if not has_byte:
            return channel, can_id
        return (channel, can_id, data[0]) if data and CanAddress(can_id, data[0]) in self._partners else None

    def partner(self, key: Key) -> Key | None:
        """The other end of the link; None where one identifier is of several links, or none was named."""
        partners = self._partners[CanAddress(*key[1:])]
        if len(partners) != 1:
            return None
        (partner,) = partners
        can_id, address_byte = partner
        return (key[0], can_id) if address_byte is None else (key[0], can_id, address_byte)
