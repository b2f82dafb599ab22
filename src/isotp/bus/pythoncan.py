"""PythonCanBus: any interface of python-can (extra `isotp[can]`)."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK
from ..can_frame import CanFrame
from ..errors import InterfaceError, UnavailableError
from .base import NOTHING, Bus, Received

_POLL_S: Final = 0.1  # after so long at most the reading thread sees that it is to end
_BATCH: Final = 256


class PythonCanBus(Bus):
    """A bus of python-can, for `SoftSocket`: `PythonCanBus(can.Bus(interface="pcan", channel="..."))`.

    python-can has no way to wait for a frame and for anything else at once, so a second thread reads, as long as
    sockets are bound. The bus given stays yours: nobody else may read it meanwhile, and `shutdown` is yours to call.

    Args:
        bus: a `can.BusABC`.
        echoes: whether it was made with `receive_own_messages=True` and the interface does it.
            Then a frame counts as sent when it comes back; otherwise when python-can has taken it.
        can_fd: whether it takes CAN FD frames; None: as its `protocol` says.
    """

    def __init__(self, bus: Any, *, echoes: bool = False, can_fd: bool | None = None) -> None:
        try:
            self._can: Any = import_module("can")
        except ImportError as e:
            raise UnavailableError("python-can is not installed", remedy="pip install isotp[can]") from e
        if not isinstance(bus, self._can.BusABC):
            raise TypeError(f"bus must be a can.BusABC, not {bus!r}")
        self._bus = bus
        self.name = str(getattr(bus, "channel_info", "python-can"))
        self.echoes = echoes
        self.has_can_fd = "FD" in bus.protocol.name if can_fd is None else can_fd
        self._messages: deque[Any] = deque()
        self._error: Exception | None = None
        self._reader: threading.Thread | None = None
        self._wake: Callable[[], None] = lambda: None
        self._ending = threading.Event()

    def __repr__(self) -> str:
        return f"<isotp.PythonCanBus {self.name!r}>"

    def _read(self, ending: threading.Event, previous: threading.Thread | None) -> None:
        if previous is not None:  # two threads must not read one adapter
            previous.join()
        while not ending.is_set():
            try:
                message = self._bus.recv(_POLL_S)
            except self._can.CanOperationError as e:  # such as an overrun; the adapter may recover
                self._error = InterfaceError(f"{self.name}: {e}")
                self._error.__cause__ = e
                self._wake()
                ending.wait(_POLL_S)
            except Exception as e:
                self._error = e  # `receive` raises it
                self._wake()
                return
            else:
                if message is not None:
                    self._messages.append(message)
                    self._wake()

    # --- see `Bus`

    def open(self, wake: Callable[[], None]) -> None:
        """See `Bus`."""
        self._error = None
        self._ending = threading.Event()
        self._wake = wake
        self._reader = threading.Thread(
            target=self._read, args=(self._ending, self._reader), name=f"isotp reads {self.name}", daemon=True
        )
        self._reader.start()

    def close(self) -> None:
        """See `Bus`. The reading thread ends when python-can's `recv` returns."""
        self._ending.set()
        self._messages.clear()

    @property
    def is_closing(self) -> bool:
        """See `Bus`."""
        return self._ending.is_set() and self._reader is not None and self._reader.is_alive()

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
                # python-can has no one error for a full queue. Either is waited out: N_As ends it.
                return taken
        return len(frames)

    def receive(self) -> Received:
        """See `Bus`."""
        if not self._messages:
            error, self._error = self._error, None
            if error is not None:
                raise error
            return NOTHING
        received = Received([], [])
        while self._messages and len(received.frames) < _BATCH:
            message = self._messages.popleft()
            if message.is_error_frame or message.is_remote_frame:
                continue
            # Some interfaces call what other programs of this machine sent theirs as well: it is a frame all the same.
            is_echo = self.echoes and not message.is_rx
            can_id = message.arbitration_id | (CAN_EFF_FLAG if message.is_extended_id else 0)
            frame = CanFrame(can_id, bytes(message.data), message.is_fd, message.bitrate_switch)
            received.frames.append(frame)
            if is_echo:
                received.echoes.append(frame)
        if self._messages:
            self._wake()
        return received
