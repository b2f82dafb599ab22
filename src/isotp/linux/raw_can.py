"""RawCanSocket: the one raw CAN socket of this library (linux/can/raw.h), which never blocks.

    with RawCanSocket("can0") as raw:            # or ANY: all CAN interfaces
        raw.send([CanFrame(0x123, b"abc")])      # how many of them the kernel took
        while raw.wait(1.0):                     # seconds; False: nothing arrived
            for frame, timestamp_ns, interface, is_own in raw.receive():
                print(timestamp_ns, interface, frame.can_id, frame.data)

A bus for `SoftSocket` watches `fileno()` itself, and uses `own_frames=True`: the echo of a frame (`is_own`) means that
the controller has sent it. `receive()` returns [] if there is nothing, and at most a batch. `dropped` counts the frames
that the kernel had no room for.
"""

import errno
import math
import select
import socket
import struct
import sys
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby, repeat
from operator import itemgetter
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK
from ..can_frame import CanFrame
from ..errors import (
    ENETDOWN,
    ENOBUFS,
    InterfaceDownError,
    InterfaceError,
    InterfaceNotFoundError,
    IsoTpError,
    SocketClosedError,
    UnavailableError,
)
from .constants import (
    AF_CAN,
    CAN_FILTER,
    CAN_FRAME,
    CAN_MTU,
    CAN_RAW,
    CAN_RAW_FD_FRAMES,
    CAN_RAW_FILTER,
    CAN_RAW_FILTER_MAX,
    CAN_RAW_RECV_OWN_MSGS,
    CAN_RTR_FLAG,
    CANFD_BRS,
    CANFD_FRAME,
    CANFD_MTU,
    CONTROL_SIZE,
    MSG_CONFIRM,
    SO_RXQ_OVFL,
    SO_TIMESTAMPNS,
    SOCKADDR_CAN,
    SOL_CAN_RAW,
    timestamp_and_drops,
)
from .interface import is_removed, usable
from .native import count_drops, set_receive_buffer

if TYPE_CHECKING:
    from .batches import Outlet

ANY: Final = "any"

_BATCH: Final = 64  # frames in one system call
_IS_FD: Final = itemgetter(2)
_CLASSICAL: Final = struct.Struct("=IB3x8s56x")  # a frame of Classical CAN in the room of one of CAN FD

_FULL: Final = (ENOBUFS, errno.EAGAIN)  # the interface's transmit queue; this socket's share of it


class ReceivedFrame(NamedTuple):
    """A CAN frame and what the kernel says about it."""

    frame: CanFrame
    timestamp_ns: int
    """When the kernel received it: nanoseconds since the epoch, as time.time_ns()."""
    interface: str
    is_own: bool
    """Whether this socket sent it; it is on the bus now."""


