"""Sending: segmentation, flow control received, N_As, N_Bs, N_Cs. The states are in states.py."""

from abc import ABC, abstractmethod
from typing import Final

from ..address import CanAddress
from ..can_frame import CanFrame, can_frames, pad
from ..errors import (
    BufferOverflowError,
    FlowControlTimeoutError,
    InvalidCanDataError,
    MaximumWaitFrameReachedError,
    TransferError,
    TransmitTimeoutError,
)
from ..stmin import STmin
from .events import Direction, Event, IgnoreReason, MessageSent, Progress
from .n_pdu import (
    FLOW_CONTROL_SIZE,
    ConsecutiveFrame,
    FirstFrame,
    FlowControl,
    FlowStatus,
    Malformed,
    SingleFrame,
    encode_run,
    first_frame_capacity,
    single_frame_capacity,
)
from .params import Params
from .states import SENDER, SenderInput, SenderState
from .transfer import Transfer
from .unconfirmed import Unconfirmed

# Python 3.11 takes longer to look up a member of an enum than most functions here take for all the rest.
_IDLE: Final = SenderState.IDLE
_SINGLE_DUE: Final = SenderState.SINGLE_DUE
_FIRST_DUE: Final = SenderState.FIRST_DUE
_WAIT_FC: Final = SenderState.WAIT_FC
_LAST_OUT: Final = SenderState.LAST_OUT
_BLOCK_DUE: Final = SenderState.BLOCK_DUE
_SEND_SINGLE: Final = SenderInput.SEND_SINGLE
_LAST_TAKEN: Final = SenderInput.LAST_TAKEN
_CONFIRMED: Final = SenderInput.CONFIRMED
_FC_CTS: Final = SenderInput.FC_CTS


class Source(ABC):
    """A message whose bytes are made while it is sent, to be derived from.

    The sender asks for each part once, in order, when its frames are due.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many bytes the message has."""

    @abstractmethod
    def __getitem__(self, part: slice) -> bytes:
        """The next part of the message."""


