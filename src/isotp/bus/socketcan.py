"""SocketCanBus: a raw CAN socket of Linux."""

import errno
import socket
import struct
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..can_frame import CanFrame
from ..errors import InterfaceDownError, InterfaceError, InterfaceNotFoundError, UnavailableError
from ..linux.interface import usable
from .base import Bus, Received

# linux/can.h, linux/can/raw.h, linux/socket.h, asm-generic/socket.h: by number, to import where Python has no names
_AF_CAN: Final = 29
_CAN_RAW: Final = 1
_SOL_CAN_RAW: Final = 101
_CAN_RAW_FILTER: Final = 1
_CAN_RAW_RECV_OWN_MSGS: Final = 4
_CAN_RAW_FD_FRAMES: Final = 5
_CAN_RAW_FILTER_MAX: Final = 512
_CAN_RTR_FLAG: Final = 0x40000000
_CAN_ERR_FLAG: Final = 0x20000000
_CANFD_BRS: Final = 0x01
_CANFD_MTU: Final = 72
_MSG_CONFIRM: Final = 0x800
_SO_RCVBUFFORCE: Final = 33
_SO_TIMESTAMPNS: Final = 35

_CLASSICAL: Final = struct.Struct("=IBB2x8s")
_FD: Final = struct.Struct("=IBB2x64s")
_HEADER: Final = struct.Struct("=IBB2x")
_FILTER: Final = struct.Struct("=II")
_HEADER_SIZE: Final = 8
_TIMESPEC: Final = struct.Struct("@ll")
_CONTROL_SIZE: Final = 64
_OLDEST_NS: Final = 1_000_000_000
_RCVBUF: Final = 4_000_000  # a peer without STmin sends a whole message faster than Python reads it
_BATCH: Final = 256
_FULL: Final = (errno.ENOBUFS, errno.EAGAIN)


