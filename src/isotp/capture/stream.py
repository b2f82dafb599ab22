"""One direction of a link, seen from outside: its messages, and what went wrong.

A stream is idle, or it has a message under way: its first frame came, and consecutive frames or flow control may
follow. What each kind of frame does in either state:

    frame               idle                      under way
    single frame        a message                 the old message fails (N_UNEXP_PDU), then the same
    first frame         under way                 the old message fails (N_UNEXP_PDU), then the same
    consecutive frame   fault                     the next one: goes on, or complete; else fails (N_WRONG_SN)
    flow control        (the observer decides)    noted; OVFLW: fails (N_BUFFER_OVFLW)
    no N_PDU            fault                     fault, and the message goes on
    silence                                       fails (N_TIMEOUT_Bs, N_TIMEOUT_Cr)
"""

from collections.abc import Callable
from typing import Final

from ..address import CanAddress
from ..engine.n_pdu import (
    ConsecutiveFrame,
    FirstFrame,
    FlowControl,
    FlowStatus,
    Malformed,
    NPciType,
    SingleFrame,
)
from ..errors import (
    BufferOverflowError,
    ConsecutiveFrameTimeoutError,
    FlowControlTimeoutError,
    ReceptionInterruptedError,
    TransferError,
    WrongSequenceNumberError,
)
from .message import Fault, FlowControlSeen, Message
from .standards import Key

# N_Bs and N_Cr together (ISO 15765-2:2016, table 18): the time limits that the two nodes have may not begin with a
# frame that is seen.
SILENCE_NS: Final = 2_000_000_000
_PCIS: Final = tuple(NPciType.CF << 4 | sn for sn in range(16))


