"""Events: what an engine reports, the service primitives of ISO 15765-2:2016, 8.3."""

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar

from ..can_frame import CanFrame
from ..errors import N_Result, TransferError
from .states import ReceiverState, SenderState


class Direction(Enum):
    """Which half of a link."""

    SENDING = "sending"
    RECEIVING = "receiving"


class IgnoreReason(Enum):
    """Why a frame was ignored; the clauses are those of ISO 15765-2:2016."""

    UNEXPECTED_CONSECUTIVE_FRAME = "unexpected consecutive frame"
    """No message is being received, or the application is not ready for the next block (9.8.3)."""
    UNEXPECTED_FLOW_CONTROL = "unexpected flow control"
    """The sender is not waiting for one (9.8.3)."""
    MISSING_ESCAPE = "missing escape"
    """A single frame of more than 8 bytes has its length in the first N_PCI byte (9.6.2.2)."""
    RX_DL_CHANGED = "RX_DL changed"
    """A consecutive frame is longer than the first frame, or shorter without being the last one (9.6.4.1)."""
    RX_DL_TOO_SMALL = "RX_DL too small"
    """A first frame has fewer than 8 bytes, or a length that is no RX_DL (9.6.3.1)."""
    INVALID = "invalid"
    """No N_PDU for another reason: no bytes, an unknown N_PCI type, a length that cannot be (9.6)."""
    FUNCTIONAL_FIRST_FRAME = "functional first frame"
    """Functional addressing is for single frames only (8.3.2.4)."""
    REFUSED = "refused"
    """A first frame whose message `accept` refused; it is answered with flow control OVFLW."""
    HALF_DUPLEX = "half duplex"
    """The frame would begin a message while one is being sent, in half duplex (9.8.3)."""


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message is complete (N_USData.indication, N_OK)."""

    n_result: ClassVar[N_Result] = N_Result.N_OK
    data: bytes
    time_ns: int | None = field(default=None, compare=False, repr=False)
    """When its last frame was received, as `Engine.receive_frames` was told; None: it was not told."""


@dataclass(frozen=True, slots=True)
class FirstFrameReceived:
    """A message of `length` bytes has begun to arrive (N_USData_FF.indication)."""

    length: int
    time_ns: int | None = field(default=None, compare=False, repr=False)
    """When the first frame was received, as `Engine.receive_frames` was told; None: it was not told."""


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


@dataclass(frozen=True, slots=True)
class FrameIgnored:
    """A frame of this link was ignored; what is being sent and received goes on."""

    frame: CanFrame
    why: IgnoreReason
    text: str
    """The same in words, with the numbers."""


Event = MessageReceived | FirstFrameReceived | Progress | MessageSent | TransferFailed | FrameIgnored
