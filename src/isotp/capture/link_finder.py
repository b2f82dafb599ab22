"""Which identifiers of a bus speak ISO-TP, and which two of them with each other, guessed from their frames.

Most identifiers of a bus carry something else, and any byte can look like an N_PCI. So a frame is held back until
others make sense of it:

- a first frame that flow control of another identifier answers before consecutive frame 1 follows: a link;
- a first frame that consecutive frames 1, 2, 3 follow: one direction of a link (only that one is recorded);
- a single frame that answers another one as UDS does (service + 0x40 with the same second byte, or 7F and the
  service): two directions of what is likely a link;
- the identifiers that ISO 15765-4 and 15765-2 reserve (7DF, 7E0 to 7EF, 18DAxxxx, 18DBxxxx, 18CExxxx, 18CDxxxx) are
  believed without.

An identifier with several frames that are no N_PDU before any of that is not looked at again.
"""

from typing import Final, NamedTuple

from ..address import CAN_EFF_FLAG
from ..engine.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, FlowStatus, Malformed, NPdu, SingleFrame

Key = int | tuple[int, int]
"""A CAN identifier, or one with the address byte that its frames begin with."""

CANDIDATES_MAX: Final = 4096
_MALFORMED_MAX: Final = 4
_HELD_MAX: Final = 12
_RECENT_MAX: Final = 16
_ANSWER_NS: Final = 1_200_000_000  # N_Bs, and some delay of the recorder
_RESPONSE_NS: Final = 5_000_000_000  # P2* of UDS
_POSITIVE: Final = 0x40
_NEGATIVE: Final = 0x7F
_CLEAR_DTCS: Final = 0x14
_WITHOUT_PARAMETER: Final = frozenset((0x03, 0x04, 0x07, 0x0A, 0x37))
# Responses that do not repeat the request's second byte.
_NO_ECHO: Final = frozenset((0x23, 0x34, 0x35, 0x84))


class Held(NamedTuple):
    """A frame whose meaning was not known when it came."""

    key: Key
    can_id: int
    data: bytes
    is_fd: bool
    time_ns: int


class Found(NamedTuple):
    """A discovery."""

    source: Key
    partner: Key | None
    """Where the flow control for `source` comes from; None if that is not known."""
    firm: bool
    """Whether flow control was seen to come from there."""
    held: list[Held]
    """What had come of it before, oldest first."""


class _Candidate:
    """What is known about an identifier that may speak ISO-TP."""

    __slots__ = ("answers", "held", "is_answer", "malformed", "next_sn", "request", "wanted")

    def __init__(self) -> None:
        self.malformed = 0
        self.request: tuple[bytes, int] | None = None
        """The last single frame and its time."""
        self.next_sn = 0
        """The sequence number that comes next after a first frame; 0 without."""
        self.wanted = 0
        """How many consecutive frames make it believable without flow control."""
        self.answers: list[Key] = []
        """Who sent flow control since the first frame."""
        self.held: list[Held] = []


def usual_partner(key: Key) -> Key | None:
    """Who answers according to the standards; None where they don't say."""
    can_id = key if isinstance(key, int) else key[0]
    if 0x7E0 <= can_id <= 0x7EF and isinstance(key, int):
        return can_id ^ 0x08
    if is_physical_fixed(can_id):
        swapped = can_id & ~0xFFFF | (can_id & 0xFF) << 8 | (can_id >> 8) & 0xFF
        return swapped if isinstance(key, int) else (swapped, key[1])
    return None


def is_physical_fixed(can_id: int) -> bool:
    """Whether this is a physical identifier of normal fixed or mixed addressing."""
    return can_id & CAN_EFF_FLAG != 0 and (can_id >> 16) & 0x1FFF in (0x18DA, 0x18CE)


def is_reserved(can_id: int) -> bool:
    """Whether the standards reserve this identifier for ISO-TP."""
    if can_id & CAN_EFF_FLAG:
        return (can_id >> 16) & 0x1FFF in (0x18DA, 0x18DB, 0x18CE, 0x18CD)
    return can_id == 0x7DF or 0x7E0 <= can_id <= 0x7EF


def has_address_byte(can_id: int) -> bool:
    """Whether the standards give this identifier mixed addressing."""
    return can_id & CAN_EFF_FLAG != 0 and (can_id >> 16) & 0x1FFF in (0x18CE, 0x18CD)


def is_believable(n_pdu: NPdu | Malformed, frame_data: bytes, address_size: int) -> bool:
    """Whether a flow control, or a single frame, looks like one in every byte: nothing but padding follows."""
    if isinstance(n_pdu, FlowControl):
        rest = frame_data[address_size + 3 :]
        is_time = n_pdu.stmin <= 0x7F or 0xF1 <= n_pdu.stmin <= 0xF9
        return n_pdu.status <= FlowStatus.OVFLW and is_time and len(set(rest)) <= 1
    if isinstance(n_pdu, SingleFrame):
        end = address_size + (1 if len(frame_data) <= 8 else 2) + len(n_pdu.data)
        return len(set(frame_data[end:])) <= 1
    return not isinstance(n_pdu, Malformed)


