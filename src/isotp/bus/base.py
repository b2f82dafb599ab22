"""Bus: where the CAN frames of user-space sockets go, and how to write one of your own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from ..can_frame import CanFrame


class Received(NamedTuple):
    """What came since the last time, each list oldest first."""

    frames: list[CanFrame]
    """Every frame that a link of this bus may want, those we sent included if the bus echoes."""
    echoes: list[CanFrame]
    """Our own frames that are on the wire now."""
    echoed_ns: int | None = None
    """When the last of them was, in monotonic nanoseconds, if the bus knows better than "now"."""


NOTHING = Received([], [])


class Bus(ABC):
    """A CAN bus for user-space sockets. Derive from it to reach an adapter of your own.

    A bus never blocks and keeps no time limit of its own. It takes as many frames as it has room for; the library
    keeps the rest, offers it again, and gives up when N_As is over (ISO 15765-2:2016, 9.8.1). `open`, `close`, `send`,
    `receive`, `check`, `watch` and `get_timer` are called by one thread at a time.

    A bus whose driver has a file descriptor returns it from `fileno`; any other calls `wake` when frames have arrived:

        class MyBus(isotp.bus.Bus):
            name = "mine"

            def open(self, wake):
                self._frames = collections.deque()
                self._device = my_driver.open(on_frame=lambda f: (self._frames.append(f), wake()))

            def close(self):
                self._device.close()

            def send(self, frames):
                for taken, frame in enumerate(frames):
                    if not self._device.try_send(frame.can_id, frame.data):
                        return taken
                return len(frames)

            def receive(self):
                return isotp.bus.Received([self._frames.popleft() for _ in range(len(self._frames))], [])

    Methods raise `InterfaceError` for what a bus can recover from; `InterfaceNotFoundError` and any other exception end
    all its links.
    """

    name: str = "bus"
    """What errors and repr call it."""
    has_can_fd: bool = False
    """Whether it carries CAN FD frames; known once it is open."""
    echoes: bool = False
    """Whether `receive` gives our own frames back when they are on the wire; if not, a frame taken counts as sent."""
    window: int = 64
    """How many frames one link may have on their way at a time, so that links share the bus fairly."""

    driver: Any = None
    """What serves the sockets of this bus; the library's."""

    @property
    def is_closing(self) -> bool:
        """Whether something that `close` ended is still there, such as a thread."""
        return False

    @abstractmethod
    def open(self, wake: Callable[[], None]) -> None:
        """Get ready: the first socket is being bound.

        Args:
            wake: for a bus without file descriptor to call, from any thread, when frames have arrived.

        Raises:
            InterfaceError: there is no such bus, or it cannot be used.
        """

    @abstractmethod
    def close(self) -> None:
        """End: the last socket was closed. It may be opened again.

        It must not block. Where something takes time to end, `is_closing` is True meanwhile.
        """

    @abstractmethod
    def send(self, frames: Sequence[CanFrame]) -> int:
        """Take frames in order, as many as there is room for, and return how many."""

    @abstractmethod
    def receive(self) -> Received:
        """What has come; some hundred frames at most, so that nothing else waits long.

        If a bus without file descriptor keeps more back, it calls `wake` again.
        """

    def fileno(self) -> int:
        """The file descriptor that is readable when frames have arrived; -1 if the bus calls `wake`."""
        return -1

    def check(self) -> None:  # noqa: B027 - need not be overridden
        """Raise InterfaceError if frames cannot go now; called when a socket is bound."""

    def watch(self, can_ids: Collection[int]) -> None:  # noqa: B027
        """Only frames with these identifiers (CAN_EFF_FLAG set where they have 29 bits) are of interest now."""

    def get_timer(self) -> int | None:
        """When `receive` will have something by time alone, in monotonic nanoseconds; None: never."""
        return None

    def forked(self) -> None:
        """Forget, in a child process, what belongs to its parent."""
        self.close()