class Stream:
    """What one node sends to another.

    Args:
        key: channel, identifier, and address byte if there is one.
        report: gets each `Message` and `Fault`.
        is_timed: whether the frames have times.
    """

    __slots__ = (
        "_frame_length",
        "_frames",
        "_is_fd",
        "_last",
        "_pci_at",
        "_report",
        "_reported_fault",
        "_times",
        "address",
        "channel",
        "flow_controls",
        "heard_ns",
        "is_timed",
        "key",
        "target",
        "total",
    )

    def __init__(self, key: Key, report: Callable[[Message | Fault], None], is_timed: bool = True) -> None:
        self.key = key
        self.channel = key[0]
        self.address = CanAddress(*key[1:])
        self.target: CanAddress | None = None
        """What the other node's frames carry; None where that is not known, or where it sends to many."""
        self.is_timed = is_timed
        self.heard_ns = 0
        """When its last frame was seen, except consecutive frames in the middle of a message."""
        self.total = 0
        """How many bytes the message under way announced; 0 without one."""
        self.flow_controls: list[FlowControlSeen] = []
        self._report = report
        self._pci_at = self.address_size
        self._reported_fault = False
        self._is_fd = False
        self._end()

    def _end(self) -> None:
        self.total = 0
        self.flow_controls = []
        self._frames: list[bytes] = []
        self._times: list[int] = []
        self._frame_length = -1  # no frame has
        self._last = 0  # index of the last frame of the message

    def __str__(self) -> str:
        return f"{self.address} > {self.target}" if self.target else str(self.address)

    @property
    def address_size(self) -> int:
        """How many bytes of a frame come before its N_PCI."""
        return 0 if self.address.address_byte is None else 1

    @property
    def is_open(self) -> bool:
        """Whether a message is under way."""
        return self.total > 0

    @property
    def done(self) -> int:
        """How many bytes of the message under way have arrived."""
        count = len(self._frames)
        return count and len(self._first_data()) + (count - 1) * self._payload()

    @property
    def last_ns(self) -> int:
        """When its last frame was seen, or the flow control for it."""
        return max(self.heard_ns, self._times[-1] if self._times else 0)

    @property
    def awaits_flow_control(self) -> bool:
        """Whether the next frame of the message is flow control: after the first one, a WAIT, and each block."""
        if not self.is_open or not self.flow_controls:
            return self.is_open
        last = self.flow_controls[-1]
        block = len(self._frames) - last.after
        return last.status == FlowStatus.WAIT or 0 < last.bs <= block

    def _payload(self) -> int:
        return self._frame_length - self._pci_at - 1

    def _first_data(self) -> bytes:
        return self._frames[0][self._pci_at + (2 if self.total <= 0xFFF else 6) :]

    def keep(self, data: bytes, now: int) -> bool:
        """Take a frame if it is a consecutive frame in the middle of the message: the way most frames go."""
        frames = self._frames
        count = len(frames)
        if len(data) != self._frame_length or count >= self._last or data[self._pci_at] != _PCIS[count & 15]:
            return False
        frames.append(data)
        self._times.append(now)
        return True

    def receive(
        self, n_pdu: SingleFrame | FirstFrame | ConsecutiveFrame | Malformed, data: bytes, is_fd: bool, now: int
    ) -> None:
        """Take any other frame but flow control."""
        if isinstance(n_pdu, ConsecutiveFrame):
            self._consecutive(n_pdu, data, now)
        elif isinstance(n_pdu, Malformed):
            self._report(Fault(self, now, n_pdu.reason, data))
        else:
            if self.is_open:
                what = f"a new message began after {self.done} of {self.total} bytes"
                self._fail(ReceptionInterruptedError(what), now)
            if isinstance(n_pdu, SingleFrame):
                self._report(self._message(n_pdu.data, len(n_pdu.data), [now], [data], is_fd))
                self._reported_fault = False
            else:
                self._first(n_pdu, data, is_fd, now)
        self.heard_ns = now

    def _first(self, n_pdu: FirstFrame, data: bytes, is_fd: bool, now: int) -> None:
        self.total = n_pdu.length
        self.flow_controls = []  # the last message keeps its own
        self._is_fd = is_fd
        self._frame_length = len(data)
        self._last = -(-(n_pdu.length - len(n_pdu.data)) // self._payload())
        self._frames = [data]
        self._times = [now]

    def refuse(self, n_pdu: FirstFrame, data: bytes, is_fd: bool, now: int, error: TransferError) -> None:
        """Report a message that is too long to be followed."""
        if self.is_open:
            self.give_up(ReceptionInterruptedError(f"a new message began after {self.done} of {self.total} bytes"))
        message = self._message(n_pdu.data, n_pdu.length, [], [data], is_fd)
        self._report(message._replace(done=0, begin_ns=now, end_ns=now, error=error))
        self._reported_fault = True

    @property
    def frames_wanted(self) -> int:
        """How many consecutive frames the message under way has."""
        return self._last

    def _consecutive(self, n_pdu: ConsecutiveFrame, data: bytes, now: int) -> None:
        if not self.is_open:
            self.fault(now, "consecutive frame without a first frame", data)
            return
        rest = min(self._payload(), self.total - self.done)
        if len(data) > self._frame_length or len(n_pdu.data) < rest:
            return  # 9.6.4.1: none is longer than the first frame, and only the last may be shorter; else it is ignored
        sn = len(self._frames) & 15
        if n_pdu.sn != sn:
            what = f"SN {n_pdu.sn} instead of {sn} after {self.done} of {self.total} bytes"
            self._fail(WrongSequenceNumberError(what), now, data)
            return
        whole = bytearray(self._first_data())
        middle = bytearray().join(self._frames[1:])
        for header in range(self._pci_at + 1):
            del middle[:: self._frame_length - header]
        whole += middle
        whole += n_pdu.data[:rest]
        self._frames.append(data)
        self._times.append(now)
        message = self._message(bytes(whole), self.total, self._times, self._frames, self._is_fd)
        self._end()
        self._reported_fault = False
        self._report(message)

    def hear_flow_control(self, n_pdu: FlowControl, data: bytes, now: int) -> None:
        """Take the receiver's answer to the message under way."""
        self.flow_controls.append(FlowControlSeen(now, *n_pdu, len(self._frames), data))
        self.heard_ns = now
        if n_pdu.status == FlowStatus.OVFLW:
            self._fail(BufferOverflowError(f"the receiver has no room for {self.total} bytes"), now)

    def expire(self, now: int) -> None:
        """Report the message under way as broken off if nothing came for too long."""
        if self.is_open and now - self.last_ns >= SILENCE_NS:
            self.give_up(self._silence())

    def _silence(self) -> TransferError:
        """The reason for silence depends on whose turn it was."""
        if self.awaits_flow_control and self.target is not None:
            last = self.flow_controls[-1] if self.flow_controls else None
            after = "the first frame" if last is None else "a WAIT" if last.status else f"a block of {last.bs}"
            return FlowControlTimeoutError(f"no flow control after {after}, {self.done} of {self.total} bytes done")
        silence_ms = SILENCE_NS // 1_000_000
        return ConsecutiveFrameTimeoutError(f"nothing for {silence_ms} ms after {self.done} of {self.total} bytes")

    def give_up(self, error: TransferError) -> None:
        """End the message that is under way."""
        self._fail(error, self.last_ns)

    def _fail(self, error: TransferError, end_ns: int, wrong: bytes | None = None) -> None:
        """End the message that is under way; `wrong` is the frame of it that ended it."""
        done = self.done
        if wrong is not None:
            self._frames.append(wrong)
            self._times.append(end_ns)
        failed = self._message(self._first_data(), self.total, self._times, self._frames, self._is_fd)
        failed = failed._replace(done=done, end_ns=end_ns, error=error)
        self._end()
        self._reported_fault = True
        self._report(failed)

    def fault(self, now: int, reason: str, data: bytes) -> None:
        """Report the first of a row of frames out of place; after a failure that is none."""
        if not self._reported_fault:
            self._reported_fault = True
            self._report(Fault(self, now, reason, data))

    def _message(self, data: bytes, length: int, times: list[int], frames: list[bytes], is_fd: bool) -> Message:
        begin, end = (times[0], times[-1]) if times else (0, 0)
        return Message(
            self,
            self.channel,
            self.address,
            self.target,
            begin,
            end,
            data,
            length,
            len(data),
            times,
            frames,
            self.flow_controls,
            is_fd,
            self.is_timed,
            None,
        )