def answers(request: bytes, response: bytes) -> bool:
    """Whether `response` is one to `request`, both single frames, in UDS or OBD."""
    service = request[0]
    if response[0] == _NEGATIVE:
        return len(response) == 3 and response[1] == service
    if service & _POSITIVE or response[0] != service | _POSITIVE:
        return False
    if len(request) == 1:
        return service in _WITHOUT_PARAMETER
    if service == _CLEAR_DTCS:
        return len(response) == 1
    return service not in _NO_ECHO and len(response) > 1 and not (response[1] ^ request[1]) & 0x7F


class LinkFinder:
    """Gets the frames of identifiers that are not known yet."""

    def __init__(self) -> None:
        self._candidates: dict[Key, _Candidate] = {}
        self._announced: dict[Key, int] = {}  # those with a first frame that may still be answered, and its time
        self._requests: dict[Key, int] = {}  # likewise the latest with a single frame

    def see(self, frame: Held, n_pdu: NPdu | Malformed, address_size: int) -> Found | None:
        """Take a frame; what it brought to light, None in most cases. The frame itself is not among `held`."""
        key = frame.key
        if is_reserved(frame.can_id) and not isinstance(n_pdu, Malformed):
            self._candidates.pop(key, None)
            return Found(key, usual_partner(key), False, [])
        candidate = self._candidate(key)
        if not is_believable(n_pdu, frame.data, address_size):
            if isinstance(n_pdu, Malformed) and not is_reserved(frame.can_id):
                candidate.malformed += 1
            candidate.next_sn = 0
            return None
        if isinstance(n_pdu, SingleFrame):
            return self._single(candidate, frame, n_pdu.data)
        if isinstance(n_pdu, FirstFrame):
            self._first(candidate, frame, n_pdu, address_size)
            return None
        if isinstance(n_pdu, ConsecutiveFrame):
            return self._consecutive(candidate, frame, n_pdu)
        self.flow_control(frame)
        return None

    def is_hopeless(self, key: Key) -> bool:
        """Whether it need not be looked at any more; it is forgotten then."""
        if self._candidates[key].malformed < _MALFORMED_MAX:
            return False
        del self._candidates[key]
        return True

    def _candidate(self, key: Key) -> _Candidate:
        candidate = self._candidates.get(key)
        if candidate is None:
            if len(self._candidates) >= CANDIDATES_MAX:
                del self._candidates[next(iter(self._candidates))]
            candidate = self._candidates[key] = _Candidate()
        return candidate

    def flow_control(self, frame: Held) -> None:
        """Flow control that is not known to answer anybody: note whom it may answer."""
        for key in _recent(self._announced, frame.time_ns, _ANSWER_NS):
            candidate = self._candidates.get(key)
            if candidate is not None and key != frame.key and candidate.next_sn == 1:
                if frame.key not in candidate.answers:
                    candidate.answers.append(frame.key)
                if len(candidate.held) < _HELD_MAX:
                    candidate.held.append(frame)

    def _first(self, candidate: _Candidate, frame: Held, n_pdu: FirstFrame, address_size: int) -> None:
        candidate.next_sn = 1
        size = len(frame.data) - address_size - 1
        candidate.wanted = min(3, -(-(n_pdu.length - len(n_pdu.data)) // size))
        candidate.answers.clear()
        candidate.held = [frame]
        _remember(self._announced, frame)

    def _consecutive(self, candidate: _Candidate, frame: Held, n_pdu: ConsecutiveFrame) -> Found | None:
        if not candidate.next_sn or n_pdu.sn != candidate.next_sn:
            candidate.next_sn = 0
            return None
        if candidate.answers:
            likely = usual_partner(frame.key)
            partner = likely if likely in candidate.answers else candidate.answers[0]
            return self._found(frame.key, partner, True)
        if 1 < candidate.wanted == n_pdu.sn:
            return self._found(frame.key, None, False)
        candidate.next_sn += 1
        candidate.held.append(frame)
        return None

    def _single(self, candidate: _Candidate, frame: Held, data: bytes) -> Found | None:
        candidate.next_sn = 0
        for key in reversed(_recent(self._requests, frame.time_ns, _RESPONSE_NS)):
            other = self._candidates.get(key)
            if other is None or key == frame.key or other.request is None:
                continue
            if answers(other.request[0], data):
                return self._found(frame.key, key, False)
        candidate.request = data, frame.time_ns
        candidate.held = [frame]
        self._requests.pop(frame.key, None)
        _remember(self._requests, frame)
        return None

    def _found(self, key: Key, partner: Key | None, firm: bool) -> Found:
        held = []
        wanted = (key, partner)
        for each in wanted:
            if each is not None and (candidate := self._candidates.pop(each, None)) is not None:
                held += [frame for frame in candidate.held if frame.key in wanted]
            self._announced.pop(each, None)  # type: ignore[arg-type]
            self._requests.pop(each, None)  # type: ignore[arg-type]
        held.sort(key=lambda frame: frame.time_ns)
        return Found(key, partner, firm, list(dict.fromkeys(held)))


def _remember(recent: dict[Key, int], frame: Held) -> None:
    recent.pop(frame.key, None)
    recent[frame.key] = frame.time_ns
    if len(recent) > _RECENT_MAX:
        del recent[next(iter(recent))]


def _recent(recent: dict[Key, int], now: int, limit_ns: int) -> list[Key]:
    """Those not longer ago than the limit, oldest first."""
    return [key for key, time_ns in recent.items() if now - time_ns <= limit_ns]
