"""Frames of a bus or a recording in, messages of all links out; nothing sent, no input too strange."""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from ..address import Address, AsymmetricAddress
from ..engine.n_pdu import FirstFrame, FlowControl, Malformed, decode
from ..errors import BufferOverflowError
from .finder import LinkFinder
from .frames import Frame
from .links import FoundLinks, Links, NamedLinks
from .live import Live
from .message import Fault, LinkFrame, Message
from .standards import Key
from .stream import SILENCE_NS, Stream

STREAMS_MAX: Final = 4096
MAX_PDU_SIZE: Final = 16 << 20
UNFINISHED_MAX: Final = 1_000_000
_LOOK_NS: Final = 100_000_000  # no need to look more often whether a message broke off
_NEVER: Final = 1 << 63

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
        self.frames = 0
        """How many frames were taken, and how many of them are of a link."""
        self.shown = 0
        self._max_pdu_size = max_pdu_size
        self._unfinished_max = unfinished_max
        self._shows_frames = shows_frames
        self._is_timed = is_timed
        self._streams: dict[Key, Stream] = {}
        self._open: dict[Stream, int] = {}  # those with a message under way, oldest first, and its frames
        self._announced = 0
        self._due = _NEVER
        self._live = Live(address_size) if finder is None and not addresses else None
        self._links: Links
        self._ids: set[tuple[str, int]] | None = None  # all that are of links, where that is known
        if self._live is not None:
            self._links = self._live.links
        elif finder is not None:
            self._links = found = FoundLinks(finder, is_live=False)
            self._ids = found.ids
        else:
            self._links = NamedLinks(addresses)

    # --- streams

    def _find(self, channel: str, can_id: int, data: bytes) -> Stream | None:
        """The stream of a frame; None if it is of no link."""
        key = self._links.key(channel, can_id, data)
        return None if key is None else self._streams.get(key) or self._new_stream(key)

    def _new_stream(self, key: Key) -> Stream:
        if len(self._streams) >= STREAMS_MAX:
            self._forget()
        stream = self._streams[key] = Stream(key, self.events.append, self._is_timed)
        self._show_targets(self._links.settle(key))
        return stream

    def _show_targets(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if (stream := self._streams.get(key)) is not None:
                stream.target = self._links.target(key)

    def _forget(self) -> None:
        """Make room: a quarter at once, so that it costs little per frame."""
        by_age = sorted(self._streams.values(), key=lambda stream: stream.last_ns)
        for stream in by_age[: STREAMS_MAX // 4]:
            self._give_up(stream, "too many links at once")
            del self._streams[stream.key]
            if self._ids is None:  # else it may come back, and is known already
                self._links.forget(stream.key)

    def _drop(self, stream: Stream) -> None:
        """It looked like one of a link for a while."""
        self._give_up(stream, "no ISO-TP")
        del self._streams[stream.key]
        self._links.forget(stream.key)
        for key in list(self._streams):
            self._show_targets(self._links.settle(key))

    @property
    def missed(self) -> int:
        """How many frames of a link came before it was found and were not held any more."""
        return self._live.missed if self._live is not None else 0

    def streams(self) -> list[Stream]:
        """The directions that are known and were seen."""
        return list(self._streams.values())

    # --- frames

    def take(self, frames: Iterable[Frame]) -> None:
        """Take frames, oldest first; what comes of them is in `events`. Never raises."""
        get = self._streams.get
        show = self.events.append if self._shows_frames else None
        live, ids = self._live, self._ids
        count = shown = 0
        for now, channel, can_id, data, is_fd in frames:
            count += 1
            if now >= self._due:
                self.handle_timer(now)
            key = channel, can_id
            stream = get(key)
            if live is not None:
                self._look(live, now, channel, can_id, data, stream is not None)
            if stream is None:
                if ids is not None and key not in ids:
                    continue
                stream = self._find(channel, can_id, data)
                if stream is None:
                    if live is not None and data:
                        live.hold((now, channel, can_id, data, is_fd), is_known=False)
                    continue
            shown += 1
            if show is not None:
                show(LinkFrame(stream, now, data, is_fd))
            if not stream.keep(data, now):
                self._receive(stream, data, is_fd, now)
        self.frames += count
        self.shown += shown

    def _receive(self, stream: Stream, data: bytes, is_fd: bool, now: int) -> None:
        stream.expire(now)
        n_pdu = decode(data, stream.address_size)
        if isinstance(n_pdu, Malformed) and self._live is not None and stream.key not in self._live.finder:
            self._drop(stream)
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
        served = self._links.served(key)
        open_ones = [self._streams[each] for each in served if each in self._streams and self._streams[each].is_open]
        target = _waiting(open_ones)
        if target is not None:
            target.hear_flow_control(n_pdu, data, now)
            if not target.is_open:
                self._closed(target)
            elif n_pdu.status > 2:
                self.events.append(Fault(stream, now, f"reserved flow status {n_pdu.status}", data))
        elif self._live is not None and self._live.finder.is_awaited(key, now):
            self._live.hold((now, key[0], key[1], data, is_fd), is_known=True)
        elif served:
            stream.fault(now, "flow control without a message", data)

    # --- live

    def _look(self, live: Live, now: int, channel: str, can_id: int, data: bytes, is_known: bool) -> None:
        """Show a frame to the finder, and take what had been held if that makes its meaning known."""
        found = live.look(now, channel, can_id, data, is_known)
        if not found:
            return
        new = {key for key in found if key not in self._streams}
        self._show_targets(live.links.settle_all(found))
        for frame in live.release(found, new, live.finder.key(channel, can_id, data)):
            stream = self._find(*frame[1:4])
            assert stream is not None
            if stream.key in new:  # flow control of one that was known was shown already
                self.shown += 1
                if self._shows_frames:
                    self.events.append(LinkFrame(stream, frame[0], frame[3], frame[4]))
            if not stream.keep(frame[3], frame[0]):
                self._receive(stream, frame[3], frame[4], frame[0])

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
