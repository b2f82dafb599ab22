"""CAN frames as they come, from an interface of Linux or an adapter of python-can; nothing is ever sent."""

import errno
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

from ...address import CAN_EFF_FLAG
from ...capture.recording import Frames
from ...errors import InterfaceDownError, InterfaceError, InterfaceNotFoundError, UnavailableError
from ...linux.interface import names, usable
from ..options.values import Where
from .buses import python_can_bus

# linux/can.h, linux/can/raw.h, asm-generic/socket.h
_AF_CAN: Final = 29
_CAN_RAW: Final = 1
_SOL_CAN_RAW: Final = 101
_CAN_RAW_FD_FRAMES: Final = 5
_SO_TIMESTAMPNS: Final = 35
_SO_RXQ_OVFL: Final = 40
_SO_RCVBUFFORCE: Final = 33
_RTR_OR_ERROR: Final = 0x60000000
_CANFD_MTU: Final = 72
_HEADER: Final = struct.Struct("=IB3x")
_TIMESPEC: Final = struct.Struct("=qq")
_ANCILLARY: Final = socket.CMSG_SPACE(_TIMESPEC.size) + socket.CMSG_SPACE(4) if hasattr(socket, "CMSG_SPACE") else 0
_RCVBUF: Final = 16_000_000  # the terminal may be slow
_BATCH: Final = 512
_IDLE_S: Final = 0.1
_REMOVAL_S: Final = 0.1  # an interface that is removed goes down first

ANY: Final = "any"


class Interface:
    """A CAN interface, or `any`.

    Args:
        name: the interface.

    Raises:
        UnavailableError: no SocketCAN here.
        InterfaceError: no such interface, not CAN, or down.
    """

    is_live: Final = True

    def __init__(self, name: str) -> None:
        self.name = name
        self.passed_over = 0
        """Frames that the kernel dropped because they were not read soon enough."""
        try:
            self._socket = raw = socket.socket(_AF_CAN, socket.SOCK_RAW, _CAN_RAW)
        except OSError as e:
            raise UnavailableError(
                f"this system has no raw CAN sockets: {e.strerror}",
                remedy="Linux: sudo modprobe can-raw; elsewhere --bus reaches CAN adapters; log files need neither",
            ) from e
        try:
            if name != ANY:
                usable(raw, name)
            raw.setblocking(False)
            raw.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FD_FRAMES, 1)
            raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            raw.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            try:
                raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RCVBUF)
            except PermissionError:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RCVBUF)
            raw.bind(("" if name == ANY else name,))
        except BaseException:
            raw.close()
            raise

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def progress(self) -> float | None:
        """None: there is no end."""
        return None

    def batches(self) -> Iterator[Frames]:
        """The frames as they come; an empty list when none came for a while.

        Raises:
            InterfaceError: it went down or away.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while True:
            poll.poll(_IDLE_S * 1000)
            frames: Frames = []
            try:
                while len(frames) < _BATCH:
                    self._read(frames)
            except BlockingIOError:
                yield frames
            except OSError as e:
                yield frames
                raise self._translated(e) from e
            else:
                yield frames

    def _read(self, frames: Frames) -> None:
        raw, ancillary, _, address = self._socket.recvmsg(_CANFD_MTU, _ANCILLARY)
        time_ns = 0
        for _, kind, value in ancillary:
            if kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                time_ns = seconds * 1_000_000_000 + nanoseconds
            elif kind == _SO_RXQ_OVFL:
                self.passed_over = int.from_bytes(value, "little")
        can_id, length = _HEADER.unpack_from(raw)
        if not can_id & _RTR_OR_ERROR:
            data = raw[_HEADER.size : _HEADER.size + length]
            frames.append((time_ns or time.time_ns(), address[0], can_id, data, len(raw) == _CANFD_MTU))

    def _translated(self, e: OSError) -> InterfaceError:
        if e.errno == errno.ENETDOWN:
            time.sleep(_REMOVAL_S)
            if self.name != ANY and self.name not in names():
                return InterfaceNotFoundError(f"{self.name} was removed")
            return InterfaceDownError(f"{self.name} went down", remedy=f"sudo ip link set {self.name} up")
        if e.errno in (errno.ENODEV, errno.ENXIO):
            return InterfaceNotFoundError(f"{self.name} was removed")
        return InterfaceError(f"{self.name}: {e.strerror}", errno=e.errno)


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
