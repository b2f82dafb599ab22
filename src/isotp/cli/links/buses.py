"""The buses that --soft and --bus reach."""

import socket
from contextlib import ExitStack
from typing import Any

import isotp

from ...bus.base import Bus
from ...errors import InterfaceError, not_installed
from ..options.values import Where, where
from ..parser import WrongUsage


def check_bitrate(where: Where | None, bitrate: int | None) -> None:
    """Refuse a bit rate where it would have no effect."""
    if bitrate is not None and (where is None or where.is_virtual):
        raise WrongUsage(
            f"--bitrate {bitrate} is for an adapter of python-can, --bus INTERFACE:CHANNEL; an interface of Linux is "
            f"set by: sudo ip link set can0 type can bitrate {bitrate}"
        )


def socketcan_bus(interface: str) -> Bus:
    """A CAN interface of Linux, for the engine."""
    return isotp.SocketCanBus(interface)


def is_of_python_can(name: str) -> bool:
    """Whether python-can has an interface of this name, and this system has not."""
    if name in {interface for _, interface in socket.if_nameindex()}:
        return False
    try:
        import can
    except ImportError:
        return False
    return name in can.VALID_INTERFACES


def place(text: str) -> str | Where:
    """A bus in one word: an interface of Linux, or what `--bus` takes."""
    return where(text) if ":" in text or text == "virtual" or is_of_python_can(text) else text


def open_bus(stack: ExitStack, where: Where, bitrate: int | None, can_fd: bool) -> Bus:
    """The bus that --bus names; it is closed when `stack` unwinds.

    Raises:
        InterfaceError: an adapter that cannot be opened; it says why.
        UnavailableError: python-can is not installed.
    """
    if where.is_virtual:
        return isotp.VirtualBus()
    if where.is_shared:
        raise WrongUsage(
            f"--bus {where}: a shared link carries whole messages and no frames; it is for isotp send, recv and serve"
        )
    return isotp.PythonCanBus(python_can_bus(stack, where, bitrate, can_fd), can_fd=can_fd)


def python_can_bus(stack: ExitStack, where: Where, bitrate: int | None, can_fd: bool) -> Any:
    """The adapter as python-can has it; as `open_bus` otherwise."""
    try:
        import can
    except ImportError:
        raise not_installed("python-can") from None
    options: dict[str, Any] = {"bitrate": bitrate} if bitrate is not None else {}
    if can_fd:
        options["fd"] = True
    try:
        bus = can.Bus(interface=where.kind, channel=where.channel, **options)
    except Exception as e:  # adapters raise what they like: CanError, OSError, ImportError, TypeError
        reason = " ".join(str(e).split()) or type(e).__name__
        raise InterfaceError(f"python-can cannot open {where}: {reason}") from e
    stack.callback(bus.shutdown)
    return bus
