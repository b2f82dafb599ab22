"""RateLimiter: at most so many bits in any window of time."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

_UNLIMITED: Final = 0xFFFFFFFF


class RateLimiter:
    """Limits the bytes sent within a sliding window; a new one is disabled.

    Args:
        mean_bitrate: bits per second.
        window_size_sec: length of the window in seconds.
        clock: returns monotonic nanoseconds.
    """

    def __init__(
        self,
        mean_bitrate: float = 10_000_000,
        window_size_sec: float = 0.1,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.enabled = False
        self._mean_bitrate = mean_bitrate
        self._window_s = window_size_sec
        self._clock = clock
        self._sent: deque[tuple[int, int]] = deque()  # when, and how many bytes
        self._bytes_in_window = 0

    def can_be_enabled(self, frame_length: int = 0) -> bool:
        """Whether the limit is above 0, and a frame of `frame_length` bytes is below it."""
        numbers: tuple[Any, Any] = (self._mean_bitrate, self._window_s)
        if not all(isinstance(number, (int, float)) and number > 0 for number in numbers):
            return False
        return self._bytes_a_window >= frame_length

    @property
    def _bytes_a_window(self) -> int:
        return int(self._mean_bitrate * self._window_s / 8)

    def set_bitrate(self, mean_bitrate: float) -> None:
        """Set the bits per second."""
        self._mean_bitrate = mean_bitrate

    def enable(self) -> None:
        """Begin to limit, if `can_be_enabled`."""
        self.enabled = self.can_be_enabled()

    def disable(self) -> None:
        """Limit no longer."""
        self.enabled = False
        self.reset()

    def reset(self) -> None:
        """Forget what was sent."""
        self._sent.clear()
        self._bytes_in_window = 0

    def update(self) -> None:
        """Forget what was sent before the window that ends now."""
        begin_ns = self._clock() - int(self._window_s * 1e9)
        while self._sent and self._sent[0][0] <= begin_ns:
            self._bytes_in_window -= self._sent.popleft()[1]

    def allowed_bytes(self) -> int:
        """How many bytes may be sent now; call `update` before."""
        if not self.enabled:
            return _UNLIMITED
        return max(0, self._bytes_a_window - self._bytes_in_window)

    def inform_byte_sent(self, datalen: int) -> None:
        """Say that `datalen` bytes were sent."""
        if self.enabled:
            self._sent.append((self._clock(), datalen))
            self._bytes_in_window += datalen

    def next_ns(self) -> int | None:
        """When more bytes will be allowed, on the clock; None: nothing was sent."""
        return self._sent[0][0] + int(self._window_s * 1e9) if self._sent else None
