"""Bus: what sends and receives the CAN frames of user-space sockets, and how to write one."""

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from ..can_frame import CanFrame

# On Windows before Python 3.13 time.monotonic counts in ticks of 16 ms: an STmin of 10 ms might end after nothing.
monotonic_ns = time.perf_counter_ns if sys.platform == "win32" else time.monotonic_ns


class Received(NamedTuple):
    """What has arrived since the last call, each list oldest first."""

    frames: list[CanFrame]
    """Every frame that a link of this bus may want; if the bus echoes, the frames it sent itself are among them."""
    echoes: list[CanFrame]
    """The frames that this bus sent and that are on the wire now."""
    echoed_ns: int | None = None
    """When the last of the echoes was on the wire, in monotonic nanoseconds; None: now."""
    time_ns: Callable[[int], int] | None = None
    """When a frame arrived, by its index in `frames`: nanoseconds since the epoch, as time.time_ns(); None: now. It is
    called before the next `receive`, for frames that begin and end messages. With a list: `times.__getitem__`."""


NOTHING = Received([], [])


class Bus(ABC):
    """A CAN bus for user-space sockets. Derive from it to use an adapter of your own.

    A bus never blocks and has no time limits. It takes as many frames as it has room for; the library keeps the rest,
    offers it again, and gives up when N_As is over (ISO 15765-2:2016, 9.8.1). One thread at a time calls `open`,
    `close`, `send`, `receive`, `check`, `watch` and `get_timer`.

    A bus with a file descriptor returns it from `fileno`. A bus without one calls `wake` when frames have arrived:

        class MyBus(isotp.bus.Bus):
            name = "mine"

            def open(self, wake):
                self._wake = wake
                self._frames = collections.deque()
                self._device = my_driver.open(on_frame=self._on_frame)

            def close(self):
                self._device.close()

            def send(self, frames):
                for taken, frame in enumerate(frames):
                    if not self._device.try_send(frame.can_id, frame.data):
                        return taken
                return len(frames)

            def receive(self):
                frames = [self._frames.popleft() for _ in range(len(self._frames))]
                return isotp.bus.Received(frames, [])

            def _on_frame(self, can_id, data):  # in any thread
                self._frames.append(isotp.bus.CanFrame(can_id, data))
                self._wake()

    Methods raise `InterfaceError` for a failure after which the bus can be used again. `InterfaceNotFoundError` and any
    other exception end all links of the bus.
    """

    name: str = "bus"
    """Its name in errors and in repr."""
    has_can_fd: bool = False
    """Whether it carries CAN FD frames; known once it is open."""
    echoes: bool = False
    """Whether `receive` returns the frames that `send` took once they are on the wire. If not, a frame counts as sent
    when `send` takes it."""
    window: int = 64
    """How many frames of one link may be taken and not echoed at a time, so that links share the bus fairly."""

    clock: Callable[[], int] = staticmethod(monotonic_ns)
    """Returns the time in nanoseconds, that of `echoed_ns` and `get_timer`; a bus in simulated time has another one."""

    driver: Any = None
    """What serves the links of this bus; only the library uses it."""

    @property
    def is_closing(self) -> bool:
        """Whether something of a closed bus still runs, such as a thread.

        Sockets wait for that when they close, a second at most, and warn if it still runs then.
        """
        return False

    @abstractmethod
    def open(self, wake: Callable[[], None]) -> None:
        """Open the bus: its first socket is being bound.

        Args:
            wake: a bus without a file descriptor calls it, from any thread, when frames have arrived.

        Raises:
            InterfaceError: there is no such bus, or it cannot be used.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the bus: its last socket was closed. It may be opened again.

        It must not block. If something of it takes time to end, `is_closing` is True until then.
        """

    @abstractmethod
    def send(self, frames: Sequence[CanFrame]) -> int:
        """Send frames in order, as many as there is room for, and return how many were taken."""

    @abstractmethod
    def receive(self) -> Received:
        """Return what has arrived: some hundred frames at most, so that no other work waits long.

        A bus without file descriptor that keeps more back calls `wake` again.
        """

    def fileno(self) -> int:
        """The file descriptor that is readable when frames have arrived; -1 if the bus calls `wake`."""
        return -1

    def check(self) -> None:  # noqa: B027 - need not be overridden
        """Raise InterfaceError if frames cannot be sent now; called when a socket is bound."""

    def watch(self, can_ids: Collection[int] | None) -> None:  # noqa: B027
        """From now on only frames with these identifiers are needed (CAN_EFF_FLAG: 29 bits); others may be left out.

        None: all are needed.
        """

    def get_timer(self) -> int | None:
        """When `receive` is to be called though no frame arrives, in monotonic nanoseconds; None: never."""
        return None

    def forked(self) -> None:
        """Called in a child process after a fork: let go of what belongs to the parent, without ending it there."""
        self.close()
