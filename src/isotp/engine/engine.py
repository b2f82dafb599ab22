"""One end of a link: a sender and a receiver, without I/O and without a clock."""

from collections.abc import Callable, Sequence
from typing import Final

from ..address import Address, AsymmetricAddress, CanAddress
from ..can_frame import CanFrame
from ..errors import BusyError, MessageSizeError, OneWayError, TransferError
from .events import Direction, Event, FrameIgnored, IgnoreReason
from .n_pdu import FirstFrame, FlowControl, Malformed, NPciType, SingleFrame, decode
from .params import Params
from .receiver import Receiver
from .run import RUN_MAX
from .sender import Sender, Source
from .states import ReceiverState, SenderState
from .unconfirmed import Unconfirmed

_SENDER_IDLE: Final = SenderState.IDLE  # a look-up of an enum's member is slow in Python 3.11
_RECEIVER_IDLE: Final = ReceiverState.IDLE


class Engine:
    """ISO 15765-2 for one end of a link. A driver gives it frames, messages and the time, and sends its frames.

    `now` is always integer nanoseconds of one monotonic clock. After each of the calls below a driver does this:

        def pump(now):
            while frames := engine.frames_to_send(now):
                for frame in frames:
                    bus.send(frame)
                engine.frame_sent(now, len(frames))  # or later, when the bus has echoed them
            while event := engine.next_event():
                application(event)
            timer.set(engine.get_timer())

        engine.send(data, now), pump(now)  # a message to send
        engine.receive_frame(frame, now), pump(now)  # a frame has arrived; several: receive_frames
        engine.handle_timer(now), pump(now)  # the timer is due

    If the bus echoes our frames once they are on the wire, the driver calls `frame_sent` for the echoes, in the order
    in which it took the frames: then N_As and STmin are measured on the wire. A driver with room for few frames asks
    for that many, `frames_to_send(now, room)`, and pumps again when it has room. If a frame arrived before a timer was
    due, the frame goes first. After N_TIMEOUT_A the driver drops the frames of that message that it still has, and does
    not confirm them.

    Args:
        address: of the link. With a functional address, or without a receiving half (so without flow control), only
            single frames can be sent. Without a sending half the engine only listens.
        params: everything else.
        accept: called with the length of each message of several frames when it begins, unless that is above
            `max_pdu_size`; False: the sender is told that there is no room (OVFLW), and the event is `FrameIgnored`.
            None: all are received.
    """

    _sender_class: type[Sender] = Sender

    def __init__(
        self,
        address: Address | AsymmetricAddress,
        params: Params | None = None,
        *,
        accept: Callable[[int], bool] | None = None,
    ) -> None:
        params = Params() if params is None else params
        tx, rx = address.tx, address.rx
        self.address = address
        self.params = params
        self._link = link = str(address)
        self._events: list[Event] = []  # an empty deque has 700 bytes
        self._unconfirmed = Unconfirmed()
        # If the address has only one half, the other object exists as well and is never used.
        self._sender = self._sender_class(tx or CanAddress(0), params, link, self._events, self._unconfirmed)
        self._sends_at_all = tx is not None
        self._sends_single_only = rx is None or address.is_functional
        self._rx_id = rx.can_id if rx else None
        self._rx_byte = None if rx is None or rx.address_byte is None else bytes((rx.address_byte,))
        self._address_size = 0 if self._rx_byte is None else 1
        functional_rx = (
            address.rx_addr.is_functional if isinstance(address, AsymmetricAddress) else address.is_functional
        )
        self._receiver = Receiver(self._address_size, tx, functional_rx, params, link, self._events, self._unconfirmed)
        self._receiver.accept = accept
        self._run = self._receiver.run
        self._can_fd = params.can_fd
        self._longest_sent = params.max_pdu_size if params.tx_max_pdu_size is None else params.tx_max_pdu_size

    @property
    def is_sending(self) -> bool:
        """Whether a message is being sent."""
        return self._sender.state is not _SENDER_IDLE

    @property
    def is_receiving(self) -> bool:
        """Whether a message of several frames is being received."""
        return self._receiver.state is not _RECEIVER_IDLE

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the message being sent, or of the last one, are confirmed to be on the bus."""
        return self._sender.done

    @property
    def single_capacity(self) -> int:
        """How many bytes a single frame holds."""
        return self._sender.single_capacity

    @property
    def sender_state(self) -> SenderState:
        """The state of the sending half."""
        return self._sender.state

    def send(self, data: bytes | bytearray | memoryview | Source, now: int) -> None:
        """Begin to send a message; the event `MessageSent` or `TransferFailed` reports the outcome.

        Raises:
            BusyError: the last message is still being sent or, in half duplex, one is being received.
            MessageSizeError: no bytes, more than `max_pdu_size`, or more than fits a single frame where this
                kind of address allows no more.
            OneWayError: the address only receives.
        """
        link, capacity = self._link, self._sender.single_capacity
        if not isinstance(data, bytes) and not isinstance(data, Source):
            data = bytes(memoryview(data))
        if not self._sends_at_all:
            raise OneWayError("this address only receives", link=link, remedy="give it a txid or a target_address")
        if not data:
            raise MessageSizeError("a message has at least one byte", link=link)
        if len(data) > self._longest_sent:
            raise MessageSizeError(
                f"{len(data)} bytes are more than max_pdu_size, {self._longest_sent}",
                link=link,
                remedy="raise max_pdu_size",
            )
        if len(data) > capacity and self._sends_single_only:
            raise MessageSizeError(
                f"{len(data)} bytes do not fit a single frame, which takes {capacity}",
                link=link,
                remedy="functional addressing is for single frames only: use each receiver's own address"
                if self.address.is_functional
                else "more needs flow control: use an address that receives, too",
            )
        if self.is_sending or (self.params.half_duplex and self.is_receiving):
            raise BusyError(
                "another message is still being sent" if self.is_sending else "a message is being received",
                link=link,
                remedy="wait for its MessageSent, MessageReceived or TransferFailed",
            )
        self._sender.send(data)

    def takes(self, frame: CanFrame) -> bool:
        """Whether the identifier and the address byte of `frame` are those of this link."""
        byte = self._rx_byte
        return frame.can_id == self._rx_id and (byte is None or frame.data[:1] == byte)

    def receive_frame(self, frame: CanFrame, now: int) -> None:
        """Handle a frame from the bus; one that is not for this link is ignored without an event. Never raises."""
        # can_id, is_fd, data: a long message spends most of its time here, and access by name takes longer.
        if frame[0] != self._rx_id or frame[2] is not self._can_fd:
            return
        data = frame[1]
        if self._rx_byte is not None and data[:1] != self._rx_byte:
            return
        # The next frame of the run. Here, and not in a method of Run: a call less for each frame.
        run = self._run
        kept = run.frames
        if len(data) == run.length and data[run.pci_at] == run.pcis[len(kept)]:
            kept.append(data)
            run.heard_ns = now
        else:
            self._decode(frame, now)

    def receive_frames(self, frames: Sequence[CanFrame], now: int, time_ns: Callable[[int], int] | None = None) -> None:
        """Handle frames that arrived together, oldest first: `receive_frame` for each, in a third of the time.

        `time_ns` returns when the frame with an index was received, by any clock; events have that time.
        """
        begin = 0
        if len(frames) > 1 and (room := self._run.room):
            rx_id, can_fd, byte = self._rx_id, self._can_fd, self._rx_byte
            run = [
                data
                for can_id, data, is_fd, _ in frames[:room]
                if can_id == rx_id and is_fd is can_fd and (byte is None or data[:1] == byte)
            ]
            if self._run.keep_all(run, now):
                begin = min(room, len(frames))
        receiver = self._receiver
        receiver.time_ns = time_ns
        for receiver.index, frame in enumerate(frames[begin:] if begin else frames, begin):
            self.receive_frame(frame, now)
        receiver.time_ns = None

    def _decode(self, frame: CanFrame, now: int) -> None:
        n_pdu = decode(frame.data, self._address_size)
        if isinstance(n_pdu, FlowControl) or (isinstance(n_pdu, Malformed) and n_pdu.pci_type is NPciType.FC):
            self._sender.flow_control(n_pdu, frame, now)
        elif self.params.half_duplex and self.is_sending and isinstance(n_pdu, (SingleFrame, FirstFrame)):
            # 9.8.3: in half duplex a frame that would begin a reception is ignored while sending.
            text = "a message began while one is being sent, in half duplex"
            self._events.append(FrameIgnored(frame, IgnoreReason.HALF_DUPLEX, text))
        else:
            self._receiver.receive(n_pdu, frame, now)

    def frames_to_send(self, now: int, limit: int = RUN_MAX) -> list[CanFrame]:
        """Take the frames that are due, in order, at most `limit`; call it again until it returns none.

        N_As or N_Ar runs from here until `frame_sent`.
        """
        if limit <= 0:
            return []
        frames = self._receiver.take(now)
        if limit > len(frames) and self._sender.state is not _SENDER_IDLE:
            frames += self._sender.take(now, limit - len(frames))
        return frames

    def frame_sent(self, now: int, count: int = 1) -> None:
        """Confirm that the `count` oldest frames that were taken and not confirmed are on the bus."""
        self._unconfirmed.confirm(count, now)

    def set_ready(self, ready: bool, now: int) -> None:
        """Say whether the application can take more. While it cannot, flow control asks the sender to wait.

        Single frames cannot be refused and are still received.
        """
        self._receiver.set_ready(ready)

    def get_timer(self) -> int | None:
        """When to call `handle_timer`, and `frames_to_send` after it; None: no timer runs."""
        of_sender = None if self._sender.state is _SENDER_IDLE else self._sender.get_timer()
        of_receiver = None if self._receiver.state is _RECEIVER_IDLE else self._receiver.get_timer()
        if of_sender is None or (of_receiver is not None and of_receiver < of_sender):
            return of_receiver
        return of_sender

    @property
    def next_frame_ns(self) -> int | None:
        """When the next consecutive frame may be taken, where it waits for STmin; None: none waits for that."""
        return self._sender.next_frame_ns

    def handle_timer(self, now: int) -> None:
        """Handle the timers that are due; it may be called at any time."""
        self._sender.handle_timer(now)
        self._receiver.handle_timer(now)

    def abort(self, error: TransferError, direction: Direction | None = None) -> None:
        """Give up what is being sent or received; None: both. The event `TransferFailed` has `error`."""
        for half in (self._sender, self._receiver):
            if direction in (None, half.direction):
                half.abort(error)

    def reset(self) -> None:
        """Forget what is being sent and received, without events; none of its frames is to be confirmed any more."""
        self.abort(TransferError("the link was reset"))
        self._unconfirmed.clear()
        self._events.clear()

    def next_event(self) -> Event | None:
        """Take the oldest event; None if there is none."""
        return self._events.pop(0) if self._events else None
