"""When messages begin: the kernel shows a message when it is complete, so a raw CAN socket hears its frames, too."""

import socket
import sys
import time
from collections.abc import Iterator
from typing import Final

from ..address import Address, AsymmetricAddress
from ..deadline import NEVER, Deadline
from ..errors import ETIMEDOUT, InterfaceError, OptionError
from ..linux.interface import usable
from ..linux.raw_can import RawCanSocket, ReceivedFrame
from ..sockets import MSG_DONTWAIT, checked_timeout
from . import binding
from .standstill import CONSECUTIVE_FRAME, n_pdu
from .translate import reception_failed

_LOOK_SECONDS: Final = 0.05
"""Between two looks of a call that waits: for a user without privileges the kernel keeps some 470 frames, 59 ms of a
full bus at 1 Mbit/s."""

_SINGLE_FRAME: Final = 0
_FIRST_FRAME: Final = 1
_N_CR_NS: Final = 1_000_000_000  # the kernel's
_SILENCE_S: Final = 1.2  # N_Cr and a margin: the kernel's own failure comes first
_QUEUED_S: Final = 0.02  # by then the kernel has queued a message whose last frame was heard
_RCVBUF: Final = 1_000_000  # bytes, which the kernel doubles: 2200 frames, twice the longest message by default
_KEPT: Final = 1024


class Receptions:
    """What the frames of a link say about the messages that the kernel receives.

    It drops a message when the kernel does, as far as frames show that, and knows nothing rather than something wrong.
    """

    def __init__(self) -> None:
        self.begins: dict[int, int] = {}
        """When messages began, by the time of their last frame; the last ones only."""
        self.begin_ns: int | None = None
        """When the last message began; None: not known."""
        self.bytes_left = 0
        """How many bytes of it are still to come."""
        self._last_ns = 0
        self._sequence_number = 0

    def take(self, pdu: bytes, timestamp_ns: int) -> None:
        """Take note of a frame."""
        kind = pdu[0] >> 4 if pdu else None
        if kind == CONSECUTIVE_FRAME and self.bytes_left > 0:
            is_next = self.begin_ns is None or pdu[0] & 0xF == self._sequence_number
            if not is_next or timestamp_ns - self._last_ns > _N_CR_NS:
                self.bytes_left = 0
                return
            self._sequence_number = (self._sequence_number + 1) & 0xF
            self.bytes_left -= len(pdu) - 1
        elif kind == _FIRST_FRAME:
            length, header = int.from_bytes(pdu[:2], "big") & 0xFFF, 2
            if length == 0:  # an escape sequence
                length, header = int.from_bytes(pdu[2:6], "big"), 6
            self.begin_ns, self.bytes_left, self._sequence_number = timestamp_ns, length - len(pdu) + header, 1
        elif kind == _SINGLE_FRAME:
            self.begin_ns, self.bytes_left = timestamp_ns, 0
        else:
            return
        self._last_ns = timestamp_ns
        if self.bytes_left <= 0 and self.begin_ns is not None:
            self.begins[timestamp_ns] = self.begin_ns
            if len(self.begins) > _KEPT:
                del self.begins[next(iter(self.begins))]

    def lose(self, now_ns: int) -> None:
        """Frames were lost: a message may have begun, or be complete."""
        self.begin_ns, self.bytes_left, self._last_ns = None, sys.maxsize, now_ns

    def busy_seconds(self, now_ns: int) -> float:
        """How long, from `now_ns` on, the message that began last may still be on its way; 0 or less: not any more."""
        age_ns = max(0, now_ns - self._last_ns)
        if self.bytes_left <= 0:
            return _QUEUED_S - age_ns / 1e9
        return _SILENCE_S - age_ns / 1e9 if age_ns < _N_CR_NS else 0.0


