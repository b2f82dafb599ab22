"""The bus that --isotp-bus names, and sockets on it."""

from contextlib import ExitStack
from typing import Final, NamedTuple

import pytest

import isotp

from ..address import Address, AsymmetricAddress
from ..bus.base import Bus
from ..cli.links.buses import open_bus as open_named_bus
from ..cli.links.virtual_peer import opposite
from ..cli.options.values import WrongValue, where
from .clock import FakeClock
from .simulated import SimulatedSocket, clock_of

__all__ = ["Link", "bound", "check", "open_bus", "opposite", "simulated_bus"]

TIMEOUT_S: Final = 5.0


class Link(NamedTuple):
    """Two bound sockets that talk to each other; their calls give up after some seconds."""

    tester: isotp.SoftSocket
    ecu: isotp.SoftSocket


def check(name: str, workers: int) -> None:
    """Refuse what --isotp-bus cannot be.

    Raises:
        pytest.UsageError: no such bus, or a bus that several processes would disturb each other on.
    """
    if workers > 1:
        raise pytest.UsageError(
            f"--isotp-bus {name} with {workers} processes: their tests would receive each other's frames; "
            "leave out -n, or leave out --isotp-bus: then each test has a virtual bus of its own"
        )
    if name == "" or ":" in name:
        try:
            where(name)
        except WrongValue as e:
            raise pytest.UsageError(f"--isotp-bus {e}; or an interface of Linux, such as vcan0") from None


def open_bus(stack: ExitStack, name: str) -> Bus:
    """The bus of that name; it is closed when `stack` unwinds.

    Raises:
        InterfaceError: an adapter that cannot be opened.
        UnavailableError: python-can is not installed.
    """
    if name == "virtual" or ":" in name:
        return open_named_bus(stack, where(name), bitrate=None, can_fd=False)
    return isotp.SocketCanBus(name)


def simulated_bus(name: str, clock: FakeClock) -> isotp.VirtualBus:
    """A bus in simulated time; the test is skipped if `name` is a bus with a time of its own."""
    if name != "virtual":
        pytest.skip(f"isotp_clock is for virtual buses, not for --isotp-bus {name}")
    return isotp.VirtualBus(clock=clock)


def bound(bus: Bus, address: Address | AsymmetricAddress) -> isotp.SoftSocket:
    """A socket that is bound to `address`; in simulated time if the bus is."""
    kind = isotp.SoftSocket if clock_of(bus) is None else SimulatedSocket
    sock = kind(bus, TIMEOUT_S)
    sock.bind(address)
    return sock
