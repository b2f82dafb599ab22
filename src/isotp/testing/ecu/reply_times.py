"""What is sent when: the replies that an answer makes."""

from typing import Any, Final, Protocol

from .nrc import SILENT_IF_FUNCTIONAL, Nrc
from .rules import Reply, Request, as_bytes

_NEGATIVE: Final = 0x7F
_IN_TIME: Final = 0.8
"""The part of P2 and P2* after which response pending is sent."""

Timed = tuple[float, bytes]
"""A reply, and the seconds from the request to it."""


class Times(Protocol):
    """The times of an ECU, in seconds; see `Ecu`."""

    p2_s: float
    p2_star_s: float
    delay_s: float


def timed(request: Request, answer: Any, times: Times, suppress: bool) -> list[Timed]:
    """The replies that `answer` makes, with response pending where it takes long.

    Args:
        request: what was asked.
        answer: an `Answer`.
        times: of the ECU.
        suppress: whether a positive response is not sent. Once response pending was sent every response is (ISO
            14229-1:2020, 7.5).
    """
    if isinstance(answer, list | tuple):
        return [one for each in answer for one in timed(request, each, times, suppress)]
    reply = answer if isinstance(answer, Reply) else Reply(answer)
    if reply.data is None:
        return []
    after_s = reply.after_s + times.delay_s
    pending = bytes((_NEGATIVE, request.service, Nrc.RESPONSE_PENDING))
    replies = [(at_s, pending) for at_s in _pending_s(after_s, times)] if reply.pending else []
    if isinstance(reply.data, Nrc):
        if not replies and request.is_functional and reply.data in SILENT_IF_FUNCTIONAL:
            return []
        return [*replies, (after_s, bytes((_NEGATIVE, request.service, reply.data)))]
    return [*replies, (after_s, as_bytes(reply.data))] if replies or not suppress else []


def _pending_s(after_s: float, times: Times) -> list[float]:
    """When response pending is sent, if the answer comes after so many seconds."""
    if after_s <= times.p2_s:
        return []
    at_s = [times.p2_s * _IN_TIME]
    while at_s[-1] + times.p2_star_s < after_s:
        at_s.append(at_s[-1] + times.p2_star_s * _IN_TIME)
    return at_s
