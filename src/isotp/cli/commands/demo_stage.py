"""Where the demo plays: on a vcan of the kernel, or on a bus in this process."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, Protocol

import isotp

from ...can_frame import CanFrame
from ...errors import InterfaceError
from ...sockets import IsoTpSocket
from ..links.interfaces import can_interfaces, check_iso_tp
from ..links.listening import Interface
from ..output.frame_table import Frame

MAKE_VCAN: Final = "sudo ip link add vcan0 type vcan && sudo ip link set vcan0 up"


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
        self._bus = isotp.VirtualBus()
        self.name = self._bus.name

    def open(self, timeout: float | None) -> IsoTpSocket:
        """See `Stage`."""
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
        return isotp.socket(timeout)

    def bind(self, sock: Any, *, rxid: int, txid: int) -> None:
        """See `Stage`."""
        sock.bind(self.name, rxid=rxid, txid=txid)

    @contextmanager
    def record(self, *can_ids: int) -> Iterator[list[Frame]]:
        """See `Stage`; with the kernel's time stamps, read by a thread as they come."""
        frames: list[Frame] = []
        ending = threading.Event()
        source = Interface(self.name)

        def read() -> None:
            for batch in source.batches():  # at least every 0.1 s, then empty
                frames.extend(Frame(time_ns, can_id, data) for time_ns, _, can_id, data, _ in batch)
                if ending.is_set() and not batch:
                    return

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield frames
        finally:
            ending.set()
            reader.join()
            source.close()
            frames[:] = [frame for frame in frames if frame.can_id in can_ids]


def find_vcan(wanted: str | None) -> str:
    """The vcan `wanted`, or the first one that is up; nothing here may reach a real bus.

    Raises:
        UnavailableError: this kernel has no ISO-TP.
        InterfaceError: there is no vcan, or `wanted` is none.
    """
    check_iso_tp()  # first of all: is there ISO-TP at all
    found = can_interfaces()
    virtual = [each for each in found if each.kind == "vcan"]
    if wanted is None:
        running = [each.name for each in virtual if each.is_up]
        if not running:
            remedy = f"sudo ip link set {virtual[0].name} up" if virtual else MAKE_VCAN
            raise InterfaceError("no vcan is up here", remedy=remedy)
        return running[0]
    if any(each.name == wanted and each.kind != "vcan" for each in found):
        raise InterfaceError(f"{wanted} is not a vcan, and the demo sends on nothing else", remedy=MAKE_VCAN)
    return wanted  # what else can be wrong with it, bind() says
