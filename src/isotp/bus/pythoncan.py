"""PythonCanBus: any interface of python-can (extra `isotp[can]`)."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK
from ..can_frame import CanFrame
from ..errors import not_installed
from .base import NOTHING, Bus, Received

if TYPE_CHECKING:
    from .pythoncan_readers import Reader

_BATCH: Final = 256


class PythonCanBus(Bus):
    """A bus of python-can, for `SoftSocket`: `PythonCanBus(can.Bus(interface="pcan", channel="..."))`.

    python-can cannot wait for a frame and for anything else at the same time, so a thread of its own reads while
    sockets are bound. Each frame reaches one reader only: give all sockets the same PythonCanBus. Where a
    `can.Notifier` reads the bus, for a logger say, the frames come from there, and there is no other thread:

        adapter = can.Bus(interface="pcan", channel="PCAN_USBBUS1")
        notifier = can.Notifier(adapter, [logger])
        bus = isotp.PythonCanBus(adapter, notifier=notifier)
        with isotp.SoftSocket(bus, timeout=2.0) as s:
            s.bind(rxid=0x7E8, txid=0x7E0)

    Several PythonCanBus may use one notifier. It may read several buses if their messages name different channels. One
    with an event loop (`loop=...`) is for `AsyncSoftSocket`. Once it was stopped or has failed, the sockets raise
    InterfaceError.

    A frame was received when Linux says so, for the interfaces socketcan and udp_multicast; for the others, whose
    clocks differ from that of this computer, when the thread or notifier read it.

    The `shutdown` of the bus and the `stop` of the notifier are yours to call, after the sockets are closed. Where
    other threads send on the bus, too, make it a `can.ThreadSafeBus`.

    Args:
        bus: a `can.BusABC`.
        notifier: the `can.Notifier` that reads it; None: nothing else reads it.
        echoes: whether it was made with `receive_own_messages=True` and its interface supports that. Then a frame
            counts as sent when it is received again; otherwise when python-can has taken it.
        can_fd: whether it takes CAN FD frames; None: what its `protocol` says.

    Raises:
        UnavailableError: python-can is not installed.
        TypeError: `bus` is no `can.BusABC`, or `notifier` no `can.Notifier`.
    """

    def __init__(self, bus: Any, *, notifier: Any = None, echoes: bool = False, can_fd: bool | None = None) -> None:
        try:
            self._can: Any = import_module("can")
        except ImportError as e:
            raise not_installed("python-can") from e
        if not isinstance(bus, self._can.BusABC):
            raise TypeError(f"bus must be a can.BusABC, not {bus!r}")
        if notifier is not None and not isinstance(notifier, self._can.Notifier):
            raise TypeError(f"notifier must be a can.Notifier, not {notifier!r}")
        self._bus = bus
        self._notifier = notifier
        self.name = _name_of(bus)
        self.echoes = echoes
        self.has_can_fd = "FD" in bus.protocol.name if can_fd is None else can_fd
        self._reader: Reader | None = None

    def __repr__(self) -> str:
        return f"<isotp.PythonCanBus {self.name!r}>"

    # --- see `Bus`

    def open(self, wake: Callable[[], None]) -> None:
        """See `Bus`."""
        from .pythoncan_readers import NotifierListener, ReadingThread

        if self._notifier is None:
            self._reader = ReadingThread(self._bus, self.name, wake)
        else:
            self._reader = NotifierListener(self._notifier, self._bus, self.name, wake)

    def close(self) -> None:
        """See `Bus`."""
        if self._reader is not None:
            self._reader.close()

    @property
    def is_closing(self) -> bool:
        """See `Bus`."""
        return self._reader is not None and self._reader.is_closing

    def send(self, frames: Sequence[CanFrame]) -> int:
        """See `Bus`."""
        for taken, frame in enumerate(frames):
            message = self._can.Message(
                arbitration_id=frame.can_id & CAN_EFF_MASK,
                is_extended_id=bool(frame.can_id & CAN_EFF_FLAG),
                data=frame.data,
                is_fd=frame.is_fd,
                bitrate_switch=frame.bitrate_switch,
                is_rx=False,
            )
            try:
                self._bus.send(message, timeout=0)
            except (self._can.CanOperationError, self._can.CanTimeoutError):
                # Interfaces raise either one for a full queue: the frame is offered again, until N_As is over.
                return taken
        return len(frames)

    def receive(self) -> Received:
        """See `Bus`."""
        reader = self._reader
        assert reader is not None
        if not reader.messages:
            error, reader.error = reader.error, None
            if error is not None:
                raise error
            return NOTHING
        times_ns: list[int] = []
        received = Received([], [], time_ns=times_ns.__getitem__)
        while reader.messages and len(received.frames) < _BATCH:
            message, time_ns = reader.messages.popleft()
            if message.is_error_frame or message.is_remote_frame:
                continue
            # Some interfaces set is_rx=False for frames of other programs, too: so each is received as well.
            is_echo = self.echoes and not message.is_rx
            can_id = message.arbitration_id | (CAN_EFF_FLAG if message.is_extended_id else 0)
            frame = CanFrame(can_id, bytes(message.data), message.is_fd, message.bitrate_switch)
            received.frames.append(frame)
            times_ns.append(time_ns)
            if is_echo:
                received.echoes.append(frame)
        if reader.messages:
            reader.wake()
        return received if times_ns else NOTHING


def _name_of(bus: Any) -> str:
    """What python-can says of its channel; some interfaces say "unknown"."""
    info = str(getattr(bus, "channel_info", "unknown"))
    return info if info != "unknown" else f"{type(bus).__name__} {getattr(bus, 'channel', '')}".rstrip()
