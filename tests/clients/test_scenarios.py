"""Testers and ECUs over the engine; tests/kernel/test_clients.py has the same over the kernel."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

import isotp

from .scenarios import SCENARIOS, Open


@pytest.fixture
def open_socket(no_threads_left: None) -> Iterator[Open]:
    """Opens bound sockets on a bus and closes them at the end."""
    bus = isotp.VirtualBus()
    with contextlib.ExitStack() as stack:

        def open_it(address: isotp.Address) -> isotp.SoftSocket:
            socket = stack.enter_context(isotp.SoftSocket(bus))
            socket.bind(address)
            return socket

        yield open_it


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: Callable[[Open], None], open_socket: Open) -> None:
    scenario(open_socket)
