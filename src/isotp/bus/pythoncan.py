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

_POLL_S: Final = 0.1  # the reading thread looks that often whether it has to end
_BATCH: Final = 256


class PythonCanBus(Bus):
    """A bus of python-can, for `SoftSocket`: `PythonCanBus(can.Bus(interface="pcan", channel="..."))`.

    python-can cannot wait for a frame and for anything else at the same time, so a thread of its own reads while
    sockets are bound. Do not read the bus elsewhere during that time. Its `shutdown` is yours to call.

    Args:
        bus: a `can.BusABC`.
        echoes: whether it was made with `receive_own_messages=True` and its interface supports that. Then a frame
            counts as sent when it is received again; otherwise when python-can has taken it.
        can_fd: whether it takes CAN FD frames; None: what its `protocol` says.

    Raises:
        UnavailableError: python-can is not installed.
        TypeError: `bus` is no `can.BusABC`.
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
        if previous is not None:  # only one thread may read an adapter
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
                # Interfaces raise either one for a full queue: the frame is offered again, until N_As is over.
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
            # Some interfaces set is_rx=False for frames of other programs, too: so each is received as well.
            is_echo = self.echoes and not message.is_rx
            can_id = message.arbitration_id | (CAN_EFF_FLAG if message.is_extended_id else 0)
            frame = CanFrame(can_id, bytes(message.data), message.is_fd, message.bitrate_switch)
            received.frames.append(frame)
            if is_echo:
                received.echoes.append(frame)
        if self._messages:
            self._wake()
        return received
