"""What the tests of clients share: a bus in simulated time, what goes wrong on it, and a check for threads."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

import isotp
from isotp.testing import FakeClock, Faults, SimulatedSocket

from .scenarios import Open


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    threads = threading.enumerate()
    yield
    assert threading.enumerate() == threads


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def faults() -> Faults:
    """What goes wrong on `bus`."""
    return Faults()


@pytest.fixture
def bus(clock: FakeClock, faults: Faults) -> isotp.VirtualBus:
    return isotp.VirtualBus(clock=clock, fate=faults, frame_ns=250_000)


@pytest.fixture
def open_socket(bus: isotp.VirtualBus) -> Iterator[Open]:
    """Opens bound sockets on `bus` and closes them at the end."""
    with contextlib.ExitStack() as stack:

        def open_it(address: isotp.Address) -> isotp.IsoTpSocket:
            socket = stack.enter_context(SimulatedSocket(bus))
            socket.bind(address)
            return socket

        yield open_it
