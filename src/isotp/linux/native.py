"""Native sockets of Linux: opening one for ISO-TP, the size of a receive buffer, and what it had no room for."""

import errno
import os
import socket
import struct
import sys
from typing import Final

from ..errors import UnavailableError
from .constants import SK_MEMINFO_DROPS, SO_MEMINFO, SO_RCVBUFFORCE
from .modules import MODULE, remedy_for_module

_DROPS_OFFSET: Final = 4 * SK_MEMINFO_DROPS
_ENGINE: Final = "or use the engine in Python: isotp.SoftSocket(bus), isotp.AsyncSoftSocket(bus)"
_OTHERWISE: Final = f"{_ENGINE}; or a VM: isotp-kernel -- COMMAND"


def open_native_socket() -> socket.socket:
    """A new, unbound native ISO-TP socket.

    Raises:
        UnavailableError: this Python or this kernel has no ISO-TP sockets; it says what is missing, what to do
            about it, and has the kernel's errno.
    """
    if sys.platform != "linux":
        raise _unavailable(
            "platform",
            f"kernel ISO-TP sockets exist on Linux only, and this is {sys.platform}",
            f"run this on Linux (a virtual machine will do); {_ENGINE}",
        )
    if not hasattr(socket, "CAN_ISOTP"):
        raise _unavailable(
            "python",
            f"this Python ({sys.executable}) was built without CAN_ISOTP",
            f"use the Python of your distribution, or build CPython where linux/can.h is installed; {_ENGINE}",
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
    """The error for a native socket that could not be opened; None where ISO-TP is not the reason."""
    release = os.uname().release
    if e.errno in (errno.EPERM, errno.EACCES):
        return _unavailable(
            "permission",
            "the kernel does not let this process open CAN sockets",
            f"look at the sandbox: seccomp or AppArmor profile, container settings; {_ENGINE}",
            e.errno,
        )
    if e.errno == errno.EAFNOSUPPORT:
        what, remedy = f"this kernel ({release}) has no CAN", f"{remedy_for_module('can')}; {_OTHERWISE}"
        return _unavailable("kernel", what, remedy, e.errno)
    if e.errno in (errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT, errno.EPROTOTYPE):
        what = f"the kernel module {MODULE} is not loaded (kernel {release})"
        return _unavailable("module", what, f"{remedy_for_module(MODULE)}; {_OTHERWISE}", e.errno)
    return None


def set_receive_buffer(sock: socket.socket, size: int) -> int:
    """Ask for `size` bytes for what was not read yet, and return how many the kernel granted.

    More than the system's limit (net.core.rmem_max) needs CAP_NET_ADMIN.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it, for its own needs


def count_drops(sock: socket.socket) -> int:
    """How many messages or frames the kernel has dropped so far because the receive buffer was full."""
    counters = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _DROPS_OFFSET + 4)
    drops: int = struct.unpack_from("=I", counters, _DROPS_OFFSET)[0]
    return drops
