"""Until when a call waits for a message that the kernel is sending: as long as its frames get on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from ..address import CanAddress
from ..deadline import Deadline
from ..errors import IsoTpError
from ..linux.raw_can import RawCanSocket
from ..sockets import STANDSTILL_S
from .binding import Binding
from .transmission import Message

CONSECUTIVE_FRAME = 2  # N_PCI type; ISO 15765-2:2016, 9.6.1
_LOOK_S: Final = 0.25  # between two looks at the frames
_LONGER_THAN_N_BS_NS: Final = 1_500_000_000  # the kernel's N_Bs is 1 s, and it waits 2 s for a frame to get out


class Standstill(Deadline):
    """It passes when the transfer stands still: each consecutive frame of ours that is on the bus moves it.

    The kernel does not say how far it is. Nearly always it has the outcome before the time is over; only if not, the
    frames are watched on a raw CAN socket, for another such time.

    Args:
        bound: the link.
        seconds: how long the transfer may stand still.
    """

    __slots__ = ("_asked_ns", "_bound", "_has_heard", "_heard_ns", "_raw")

    def __init__(self, bound: Binding, seconds: float) -> None:
        super().__init__(time.monotonic() + seconds, seconds)
        self._bound = bound
        self._raw: RawCanSocket | None = None
        self._asked_ns = 0  # when has_passed was called last
        self._has_heard = False
        self._heard_ns = 0  # when the last frame of the link was on the bus, or since when it is watched

    def __str__(self) -> str:
        return f"without a frame for {self.seconds:g} s"

    def left(self) -> float | None:
        """Seconds until `has_passed` is to be asked again."""
        left_s = super().left()
        return left_s if self._raw is None or left_s is None else min(left_s, _LOOK_S)

    def has_passed(self) -> bool:
        """Whether no frame was sent for so long."""
        try:
            if self._raw is not None:
                if self._gets_on(self._raw):
                    self.at = time.monotonic() + self.seconds
                self._asked_ns = time.time_ns()
            elif super().has_passed():
                self.watch()
                self.at = time.monotonic() + self.seconds
        except IsoTpError:  # nothing to see; an interface that went down is the kernel's to report
            pass
        return super().has_passed()

    def watch(self) -> None:
        """Watch the frames from now on.

        Raises:
            IsoTpError: they cannot be seen.
        """
        tx, rx = self._bound.tx, self._bound.rx
        self._raw = RawCanSocket(self._bound.interface, can_ids=[tx.can_id, rx.can_id])
        self._heard_ns = time.time_ns()

    def _gets_on(self, raw: RawCanSocket) -> bool:
        """Whether a consecutive frame was sent since last asked."""
        gets_on, tx, rx = False, self._bound.tx, self._bound.rx
        while received := raw.receive():
            for each in received:
                pdu = n_pdu(each.frame.data, tx) if each.frame.can_id == tx.can_id else b""
                gets_on = gets_on or (bool(pdu) and pdu[0] >> 4 == CONSECUTIVE_FRAME)
                if pdu or n_pdu(each.frame.data, rx):
                    self._has_heard, self._heard_ns = True, each.timestamp_ns
        return gets_on

    def is_stuck(self) -> bool | None:
        """Whether a frame of a message that just failed did not get onto the bus, if it failed by a time limit.

        Each flow control, and the last frame before one is due, begins N_Bs again: after a longer silence it was not
        that. None: not known, since the frames were not watched, or not for long enough.
        """
        try:
            if self._raw is None:
                return None
            self._gets_on(self._raw)
        except IsoTpError:
            return None
        if self._asked_ns - self._heard_ns > _LONGER_THAN_N_BS_NS:  # by then it had not failed
            return True
        return False if self._has_heard and time.time_ns() - self._heard_ns < _LONGER_THAN_N_BS_NS else None

    def close(self) -> None:
        """Watch no longer."""
        if self._raw is not None:
            self._raw.close()


@contextmanager
def standstill(message: Message, bound: Binding | None, turn: Deadline) -> Iterator[Deadline]:
    """Until when to wait for a message that was given to the kernel.

    Args:
        message: it; what was seen of it is noted there.
        bound: the link.
        turn: until when the call that waits may wait for its turn: it has the socket's timeout.
    """
    if bound is None or turn.at is None or turn.is_now:
        yield turn
        return
    deadline = Standstill(bound, max(turn.seconds, STANDSTILL_S))
    try:
        yield deadline
        message.is_stuck = deadline.is_stuck()
    finally:
        deadline.close()


@contextmanager
def lingering(bound: Binding | None, seconds: float | None) -> Iterator[Deadline]:
    """Until when `close` waits for a message: until it has stood still for `seconds`; None: without limit.

    Unlike `standstill` it watches the frames at once, so the time is not spent twice.
    """
    if bound is None or not seconds:
        yield Deadline.after(seconds)
        return
    deadline = Standstill(bound, seconds)
    try:
        with suppress(IsoTpError):  # then it passes after `seconds`, whether the message gets on or not
            deadline.watch()
        yield deadline
    finally:
        deadline.close()


def n_pdu(data: bytes, address: CanAddress) -> bytes:
    """The N_PDU in the data of a frame; empty if the frame has another address byte."""
    if address.address_byte is None:
        return data
    return data[1:] if data[:1] == bytes((address.address_byte,)) else b""
