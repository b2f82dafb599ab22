"""Where the demo plays: on a vcan of the kernel, or on a bus in this process."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

from ..can_frame import CanFrame
from ..errors import InterfaceError
from ..sockets import IsoTpSocket
from .frame_table import Frame

MAKE_VCAN: Final = "sudo ip link add vcan0 type vcan && sudo ip link set vcan0 up"
_FRAME: Final = struct.Struct("=IB3x8s")
_STD_MASK: Final = 0x7FF


class Stage(Protocol):
    """A bus, and the sockets of one kind on it."""

    @property
    def name(self) -> str:
        """Of the bus."""

    @property
    def socket_name(self) -> str:
        """What the class of its sockets is called."""

    def open(self, timeout: float | None) -> IsoTpSocket:
        """An unbound socket."""

    def bind(self, sock: Any, *, rxid: int, txid: int) -> None:
        """Bind a socket of this stage."""

    def record(self, *can_ids: int) -> AbstractContextManager[list[Frame]]:
        """The frames with these identifiers, complete at the end of the block."""


class InProcess:
    """SoftSocket on a VirtualBus."""

    socket_name = "isotp.SoftSocket"

    def __init__(self) -> None:
        import isotp

        self._bus = isotp.VirtualBus()
        self.name = self._bus.name

    def open(self, timeout: float | None) -> IsoTpSocket:
        """See `Stage`."""
        import isotp

        return isotp.SoftSocket(self._bus, timeout)

    def bind(self, sock: Any, *, rxid: int, txid: int) -> None:
        """See `Stage`."""
        sock.bind(rxid=rxid, txid=txid)

    @contextmanager
    def record(self, *can_ids: int) -> Iterator[list[Frame]]:
        """See `Stage`."""
        frames: list[Frame] = []

        def take(frame: CanFrame) -> None:
            if frame.can_id in can_ids:
                frames.append(Frame(time.time_ns(), frame.can_id, frame.data))

        stop = self._bus.listen(take)
        try:
            yield frames
        finally:
            stop()


class OnVcan:
    """isotp.socket on a vcan.

    Args:
        name: of the interface.
    """

    socket_name = "isotp.socket"

    def __init__(self, name: str) -> None:
        self.name = name

    def open(self, timeout: float | None) -> IsoTpSocket:
        """See `Stage`."""
        import isotp

        return isotp.socket(timeout)

    def bind(self, sock: Any, *, rxid: int, txid: int) -> None:
        """See `Stage`."""
        sock.bind(self.name, rxid=rxid, txid=txid)

    @contextmanager
    def record(self, *can_ids: int) -> Iterator[list[Frame]]:
        """See `Stage`; with the kernel's time stamps, read by a thread as they come."""
        from ..linux.constants import SO_TIMESTAMPNS

        frames: list[Frame] = []
        raw = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
        raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        filters = b"".join(struct.pack("=2I", can_id, _STD_MASK) for can_id in can_ids)
        raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, filters)
        raw.bind((self.name,))
        raw.settimeout(0.1)
        ending = threading.Event()
        reader = threading.Thread(target=_read, args=(raw, frames, ending), daemon=True)
        try:
            reader.start()
            yield frames
        finally:
            ending.set()
            if reader.is_alive():
                reader.join()


def _read(raw: socket.socket, frames: list[Frame], ending: threading.Event) -> None:
    from ..linux.constants import TIMESPEC

    with raw:  # the thread's own to close, so that no interrupt closes it while it reads
        while True:
            try:
                packed, ancillary, _, _ = raw.recvmsg(_FRAME.size, 64)
            except TimeoutError:
                if ending.is_set():
                    return
                continue
            seconds, nanoseconds = TIMESPEC.unpack(ancillary[0][2])
            can_id, length, data = _FRAME.unpack(packed)
            frames.append(Frame(seconds * 1_000_000_000 + nanoseconds, can_id, data[:length]))


def find_vcan(wanted: str | None) -> str:
    """The vcan `wanted`, or the first one that is up; nothing here may reach a real bus.

    Raises:
        UnavailableError: this kernel has no ISO-TP.
        InterfaceError: there is no vcan, or `wanted` is none.
    """
    from ..linux.support import open_native_socket

    open_native_socket().close()  # first of all: is there ISO-TP at all

    from ..linux.interface import can_interfaces
    from ..linux.rtnetlink import query_link

    found = {i.name: i for i in can_interfaces()}
    virtual = [name for name in found if query_link(name).kind == "vcan"]
    if wanted is None:
        running = [name for name in virtual if found[name].is_up]
        if not running:
            remedy = f"sudo ip link set {virtual[0]} up" if virtual else MAKE_VCAN
            raise InterfaceError("no vcan is up here", remedy=remedy)
        return running[0]
    if wanted in found and wanted not in virtual:
        raise InterfaceError(f"{wanted} is not a vcan, and the demo sends on nothing else", remedy=MAKE_VCAN)
    return wanted  # what else can be wrong with it, bind() says
