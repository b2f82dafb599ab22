"""Receiving: reassembly, flow control sent, N_Ar, N_Br, N_Cr. The states are in states.py."""

from collections.abc import Callable
from typing import Final

from ..address import CanAddress
from ..can_frame import CanFrame, can_frames, pad
from ..errors import (
    ConsecutiveFrameTimeoutError,
    FrameTooLongError,
    InvalidCanDataError,
    MaximumWaitFrameReachedError,
    ReceptionInterruptedError,
    ReceptionInterruptedWithFirstFrameError,
    ReceptionInterruptedWithSingleFrameError,
    TransferError,
    TransmitTimeoutError,
    WrongSequenceNumberError,
)
from .events import Direction, Event, FirstFrameReceived, IgnoreReason, MessageReceived, Progress, TransferFailed
from .n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, FlowStatus, Malformed, SingleFrame, single_frame_end
from .params import Params
from .run import Run
from .states import RECEIVER, ReceiverInput, ReceiverState
from .transfer import Transfer
from .unconfirmed import Unconfirmed

_HELD = (ReceiverState.NOT_READY, ReceiverState.WAIT_DUE, ReceiverState.WAIT_OUT)

_IDLE: Final = ReceiverState.IDLE  # a look-up of an enum's member is slow in Python 3.11