class RawCanSocket:
    """Sends and receives data frames of Classical CAN and CAN FD; remote and error frames are left out.

    It is for one thread at a time.

    Args:
        interface: name of a CAN interface that is up, or ANY.
        can_ids: the identifiers to receive, see `receive_only`; None: all.
        own_frames: whether to receive the frames that this socket sends.
        rcvbuf: bytes the kernel may hold for frames not yet read, of which each takes about 900.

    Raises:
        UnavailableError: this system has no raw CAN sockets.
        InterfaceError: no such interface, not CAN, or down.
    """

    def __init__(
        self,
        interface: str,
        *,
        can_ids: Collection[int] | None = None,
        own_frames: bool = False,
        rcvbuf: int = 4_000_000,
    ) -> None:
        from .batches import Inlet  # ctypes takes milliseconds, and does not load on every platform

        self.interface = interface
        self.has_can_fd = True
        """Whether the interface carries CAN FD frames; with ANY each its own."""
        self._outlets: dict[bool, Outlet] = {}  # for CAN FD, and for Classical CAN; many of these sockets never send
        self.dropped = 0
        """How many frames the kernel had dropped on this socket before the one received last."""
        try:
            self._socket = raw = socket.socket(AF_CAN, socket.SOCK_RAW, CAN_RAW)
        except OSError as e:
            raise _unavailable(e) from e
        try:
            if interface != ANY:
                self.has_can_fd = usable(raw, interface).has_can_fd
            raw.setblocking(False)
            self.receive_only(can_ids)
            raw.setsockopt(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, own_frames)
            raw.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1)
            raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            raw.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            set_receive_buffer(raw, rcvbuf)
            raw.bind(("" if interface == ANY else interface,))
            self._inlet = Inlet(raw, _BATCH, CANFD_MTU, CONTROL_SIZE, SOCKADDR_CAN.size if interface == ANY else 0)
        except BaseException:
            raw.close()
            raise

    def receive_only(self, can_ids: Collection[int] | None) -> None:
        """Let the kernel pass data frames with these identifiers only (CAN_EFF_FLAG: 29 bits); None: all.

        The kernel takes 512 of them; with more it passes all frames. The echo of own frames has to pass as well.
        """
        if can_ids is None or len(can_ids) > CAN_RAW_FILTER_MAX:
            filters = CAN_FILTER.pack(0, CAN_RTR_FLAG)
        else:
            filters = b"".join(map(_filter, can_ids))
        self._socket.setsockopt(SOL_CAN_RAW, CAN_RAW_FILTER, filters)

    def send(self, frames: Sequence[CanFrame]) -> int:
        """Send frames in order until the transmit queue is full; returns how many were taken.

        Raises:
            InterfaceError: the interface is down, gone, or does not take such a frame.
        """
        taken = 0
        for is_fd, run in groupby(frames, _IS_FD):
            outlet = self._outlets.get(is_fd) or self._new_outlet(is_fd)
            packed = _pack(run, is_fd)
            try:
                while packed:
                    count = outlet.send(packed)
                    taken += count
                    packed = packed[count * outlet.size :]
            except OSError as e:
                if e.errno in _FULL:
                    return taken
                raise self._error(e) from e
        return taken

    def _new_outlet(self, is_fd: bool) -> "Outlet":
        from .batches import Outlet

        outlet = self._outlets[is_fd] = Outlet(self._socket, _BATCH, CANFD_MTU if is_fd else CAN_MTU)
        return outlet

    def receive(self, limit: int = _BATCH) -> list[ReceivedFrame]:
        """The frames that have arrived, oldest first, at most `limit`; [] if there are none.

        Raises:
            InterfaceError: the interface went down or away; the frames before that were returned.
        """
        return [
            ReceivedFrame(frame, self.time_ns(index), self._interface(index), bool(flags & MSG_CONFIRM))
            for index, (frame, flags) in enumerate(zip(*self._take(limit), strict=True))
        ]

    def receive_own(self) -> tuple[list[CanFrame], list[CanFrame], int | None]:
        """The frames that have arrived, those of them that this socket sent, and when the last of these was sent.

        The time is that of the kernel, see `ReceivedFrame`. Raises as `receive`.
        """
        frames, flags = self._take(_BATCH)
        are_own = {kind: bool(kind & MSG_CONFIRM) for kind in set(flags)}
        if not any(are_own.values()):
            return frames, [], None
        indices = range(len(frames))
        own = indices if all(are_own.values()) else [index for index in indices if are_own[flags[index]]]
        echoes = frames if len(own) == len(frames) else [frames[index] for index in own]
        return frames, echoes, self.time_ns(own[-1])

    def _take(self, limit: int) -> tuple[list[CanFrame], list[int]]:
        """The frames that have arrived, and the flags that the kernel gave each."""
        inlet = self._inlet
        try:
            count = inlet.receive(limit)
        except OSError as e:
            raise self._error(e) from e
        if not count:
            return [], []
        sizes = inlet.lengths(count)
        if CANFD_MTU in sizes:
            rows = zip(inlet.rows(CANFD_FRAME, count), sizes, strict=True)
            fields = [
                (can_id, data[:length], size == CANFD_MTU, size == CANFD_MTU and bool(flags & CANFD_BRS))
                for (can_id, length, flags, data), size in rows
            ]
        else:  # without the 64 bytes of data, half the time
            fields = [(can_id, data[:length], False, False) for can_id, length, data in inlet.rows(_CLASSICAL, count)]
        return list(map(tuple.__new__, repeat(CanFrame), fields)), inlet.flags(count)

    def time_ns(self, index: int) -> int:
        """When a frame of the last batch was received; the number of frames dropped before it goes to `dropped`."""
        timestamp_ns, drops = timestamp_and_drops(self._inlet.control(index))
        if drops is not None:
            self.dropped = drops
        return timestamp_ns

    def _interface(self, index: int) -> str:
        if self.interface != ANY:
            return self.interface
        try:
            return socket.if_indextoname(SOCKADDR_CAN.unpack_from(self._inlet.name(index))[1])
        except OSError:  # it was removed
            return ""

    def count_dropped(self) -> int:
        """How many frames the kernel has dropped so far; `dropped` lags behind until the next one is received."""
        return count_drops(self._socket)

    def wait(self, timeout: float | None) -> bool:
        """Wait until `receive` has something to return or to raise; False if `timeout` seconds passed first."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if timeout is None else math.ceil(timeout * 1000)))

    def check(self) -> None:
        """Raise InterfaceError if frames cannot be sent now: the interface is down or gone."""
        if self.interface != ANY:
            usable(self._socket, self.interface)

    def fileno(self) -> int:
        """The file descriptor, readable when frames have arrived; -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket. Closing again does nothing."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _error(self, e: OSError) -> IsoTpError:
        name = self.interface
        if e.errno == errno.EBADF:
            return SocketClosedError("the raw CAN socket is closed", link=name)
        is_gone = e.errno == ENETDOWN and name != ANY and is_removed(name)
        if is_gone or e.errno in (errno.ENODEV, errno.ENXIO):
            return InterfaceNotFoundError(f"{name} was removed", remedy="close what uses it, and open it again")
        if e.errno == ENETDOWN:
            return InterfaceDownError(f"{name} is down", remedy=f"sudo ip link set {name} up")
        return InterfaceError(f"{name}: {e.strerror}", errno=e.errno)


