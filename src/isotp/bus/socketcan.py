"""SocketCanBus: a raw CAN socket of Linux."""

import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from ..can_frame import CanFrame
from ..errors import InterfaceError
from ..linux.raw_can import RawCanSocket
from .base import Bus, Received

_OLDEST_NS: Final = 1_000_000_000


class SocketCanBus(Bus):
    """A CAN interface of Linux, for `SoftSocket`: `SocketCanBus("can0")`.

    One raw socket serves all links. The kernel filters by the identifiers in use (up to 512; with more it passes all
    frames) and passes no error frames. A frame counts as sent when its echo arrives: when the controller has sent it.
    While the transmit queue is full, frames wait, for N_As at most.

    Args:
        interface: name of a CAN interface that is up.
    """

    echoes = True
    window = 64

    def __init__(self, interface: str) -> None:
        if not isinstance(interface, str):
            raise TypeError(f"interface must be the name of a CAN interface, not {interface!r}")
        self.name = interface
        self._raw: RawCanSocket | None = None
        self._watched: frozenset[int] | None = frozenset()

    def __repr__(self) -> str:
        return f"<isotp.SocketCanBus {self.name!r}>"

    # --- see `Bus`

    def open(self, wake: Callable[[], None]) -> None:
        """See `Bus`.

        Raises:
            UnavailableError: this system has no raw CAN sockets.
            InterfaceError: no such interface, not CAN, or down.
        """
        self._raw = RawCanSocket(self.name, can_ids=(), own_frames=True)
        self._watched = frozenset()
        self.has_can_fd = self._raw.has_can_fd

    def close(self) -> None:
        """See `Bus`."""
        raw, self._raw = self._raw, None
        if raw is not None:
            raw.close()

    def _open_raw(self) -> RawCanSocket:
        if self._raw is None:
            raise InterfaceError(f"{self.name} is not open")
        return self._raw

    def fileno(self) -> int:
        """See `Bus`."""
        return self._open_raw().fileno()

    def check(self) -> None:
        """See `Bus`."""
        self._open_raw().check()

    def watch(self, can_ids: Collection[int] | None) -> None:
        """See `Bus`. These are the identifiers of both directions: the echo of our own frames has to pass as well."""
        wanted = None if can_ids is None else frozenset(can_ids)
        if wanted != self._watched:
            self._open_raw().receive_only(wanted)
            self._watched = wanted

    def send(self, frames: Sequence[CanFrame]) -> int:
        """See `Bus`."""
        return self._open_raw().send(frames)

    def receive(self) -> Received:
        """See `Bus`."""
        raw = self._open_raw()
        frames, echoes, echoed_ns = raw.receive_own()
        return Received(frames, echoes, None if echoed_ns is None else _monotonic(echoed_ns), raw.time_ns)


def _monotonic(timestamp_ns: int) -> int | None:
    """A time stamp of the kernel (wall clock) in monotonic nanoseconds; None if the wall clock was set meanwhile."""
    age_ns = time.time_ns() - timestamp_ns
    return time.monotonic_ns() - age_ns if 0 <= age_ns <= _OLDEST_NS else None
