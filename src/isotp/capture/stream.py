"""One direction of a link, seen from outside: its messages, how they were timed, and what went wrong."""

from collections import deque
from typing import Final, NamedTuple

from ..address import CanAddress
from ..can_frame import CanFrame
from ..engine.events import Event, MessageReceived, TransferFailed
from ..engine.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, FlowStatus, Malformed, SingleFrame, decode
from ..engine.params import Params
from ..engine.receiver import Receiver
from ..engine.states import ReceiverState
from ..engine.unconfirmed import Unconfirmed
from ..errors import ConsecutiveFrameTimeoutError, FlowControlTimeoutError, TransferError

_IDLE: Final = ReceiverState.IDLE
_NO_GAP: Final = 1 << 62


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


class ObservedMessage(NamedTuple):
    """A message, complete or given up."""

    stream: "Stream"
    begin_ns: int
    """When its first frame was seen, and its last, or the one that ended it."""
    end_ns: int
    data: bytes
    """All of it; of a message that failed, what its first frame carried."""
    length: int
    """How many bytes were announced, and how many arrived in order."""
    done: int
    timing: Timing | None
    """None for a single frame."""
    error: TransferError | None
    """Why it is not complete."""

    @property
    def rate(self) -> float | None:
        """Bytes per second from the first frame to the last; None if there was only one."""
        duration = self.end_ns - self.begin_ns
        return self.done * 1e9 / duration if duration > 0 else None


class Fault(NamedTuple):
    """A frame that belongs to no message."""

    stream: "Stream"
    time_ns: int
    reason: str
    frame_data: bytes


