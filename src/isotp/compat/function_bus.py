"""FunctionBus: a pair of functions, rxfn and txfn, as a `Bus`."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from ..bus.base import NOTHING, Bus, Received
from ..can_frame import CanFrame
from .can_message import CanMessage, to_frame

_BATCH: Final = 256


class FunctionBus(Bus):
    """A bus made of two functions. While it is open, a thread calls the first of them.

    Args:
        receive_message: takes a timeout in seconds and returns the next frame, or None.
        send_frame: sends a frame.
        timeout: seconds that `receive_message` may wait; a closed bus waits for it as long.
        rest: called when `receive_message` has returned None at once, so that its thread does not spin.
    """

    name = "rxfn and txfn"
    has_can_fd = True

    def __init__(
        self,
        receive_message: Callable[[float], CanMessage | None],
        send_frame: Callable[[CanFrame], object],
        timeout: float,
        rest: Callable[[], object],
    ) -> None:
        self._receive_message = receive_message
        self._send_frame = send_frame
        self._timeout = timeout
        self._rest = rest
        self._frames: deque[CanFrame] = deque()
        self._error: Exception | None = None
        self._is_open = False
        self._wake: Callable[[], object] = bool
        self._reader: threading.Thread | None = None

    def _read(self) -> None:
        while self._is_open:
            began = time.monotonic()
            try:
                message = self._receive_message(self._timeout)
                while message is not None and len(self._frames) < _BATCH:  # those that have arrived together
                    self._frames.append(to_frame(message))
                    message = self._receive_message(0.0)
            except Exception as e:
                self._error = e  # `receive` raises it
                self._wake()
                return
            if self._frames:
                self._wake()
            elif time.monotonic() - began < self._timeout / 2:
                self._rest()

    def open(self, wake: Callable[[], None]) -> None:
        """See `Bus`."""
        self._wake = wake
        self._is_open = True
        self._reader = threading.Thread(target=self._read, name="isotp calls rxfn", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """See `Bus`."""
        self._is_open = False

    @property
    def is_closing(self) -> bool:
        """See `Bus`."""
        return not self._is_open and self._reader is not None and self._reader.is_alive()

    def send(self, frames: Sequence[CanFrame]) -> int:
        """See `Bus`."""
        for frame in frames:
            self._send_frame(frame)
        return len(frames)

    def receive(self) -> Received:
        """See `Bus`."""
        frames = [self._frames.popleft() for _ in range(min(len(self._frames), _BATCH))]
        if not frames and self._error is not None:
            raise self._error
        if self._frames:
            self._wake()
        return Received(frames, []) if frames else NOTHING
