"""Timer and FiniteByteGenerator, the helpers of can-isotp 2."""

import time
from collections.abc import Callable, Iterator
from itertools import islice

from ..engine.n_pdu import FF_DL_MAX
from ..engine.sender import Source
from ..errors import BadGeneratorError


class FiniteByteGenerator(Source):
    """A message whose bytes a generator makes while it is sent.

    Args:
        gen: yields its bytes, 0 to 255 each; more than `size` are not asked for.
        size: how many bytes the message has.

    Raises:
        ValueError: it is not that.
    """

    def __init__(self, gen: Iterator[int], size: int) -> None:
        if not isinstance(gen, Iterator) or not isinstance(size, int) or not 0 <= size <= FF_DL_MAX:
            raise ValueError(f"({gen!r}, {size!r}): allowed is a generator and how many bytes it yields, up to 2**32-1")
        self._generator = gen
        self._size = size
        self._remaining = size
        self._has_ended = False

    def total_length(self) -> int:
        """How many bytes it yields in all."""
        return self._size

    def remaining_size(self) -> int:
        """How many bytes were not consumed yet."""
        return self._remaining

    def depleted(self) -> bool:
        """Whether no byte is left."""
        return self._remaining == 0 or self._has_ended

    def consume(self, size: int, enforce_exact: bool = True) -> bytearray:
        """The next `size` bytes.

        Raises:
            BadGeneratorError: they are more than the length that was given; or, with `enforce_exact`, the generator has
                ended before.
            ValueError, TypeError: the generator yields what is no byte.
        """
        if size > self._remaining:
            raise BadGeneratorError(f"{size} bytes were asked for, and {self._remaining} of {self._size} are left")
        data = bytearray(islice(self._generator, size))
        self._remaining -= len(data)
        self._has_ended = len(data) < size
        if self._has_ended and enforce_exact:
            done = self._size - self._remaining
            raise BadGeneratorError(f"the generator ended after {done} of {self._size} bytes")
        return data

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """The next part of the message.

        Raises:
            BadGeneratorError: the generator has ended before, or yields what is no byte.
        """
        begin, end, _ = part.indices(self._size)
        try:
            return bytes(self.consume(end - begin))
        except (TypeError, ValueError) as e:
            raise BadGeneratorError(f"the generator yields what is no byte: {e}") from e


class Timer:
    """Measures whether a time has passed since `start`.

    Args:
        timeout: seconds.
        clock: returns monotonic nanoseconds.
    """

    def __init__(self, timeout: float, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._began_ns: int | None = None
        self.set_timeout(timeout)

    def set_timeout(self, timeout: float) -> None:
        """Set the time, in seconds."""
        self._timeout_ns = int(timeout * 1e9)

    def start(self, timeout: float | None = None) -> None:
        """Begin to measure; `timeout`: another time, in seconds."""
        if timeout is not None:
            self.set_timeout(timeout)
        self._began_ns = self._clock()

    def stop(self) -> None:
        """Measure no longer."""
        self._began_ns = None

    def is_stopped(self) -> bool:
        """Whether it does not measure."""
        return self._began_ns is None

    def elapsed_ns(self) -> int:
        """Nanoseconds since `start`; 0 if it does not measure."""
        return 0 if self._began_ns is None else self._clock() - self._began_ns

    def elapsed(self) -> float:
        """Seconds since `start`; 0 if it does not measure."""
        return self.elapsed_ns() / 1e9

    def remaining_ns(self) -> int:
        """Nanoseconds until the time has passed; 0 if it has, or if it does not measure."""
        return 0 if self.is_stopped() else max(0, self._timeout_ns - self.elapsed_ns())

    def remaining(self) -> float:
        """Seconds until the time has passed; 0 if it has, or if it does not measure."""
        return self.remaining_ns() / 1e9

    def is_timed_out(self) -> bool:
        """Whether it measures, and the time has passed."""
        return not self.is_stopped() and self.remaining_ns() == 0
