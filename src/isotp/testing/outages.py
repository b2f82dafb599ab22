"""Outages of a bus in user space: bus-off, an interface that goes down, an adapter that is gone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from ..bus.base import NOTHING, Bus, Received
from ..can_frame import CanFrame
from ..errors import InterfaceDownError, InterfaceNotFoundError


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

    with _instead(bus, down, tell):
        yield


@contextmanager
def bus_gone(bus: Bus) -> Iterator[None]:
    """During the block `bus` is like an adapter that was pulled out, or an interface that was removed.

    All that its sockets do fails with InterfaceNotFoundError, after the block, too: close them and bind new
    ones. During the block no socket can be bound.
    """

    def gone(frames: Sequence[CanFrame] = ()) -> Any:
        raise InterfaceNotFoundError(f"{bus.name} is gone", remedy="leave the block `with bus_gone(...)`")

    with _instead(bus, gone, gone):
        yield


@contextmanager
def _instead(bus: Bus, send: Callable[..., int], receive: Callable[[], Received]) -> Iterator[None]:
    """During the block `bus` does this; `send` is its `check`, too."""
    with patch.multiple(bus, send=send, check=send, receive=receive):
        if bus.driver is not None:
            bus.driver.wake()
        yield
