"""LayerEngine: the engine where can-isotp 2 differs: a rate limit, WAIT, and the time of a block's first frame."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from ..address import Address, AsymmetricAddress, TargetAddressType
from ..can_frame import CanFrame
from ..engine.engine import Engine
from ..engine.events import Direction, FrameIgnored, IgnoreReason
from ..engine.n_pdu import FlowControl
from ..engine.params import Params
from ..engine.run import RUN_MAX
from ..engine.sender import Sender
from ..errors import (
    BadGeneratorError,
    ChangingInvalidRXDLError,
    InvalidCanDataError,
    InvalidCanFdFirstFrameRXDL,
    IsoTpError,
    MissingEscapeSequenceError,
    UnexpectedConsecutiveFrameError,
    UnexpectedFlowControlError,
    UnsupportedWaitFrameError,
)
from .rate_limiter import RateLimiter

_IGNORED: dict[IgnoreReason, type[IsoTpError]] = {
    IgnoreReason.UNEXPECTED_CONSECUTIVE_FRAME: UnexpectedConsecutiveFrameError,
    IgnoreReason.UNEXPECTED_FLOW_CONTROL: UnexpectedFlowControlError,
    IgnoreReason.MISSING_ESCAPE: MissingEscapeSequenceError,
    IgnoreReason.RX_DL_CHANGED: ChangingInvalidRXDLError,
    IgnoreReason.RX_DL_TOO_SMALL: InvalidCanFdFirstFrameRXDL,
}


class WaitIgnored(FrameIgnored):
    """The receiver asks to wait, and wftmax is 0."""


class _LayerSender(Sender):
    def _clear_to_send(self, n_pdu: FlowControl, now: int) -> None:
        super()._clear_to_send(n_pdu, now)
        self._due_ns = now + self._gap_ns  # can-isotp keeps STmin before the first frame of a block, too

    def _wait(self, now: int) -> None:
        if self._params.wftmax == 0:
            text = "the receiver asks to wait, and wftmax is 0"
            self._events.append(WaitIgnored(self._trace[-1], IgnoreReason.UNEXPECTED_FLOW_CONTROL, text))
        else:
            super()._wait(now)


class LayerEngine(Engine):
    """The engine of a transport layer.

    Args:
        address: of the link.
        params: everything else; with wftmax 0 a WAIT is ignored, with an event.
        limiter: limits the bytes of SF, FF and CF; flow control is not limited.
    """

    _sender_class = _LayerSender

    def __init__(self, address: Address | AsymmetricAddress, params: Params, limiter: RateLimiter) -> None:
        super().__init__(address, params)
        self._limiter = limiter
        self._is_held_back = False  # by the rate limit

    def frames_to_send(self, now: int, limit: int = RUN_MAX) -> list[CanFrame]:
        """See `Engine`."""
        limiter = self._limiter
        if not limiter.enabled:
            return self._taken(now, limit)
        frames = self._receiver.take(now) if limit > 0 else []
        limiter.update()
        while len(frames) < limit and limiter.allowed_bytes() >= self.params.tx_dl and (taken := self._taken(now, 1)):
            limiter.inform_byte_sent(len(taken[0].data))
            frames += taken
        self._is_held_back = self.is_sending and limiter.allowed_bytes() < self.params.tx_dl
        return frames

    def _taken(self, now: int, limit: int) -> list[CanFrame]:
        try:
            return super().frames_to_send(now, limit)
        except BadGeneratorError as e:
            self.abort(e, Direction.SENDING)
            return []

    def get_timer(self) -> int | None:
        """See `Engine`."""
        due_ns = super().get_timer()
        if not self._is_held_back:
            return due_ns
        allowed_ns = self._limiter.next_ns() or 0
        return allowed_ns if due_ns is None else min(due_ns, allowed_ns)

    def receive_frames(self, frames: Sequence[CanFrame], now: int, time_ns: Callable[[int], int] | None = None) -> None:
        """See `Engine`; CAN FD and Classical CAN frames are both taken, as in can-isotp."""
        can_fd = self.params.can_fd
        super().receive_frames(
            [frame if frame.is_fd is can_fd else frame._replace(is_fd=can_fd) for frame in frames], now, time_ns
        )


def ignored_error(event: FrameIgnored, link: str) -> IsoTpError:
    """The error that an error handler gets for a frame that was ignored."""
    kind = UnsupportedWaitFrameError if isinstance(event, WaitIgnored) else _IGNORED.get(event.why, InvalidCanDataError)
    return kind(f"{event.text}: the frame was ignored", link=link)


def functional_address(address: Address | AsymmetricAddress) -> AsymmetricAddress | None:
    """The address of functional messages; None if they have the CAN identifiers of physical ones."""
    tx, rx = (address, address) if isinstance(address, Address) else (address.tx_addr, address.rx_addr)
    if not (tx.addressing_mode.has_fixed_ids or rx.addressing_mode.has_fixed_ids):
        return None
    functional = TargetAddressType.Functional
    return AsymmetricAddress(
        replace(tx, target_address_type=functional, tx_only=True, rx_only=False),
        replace(rx, target_address_type=functional, tx_only=False, rx_only=True),
    )
