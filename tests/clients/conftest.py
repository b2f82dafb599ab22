"""What the tests of clients share: sockets and ECUs on one bus, and a check for threads."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

import isotp

from .raw_ecus import RawEcus
from .scenarios import Open


@pytest.fixture(autouse=True)
def no_threads_left() -> Iterator[None]:
    threads = threading.enumerate()
    yield
    assert threading.enumerate() == threads


@pytest.fixture
def bus() -> isotp.VirtualBus:
    return isotp.VirtualBus()


@pytest.fixture
def open_socket(bus: isotp.VirtualBus, no_threads_left: None) -> Iterator[Open]:
    """Opens bound sockets on `bus` and closes them at the end; they wait long for consecutive frames."""
    with contextlib.ExitStack() as stack:

        def open_it(address: isotp.Address) -> isotp.SoftSocket:
            socket = stack.enter_context(isotp.SoftSocket(bus))
            socket.set_engine_opts(n_bs_ns=300_000_000, n_cr_ns=30_000_000_000)
            socket.bind(address)
            return socket

        yield open_it


@pytest.fixture
def ecus(bus: isotp.VirtualBus, no_threads_left: None) -> Iterator[RawEcus]:
    with contextlib.closing(RawEcus(bus)) as ecus:
        yield ecus
