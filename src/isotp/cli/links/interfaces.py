"""The CAN interfaces of this machine; what the command line asks `isotp.linux`, it asks here."""

import socket
import sys
from typing import Final, NamedTuple

from ...errors import InterfaceError, UnavailableError
from ...linux import interface, modules, native, rtnetlink

VIRTUAL_KINDS: Final = ("vcan", "vxcan")


class Interface(NamedTuple):
    """A CAN interface."""

    name: str
    kind: str | None
    """As Linux calls it: can, vcan, vxcan."""
    is_up: bool


def interface_names() -> list[str]:
    """The names of all network interfaces, CAN or not; none on a system that cannot say."""
    try:
        return interface.names()
    except (AttributeError, OSError):
        return []


def can_interfaces() -> list[Interface]:
    """All CAN interfaces; none on a system other than Linux."""
    if sys.platform != "linux":
        return []
    return [Interface(i.name, rtnetlink.query_link(i.name).kind, i.is_up) for i in interface.can_interfaces()]


def check_virtual(name: str) -> None:
    """Refuse all but a virtual CAN interface that is up.

    Raises:
        InterfaceError: it is none, or down.
        UnavailableError: this system is not Linux.
    """
    check_linux()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        interface.usable(any_socket, name)
    if rtnetlink.query_link(name).kind not in VIRTUAL_KINDS:
        raise InterfaceError(f"{name} is not a virtual CAN interface, and a real bus is not for measuring")


def check_linux() -> None:
    """Raise UnavailableError on a system that has no virtual CAN interfaces."""
    if sys.platform != "linux":
        raise UnavailableError(
            f"virtual CAN interfaces exist on Linux only, and this is {sys.platform}",
            remedy="use the engine in Python: --bus virtual in one process, between processes "
            "--bus udp_multicast:239.74.163.2 of python-can",
        )


def check_iso_tp() -> None:
    """Raise UnavailableError where the kernel has no ISO-TP sockets."""
    native.open_native_socket().close()


def remedy_for_module(name: str) -> str:
    """What to do so that a kernel module is loaded."""
    return modules.remedy_for_module(name)