class Stream:
    """What one node sends to another.

    Args:
        address: how its frames are addressed.
        params: shared by all; only listening.
        events: where `ObservedMessage` and `Fault` go.
    """

    __slots__ = (
        "_bytes_per_frame",
        "_done_at_fc",
        "_events",
        "_fault_told",
        "_from_receiver",
        "_in_block",
        "_waits",
        "address",
        "address_size",
        "begin_ns",
        "bs",
        "firm",
        "flow_controls",
        "heard_ns",
        "min_gap_ns",
        "n_bs_ns",
        "n_cr_ns",
        "partner",
        "receiver",
        "run",
        "stmin",
    )

    def __init__(self, address: CanAddress, params: Params, events: "deque[ObservedMessage | Fault]") -> None:
        self.address = address
        self.address_size = 0 if address.address_byte is None else 1
        self.partner: Stream | None = None
        """Where the flow control for this stream comes from."""
        self.firm = False
        """Whether the partner is known for sure, or only the best guess so far."""
        self._events = events
        self._from_receiver: deque[Event] = deque()
        self.receiver = Receiver(
            self.address_size, None, False, params, str(address), self._from_receiver, Unconfirmed()
        )
        self.run = self.receiver.run
        self.heard_ns = 0
        """When its last frame was seen, but for those in a run."""
        self._fault_told = False
        self._bytes_per_frame = 0
        self._begin(0)

    def __str__(self) -> str:
        return f"{self.address} > {self.partner.address}" if self.partner else str(self.address)

    def _begin(self, now: int) -> None:
        self.begin_ns = now
        self.bs: int | None = None
        self.stmin: int | None = None
        self.flow_controls = self._waits = self._done_at_fc = 0
        self.n_bs_ns = self.n_cr_ns = -1
        self.min_gap_ns = _NO_GAP
        self._in_block = False

    @property
    def is_open(self) -> bool:
        """Whether a message is under way."""
        return self.receiver.state is not _IDLE

    @property
    def awaits_answer(self) -> bool:
        """Whether a first frame has had no flow control yet."""
        return not self.flow_controls and self.is_open

    @property
    def last_heard_ns(self) -> int:
        """When its last frame was seen."""
        return max(self.heard_ns, self.run.heard_ns)

    def keep(self, data: bytes, now: int) -> bool:
        """Take a frame if it is a consecutive frame in the middle of the message: the way most frames go."""
        run = self.run
        if len(data) != run.length or data[run.pci_at] != run.pcis[len(run.frames)]:
            return False
        run.frames.append(data)
        gap = now - run.heard_ns
        run.heard_ns = now
        if gap > self.n_cr_ns:
            self.n_cr_ns = gap
        if self._in_block:
            if gap < self.min_gap_ns:
                self.min_gap_ns = gap
        else:
            self._in_block = True
        return True

    def receive(
        self, n_pdu: SingleFrame | FirstFrame | ConsecutiveFrame | Malformed, frame: CanFrame, now: int
    ) -> None:
        """Take any other frame but flow control."""
        self.heard_ns = now
        if isinstance(n_pdu, ConsecutiveFrame):
            if not self.is_open:
                self._fault(now, "consecutive frame without a first frame", frame)
                return
            self._time_consecutive(now)
        elif isinstance(n_pdu, Malformed):
            self._events.append(Fault(self, now, n_pdu.reason, frame.data))
        self.receiver.receive(n_pdu, frame, now)
        if self._from_receiver:
            self._tell(now, isinstance(n_pdu, SingleFrame))
        if isinstance(n_pdu, FirstFrame) and self.is_open:
            self._bytes_per_frame = len(frame.data) - self.address_size - 1
            self._begin(now)

    def _time_consecutive(self, now: int) -> None:
        gap = now - self.run.heard_ns
        self.n_cr_ns = max(self.n_cr_ns, gap)
        if self._in_block:
            self.min_gap_ns = min(self.min_gap_ns, gap)
        self._in_block = True

    def hear_flow_control(self, n_pdu: FlowControl, frame: CanFrame, now: int) -> None:
        """Take the receiver's answer."""
        if not self.is_open:
            if self.partner is not None:
                self.partner._fault(now, "flow control without a message", frame)
            return
        if self.bs is None:
            self.bs, self.stmin = n_pdu.bs, n_pdu.stmin
        self.flow_controls += 1
        self.n_bs_ns = max(self.n_bs_ns, now - self.run.heard_ns)
        self._in_block = False
        self._done_at_fc = self.receiver.done
        if n_pdu.status == FlowStatus.WAIT:
            self._waits += 1
        elif n_pdu.status > FlowStatus.OVFLW and self.partner is not None:
            self._events.append(Fault(self.partner, now, f"reserved flow status {n_pdu.status}", frame.data))
        self.receiver.overhear(n_pdu, frame, now)
        if self._from_receiver:
            self._tell(now)

    def handle_timer(self, now: int) -> None:
        """Report the message that broke off, if the time for it has come."""
        self.receiver.handle_timer(now)
        if self._from_receiver:
            self._tell(self.run.heard_ns)

    def give_up(self, error: TransferError) -> None:
        """End the message that is under way."""
        self.receiver.abort(error)
        self._tell(self.run.heard_ns)

    def _fault(self, now: int, reason: str, frame: CanFrame) -> None:
        """Report the first of a row of frames out of place; after a failure that is none."""
        if not self._fault_told:
            self._fault_told = True
            self._events.append(Fault(self, now, reason, frame.data))

    def _tell(self, now: int, is_single: bool = False) -> None:
        """Turn the receiver's events into ours."""
        while self._from_receiver:
            event = self._from_receiver.popleft()
            if isinstance(event, MessageReceived):
                size = len(event.data)
                begin, timing = (now, None) if is_single else (self.begin_ns, self._timing())
                self._events.append(ObservedMessage(self, begin, now, event.data, size, size, timing, None))
                self._fault_told = False
            elif isinstance(event, TransferFailed):
                # A message that was refused at once was never under way.
                refused = event.phase is _IDLE
                begin, timing = (now, None) if refused else (self.begin_ns, self._timing())
                end = now if refused else self.last_heard_ns
                first = decode(event.frames[0].data, self.address_size)
                data = first.data if isinstance(first, FirstFrame) else b""
                error = event.error if refused else self._explained(event)
                self._events.append(ObservedMessage(self, begin, end, data, event.total, event.done, timing, error))
                self._fault_told = True

    def _timing(self) -> Timing:
        return Timing(
            self.bs,
            self.stmin,
            self.flow_controls,
            self._waits,
            self.n_bs_ns if self.flow_controls else None,
            self.n_cr_ns if self.n_cr_ns >= 0 else None,
            self.min_gap_ns if self.min_gap_ns != _NO_GAP else None,
        )

    def _explained(self, event: TransferFailed) -> TransferError:
        """The receiver cannot know whose turn it was when silence fell."""
        error = event.error
        if not isinstance(error, ConsecutiveFrameTimeoutError) or self.partner is None:
            return error
        if not self.flow_controls:
            after = "the first frame"
        elif self.bs and event.done - self._done_at_fc >= self.bs * self._bytes_per_frame:
            after = f"a block of {self.bs}"
        else:
            return error
        return FlowControlTimeoutError(f"no flow control after {after}, {event.done} of {event.total} bytes done")
