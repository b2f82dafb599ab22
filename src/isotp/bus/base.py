"""What every bus is: it takes CAN frames, gives those that arrived, and says which of ours were on the wire.

A bus never blocks and keeps no time limit of its own. It takes as many frames as it has room for right now; who
sends keeps the rest, offers it again, and gives up when N_As is over (ISO 15765-2:2016, 9.8.1). Nothing is lost
for want of room, and nothing waits longer than the standard allows.

One driver has a bus at a time (`isotp.soft.reactor`). It calls `send`, `receive`, `watch` and `get_timer` one
after the other, never from two threads at once.
"""

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple, Protocol

from ..can_frame import CanFrame


class Received(NamedTuple):
    """What came since the last time, each list oldest first."""

    frames: list[CanFrame]
    """Every frame that other links of this bus may want, those we sent included if the bus echoes."""
    echoes: list[CanFrame]
    """Our own frames that are on the wire now."""
    echoed_ns: int | None = None
    """When the last of them was, in monotonic nanoseconds, if the bus knows better than "now"."""


NOTHING = Received([], [])


class Bus(Protocol):
    """A CAN bus for user-space sockets.

    Methods raise `InterfaceError` for what a bus can recover from; whatever else they raise ends all its links.
    """

    @property
    def name(self) -> str:
        """What errors and repr call it."""

    @property
    def has_can_fd(self) -> bool:
        """Whether it carries CAN FD frames; known once it is open."""

    @property
    def echoes(self) -> bool:
        """Whether `receive` tells of our own frames; if not, a frame that was taken counts as sent."""

    @property
    def window(self) -> int:
        """How many frames one link may have on their way at a time, so that links share the bus fairly."""

    def open(self, wake: Callable[[], None]) -> None:
        """Get ready; the first socket is being bound.

        Args:
            wake: for a bus without file descriptor to call, from any thread, when frames have arrived.

        Raises:
            InterfaceError: there is no such bus, or it cannot be used.
        """

    def close(self) -> None:
        """The last socket was closed. It may be opened again."""

    def fileno(self) -> int:
        """The file descriptor that is readable when frames have arrived; -1 if `wake` tells instead."""

    def check(self) -> None:
        """Raise InterfaceError if frames cannot go now; asked when a socket is bound."""

    def watch(self, can_ids: Collection[int]) -> None:
        """Only frames with these identifiers (CAN_EFF_FLAG set where they have 29 bits) are of interest now."""

    def send(self, frames: Sequence[CanFrame]) -> int:
        """Take frames in order, as many as there is room for, and return how many."""

    def receive(self) -> Received:
        """What has come; at most a batch of it, so that nothing else waits long."""

    def get_timer(self) -> int | None:
        """When `receive` will have something by time alone, in monotonic nanoseconds; None: never."""
