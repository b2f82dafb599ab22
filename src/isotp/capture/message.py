"""What comes out of a capture: messages, how they were timed, and frames out of place."""

from collections.abc import Sequence
from operator import sub
from typing import Final, NamedTuple, Protocol

from ..address import CanAddress
from ..engine.n_pdu import FlowStatus
from ..errors import N_Result, TransferError

NO_GAP: Final = 1 << 62


class StreamView(Protocol):
    """One direction of a link: a `Stream`, as far as it is of interest here."""

    @property
    def channel(self) -> str:
        """On which channel it was seen."""

    @property
    def address(self) -> CanAddress:
        """What its frames carry."""

    @property
    def address_size(self) -> int:
        """How many bytes of the data are address, 0 or 1."""

    @property
    def target(self) -> CanAddress | None:
        """What the frames carry that answer it; None as long as that is not known."""


class FlowControlSeen(NamedTuple):
    """A flow control that answered a message."""

    time_ns: int
    status: int
    """FlowStatus: 0 CTS, 1 WAIT, 2 OVFLW; others are reserved."""
    bs: int
    stmin: int
    """The raw byte."""
    after: int
    """How many frames of the message had come before it, the first frame included."""
    data: bytes
    """All bytes of the frame."""


class Timing(NamedTuple):
    """How a message of several frames went over the bus; all times are between frames as they were seen."""

    bs: int | None
    """BS and the raw STmin of its first flow control; None if none was seen."""
    stmin: int | None
    flow_controls: int
    waits: int
    """How many of them said WAIT."""
    n_bs_ns: int | None
    """The longest wait for a flow control; None if none was seen."""
    n_cr_ns: int | None
    """The longest wait for a consecutive frame; None if there was none."""
    min_gap_ns: int | None
    """The shortest time from one consecutive frame to the next without flow control in between: the STmin that
    was kept; None if there were no two."""


class Message(NamedTuple):
    """A message, complete or given up. Times are nanoseconds on the clock of the recording."""

    stream: StreamView
    """The direction it went, as long as the capture goes on."""
    channel: str
    source: CanAddress
    """What its frames carry."""
    target: CanAddress | None
    """What the frames of the other node carry; None where it is not known, or where it was sent to many."""
    begin_ns: int
    """When its first frame was seen, and its last, or the one that ended it."""
    end_ns: int
    data: bytes
    """All of it; of a message that failed, what its first frame carried."""
    length: int
    """How many bytes were announced, and how many arrived in order."""
    done: int
    times_ns: Sequence[int]
    """When each of its frames was seen, and their bytes; flow control is apart."""
    frames: Sequence[bytes]
    flow_controls: Sequence[FlowControlSeen]
    is_fd: bool
    is_timed: bool
    """Whether the recording has times at all."""
    error: TransferError | None
    """Why it is not complete."""

    @property
    def n_result(self) -> N_Result:
        """How it ended, in the standard's terms."""
        return N_Result.N_OK if self.error is None else self.error.n_result

    @property
    def is_single(self) -> bool:
        """Whether it is a single frame."""
        return len(self.frames) == 1 and self.done == self.length

    @property
    def rate(self) -> float | None:
        """Bytes per second from the first frame to the last; None if there was only one."""
        duration = self.end_ns - self.begin_ns
        return self.done * 1e9 / duration if duration > 0 else None

    @property
    def timing(self) -> Timing | None:
        """How it was timed; None for a single frame, and for a message that was refused at its first frame."""
        if self.is_single or not self.times_ns or not self.is_timed:
            return None
        first = self.flow_controls[0] if self.flow_controls else None
        shortest = min(stmin_gaps(self), default=NO_GAP)
        return Timing(
            first.bs if first else None,
            first.stmin if first else None,
            len(self.flow_controls),
            sum(fc.status == FlowStatus.WAIT for fc in self.flow_controls),
            max(bs_waits(self), default=None),
            max(cr_waits(self), default=None),
            None if shortest == NO_GAP else shortest,
        )

    @property
    def n_bs_ns(self) -> int | None:
        """N_Bs: the longest wait for flow control, in nanoseconds."""
        return timing.n_bs_ns if (timing := self.timing) else None

    @property
    def n_cr_ns(self) -> int | None:
        """N_Cr: the longest wait for a consecutive frame, in nanoseconds."""
        return timing.n_cr_ns if (timing := self.timing) else None

    @property
    def stmin(self) -> int | None:
        """STmin that was asked for, the raw byte."""
        return self.flow_controls[0].stmin if self.flow_controls else None

    @property
    def min_gap_ns(self) -> int | None:
        """STmin that was kept, in nanoseconds: the shortest gap between consecutive frames of a block."""
        return timing.min_gap_ns if (timing := self.timing) else None


def bs_waits(message: Message) -> list[int]:
    """How long each flow control was waited for, in nanoseconds: since the last frame, or since a WAIT."""
    waits = []
    before = 0
    for fc in message.flow_controls:
        begin = message.times_ns[fc.after - 1]
        waits.append(fc.time_ns - max(begin, before))
        before = fc.time_ns
    return waits


def cr_waits(message: Message) -> list[int]:
    """How long each consecutive frame was waited for, in nanoseconds: since the last frame, or flow control."""
    times = message.times_ns
    waits = list(map(sub, times[1:], times))
    for fc in message.flow_controls:  # the last one before a frame counts
        if fc.after < len(times):
            waits[fc.after - 1] = times[fc.after] - fc.time_ns
    return waits


def stmin_gaps(message: Message) -> list[int]:
    """How long before frame 2, 3 and so on the one before it was seen, in nanoseconds: the gaps that STmin rules.

    NO_GAP stands for those with flow control in between.
    """
    times = message.times_ns
    gaps = list(map(sub, times[2:], times[1:]))
    for fc in message.flow_controls:
        if 2 <= fc.after < len(times):
            gaps[fc.after - 2] = NO_GAP
    return gaps


class Fault(NamedTuple):
    """A frame of a link that belongs to no message."""

    stream: StreamView
    time_ns: int
    reason: str
    frame_data: bytes


class LinkFrame(NamedTuple):
    """A frame of a link, as it was seen."""

    stream: StreamView
    time_ns: int
    data: bytes
    is_fd: bool
