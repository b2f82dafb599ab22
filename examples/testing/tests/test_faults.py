"""Tests on a bus that loses frames."""

import pytest
from workshop import Client, NoAnswerError

import isotp
from isotp.testing import Ecu, FakeClock, SimulatedSocket


@pytest.fixture
def isotp_bus(isotp_clock: FakeClock, request: pytest.FixtureRequest) -> isotp.VirtualBus:
    """In place of the usual bus: a share of the frames is lost, always the same ones."""
    return isotp.VirtualBus(clock=isotp_clock, fate=isotp.Faults(1, loss=request.param))


@pytest.mark.parametrize("isotp_bus", [0.02], indirect=True)
def test_a_lost_frame_is_asked_for_again(isotp_tester: SimulatedSocket, isotp_ecu: Ecu) -> None:
    client = Client(isotp_tester)
    assert {client.vin() for _ in range(20)} == {"WVWZZZ1JZXW000001"}


@pytest.mark.parametrize("isotp_bus", [1.0], indirect=True)
def test_a_cut_wire(isotp_tester: SimulatedSocket, isotp_ecu: Ecu, isotp_clock: FakeClock) -> None:
    with pytest.raises(NoAnswerError):
        Client(isotp_tester).vin()
    assert isotp_clock.monotonic() == pytest.approx(3.0)
    assert isotp_ecu.counts["requests"] == 0
