"""Playback: what a recording says about ECUs, as rules: each request, and the replies it got."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from ...address import Address, AsymmetricAddress, CanAddress
from ...capture.capture import Capture
from ...capture.message import Message
from ...capture.standards import is_functional, usual_partner
from ...errors import AddressError
from .answers import Answer, Nrc, Reply
from .rules import in_turn

_POSITIVE: Final = 0x40
_NEGATIVE: Final = 0x7F
_OPEN: Final = 8  # requests that may still get a reply


class _Request:
    """A request of the recording and its replies, each with the seconds from the request to it."""

    def __init__(self, message: Message, is_functional: bool) -> None:
        self.data = message.data
        self.is_functional = is_functional
        self.replies: list[tuple[float, bytes]] = []
        self.is_broken = message.error is not None  # or one of its replies is
        self._end_ns = message.end_ns

    def fits(self, reply: bytes) -> bool:
        """Whether `reply` can be one to this request, as UDS and OBD have it."""
        service = self.data[0]
        return reply[0] == service | _POSITIVE or (reply[0] == _NEGATIVE and reply[1:2] == bytes((service,)))

    @property
    def is_open(self) -> bool:
        """Whether the last reply is still to come, as far as UDS says."""
        return not self.replies or _is_pending(self.replies[-1][1])

    def take(self, reply: Message) -> None:
        """Add a reply; it counts from its first frame."""
        self.is_broken |= reply.error is not None
        self.replies.append((max(0, reply.begin_ns - self._end_ns) / 1e9, reply.data))

    def answer(self, pending: bool) -> Answer:
        """The rule that answers as the ECU did; with `pending`: with its response pending and its delays."""
        if pending:
            return [Reply(data, after_s, pending=False) for after_s, data in self.replies] or None
        final = [Reply(data) for _, data in self.replies if not _is_pending(data)]
        return final[0].data if len(final) == 1 else final or None


def _is_pending(reply: bytes) -> bool:
    return len(reply) == 3 and reply[0] == _NEGATIVE and reply[2] == Nrc.RESPONSE_PENDING


class Pair(NamedTuple):
    """The two directions of an ECU's link."""

    requests: CanAddress
    replies: CanAddress

    @property
    def address(self) -> Address:
        """The address of the ECU's socket."""
        return Address.normal(rxid=self.requests.can_id, txid=self.replies.can_id)

    def __str__(self) -> str:
        return f"{self.requests} -> {self.replies}"


def messages_about(
    source: Any, address: Address | AsymmetricAddress, functional: Sequence[Address] = ()
) -> list[Message]:
    """The messages of an ECU in a recording; see `isotp.capture.Capture` for `source`.

    Raises:
        OSError: it cannot be read.
        AddressError: this ECU is not in it; it says which are.
    """
    if not isinstance(source, str | os.PathLike) and not hasattr(source, "batches"):
        source = list(source)
    messages = list(Capture(source, address, *functional))
    pairs = ecus_in(Capture(source))
    own = (address.rx, address.tx)
    is_of_others = own not in pairs and any(one in pair for one in own for pair in pairs)
    if is_of_others or not any(one.replies for one in _asked(messages, address, functional)):
        raise AddressError(
            f"no request to {address} got a reply: {_listed(pairs)}",
            remedy="say rxid= and txid= as the ECU sees them: of the requests to it, and of its replies",
        )
    return messages


def ecus_in(messages: Iterable[Message]) -> list[Pair]:
    """The ECUs that answered requests in UDS or OBD, in the order of their first replies."""
    latest: dict[CanAddress, _Request] = {}
    to_all: _Request | None = None
    found: dict[Pair, None] = {}
    for message in messages:
        source = message.source
        if not message.data:
            continue
        if is_functional(source.can_id):
            to_all = _Request(message, True)
            continue
        target = message.target or _usual_target(message)
        if target is not None:
            asked = [one for one in (latest.get(target), to_all) if one is not None]
            if source.address_byte is None and any(one.fits(message.data) for one in asked):
                found[Pair(target, source)] = None
        latest[source] = _Request(message, False)
    return list(found)


def _usual_target(message: Message) -> CanAddress | None:
    partner = usual_partner((message.channel, message.source.can_id))
    return None if partner is None else CanAddress(partner[1])


def only(pairs: Sequence[Pair]) -> Pair:
    """The only ECU of a recording.

    Raises:
        AddressError: there is none, or several.
    """
    if len(pairs) == 1:
        return pairs[0]
    if not pairs:
        raise AddressError("no ECU of the recording answers in UDS or OBD", remedy="say its rxid= and txid=")
    raise AddressError(_listed(pairs), remedy="say rxid= and txid= of one; Car.from_capture has all of them")


def _listed(pairs: Sequence[Pair]) -> str:
    how_many = {0: "no ECU that answers in UDS or OBD", 1: "the ECU "}.get(len(pairs), f"{len(pairs)} ECUs: ")
    return f"the recording has {how_many}{', '.join(map(str, pairs))}"


class Learned(NamedTuple):
    """What a recording says about an ECU."""

    rules: "dict[bytes | str, Answer]"
    """What it answered to each request; several answers to the same request come in turn."""
    broken: list[bytes]
    """Requests of which nothing is known, since they or all their replies broke off."""


def learned(
    messages: Iterable[Message], address: Address | AsymmetricAddress, functional: Sequence[Address], pending: bool
) -> Learned:
    """What an ECU did in a recording.

    Args:
        messages: of the recording.
        address: of the ECU.
        functional: those of requests to all.
        pending: whether response pending and delays are played back, too.
    """
    by_data: dict[bytes, list[_Request]] = {}
    for one in _asked(messages, address, functional):
        by_data.setdefault(one.data, []).append(one)
    known = {data: heard for data, every in by_data.items() if (heard := [one for one in every if not one.is_broken])}
    return Learned(
        {data: _one_answer(heard, pending) for data, heard in known.items()},
        [data for data in by_data if data not in known],
    )


def _asked(
    messages: Iterable[Message], address: Address | AsymmetricAddress, functional: Sequence[Address]
) -> list[_Request]:
    """The requests to an ECU, with its replies."""
    to_all = [each.rx for each in functional]
    asked: list[_Request] = []
    for message in messages:
        if not message.data:
            continue
        if message.source == address.rx or message.source in to_all:
            asked.append(_Request(message, message.source != address.rx))
        elif message.source == address.tx and asked:
            recent = [one for one in reversed(asked[-_OPEN:]) if one.fits(message.data)]
            chosen = next((one for one in recent if one.is_open), recent[0] if recent else asked[-1])
            chosen.take(message)
    return asked


def _one_answer(requests: list[_Request], pending: bool) -> Answer:
    # A functional request without a reply says nothing about the same request to this ECU alone.
    heard = [one for one in requests if one.replies or not one.is_functional] or requests[:1]
    answers = [one.answer(pending) for one in heard]
    return answers[0] if all(answer == answers[0] for answer in answers) else in_turn(*answers)
