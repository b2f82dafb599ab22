"""Events: what an engine reports, the service primitives of ISO 15765-2:2016, 8.3."""

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ..can_frame import CanFrame
from ..errors import N_Result, TransferError
from .states import ReceiverState, SenderState


class Direction(Enum):
    """Which half of a link."""

    SENDING = "sending"
    RECEIVING = "receiving"


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message is complete (N_USData.indication, N_OK)."""

    n_result: ClassVar[N_Result] = N_Result.N_OK
    data: bytes


@dataclass(frozen=True, slots=True)
class FirstFrameReceived:
    """A message of `length` bytes has begun to arrive (N_USData_FF.indication)."""

    length: int


@dataclass(frozen=True, slots=True)
class Progress:
    """`done` of `total` bytes are transferred; reported only if `Params.progress_step` is set."""

    direction: Direction
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class MessageSent:
    """The last frame of a message of `length` bytes is on the bus (N_USData.confirm, N_OK)."""

    n_result: ClassVar[N_Result] = N_Result.N_OK
    length: int


@dataclass(frozen=True, slots=True)
class TransferFailed:
    """A message was given up (N_USData.confirm or .indication with any other N_Result)."""

    direction: Direction
    phase: SenderState | ReceiverState
    """The state in which it failed."""
    done: int
    """How many bytes were transferred: confirmed to be on the bus, or received in order."""
    total: int
    error: TransferError
    """The error to raise."""
    frames: tuple[CanFrame, ...]
    """The first frame of the message and the latest ones of both nodes, oldest first."""

    @property
    def n_result(self) -> N_Result:
        """Why, as the standard names it."""
        return self.error.n_result


Event = MessageReceived | FirstFrameReceived | Progress | MessageSent | TransferFailed
