"""What all tests share: the simulated ECU, from a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from isotp import VirtualBus
from isotp.testing import Car, Ecu, load_car


@pytest.fixture
def engine() -> Ecu:
    """The ECU of car.toml."""
    return load_car(Path(__file__).with_name("car.toml"))[0]


@pytest.fixture
def isotp_ecu(isotp_bus: VirtualBus, engine: Ecu) -> Iterator[Ecu]:
    """In place of the usual one, which has nothing to say yet."""
    with Car(isotp_bus, engine):
        yield engine
