"""CanMessage: a CAN frame as code for can-isotp 2 has it."""

from collections.abc import Callable
from typing import Any

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK
from ..can_frame import DLC_OF_LENGTH, CanFrame


class CanMessage:
    """A CAN frame.

    Args:
        arbitration_id: CAN identifier of 11 bits, or of 29 bits with `extended_id`.
        dlc: data length code: up to 8 the number of bytes, above it 9 for 12 bytes to 15 for 64 bytes.
        data: its bytes.
        extended_id: whether the identifier has 29 bits.
        is_fd: whether it is a CAN FD frame.
        bitrate_switch: whether the data of a CAN FD frame is sent at the faster bit rate (BRS).
    """

    __slots__ = ("arbitration_id", "bitrate_switch", "data", "dlc", "is_extended_id", "is_fd")

    def __init__(
        self,
        arbitration_id: int = 0,
        dlc: int = 0,
        data: bytes = b"",
        extended_id: bool = False,
        is_fd: bool = False,
        bitrate_switch: bool = False,
    ) -> None:
        self.arbitration_id = arbitration_id
        self.dlc = dlc
        self.data = data
        self.is_extended_id = extended_id
        self.is_fd = is_fd
        self.bitrate_switch = bitrate_switch

    def __repr__(self) -> str:
        can_id = f"{self.arbitration_id:08X}" if self.is_extended_id else f"{self.arbitration_id:03X}"
        return f"<isotp.CanMessage {can_id} [{self.dlc}] {bytes(self.data).hex(' ')}>"


def to_message(frame: CanFrame, is_fd: bool) -> CanMessage:
    """`frame` as a CanMessage; `is_fd`: as can-isotp sets it, from the parameter `can_fd`."""
    can_id, data, _, bitrate_switch = frame
    return CanMessage(
        can_id & CAN_EFF_MASK, DLC_OF_LENGTH[len(data)], data, bool(can_id & CAN_EFF_FLAG), is_fd, bitrate_switch
    )


def to_frame(message: Any) -> CanFrame:
    """A CanMessage, or an object like it, as a CanFrame."""
    can_id = message.arbitration_id | (CAN_EFF_FLAG if message.is_extended_id else 0)
    return CanFrame(can_id, bytes(message.data), getattr(message, "is_fd", False))


RxFn = Callable[..., CanMessage | None]
"""Takes a timeout in seconds, or nothing, and returns the next frame, or None."""
TxFn = Callable[[CanMessage], object]
"""Sends a frame."""
