"""CAN frames as the readers give them and the observer takes them, and how the frames of users become such."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..can_frame import CanFrame

Frame = tuple[int, str, int, bytes, bool]
"""A data frame: when it was seen (nanoseconds), on which channel, the identifier with CAN_EFF_FLAG where it has
29 bits, data, whether CAN FD. A plain tuple, since making anything else takes longer than all the rest."""
Frames = list[Frame]

DATA_MAX: Final = 64  # bytes of a frame of CAN FD
TIME_MAX_NS: Final = (1 << 63) - 1  # no clock gets there, and a float holds it


def frames_of(items: Iterable[Any]) -> Iterator[Frame | None]:
    """Frames that the user has, as `Frame`; None for an item that is no data frame.

    Taken are messages of python-can, packets of scapy's CAN layers, `(time, CanFrame)`, `(time, can_id, data)` and
    `Frame` itself. Times are in seconds, those of `Frame` in nanoseconds. An identifier above 0x7FF has 29 bits.

    Raises:
        TypeError: an item is none of these.
    """
    for item in items:
        if hasattr(item, "arbitration_id"):
            yield _from_python_can(item)
        elif hasattr(item, "identifier"):
            yield _from_scapy(item)
        else:
            yield _from_tuple(item)


def _from_python_can(message: Any) -> Frame | None:
    if message.is_error_frame or message.is_remote_frame:
        return None
    can_id = message.arbitration_id | (CAN_EFF_FLAG if message.is_extended_id else 0)
    return _frame(message.timestamp, message.channel, can_id, message.data, bool(message.is_fd))


def _from_scapy(packet: Any) -> Frame | None:
    flags = str(packet.flags)
    if "error" in flags or "remote" in flags:
        return None
    can_id = packet.identifier | (CAN_EFF_FLAG if "extended" in flags else 0)
    return _frame(packet.time, getattr(packet, "sniffed_on", None), can_id, packet.data, hasattr(packet, "fd_flags"))


def _from_tuple(item: Any) -> Frame | None:
    match item:
        case (int(), str(), int(), bytes(), bool()):
            return item  # type: ignore[no-any-return]
        case (time_s, CanFrame(can_id, data, is_fd)):
            return _frame(time_s, None, can_id, data, is_fd)
        case (time_s, int(can_id), data):
            return _frame(time_s, None, can_id, data, len(data) > 8)
    raise TypeError(
        f"{item!r:.100} is no CAN frame: taken are python-can messages, scapy packets, (seconds, CanFrame), "
        "(seconds, can_id, data), and (nanoseconds, channel, can_id, data, is_fd)"
    )


def _frame(time_s: Any, channel: object, can_id: int, data: Any, is_fd: bool) -> Frame | None:
    if can_id > CAN_SFF_MASK:
        can_id |= CAN_EFF_FLAG
    time_ns = nanoseconds(time_s)
    if time_ns is None or len(data) > DATA_MAX or not 0 <= can_id <= CAN_EFF_FLAG | CAN_EFF_MASK:
        return None
    return (time_ns, channel_name(channel), can_id, bytes(data), is_fd or len(data) > 8)


def nanoseconds(time_s: Any) -> int | None:
    """Seconds, with the microseconds that a float has, as nanoseconds; None if no clock can have been there."""
    try:
        time_ns = int(float(time_s) * 1e6 + 0.5) * 1000
    except (ValueError, OverflowError):  # not a number, infinite, or a number of 310 digits
        return None
    return time_ns if 0 <= time_ns <= TIME_MAX_NS else None


def channel_name(channel: object) -> str:
    """A channel as it is shown; `-` where a recording has none."""
    return "-" if channel is None else str(channel)
