"""What this Python and this kernel can do, and the remedy for what they can't."""

import errno
import os
import re
import socket
import sys
from pathlib import Path
from typing import Final

from ..errors import UnavailableError
from .release import kernel_version

MODULE: Final = "can-isotp"
_PARAMETER: Final = Path("/sys/module/can_isotp/parameters/max_pdu_size")
HIGHEST_MAX_PDU_SIZE: Final = 1_049_600  # the parameter is clamped to it
_FIXED_MAX_PDU_SIZE: Final = 66_000  # of kernels before 6.4, which have no parameter


def open_native_socket() -> socket.socket:
    """A new, unbound native ISO-TP socket.

    Raises:
        UnavailableError: this Python or this kernel has no ISO-TP sockets; it says what is missing, what to do
            about it, and keeps the kernel's errno.
    """
    if sys.platform != "linux":
        raise _unavailable(
            "platform",
            f"kernel ISO-TP sockets exist on Linux only, and this is {sys.platform}",
            "run this on Linux (a virtual machine will do)",
        )
    if not hasattr(socket, "CAN_ISOTP"):
        raise _unavailable(
            "python",
            f"this Python ({sys.executable}) was built without CAN_ISOTP",
            "use the Python of your distribution, or build CPython where linux/can.h is installed",
        )
    try:
        return socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP)
    except OSError as e:
        explained = _explain(e)
        if explained is None:
            raise
        raise explained from e


def _unavailable(missing: str, what: str, remedy: str, number: int | None = None) -> UnavailableError:
    error = UnavailableError(what, remedy=remedy, errno=number)
    error.missing = missing
    return error


def _explain(e: OSError) -> UnavailableError | None:
    """The error for a native socket that could not be made; None where ISO-TP is not the reason."""
    release = os.uname().release
    if e.errno in (errno.EPERM, errno.EACCES):
        return _unavailable(
            "permission",
            "the kernel does not let this process open CAN sockets",
            "look at the sandbox: seccomp or AppArmor profile, container settings",
            e.errno,
        )
    if e.errno == errno.EAFNOSUPPORT:
        return _unavailable("kernel", f"this kernel ({release}) has no CAN", remedy_for_module("can"), e.errno)
    if e.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTOTYPE):
        what = f"the kernel module {MODULE} is not loaded (kernel {release})"
        return _unavailable("module", what, remedy_for_module(MODULE), e.errno)
    return None


def is_module_loaded(name: str) -> bool:
    """Whether the module is loaded, or built in with something to show for it."""
    return Path("/sys/module", name.replace("-", "_")).exists()


def is_module_loadable(name: str) -> bool | None:
    """Whether modprobe would find the module; None where the module tree of the running kernel is not here."""
    tree = Path("/lib/modules", os.uname().release)
    found: bool | None = None
    for index in ("modules.dep", "modules.builtin"):
        try:
            lines = (tree / index).read_text().splitlines()
        except OSError:
            continue
        found = bool(found) or any(
            re.search(rf"/{re.escape(name)}\.ko(\.\w+)?$", line.partition(":")[0]) for line in lines
        )
    return found


def remedy_for_module(name: str) -> str:
    """What to do to get the module loaded."""
    loadable = is_module_loadable(name)
    if loadable:
        return f"sudo modprobe {name}"
    if loadable is None:
        return (
            f"sudo modprobe {name} - on the host, if this is a container; the modules of kernel "
            f"{os.uname().release} are not on this file system"
        )
    if "-cloud-" in os.uname().release:
        return "Debian's cloud kernels have no CAN: sudo apt install linux-image-$(dpkg --print-architecture)"
    return (
        f"this kernel came without {name}: on Ubuntu sudo apt install linux-modules-extra-$(uname -r), "
        "elsewhere a kernel with CONFIG_CAN_ISOTP=m (Linux 5.10 or newer)"
    )


def max_pdu_size() -> int:
    """The longest message this kernel sends and receives, in bytes.

    Read from the module's parameter; kernels before 6.4 have none, there it is an upper limit. So it is where the
    parameter cannot be read, as in a container without /sys.
    """
    try:
        return int(_PARAMETER.read_text())
    except (OSError, ValueError):
        version = kernel_version()
        return _FIXED_MAX_PDU_SIZE if version is None or version < (6, 4) else HIGHEST_MAX_PDU_SIZE


def has_max_pdu_size_parameter() -> bool:
    """Whether `max_pdu_size` can be chosen when the module is loaded (Linux 6.4 and newer)."""
    return _PARAMETER.exists()


def poll_is_truthful() -> bool | None:
    """Whether poll() shows POLLOUT only when nothing is being sent; None where that must be found out.

    Linux 6.3 brought it, and the stable series of 6.1 soon after; other older kernels may have it or not.
    """
    version = kernel_version()
    return True if version is not None and (version >= (6, 3) or (6, 1, 60) <= version < (6, 2)) else None