def _unavailable(e: OSError) -> UnavailableError:
    if sys.platform != "linux":
        return UnavailableError(
            f"raw CAN sockets exist on Linux only, and this is {sys.platform}",
            remedy="the engine works here over other buses: isotp.PythonCanBus(bus) for the adapters of python-can, "
            "isotp.VirtualBus(); commands have --bus INTERFACE:CHANNEL and --bus virtual for it",
        )
    return UnavailableError(
        f"this system has no raw CAN sockets: {e.strerror}",
        remedy="sudo modprobe can-raw, or a VM: isotp-kernel -- COMMAND",
    )


def _pack(frames: Iterable[CanFrame], is_fd: bool) -> bytes:
    """The frames in the layout of the kernel, one after the other; either all are CAN FD or none is."""
    if is_fd:
        pack = CANFD_FRAME.pack
        return b"".join([pack(can_id, len(d), CANFD_BRS if brs else 0, d) for can_id, d, _, brs in frames])
    can_ids, data, _, _ = zip(*frames, strict=True)
    return b"".join(map(CAN_FRAME.pack, can_ids, map(len, data), repeat(0), data))


def _filter(can_id: int) -> bytes:
    """A filter for data frames with just this identifier, of this width."""
    mask = CAN_EFF_MASK if can_id & CAN_EFF_FLAG else CAN_SFF_MASK
    return CAN_FILTER.pack(can_id, mask | CAN_EFF_FLAG | CAN_RTR_FLAG)
