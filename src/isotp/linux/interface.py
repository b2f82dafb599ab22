"""The CAN interfaces of this network namespace, asked of the kernel through a socket.

/sys/class/net would not do: it shows the namespace that it was mounted in.
"""

import socket
import struct
import time
from typing import Final, NamedTuple

from ..errors import InterfaceDownError, InterfaceNotFoundError, NotACanInterfaceError
from .constants import ARPHRD_CAN, CANFD_MTU, IFF_UP, SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFMTU

_REMOVAL_S: Final = 0.05
_IFREQ: Final = struct.Struct("16sH22x")
_IFREQ_INT: Final = struct.Struct("16si20x")


class CanInterface(NamedTuple):
    """What a network interface is, for ISO-TP."""

    name: str
    is_can: bool
    is_up: bool
    mtu: int
    """16: Classical CAN; 72: CAN FD too; above: CAN XL too."""

    @property
    def has_can_fd(self) -> bool:
        """Whether CAN FD frames fit."""
        return self.mtu >= CANFD_MTU


def names() -> list[str]:
    """The names of all network interfaces here."""
    return [name for _, name in socket.if_nameindex()]


def is_removed(name: str) -> bool:
    """Whether interface `name`, which went down, is gone: Linux takes one down first and removes it a moment later."""
    deadline = time.monotonic() + _REMOVAL_S
    while name in names():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_REMOVAL_S / 10)
    return True


def query(sock: socket.socket, name: str) -> CanInterface:
    """Ask about interface `name`; OSError (ENODEV) if there is none."""
    import fcntl  # not on Windows, where this module still has to import

    raw = name.encode()
    kind = _IFREQ.unpack(fcntl.ioctl(sock, SIOCGIFHWADDR, _IFREQ.pack(raw, 0)))[1]
    up = _IFREQ.unpack(fcntl.ioctl(sock, SIOCGIFFLAGS, _IFREQ.pack(raw, 0)))[1] & IFF_UP
    mtu = _IFREQ_INT.unpack(fcntl.ioctl(sock, SIOCGIFMTU, _IFREQ_INT.pack(raw, 0)))[1]
    return CanInterface(name, kind == ARPHRD_CAN, bool(up), mtu)


def can_interfaces(sock: socket.socket | None = None) -> list[CanInterface]:
    """All CAN interfaces of this network namespace; `sock` is any socket to ask through."""
    if sock is None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            return can_interfaces(own)
    found = []
    for name in names():
        try:
            interface = query(sock, name)
        except OSError:  # removed since it was listed
            continue
        if interface.is_can:
            found.append(interface)
    return found


def usable(native: socket.socket, name: object) -> CanInterface:
    """Interface `name`, asked about through any socket, if frames can go there.

    Raises:
        InterfaceError: no such interface, not CAN, or down; it says what to do.
    """
    if not isinstance(name, str):
        raise TypeError(f"interface must be the name of a CAN interface, not {name!r}")
    try:
        interface = query(native, name) if name in names() else None
    except OSError:  # removed since it was listed
        interface = None
    if interface is None or (not (interface.is_up or not interface.is_can) and is_removed(name)):
        known = ", ".join(i.name for i in can_interfaces(native)) or "none"
        raise InterfaceNotFoundError(
            f"no interface {name!r}; CAN interfaces here: {known}",
            remedy=f"a virtual one for tests: sudo ip link add {name or 'vcan0'} type vcan && "
            f"sudo ip link set {name or 'vcan0'} up",
        )
    if not interface.is_can:
        known = ", ".join(i.name for i in can_interfaces(native)) or "none"
        raise NotACanInterfaceError(f"{name} is not a CAN interface; CAN interfaces here: {known}")
    if not interface.is_up:
        raise InterfaceDownError(
            f"{name} is down",
            remedy=f"sudo ip link set {name} up (a real bus first needs its bit rate: "
            f"sudo ip link set {name} type can bitrate 500000)",
        )
    return interface