class Receiver(Transfer[ReceiverState, ReceiverInput]):
    """The receiving half of a link.

    Consecutive frames in the middle of a block are kept in `run`. Any other frame first moves them from there into the
    message.

    Args:
        address_size: how many bytes of the frames received come before the N_PCI.
        tx: the address of flow control; None: only listen.
        single_only: whether frames are received by functional addressing.
        params: see `Transfer`, as the others.
    """

    direction = Direction.RECEIVING
    _table = RECEIVER

    def __init__(
        self,
        address_size: int,
        tx: CanAddress | None,
        single_only: bool,
        params: Params,
        link: str,
        events: list[Event],
        unconfirmed: Unconfirmed,
    ) -> None:
        super().__init__(params, link, events, unconfirmed)
        self.state = _IDLE
        self.run = Run(address_size)
        self.accept: Callable[[int], bool] | None = None
        """Says whether to receive a message, by its length."""
        self.time_ns: Callable[[int], int] | None = None
        """Returns when a frame of those that arrived together was received, by its index."""
        self.index = 0
        """Which of them is being handled."""
        self._address_size = address_size
        self._listens = params.listen_only or tx is None
        self._flow_controls = {status: self._flow_control(status, tx) for status in FlowStatus if tx}
        self._single_only = single_only
        self._n_br_ns = params.n_bs_ns // 4 if params.n_br_ns is None else params.n_br_ns
        # When only listening, the flow control between two blocks may not be seen: it may take up to N_Bs.
        self._n_cr_ns = params.n_cr_ns + params.n_bs_ns if self._listens else params.n_cr_ns
        self._checks_padding = params.check_padding_length or params.check_padding_content
        self._ready = True
        self._flow_status: FlowStatus | None = None  # the flow control that is due
        self._waits = 0
        self._data = bytearray()
        self._sn = 0  # of the next consecutive frame, or of the run's first
        self._block_left = 0
        self._cf_capacity = 0
        self._reported = 0

    @property
    def done(self) -> int:
        """How many bytes of the message have arrived."""
        return len(self._data) + len(self.run.frames) * self._cf_capacity

    def _flow_control(self, status: FlowStatus, tx: CanAddress) -> CanFrame:
        params = self._params
        address = b"" if tx.address_byte is None else bytes((tx.address_byte,))
        n_pdu = FlowControl(status, params.bs, params.stmin).encode(address)
        return CanFrame(tx.can_id, pad(n_pdu, *params.padding), params.can_fd, params.bitrate_switch)

    def receive(
        self, n_pdu: SingleFrame | FirstFrame | ConsecutiveFrame | Malformed, frame: CanFrame, now: int
    ) -> None:
        """Handle a frame of the sender."""
        if isinstance(n_pdu, ConsecutiveFrame):
            self._consecutive(n_pdu, frame, now)
        elif isinstance(n_pdu, SingleFrame):
            self._single(n_pdu, frame)
        elif isinstance(n_pdu, FirstFrame):
            self._first(n_pdu, frame, now)
        else:
            # 9.8.3: an invalid N_PDU is ignored.
            self._ignore(frame, n_pdu.why, n_pdu.reason)

    def _ignore(self, frame: CanFrame, why: IgnoreReason, text: str) -> None:
        super()._ignore(frame, why, text)
        # If the message fails, the frame may be the reason: so it is reported with it.
        if self.state is not _IDLE:
            self._note((frame,))

    def _single(self, n_pdu: SingleFrame, frame: CanFrame) -> None:
        if self.state is not _IDLE:
            self._interrupt(frame, ReceptionInterruptedWithSingleFrameError)
        if self._checks_padding:
            end = single_frame_end(frame.data, self._address_size, len(n_pdu.data))
            if fault := self._params.padding_fault(frame.data, end):
                error = InvalidCanDataError(f"single frame {fault}", link=self._link)
                self._refuse(error, len(n_pdu.data), frame)
                return
        self._events.append(MessageReceived(n_pdu.data, self._heard_ns()))

    def _first(self, n_pdu: FirstFrame, frame: CanFrame, now: int) -> None:
        # 8.3.2.4: functional addressing is for single frames only.
        if self._single_only:
            text = f"first frame of {n_pdu.length} bytes by functional addressing"
            self._ignore(frame, IgnoreReason.FUNCTIONAL_FIRST_FRAME, text)
            return
        if self.state is not _IDLE:
            self._interrupt(frame, ReceptionInterruptedWithFirstFrameError)
        if n_pdu.length > self._params.max_pdu_size:
            # 9.6.3.2: longer than what we can store: flow control OVFLW, and the message is not received.
            error = FrameTooLongError(
                f"the sender announced {n_pdu.length} bytes, and max_pdu_size is {self._params.max_pdu_size}",
                link=self._link,
                remedy="raise max_pdu_size",
            )
            self._refuse(error, n_pdu.length, frame)
            self._overflow()
            return
        if self.accept is not None and not self.accept(n_pdu.length):
            self._ignore(frame, IgnoreReason.REFUSED, f"a message of {n_pdu.length} bytes was refused")
            self._overflow()
            return
        self._begin(n_pdu.length)
        self._first_frame = (frame,)
        self.run.length = len(frame.data)
        self._cf_capacity = self.run.length - self._address_size - 1
        self._data = bytearray(n_pdu.data)
        self._sn = 1
        self._reported = 0
        self._events.append(FirstFrameReceived(n_pdu.length, self._heard_ns()))
        self._next_block(now)

    def _overflow(self) -> None:
        if not self._listens:
            self._flow_status = FlowStatus.OVFLW

    def _heard_ns(self) -> int | None:
        return None if self.time_ns is None else self.time_ns(self.index)

    def _interrupt(self, frame: CanFrame, kind: type[ReceptionInterruptedError]) -> None:
        # 9.8.3: a new message ends the one being received with N_UNEXP_PDU, and is received itself.
        self._close_run()
        self._note((frame,))
        error = kind(
            f"a new message began after {self.done} of {self._total} bytes",
            link=self._link,
            remedy="check whether two nodes send with the same identifier",
        )
        self._fail(ReceiverInput.INTERRUPTED, error)

    def _refuse(self, error: TransferError, length: int, frame: CanFrame) -> None:
        """Report that a message is not received."""
        self._events.append(TransferFailed(self.direction, self.state, 0, length, error, (frame,)))

    def _consecutive(self, n_pdu: ConsecutiveFrame, frame: CanFrame, now: int) -> None:
        if not self._takes(ReceiverInput.COMPLETE):
            # 9.8.3: a consecutive frame that is not expected is ignored.
            text = f"SN {n_pdu.sn} of a message that never began, or is over"
            if self.state is not _IDLE:
                text = f"SN {n_pdu.sn} is not taken now: the receiver's state is {self.state.value!r}"
            self._ignore(frame, IgnoreReason.UNEXPECTED_CONSECUTIVE_FRAME, text)
            return
        self._close_run()
        expected = min(self._cf_capacity, self._total - len(self._data))
        if len(frame.data) > self.run.length or len(n_pdu.data) < expected:
            # 9.6.4.1: a consecutive frame is as long as the first frame, only the last may be shorter; others are
            # ignored.
            sizes = f"{len(frame.data)} bytes: the first frame has {self.run.length}, and {expected} of data are due"
            self._ignore(frame, IgnoreReason.RX_DL_CHANGED, f"SN {n_pdu.sn} in {sizes}")
            self._open_run()
            return
        self._note((frame,))
        if n_pdu.sn != self._sn:
            # 9.6.4.4: a wrong SN ends the reception with N_WRONG_SN.
            self._fail(ReceiverInput.WRONG_SN, self._wrong_sn(n_pdu.sn))
            return
        self._sn = (self._sn + 1) & 0x0F
        self._data += n_pdu.data[:expected]
        self.run.heard_ns = now
        self._block_left -= 1
        if len(self._data) == self._total:
            self._complete(frame, expected)
        else:
            if self._params.progress_step:
                self._report_progress()
            if self._block_left:
                self._open_run()
            else:
                self._next_block(now)

    def _wrong_sn(self, sn: int) -> WrongSequenceNumberError:
        return WrongSequenceNumberError(
            f"SN {sn} instead of {self._sn} after {self.done} of {self._total} bytes",
            link=self._link,
            remedy="a larger stmin or a bs keeps a slow receiver from losing frames",
        )

    def _complete(self, last: CanFrame, size: int) -> None:
        end = self._address_size + 1 + size
        if fault := self._params.padding_fault(last.data, end):
            error = InvalidCanDataError(f"last consecutive frame {fault}", link=self._link)
            self._fail(ReceiverInput.BAD_PADDING, error)
            return
        message = MessageReceived(bytes(self._data), self._heard_ns())
        self._finish(ReceiverInput.COMPLETE)
        self._events.append(message)

    def _fail(self, what: ReceiverInput, error: TransferError) -> None:
        self._close_run()
        super()._fail(what, error)

    def _finish(self, what: ReceiverInput) -> None:
        super()._finish(what)
        self._flow_status = None
        self._data = bytearray()

    def _open_run(self) -> None:
        """Let the run accept all frames up to the last but one of the message or of the block."""
        before_last = (self._total - len(self._data) - 1) // self._cf_capacity
        count = min(before_last, self._block_left - 1)
        if step := self._params.progress_step:
            before_report = (self._reported + step - len(self._data) - 1) // self._cf_capacity
            count = max(0, min(count, before_report))
        self.run.open(self._sn, count)

    def _close_run(self) -> None:
        """Move the frames of the run into the message."""
        if frames := self.run.close():
            self._sn = (self._sn + len(frames)) & 0x0F
            self._block_left -= len(frames)
            self._data += self.run.join(frames)
            first = self._first_frame[0]
            self._note(can_frames(first.can_id, frames[-2:], first.is_fd, first.bitrate_switch))

    def _report_progress(self) -> None:
        if len(self._data) - self._reported >= self._params.progress_step:
            self._reported = len(self._data)
            self._events.append(Progress(self.direction, self._reported, self._total))

    def _next_block(self, now: int) -> None:
        self._waits = 0
        self.run.heard_ns = now
        if self._listens:
            self._block_left = self._total
            self._enter(ReceiverInput.LISTEN)
            self._open_run()
        elif self._ready:
            self._grant()
        else:
            self._enter(ReceiverInput.HOLD)
            self._flow_status = None  # one that is still due was for what came before

    def _grant(self) -> None:
        self._enter(ReceiverInput.GRANT)
        self._flow_status = FlowStatus.CTS
        self._block_left = self._params.bs or self._total
        self._open_run()

    def set_ready(self, ready: bool) -> None:
        """Say whether the application has room for the next block; a block that waits for it is allowed at once."""
        self._ready = ready
        if ready and self.state in _HELD:
            self._grant()

    def take(self, now: int) -> list[CanFrame]:
        """The flow control that is due, if any."""
        status = self._flow_status
        if status is None:
            return []
        self._flow_status = None
        frame = self._flow_controls[status]
        if status is FlowStatus.OVFLW:
            self._unconfirmed.add(None, 1)
            return [frame]
        self._frames_taken(1, now)
        if self.run.frames:  # they came before it, and the trace is in order
            self._close_run()
            self._open_run()
        self._note((frame,))
        self._enter(ReceiverInput.TAKEN)
        return [frame]

    def confirmed(self, count: int, now: int) -> None:
        """Our `count` oldest flow controls are on the bus."""
        self._out -= count
        self._out_ns = now
        if not self._out and self._takes(ReceiverInput.CONFIRMED):
            # 9.8.1: N_Cr, or N_Br after a WAIT, begins with the confirmation of the flow control.
            self.run.heard_ns = now
            self._enter(ReceiverInput.CONFIRMED)

    def get_timer(self) -> int | None:
        """When `handle_timer` is due, in nanoseconds; None: no timer runs."""
        due = []
        if self._out:
            due.append(self._out_ns + self._params.n_ar_ns)
        if self.state is ReceiverState.WAIT_CF:
            due.append(self.run.heard_ns + self._n_cr_ns)
        elif self.state is ReceiverState.NOT_READY:
            due.append(self.run.heard_ns + self._n_br_ns)
        return min(due, default=None)

    def handle_timer(self, now: int) -> None:
        """Give up if N_Ar or N_Cr is over; if N_Br is over, ask the sender to wait."""
        if self._out and now >= self._out_ns + self._params.n_ar_ns:
            # 9.8.2: N_Ar is over: N_TIMEOUT_A.
            self._withdraw()
            error = TransmitTimeoutError(
                f"flow control was not on the bus after {self._params.n_ar_ns / 1e6:g} ms",
                link=self._link,
                remedy="check the CAN controller: bus-off, or a full transmit queue",
            )
            self._fail(ReceiverInput.TIMEOUT_AR, error)
        elif self.state is ReceiverState.WAIT_CF and now >= self.run.heard_ns + self._n_cr_ns:
            # 9.8.2: N_Cr is over: N_TIMEOUT_Cr.
            timeout = ConsecutiveFrameTimeoutError(
                f"nothing for {self._n_cr_ns / 1e6:g} ms after {self.done} of {self._total} bytes",
                link=self._link,
                remedy="frames were lost, or the sender gave up",
            )
            self._fail(ReceiverInput.TIMEOUT_CR, timeout)
        elif self.state is ReceiverState.NOT_READY and now >= self.run.heard_ns + self._n_br_ns:
            self._ask_to_wait()

    def _ask_to_wait(self) -> None:
        # 9.7 and 9.8.4: no more than N_WFTmax WAITs in a row, then the reception is over with N_WFT_OVRN.
        limit = self._params.wftmax
        if limit is not None and self._waits >= limit:
            error = MaximumWaitFrameReachedError(
                f"the application was not ready, and N_WFTmax is {limit}",
                link=self._link,
                remedy="raise wftmax, or read messages sooner",
            )
            self._fail(ReceiverInput.WFT_OVERRUN, error)
            return
        self._waits += 1
        self._flow_status = FlowStatus.WAIT
        self._enter(ReceiverInput.TIMEOUT_BR)

    def abort(self, error: TransferError) -> None:
        """Give up for a reason that is not the protocol's."""
        self._flow_status = None
        if self.state is not _IDLE:
            self._fail(ReceiverInput.ABORT, error)
