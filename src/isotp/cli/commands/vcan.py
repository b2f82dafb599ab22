"""isotp vcan: virtual CAN interfaces, made, listed and removed."""

import argparse
import errno
import os
from importlib import import_module
from typing import Any, Final

from ...errors import NotACanInterfaceError, UnavailableError, not_installed
from ...linux.constants import ARPHRD_CAN, CAN_MTU, CANFD_MTU
from .. import status
from ..links.interfaces import VIRTUAL_KINDS, check_linux, remedy_for_module
from ..output import terminal
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] ACTION [NAME ...]"
DESCRIPTION: Final = """
Make virtual CAN interfaces (up), remove them (down), or list all CAN interfaces (list).

Making and removing needs root. Real interfaces are never touched.
"""
EXAMPLES: Final = (
    "isotp vcan list",
    "sudo isotp vcan up vcan0",
    "sudo isotp vcan up vcan0 vcan1 --classical",
    "sudo isotp vcan down vcan0",
)

_NAME_MAX: Final = 15
_CANXL_MTU: Final = 76


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("action", metavar="ACTION", choices=("up", "down", "list"), help="up, down or list")
    parser.add_argument("names", nargs="*", metavar="NAME", help="interfaces, such as vcan0")
    parser.add_argument("--classical", action="store_true", help="make them Classical CAN (default: CAN FD, too)")


def run(arguments: argparse.Namespace) -> int:
    """Do it; 0 when all interfaces are as wanted."""
    action, names = arguments.action, arguments.names
    if action == "list" and names:
        raise WrongUsage("list takes no names: it shows all")
    if action != "list" and not names:
        raise WrongUsage(f"NAME missing: such as isotp vcan {action} vcan0")
    if arguments.classical and action != "up":
        raise WrongUsage(f"--classical is for up: it does nothing to {action}")
    for name in names:
        _check_name(name)
    pyroute2 = _pyroute2()
    with pyroute2.IPRoute() as kernel:
        if action == "list":
            _list(kernel)
        for name in names:
            try:
                _up(kernel, name, arguments.classical) if action == "up" else _down(kernel, name)
            except pyroute2.NetlinkError as e:
                raise _explained(e.code, action, name) from e
    return status.DONE


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= _NAME_MAX or not name.isascii() or not name.isprintable() or set(name) & set(" /:"):
        raise WrongUsage(f"{name!r} is no name of an interface: up to {_NAME_MAX} characters, such as vcan0")


def _pyroute2() -> Any:
    check_linux()
    try:
        return import_module("pyroute2")
    except ImportError:
        raise not_installed("pyroute2") from None


def _up(kernel: Any, name: str, classical: bool) -> None:
    mtu = {"mtu": CAN_MTU if classical else CANFD_MTU}
    link = _find(kernel, name)
    if link is None:
        kernel.link("add", ifname=name, kind="vcan", **mtu)
        kernel.link("set", ifname=name, state="up")
        print(f"{name} is up")
        return
    _check_virtual(link, name)
    if link["state"] == "up":
        print(f"{name} was up already")
        return
    kernel.link("set", ifname=name, state="up")
    print(f"{name} is up; it was there already")


def _down(kernel: Any, name: str) -> None:
    link = _find(kernel, name)
    if link is None:
        print(f"{name} was not there")
        return
    _check_virtual(link, name)
    kernel.link("del", ifname=name)
    print(f"{name} is removed")


def _find(kernel: Any, name: str) -> Any:
    return next((link for link in kernel.get_links() if link.get_attr("IFLA_IFNAME") == name), None)


def _check_virtual(link: Any, name: str) -> None:
    if (kind := _kind(link)) not in VIRTUAL_KINDS:
        raise NotACanInterfaceError(
            f"{name} is {'a real CAN interface' if kind == 'can' else 'no virtual CAN interface'}: it is left alone",
            remedy="isotp vcan list shows which interfaces are virtual",
        )


def _kind(link: Any) -> str | None:
    kind: str | None = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    return kind


def _explained(number: int, action: str, name: str) -> OSError:
    """The kernel's refusal in words."""
    if number in (errno.EPERM, errno.EACCES):
        what = "making" if action == "up" else "removing"
        return PermissionError(number, f"{what} {name} needs root; to do: sudo isotp vcan {action} {name}")
    if number == errno.EOPNOTSUPP:
        return UnavailableError("this kernel has no virtual CAN interfaces", remedy=remedy_for_module("vcan"))
    return OSError(number, f"{name}: {os.strerror(number)}")


def _list(kernel: Any) -> None:
    links = [link for link in kernel.get_links() if link["ifi_type"] == ARPHRD_CAN]
    if not links:
        print("no CAN interface here; a virtual one: sudo isotp vcan up vcan0")
        return
    print(f"{'name':15} {'kind':6} {'state':6} frames")
    for link in links:
        is_up = link["state"] == "up"
        state = terminal.paint(f"{link['state']:6}", terminal.GREEN if is_up else terminal.RED)
        name = terminal.visible(link.get_attr("IFLA_IFNAME"))  # Linux takes nearly any
        print(f"{name:15} {_kind(link) or '?':6} {state} {_frames(link.get_attr('IFLA_MTU'))}")


def _frames(mtu: int) -> str:
    return "Classical CAN" + ", CAN FD" * (mtu >= CANFD_MTU) + ", CAN XL" * (mtu >= _CANXL_MTU)
