"""Until when a call waits for a message that the kernel is sending: as long as its frames get on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..address import CanAddress
from ..deadline import Deadline
from ..errors import IsoTpError
from ..linux.raw_can import RawCanSocket
from ..sockets import STANDSTILL_S
from .binding import Binding

CONSECUTIVE_FRAME = 2  # N_PCI type; ISO 15765-2:2016, 9.6.1


class Standstill(Deadline):
    """It passes when the transfer stands still: each consecutive frame of ours that is on the bus moves it.

    The kernel does not say how far it is. Nearly always it has the outcome before the time is over; only if not, the
    frames are watched on a raw CAN socket, for another such time.

    Args:
        bound: the link.
        seconds: how long the transfer may stand still.
    """

    __slots__ = ("_bound", "_raw")

    def __init__(self, bound: Binding, seconds: float) -> None:
        super().__init__(time.monotonic() + seconds, seconds)
        self._bound = bound
        self._raw: RawCanSocket | None = None

    def __str__(self) -> str:
        return f"without a frame for {self.seconds:g} s"

    def has_passed(self) -> bool:
        """Whether no frame was sent for so long."""
        if not super().has_passed():
            return False
        try:
            if self._raw is None:
                self.watch()
            elif not self._gets_on(self._raw):
                return True
        except IsoTpError:  # nothing to see; an interface that went down is the kernel's to report
            return True
        self.at = time.monotonic() + self.seconds
        return False

    def watch(self) -> None:
        """Watch the frames from now on.

        Raises:
            IsoTpError: they cannot be seen.
        """
        self._raw = RawCanSocket(self._bound.interface, can_ids=[self._bound.tx.can_id])

    def _gets_on(self, raw: RawCanSocket) -> bool:
        """Whether a consecutive frame was sent since last asked."""
        gets_on = False
        while received := raw.receive():
            pdus = (n_pdu(each.frame.data, self._bound.tx) for each in received)
            gets_on = gets_on or any(pdu and pdu[0] >> 4 == CONSECUTIVE_FRAME for pdu in pdus)
        return gets_on

    def close(self) -> None:
        """Watch no longer."""
        if self._raw is not None:
            self._raw.close()


@contextmanager
def standstill(bound: Binding | None, turn: Deadline) -> Iterator[Deadline]:
    """Until when to wait for a message that was given to the kernel.

    Args:
        bound: the link.
        turn: until when the call that waits may wait for its turn: it has the socket's timeout.
    """
    if bound is None or turn.at is None or turn.is_now:
        yield turn
        return
    deadline = Standstill(bound, max(turn.seconds, STANDSTILL_S))
    try:
        yield deadline
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