class Begins:
    """Hears the frames of the messages that a kernel socket receives. Used by one call at a time."""

    def __init__(self) -> None:
        self.receptions = Receptions()
        self.busy_until = 0.0
        """Until when, in monotonic seconds, a message that has begun may still be on its way."""
        self._raw: RawCanSocket | None = None
        self._bound: binding.Binding | None = None
        self._dropped = 0

    def bind(
        self, native: socket.socket, interface: str | None, address: Address | AsymmetricAddress
    ) -> binding.Binding:
        """Bind `native` as `binding.bind` does, and hear what it receives."""
        # Opened first, so that a failure changes nothing; hears last, so that the kernel passes each frame here first.
        self._raw = RawCanSocket(usable(native, interface).name, can_ids=(), rcvbuf=_RCVBUF)
        try:
            self._bound = binding.bind(native, interface, address)
        except BaseException:
            self._raw.close()
            raise
        if self._bound.receives:
            self._raw.receive_only([self._bound.rx.can_id])
        return self._bound

    def look(self) -> None:
        """Take note of the frames that have arrived."""
        if self._raw is None or self._bound is None:
            return
        frames = list(_arrived(self._raw))
        dropped = self._raw.count_dropped()
        if dropped != self._dropped:
            self._dropped = dropped
            self.receptions.lose(time.time_ns())
        else:
            for frame, timestamp_ns, _, _ in frames:
                if frame.is_fd == self._bound.has_can_fd:
                    self.receptions.take(n_pdu(frame.data, self._bound.rx), timestamp_ns)
        self.busy_until = time.monotonic() + self.receptions.busy_seconds(time.time_ns())

    def begin_of(self, timestamp_ns: int) -> int | None:
        """When the message began whose last frame has this time; None: not known."""
        self.look()
        return self.receptions.begins.get(timestamp_ns)

    def broke_off(self) -> OSError:
        """The error of a message that began, and that the kernel dropped without an error."""
        return reception_failed(ETIMEDOUT, self._bound.interface if self._bound else None, str(self._bound))

    def close(self) -> None:
        """Hear nothing any more."""
        if self._raw is not None:
            self._raw.close()


class Begin(Deadline):
    """Until when a call waits for a message to begin; once one has begun, for its end.

    Args:
        begins: looked at by the call before it asks whether the deadline has passed.
        seconds: until a message has to begin.
    """

    __slots__ = ("_begins", "_has_begun")

    def __init__(self, begins: Begins, seconds: float) -> None:
        super().__init__(time.monotonic() + seconds, seconds)
        self._begins = begins
        self._has_begun = False

    def __str__(self) -> str:
        return f"began within {self.seconds:g} s"

    def has_passed(self) -> bool:
        """Whether no message began in time, or none is on its way any more.

        Raises:
            ConsecutiveFrameTimeoutError: one began and broke off, and the kernel reported nothing.
        """
        if not super().has_passed():
            return False
        receptions = self._begins.receptions
        is_under_way = receptions.bytes_left > 0 and receptions.begin_ns is not None
        self.at = self._begins.busy_until
        if super().has_passed():
            if self._has_begun and is_under_way:
                raise self._begins.broke_off()
            return True
        self._has_begun = self._has_begun or is_under_way
        return False


def _arrived(raw: RawCanSocket) -> Iterator[ReceivedFrame]:
    while True:
        try:
            received = raw.receive()
        except InterfaceError:  # recv of the kernel socket reports it; more frames may have come since
            continue
        if not received:
            return
        yield from received


def receive_until(begins: Begins | None, deadline: Deadline, msg_flags: int, begins_within: float | None) -> Deadline:
    """Until when a call may wait for a message: `deadline`, or as `begins_within` says.

    Raises:
        OptionError: the socket does not hear the begin of messages.
        ValueError: `begins_within` is negative or not a number.
    """
    if begins_within is None:
        return deadline
    seconds = checked_timeout(begins_within, "begins_within")
    if begins is None:
        raise OptionError(
            f"begins_within={begins_within:g}: this socket knows of a message only when it is complete",
            remedy="make the socket with watch_begin=True",
        )
    if msg_flags & MSG_DONTWAIT:
        return deadline
    return NEVER if seconds is None else Begin(begins, seconds)


def until_look(begins: Begins | None, deadline: Deadline) -> Deadline:
    """Until when a call may sleep before it looks again whether a message has begun."""
    return deadline.at_most(_LOOK_SECONDS) if begins else deadline
