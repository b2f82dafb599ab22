"""Testers and ECUs over the engine; tests/kernel/test_clients.py has the same over the kernel."""

from collections.abc import Callable

import pytest

from .scenarios import SCENARIOS, Open


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_scenario(scenario: Callable[[Open], None], open_socket: Open) -> None:
    scenario(open_socket)