class Sender(Transfer[SenderState, SenderInput]):
    """The sending half of a link.

    Args:
        tx: the address of the frames sent.
        params: see `Transfer`, as the others.
    """

    direction = Direction.SENDING
    _table = SENDER

    def __init__(
        self, tx: CanAddress, params: Params, link: str, events: list[Event], unconfirmed: Unconfirmed
    ) -> None:
        super().__init__(params, link, events, unconfirmed)
        self.state = _IDLE
        self._can_id = tx.can_id
        self._address = b"" if tx.address_byte is None else bytes((tx.address_byte,))
        self._fill, self._least = params.padding
        self.single_capacity = single_frame_capacity(params.tx_dl, len(self._address))
        self._cf_capacity = params.tx_dl - len(self._address) - 1
        self._ff_capacity = 0
        self._data: bytes | Source = b""
        self._position = 0  # bytes taken
        self._sn = 0
        self._frames_confirmed = 0
        self._block_left = 0  # consecutive frames still allowed by the flow control
        self._has_parameters = False  # BS and STmin are known
        self._bs = 0
        self._gap_ns = 0  # separation time to keep
        self._due_ns = 0  # when the next frame may go out
        self._wait_ns = 0  # since when N_Bs runs
        self._waits = 0
        self._reported = 0

    @property
    def done(self) -> int:
        """How many bytes of the message are confirmed to be on the bus."""
        if not self._frames_confirmed:
            return 0
        return min(self._total, self._ff_capacity + (self._frames_confirmed - 1) * self._cf_capacity)

    def send(self, data: bytes | Source) -> None:
        """Begin to send a message; the caller has checked that it may be sent."""
        self._begin(len(data))
        self._data = data
        self._frames_confirmed = 0
        self._reported = 0
        if len(data) <= self.single_capacity:
            self._ff_capacity = len(data)
            self._enter(_SEND_SINGLE)
            return
        self._ff_capacity = first_frame_capacity(self._params.tx_dl, len(self._address), len(data))
        self._has_parameters = False
        self._gap_ns = 0
        self._waits = 0
        self._enter(SenderInput.SEND_LONG)

    def take(self, now: int, limit: int) -> list[CanFrame]:
        """The frames that are due, at most `limit`."""
        if self.state is _BLOCK_DUE:
            return self._take_consecutive(now, limit)
        if self.state is _SINGLE_DUE:
            n_pdu = SingleFrame(self._data[:]).encode(self._address, self._least)
            self._enter(_LAST_TAKEN)
        elif self.state is _FIRST_DUE:
            first = self._data[: self._ff_capacity]
            n_pdu = FirstFrame(self._total, first).encode(self._address)
            self._position = self._ff_capacity
            self._sn = 1
            self._enter(SenderInput.TAKEN)
        else:
            return []
        params = self._params
        frame = CanFrame(self._can_id, pad(n_pdu, self._fill, self._least), params.can_fd, params.bitrate_switch)
        self._first_frame = (frame,)
        self._frames_taken(1, now)
        return [frame]

    def _take_consecutive(self, now: int, limit: int) -> list[CanFrame]:
        # 9.6.5.4: STmin is the least time between two consecutive frames: they go one at a time, each when it is due.
        if self._gap_ns:
            if self._out or now < self._due_ns:
                return []
            limit = 1
        size, begin, params = self._cf_capacity, self._position, self._params
        left = -(-(self._total - begin) // size)
        count = min(limit, left, self._block_left)
        end = begin + count * size
        data = self._data[begin:end]
        n_pdus = encode_run(data, self._address, self._sn, size)
        if count > len(n_pdus):
            sn = self._sn + len(n_pdus) & 0x0F
            rest = ConsecutiveFrame(sn, data[len(n_pdus) * size :])
            n_pdus.append(pad(rest.encode(self._address), self._fill, self._least))
        # 9.6.4.3: SN goes up by one for each consecutive frame, and from 15 to 0.
        self._sn = (self._sn + count) & 0x0F
        self._position = end
        self._block_left -= count
        if count == left:
            self._enter(_LAST_TAKEN)
        elif self._block_left:
            self._enter(SenderInput.TAKEN)
        else:
            self._enter(SenderInput.BLOCK_TAKEN)
        self._frames_taken(count, now)
        frames = can_frames(self._can_id, n_pdus, params.can_fd, params.bitrate_switch)
        self._note(frames[-2:])
        return frames

    def _finish(self, what: SenderInput) -> None:
        super()._finish(what)
        self._data = b""

    def confirmed(self, count: int, now: int) -> None:
        """Our `count` oldest frames are on the bus."""
        self._out -= count
        self._out_ns = now
        self._frames_confirmed += count
        if self._params.progress_step:
            self._report_progress()
        if self._out:
            return
        self._due_ns = now + self._gap_ns
        if self.state is _LAST_OUT:
            self._finish(_CONFIRMED)
            self._events.append(MessageSent(self._total))
        elif self._takes(_CONFIRMED):
            self._enter(_CONFIRMED)
            # 9.8.1: N_Bs begins once the first frame, or a block's last one, is confirmed.
            self._wait_ns = now

    def _report_progress(self) -> None:
        if self.done - self._reported >= self._params.progress_step:
            self._reported = self.done
            self._events.append(Progress(self.direction, self.done, self._total))

    def flow_control(self, n_pdu: FlowControl | Malformed, frame: CanFrame, now: int) -> None:
        """Handle a flow control, or a malformed one."""
        # 9.8.3: a flow control that is not expected is ignored.
        if not self._takes(_FC_CTS):
            text = f"flow control, and none is expected: the sender's state is {self.state.value!r}"
            self._ignore(frame, IgnoreReason.UNEXPECTED_FLOW_CONTROL, text)
            return
        self._note((frame,))
        end = len(self._address) + FLOW_CONTROL_SIZE
        if isinstance(n_pdu, Malformed):
            self._refuse(n_pdu.reason)
        elif fault := self._params.padding_fault(frame.data, end):
            self._refuse(f"flow control {fault}")
        elif n_pdu.status == FlowStatus.CTS:
            self._clear_to_send(n_pdu, now)
        elif n_pdu.status == FlowStatus.WAIT:
            self._wait(now)
        elif n_pdu.status == FlowStatus.OVFLW:
            # 9.6.5.1: the receiver cannot store a message of this length.
            self._fail(
                SenderInput.FC_OVFLW,
                BufferOverflowError(
                    f"the receiver has no room for {self._total} bytes",
                    link=self._link,
                    remedy="send it in smaller messages",
                ),
            )
        else:
            # 9.6.5.2: a reserved flow status ends the transmission with N_INVALID_FS.
            self._refuse(f"flow control with reserved flow status {n_pdu.status}")

    def _refuse(self, reason: str) -> None:
        error = InvalidCanDataError(f"the receiver answered wrongly: {reason}", link=self._link)
        self._fail(SenderInput.FC_INVALID, error)

    def _clear_to_send(self, n_pdu: FlowControl, now: int) -> None:
        if not self._has_parameters or self._params.dynamic_flow_control:
            self._has_parameters = True
            self._bs = n_pdu.bs
            # 9.6.5.5: a reserved STmin means the longest one, 127 ms.
            forced_ns = self._params.forced_tx_stmin_ns
            self._gap_ns = STmin(n_pdu.stmin).ns if forced_ns is None else forced_ns
        # 9.6.5.3: after BS 0 all remaining frames are sent without another flow control.
        self._block_left = self._bs or self._total
        self._waits = 0
        self._due_ns = now
        self._enter(_FC_CTS)

    def _wait(self, now: int) -> None:
        # 9.6.5.1: each WAIT starts N_Bs again; its BS and STmin are ignored. N_WFTmax is for receivers alone (9.7);
        # that a sender may have one, too, is ours.
        limit = self._params.wftmax
        self._waits += 1
        if limit is not None and self._waits > limit:
            error = MaximumWaitFrameReachedError(
                f"the receiver sent {self._waits} WAITs in a row, and N_WFTmax is {limit}",
                link=self._link,
                remedy="raise wftmax, or find out what keeps the receiver busy",
            )
            self._fail(SenderInput.WFT_OVERRUN, error)
            return
        self._wait_ns = now
        self._enter(SenderInput.FC_WAIT)

    def get_timer(self) -> int | None:
        """When `handle_timer` or `take` is due, in nanoseconds; None: no timer runs."""
        if self._out:
            of_frame = self._out_ns + self._params.n_as_ns
            return min(of_frame, self._wait_ns + self._params.n_bs_ns) if self.state is _WAIT_FC else of_frame
        if self.state is _WAIT_FC:
            return self._wait_ns + self._params.n_bs_ns
        return self.next_frame_ns

    @property
    def next_frame_ns(self) -> int | None:
        """See `Engine`."""
        return self._due_ns if self.state is _BLOCK_DUE and self._gap_ns and not self._out else None

    def handle_timer(self, now: int) -> None:
        """Give up if N_As or N_Bs is over."""
        params = self._params
        if self._out and now >= self._out_ns + params.n_as_ns:
            # 9.8.2: N_As is over: N_TIMEOUT_A.
            self._withdraw()
            error = TransmitTimeoutError(
                f"a frame was not on the bus after {params.n_as_ns / 1e6:g} ms",
                link=self._link,
                remedy="check wiring, bit rate, and that another node is on the bus",
            )
            self._fail(SenderInput.TIMEOUT_AS, error)
        elif self.state is _WAIT_FC and now >= self._wait_ns + params.n_bs_ns:
            # 9.8.2: N_Bs is over: N_TIMEOUT_Bs.
            timeout = FlowControlTimeoutError(
                f"no flow control for {params.n_bs_ns / 1e6:g} ms, {self.done} of {self._total} bytes sent",
                link=self._link,
                remedy="check that the receiver is awake, and that rxid and txid are not swapped",
            )
            self._fail(SenderInput.TIMEOUT_BS, timeout)

    def abort(self, error: TransferError) -> None:
        """Give up for a reason that is not the protocol's."""
        if self.state is not _IDLE:
            self._fail(SenderInput.ABORT, error)