class SocketCanBus(Bus):
    """A CAN interface of Linux, for `SoftSocket`: `SocketCanBus("can0")`.

    One raw socket serves all links. The kernel filters for the identifiers in use (up to 512 of them; beyond
    that it passes everything) and never passes error frames. A frame counts as sent when its echo comes back:
    when the controller has had it on the wire. A full transmit queue is waited out within N_As.

    Args:
        interface: name of a CAN interface that is up.
    """

    echoes = True
    window = 16

    def __init__(self, interface: str) -> None:
        if not isinstance(interface, str):
            raise TypeError(f"interface must be the name of a CAN interface, not {interface!r}")
        self.name = interface
        self._socket: socket.socket | None = None
        self._failure: InterfaceError | None = None
        self._watched: frozenset[int] = frozenset()

    def __repr__(self) -> str:
        return f"<isotp.SocketCanBus {self.name!r}>"

    # --- see `Bus`

    def open(self, wake: Callable[[], None]) -> None:
        """See `Bus`.

        Raises:
            UnavailableError: no SocketCAN here.
            InterfaceError: no such interface, not CAN, or down.
        """
        try:
            raw = socket.socket(_AF_CAN, socket.SOCK_RAW, _CAN_RAW)
        except OSError as e:
            raise UnavailableError(
                f"this system has no raw CAN sockets: {e.strerror}",
                remedy="Linux: sudo modprobe can-raw; elsewhere python-can reaches CAN adapters (PythonCanBus)",
            ) from e
        try:
            self.has_can_fd = usable(raw, self.name).has_can_fd
            raw.setblocking(False)
            raw.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FILTER, b"")  # nothing, until `watch`
            raw.setsockopt(_SOL_CAN_RAW, _CAN_RAW_RECV_OWN_MSGS, 1)
            raw.setsockopt(_SOL_CAN_RAW, _CAN_RAW_FD_FRAMES, 1)
            raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            try:
                raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RCVBUF)
            except PermissionError:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RCVBUF)
            raw.bind((self.name,))
        except BaseException:
            raw.close()
            raise
        self._socket, self._failure, self._watched = raw, None, frozenset()

    def close(self) -> None:
        """See `Bus`."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def fileno(self) -> int:
        """See `Bus`."""
        return self._open_socket().fileno()

    def _open_socket(self) -> socket.socket:
        if self._socket is None:
            raise InterfaceError(f"{self.name} is not open")
        return self._socket

    def check(self) -> None:
        """See `Bus`."""
        usable(self._open_socket(), self.name)

    def watch(self, can_ids: Collection[int]) -> None:
        """See `Bus`."""
        wanted = frozenset(can_ids)
        # The echo of our own frames has to pass as well, so these are the identifiers of both directions.
        filters = b"".join(map(_filter, wanted)) if len(wanted) <= _CAN_RAW_FILTER_MAX else _FILTER.pack(0, 0)
        if wanted != self._watched:
            self._open_socket().setsockopt(_SOL_CAN_RAW, _CAN_RAW_FILTER, filters)
            self._watched = wanted

    def send(self, frames: Sequence[CanFrame]) -> int:
        """See `Bus`."""
        send = self._open_socket().send
        for taken, (can_id, data, is_fd, bitrate_switch) in enumerate(frames):
            try:
                if is_fd:
                    send(_FD.pack(can_id, len(data), _CANFD_BRS if bitrate_switch else 0, data))
                else:
                    send(_CLASSICAL.pack(can_id, len(data), 0, data))
            except OSError as e:
                # ENOBUFS: the queue of the interface is full; EAGAIN: the share of this socket in it is.
                if e.errno in _FULL:
                    return taken
                raise self._translated(e) from e
        return len(frames)

    def receive(self) -> Received:
        """See `Bus`."""
        received = Received([], [])
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        recvmsg, unpack = self._open_socket().recvmsg, _HEADER.unpack_from
        stamp: list[tuple[int, int, bytes]] = []
        for _ in range(_BATCH):
            try:
                raw, ancillary, flags, _ = recvmsg(_CANFD_MTU, _CONTROL_SIZE)
            except BlockingIOError:
                break
            except OSError as e:
                if not received.frames:
                    raise self._translated(e) from e
                self._failure = self._translated(e)  # after what came before it
                break
            can_id, length, fd_flags = unpack(raw)
            if can_id & (_CAN_RTR_FLAG | _CAN_ERR_FLAG):
                continue
            is_fd = len(raw) == _CANFD_MTU
            data = raw[_HEADER_SIZE : _HEADER_SIZE + length]
            frame = CanFrame(can_id, data, is_fd, is_fd and bool(fd_flags & _CANFD_BRS))
            received.frames.append(frame)
            if flags & _MSG_CONFIRM:
                received.echoes.append(frame)
                stamp = ancillary
        return received._replace(echoed_ns=_monotonic(stamp)) if stamp else received

    def _translated(self, e: OSError) -> InterfaceError:
        if e.errno == errno.ENETDOWN:
            return InterfaceDownError(f"{self.name} is down", remedy=f"sudo ip link set {self.name} up")
        if e.errno in (errno.ENODEV, errno.ENXIO):
            return InterfaceNotFoundError(
                f"{self.name} was removed", remedy="close all sockets of this bus, bind new ones"
            )
        return InterfaceError(f"{self.name}: {e.strerror}", errno=e.errno)


def _monotonic(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """When the kernel had a frame: its stamp, which is of the wall clock, on the monotonic one."""
    for level, kind, packed in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(packed)
            age_ns: int = time.time_ns() - (seconds * 1_000_000_000 + nanoseconds)
            if 0 <= age_ns <= _OLDEST_NS:  # else the wall clock was set meanwhile
                return time.monotonic_ns() - age_ns
    return None


def _filter(can_id: int) -> bytes:
    """A filter for data frames with just this identifier, of this width."""
    mask = CAN_EFF_MASK if can_id & CAN_EFF_FLAG else CAN_SFF_MASK
    return _FILTER.pack(can_id, mask | CAN_EFF_FLAG | _CAN_RTR_FLAG)
