"""CAN frames as they come, from an interface of Linux or an adapter of python-can; nothing is ever sent."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

from ...address import CAN_EFF_FLAG
from ...capture.frames import Frames
from ...errors import InterfaceDownError, InterfaceError, InterfaceNotFoundError
from ...linux.raw_can import RawCanSocket
from ..options.values import Where
from .buses import python_can_bus

_RCVBUF: Final = 16_000_000  # the terminal may be slow
_BATCH: Final = 512
_IDLE_S: Final = 0.1


class Interface:
    """A CAN interface, or ANY.

    Args:
        name: the interface.

    Raises:
        UnavailableError: no SocketCAN here.
        InterfaceError: no such interface, not CAN, or down.
    """

    is_live: Final = True

    def __init__(self, name: str) -> None:
        self.name = name
        self._raw = RawCanSocket(name, rcvbuf=_RCVBUF)

    @property
    def passed_over(self) -> int:
        """Frames that the kernel dropped because they were not read soon enough."""
        return self._raw.dropped

    def close(self) -> None:
        """Close the socket."""
        self._raw.close()

    def progress(self) -> float | None:
        """None: there is no end."""
        return None

    def batches(self) -> Iterator[Frames]:
        """The frames as they come; an empty list when none came for a while.

        Raises:
            InterfaceError: it went down or away.
        """
        raw = self._raw
        try:
            while True:
                raw.wait(_IDLE_S)
                yield [
                    (timestamp_ns, interface, frame.can_id, frame.data, frame.is_fd)
                    for frame, timestamp_ns, interface, _ in raw.receive(_BATCH)
                ]
        except InterfaceNotFoundError as e:
            raise InterfaceNotFoundError(f"{self.name} was removed") from e
        except InterfaceDownError as e:
            raise InterfaceDownError(f"{self.name} went down", remedy=e.remedy) from e


class Adapter:
    """A bus of python-can.

    Args:
        where: which one.
        bitrate: bit/s, if it has to be set.
        can_fd: whether to open it for CAN FD.

    Raises:
        InterfaceError: it cannot be opened.
        UnavailableError: python-can is not installed.
    """

    is_live: Final = True

    def __init__(self, where: Where, bitrate: int | None, can_fd: bool) -> None:
        self.name = str(where)
        self.passed_over = 0
        self._stack = ExitStack()
        self._bus: Any = python_can_bus(self._stack, where, bitrate, can_fd)

    def close(self) -> None:
        """Shut it down."""
        self._stack.close()

    def progress(self) -> float | None:
        """None: there is no end."""
        return None

    def batches(self) -> Iterator[Frames]:
        """See `Interface.batches`."""
        import can

        while True:
            frames: Frames = []
            try:
                message = self._bus.recv(_IDLE_S)
                while message is not None and len(frames) < _BATCH:
                    if not (message.is_error_frame or message.is_remote_frame):
                        can_id = message.arbitration_id | (CAN_EFF_FLAG if message.is_extended_id else 0)
                        time_ns = round(message.timestamp * 1e6) * 1000
                        frames.append((time_ns, self.name, can_id, bytes(message.data), message.is_fd))
                    message = self._bus.recv(0)
            except (can.CanError, OSError) as e:
                yield frames
                raise InterfaceError(f"{self.name}: {' '.join(str(e).split()) or type(e).__name__}") from e
            yield frames
