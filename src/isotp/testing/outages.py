"""Outages of a bus in user space: bus-off, and an interface that goes down."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest.mock import patch

from ..bus.base import NOTHING, Bus, Received
from ..can_frame import CanFrame
from ..errors import InterfaceDownError


@contextmanager
def bus_off(bus: Bus) -> Iterator[None]:
    """During the block `bus` takes no frames and hears none, as with a controller that is bus-off or has no peer.

    Messages of its sockets fail with N_TIMEOUT_A. It works on every bus; other buses of the same channel go on.
    """
    receive = bus.receive

    def drop() -> Received:
        receive()
        return NOTHING

    with patch.multiple(bus, send=lambda frames: 0, receive=drop):
        yield


@contextmanager
def bus_down(bus: Bus) -> Iterator[None]:
    """During the block `bus` is like an interface of Linux that is down.

    What its sockets send and receive when it begins fails with InterfaceDownError, and so does what they begin to send.
    """
    receive, has_told = bus.receive, False

    def down(frames: Sequence[CanFrame] = ()) -> int:
        raise InterfaceDownError(f"{bus.name} is down", remedy="leave the block `with bus_down(...)`")

    def tell() -> Received:
        nonlocal has_told
        receive()
        if not has_told:
            has_told = True
            down()
        return NOTHING

    with patch.multiple(bus, send=down, check=down, receive=tell):
        if bus.driver is not None:
            bus.driver.wake()
        yield
