"""Where the time of a message of several frames goes, and what the bus could carry."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from ..address import CAN_EFF_FLAG
from ..engine.n_pdu import FlowStatus
from ..stmin import STmin
from .message import NO_GAP, Message, bs_waits, stmin_gaps
from .rules import CLOCK_NS


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
