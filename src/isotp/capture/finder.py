"""Which identifiers of a bus speak ISO-TP, and which of them answers which, from the traffic alone.

Most identifiers of a bus carry something else, and any byte can look like an N_PCI. So each identifier is looked at
as if it spoke ISO-TP, and two things are kept: how many of its frames make sense as that, and proofs. An identifier
speaks ISO-TP if it has a proof and most of its frames make sense, or the standards reserve it and one in five does.

    proof                                                                      shows
    flow control of B between a first frame of A and consecutive frame 1       A, and that B answers A
    consecutive frames 1, 2, 3 (or 1 to the last) after a first frame of A     A (B was not recorded, or is not clear)
    a message of A that answers one of B as UDS does                           A and B, and that they talk

Several transfers at once make it unclear which flow control answers which first frame. So proofs have points: a
proof that allows one answer only has more of them, and the true pair collects points with each message.

A recording is shown to the finder as a whole before any message is made of it. Live, a link may be found, or another
answer fit better, after any frame.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from ..engine.n_pdu import FirstFrame, FlowControl, FlowStatus, SingleFrame, decode
from .frames import Frame
from .standards import NEGATIVE, POSITIVE, Key, answers, has_address_byte, is_functional, is_reserved, usual_partner

CLUES_MAX: Final = 1 << 16
_ANSWERS_MAX: Final = 64
_RECENT_MAX: Final = 32
_ANSWER_NS: Final = 1_200_000_000  # N_Bs, and some delay of the recorder
_RESPONSE_NS: Final = 5_000_000_000  # P2* of UDS
_PROVEN_SN: Final = 3
_HOPELESS: Final = 4
_RESERVED_WEIGHT: Final = 4  # of a frame that makes sense, by an identifier that the standards reserve
_UNANSWERED_MAX: Final = 8  # TesterPresent often goes without a response

# Points of a proof.
_SURE: Final = 16  # one pair only is possible
_TURN: Final = 3  # the first frame that waited the longest
_MAYBE: Final = 1

_PENDING: Final = b"\x7f\x78"  # requestCorrectlyReceived-ResponsePending, less the service


class _Clue:
    """What is known about one identifier."""

    __slots__ = (
        "answered",
        "answered_by",
        "asked_ns",
        "began_ns",
        "came",
        "is_asking",
        "is_astray",
        "key",
        "left",
        "nonsense",
        "replies",
        "request",
        "requests",
        "sense",
        "strays",
        "talks_to",
        "transfers",
        "waiting_for",
    )

    def __init__(self, key: Key) -> None:
        self.key = key
        self.sense = self.nonsense = 0
        self.transfers = 0
        """How many messages of several frames it sent, or answered with flow control, that are a proof."""
        self.replies = self.strays = 0
        """How many of its messages answer a request, and how many look like a response and answer none."""
        self.requests = self.answered = 0
        """How many of its messages may be requests, and how many of those were answered."""
        self.left = self.came = 0
        """How many consecutive frames of the message are still to come, and how many came."""
        self.is_astray = False
        """Whether the last consecutive frame belonged to no message."""
        self.began_ns = 0
        self.waiting_for: dict[Key, int] = {}
        """Whose flow control came since the first frame, and the points of it."""
        self.request = b""
        """How the last request began, when, and whether it was not answered yet."""
        self.asked_ns = 0
        self.is_asking = False
        self.answered_by: dict[Key, int] = {}
        """Points of those whose flow control answers this one."""
        self.talks_to: dict[Key, int] = {}
        """Points of those whose messages this one answers, or that answer this one."""

    @property
    def is_proven(self) -> bool:
        """Whether there is a proof."""
        is_responder = self.replies > 0 and self.replies >= self.strays
        is_requester = self.answered > 0 and self.answered * _UNANSWERED_MAX >= self.requests
        return self.transfers > 0 or is_responder or is_requester

    @property
    def is_link(self) -> bool:
        """Whether it speaks ISO-TP."""
        if is_reserved(self.key[1]):
            return self.sense > 0 and self.sense * _RESERVED_WEIGHT >= self.nonsense
        return self.sense >= self.nonsense and self.is_proven


class LinkFinder:
    """Looks at the frames of a bus, or several.

    Args:
        address_size: 1 to find links whose frames begin with an address byte (extended and mixed addressing).
    """

    def __init__(self, address_size: int = 0) -> None:
        self.address_size = address_size
        self._clues: dict[Key, _Clue] = {}
        # The latest with a first frame, and with a request, on each channel.
        self._announced: dict[str, dict[Key, _Clue]] = {}
        self._requests: dict[str, dict[Key, _Clue]] = {}

    def see_all(self, frames: Iterable[Frame]) -> None:
        """Take frames of a recording."""
        get, see = self._clues.get, self.see
        has_bytes = self.address_size > 0
        for now, channel, can_id, data, _ in frames:
            if not has_bytes and data and (clue := get((channel, can_id))) is not None:
                kind = data[0] >> 4
                if kind > 3:
                    clue.nonsense += 1
                    continue
                if kind == 2 and clue.came >= _PROVEN_SN and clue.left:  # most frames are such
                    clue.left -= 1
                    clue.sense += 1
                    continue
            see(now, channel, can_id, data)

    def key(self, channel: str, can_id: int, data: bytes) -> Key:
        """The key of a frame that is not empty."""
        if self.address_size or has_address_byte(can_id):
            return channel, can_id, data[0]
        return channel, can_id

    def see(self, now: int, channel: str, can_id: int, data: bytes) -> tuple[Key, ...]:
        """Take a frame; returns those that a link may be known of from now on, or another answer."""
        if not data:
            return ()
        key = self.key(channel, can_id, data)
        size = len(key) - 2
        clue = self._clues.get(key) or self._new_clue(key)
        kind = data[size] >> 4 if len(data) > size else 15
        if kind == 2:
            return self._consecutive(clue, data[size] & 15)
        n_pdu = decode(data, size) if kind < 4 else None
        if isinstance(n_pdu, SingleFrame):
            end = size + (1 if len(data) <= 8 else 2) + len(n_pdu.data)
            return self._single(clue, n_pdu.data, len(set(data[end:])) <= 1, now)
        if isinstance(n_pdu, FirstFrame):
            return self._first(clue, n_pdu, -(-(n_pdu.length - len(n_pdu.data)) // (len(data) - size - 1)), now)
        if isinstance(n_pdu, FlowControl) and n_pdu.status <= FlowStatus.OVFLW:
            return self._flow_control(clue, n_pdu, data[size + 3 :], now)
        clue.nonsense += 1
        return ()

    def _new_clue(self, key: Key) -> _Clue:
        if len(self._clues) >= CLUES_MAX:
            for oldest in list(islice(self._clues, CLUES_MAX // 4)):  # at once, so that it costs little per frame
                self.forget(oldest)
        clue = self._clues[key] = _Clue(key)
        return clue

    def forget(self, key: Key) -> None:
        """Keep nothing about an identifier."""
        del self._clues[key]
        for recent in (self._announced, self._requests):
            of_channel = recent.get(key[0], {})
            of_channel.pop(key, None)
            if not of_channel:
                recent.pop(key[0], None)

    def _consecutive(self, clue: _Clue, sn: int) -> tuple[Key, ...]:
        if not clue.left or (clue.came < _PROVEN_SN and sn != clue.came + 1):
            clue.nonsense += not clue.is_astray  # the rest of a message whose frames were lost counts once
            clue.is_astray = True
            clue.left = 0
            return ()
        clue.sense += 1
        clue.left -= 1
        clue.came += 1
        clean = {key: points for key, points in clue.waiting_for.items() if points}
        if clue.came == 1:
            self._announced.get(clue.key[0], {}).pop(clue.key, None)
            return self._answered(clue, clean) if clean else ()
        if clean or not (clue.came == _PROVEN_SN or (clue.came == 2 and not clue.left)):
            return ()
        return self._answered(clue, dict.fromkeys(clue.waiting_for, _MAYBE))

    def _answered(self, clue: _Clue, sources: dict[Key, int]) -> tuple[Key, ...]:
        """Consecutive frames follow a first frame: give points to those whose flow control came in between."""
        clue.transfers += 1
        for key, points in sources.items():
            _add(clue.answered_by, key, points if len(sources) == 1 else min(points, _TURN))
        best = self.answering(clue.key)
        if best is None or best not in sources:
            return (clue.key,) if clue.transfers == 1 else ()
        if (other := self._clues.get(best)) is not None:
            other.transfers += 1
        return clue.key, best

    def _first(self, clue: _Clue, n_pdu: FirstFrame, count: int, now: int) -> tuple[Key, ...]:
        clue.sense += 1
        clue.nonsense += clue.left > 0 and not clue.came  # the last one came to nothing
        clue.left, clue.came, clue.began_ns, clue.is_astray = count, 0, now, False
        clue.waiting_for = {}
        _remember(self._announced, clue)
        return self._talk(clue, n_pdu.data, now)

    def _flow_control(self, clue: _Clue, n_pdu: FlowControl, rest: bytes, now: int) -> tuple[Key, ...]:
        clue.sense += 1
        # Leftover bytes behind it, or a reserved STmin: it proves nothing unless consecutive frames 1 to 3 follow.
        is_clean = len(set(rest)) <= 1 and (n_pdu.stmin <= 0x7F or 0xF1 <= n_pdu.stmin <= 0xF9)
        waiting = self._waiting(clue.key, now)
        turn = next((other for other in waiting if not other.waiting_for), None)
        for other in waiting:
            points = _SURE if len(waiting) == 1 else _TURN if other is turn else _MAYBE
            if len(other.waiting_for) < _ANSWERS_MAX:
                other.waiting_for.setdefault(clue.key, points if is_clean else 0)
        return ()

    def _waiting(self, key: Key, now: int) -> list[_Clue]:
        """Those that flow control of `key` may answer."""
        return [
            other
            for other in self._announced.get(key[0], {}).values()
            if other.key != key and abs(now - other.began_ns) <= _ANSWER_NS
        ]

    def is_awaited(self, key: Key, now: int) -> bool:
        """Whether flow control of `key` may answer a first frame."""
        return bool(self._waiting(key, now))

    def _single(self, clue: _Clue, data: bytes, is_clean: bool, now: int) -> tuple[Key, ...]:
        clue.left, clue.is_astray = 0, False
        self._announced.get(clue.key[0], {}).pop(clue.key, None)
        if not (is_clean or is_reserved(clue.key[1]) or clue.is_proven):
            return ()  # leftover bytes, or no single frame at all
        clue.sense += 1
        return self._talk(clue, data, now)

    def _talk(self, clue: _Clue, data: bytes, now: int) -> tuple[Key, ...]:
        """A message began: it may answer another one, or be answered."""
        if not data[0] & POSITIVE:
            clue.request, clue.asked_ns, clue.is_asking = data, now, True
            clue.requests += 1
            _remember(self._requests, clue)
            return ()
        fitting = [
            other
            for other in self._requests.get(clue.key[0], {}).values()
            if other is not clue and abs(now - other.asked_ns) <= _RESPONSE_NS and answers(other.request, data)
        ]
        if not fitting:
            clue.strays += 1
            return ()
        clue.replies += 1
        asking = [other for other in fitting if other.is_asking] or fitting
        for other in asking:
            points = _SURE if len(asking) == 1 else _MAYBE
            _add(clue.talks_to, other.key, points)
            _add(other.talks_to, clue.key, points)
            other.answered += len(asking) == 1 or data[0] != NEGATIVE  # which repeats one byte only
        if len(asking) == 1:
            asking[0].is_asking = data[::2] == _PENDING  # a request that all are asked may be answered again
        return clue.key, *(other.key for other in asking)

    # --- what became of it

    def __contains__(self, key: Key) -> bool:
        """Whether it speaks ISO-TP."""
        clue = self._clues.get(key)
        return clue is not None and clue.is_link

    def is_hopeless(self, key: Key) -> bool:
        """Whether so few of its frames make sense that nothing is to be expected of it."""
        clue = self._clues[key]
        return not clue.is_proven and clue.nonsense - clue.sense >= _HOPELESS

    def seen(self, key: Key) -> int:
        """How many of its frames were seen."""
        clue = self._clues.get(key)
        return clue.sense + clue.nonsense if clue is not None else 0

    @property
    def has_transfers(self) -> bool:
        """Whether flow control was seen to answer a first frame."""
        return any(clue.answered_by for clue in self._clues.values())

    def answering(self, key: Key, taken: dict[Key, Key] | None = None) -> Key | None:
        """Whose flow control answers the messages of `key`: the one with most points; None if none was seen.

        Args:
            key: whose messages.
            taken: whose messages each is known to answer; without a sure proof it is not expected to answer others.
        """
        clue = self._clues.get(key)
        if clue is None or not clue.answered_by:
            return None
        usual = usual_partner(key)

        def fit(other: Key) -> tuple[bool, int, bool]:
            points = clue.answered_by[other]
            is_free = taken is None or points >= _SURE or taken.get(other, key) == key
            return is_free, points + clue.talks_to.get(other, 0), other == usual

        return max(clue.answered_by, key=fit)

    def is_clear(self, key: Key) -> bool:
        """Whether, if flow control answers, the one that sends it has clearly more points than all others."""
        clue = self._clues.get(key)
        if clue is None or not clue.answered_by:
            return True
        points = sorted(points + clue.talks_to.get(other, 0) for other, points in clue.answered_by.items())
        return len(points) == 1 or points[-1] >= points[-2] * 3 // 2 + 1

    def answers(self) -> dict[Key, Key]:
        """For each that sends long messages, whose flow control answers; the surest come first."""
        by_points = sorted(
            (clue for clue in self._clues.values() if clue.answered_by and clue.key in self),
            key=lambda clue: max(clue.answered_by.values()),
            reverse=True,
        )
        found: dict[Key, Key] = {}
        taken: dict[Key, Key] = {}
        for clue in by_points:
            other = self.answering(clue.key, taken)
            assert other is not None
            found[clue.key] = other
            taken.setdefault(other, clue.key)
        return found

    def talking(self, key: Key) -> Key | None:
        """The one that exchanges requests and responses with `key`; None if none does, or several do."""
        clue = self._clues.get(key)
        if clue is None or is_functional(key[1]):
            return None
        points = {other: n for other, n in clue.talks_to.items() if other in self and not is_functional(other[1])}
        best = max(points, key=lambda other: points[other], default=None)
        if best is None or any(n * 2 > points[best] for other, n in points.items() if other != best):
            return None
        return best

    def keys(self) -> list[Key]:
        """All that speak ISO-TP."""
        return [key for key in self._clues if key in self]


def _add(points_of: dict[Key, int], key: Key, points: int) -> None:
    if key in points_of or len(points_of) < _ANSWERS_MAX:
        points_of[key] = points_of.get(key, 0) + points


def _remember(recent: dict[str, dict[Key, _Clue]], clue: _Clue) -> None:
    of_channel = recent.setdefault(clue.key[0], {})
    of_channel.pop(clue.key, None)
    of_channel[clue.key] = clue
    if len(of_channel) > _RECENT_MAX:
        del of_channel[next(iter(of_channel))]
