"""isotp.clients.udsoncan.functional_request with simulated ECUs, in simulated time."""

from typing import Any

import pytest
from udsoncan import Request
from udsoncan.services import ReadDataByIdentifier, TesterPresent

import isotp
from isotp.clients.udsoncan import EcuResponse, functional_request
from isotp.testing import Car, Ecu, FakeClock, Faults, Frames, Reply
from isotp.testing.notation import parse

from .scenarios import FUNCTIONAL_ID, Open, address_of

P2_S = 0.3
REQUEST = Request(ReadDataByIdentifier, data=b"\xf1\x90")
PENDING = Reply("7F 22 78")
LONG = "62 F1 90 01 02 03 04 05 06"


class FunctionalTester:
    """Sockets for functional requests to three ECUs."""

    def __init__(self, open_socket: Open) -> None:
        self.sender = open_socket(isotp.Address.normal(txid=FUNCTIONAL_ID, functional=True))
        self.receivers = [open_socket(address_of(0x7E0 + number)) for number in range(3)]

    def ask(self, request: Request = REQUEST, **times: Any) -> list[EcuResponse]:
        times = {"p2_timeout": P2_S, "p2_star_timeout": P2_S, **times}
        return functional_request(self.sender, self.receivers, request, **times)


@pytest.fixture
def tester(open_socket: Open) -> FunctionalTester:
    return FunctionalTester(open_socket)


def car(bus: isotp.VirtualBus, **answers: Any) -> Car:
    """ECUs, and what each answers to REQUEST; they ask for time every 80 ms."""
    numbers = {"first": 0, "second": 1, "third": 2}
    return Car(
        bus,
        *(
            Ecu(rxid=0x7E0 + number, txid=0x7E8 + number, rules={"22 F1 90": answers[name]}, p2_s=0.1, p2_star_s=0.1)
            for name, number in numbers.items()
            if name in answers
        ),
    )


def codes(responses: list[EcuResponse]) -> dict[isotp.IsoTpSocket, str | None]:
    return {each.socket: each.response.code_name if each.response else None for each in responses}


def test_the_response_of_each_ecu_that_responds(tester: FunctionalTester, bus: isotp.VirtualBus) -> None:
    with car(bus, first=Reply("62 F1 90 01", after_s=0.01), third="7F 22 31"):
        responses = tester.ask()
    assert codes(responses) == {tester.receivers[2]: "RequestOutOfRange", tester.receivers[0]: "PositiveResponse"}
    assert [each.address for each in responses] == [address_of(0x7E2), address_of(0x7E0)]
    assert responses[1].response is not None
    assert responses[1].response.data == b"\xf1\x90\x01"


def test_an_ecu_that_asks_for_time_is_waited_for(
    tester: FunctionalTester, bus: isotp.VirtualBus, clock: FakeClock
) -> None:
    with car(bus, first=Reply("62 F1 90 02", after_s=1.3 * P2_S), second="62 F1 90 01"):
        responses = tester.ask(p2_star_timeout=30)
    assert [(each.address, each.response and each.response.data) for each in responses] == [
        (address_of(0x7E1), b"\xf1\x90\x01"),
        (address_of(0x7E0), b"\xf1\x90\x02"),
    ]
    assert clock.monotonic() == pytest.approx(1.3 * P2_S, abs=0.01)


def test_an_ecu_that_only_asks_for_time(tester: FunctionalTester, bus: isotp.VirtualBus, clock: FakeClock) -> None:
    with car(bus, first=PENDING, second=[PENDING, Reply("62 F1 90 02", after_s=0.01)]):
        responses = tester.ask()
    waiting = "RequestCorrectlyReceived_ResponsePending"
    assert codes(responses) == {tester.receivers[0]: waiting, tester.receivers[1]: "PositiveResponse"}
    assert clock.monotonic() == pytest.approx(2 * P2_S, abs=0.01)


def test_an_ecu_that_never_stops_asking_for_time(
    tester: FunctionalTester, bus: isotp.VirtualBus, clock: FakeClock
) -> None:
    with car(bus, first=Reply("62 F1 90 01", after_s=100.0)):
        (response,) = tester.ask(p2_timeout=30, p2_star_timeout=30, request_timeout=P2_S)
    assert response.response is not None
    assert response.response.code == 0x78
    assert clock.monotonic() < 31


def test_p2_counts_to_the_first_frame_of_a_response(
    tester: FunctionalTester, bus: isotp.VirtualBus, faults: Faults
) -> None:
    faults.delay("7E9: CF", seconds=1.3 * P2_S)
    with car(bus, second=LONG):
        (response,) = tester.ask()
    assert response.response is not None
    assert response.response.data == b"\xf1\x90" + bytes(range(1, 7))
    assert len(faults.done) == 1


def test_a_response_that_breaks_off(tester: FunctionalTester, bus: isotp.VirtualBus, faults: Faults) -> None:
    faults.replace("7E8: CF", by="CF 5 ..")
    with car(bus, first=LONG, second="62 F1 90 02"):
        responses = {each.socket: each for each in tester.ask()}
    broken = responses.pop(tester.receivers[0])
    assert isinstance(broken.error, isotp.WrongSequenceNumberError)
    assert broken.response is None
    assert codes(list(responses.values())) == {tester.receivers[1]: "PositiveResponse"}


def test_a_response_that_had_begun_before(
    tester: FunctionalTester, bus: isotp.VirtualBus, clock: FakeClock, faults: Faults
) -> None:
    bus.inject(parse("7E8: FF 9 62 F1 90 00 00 00").frame())
    clock.sleep(0.1)
    faults.insert("7E8: SF", frames="CF 1 00 00 00")
    with car(bus, first="62 F1 90 01"):
        (response,) = tester.ask()
    assert response.response is not None
    assert response.response.data == b"\xf1\x90\x01"
    assert len(faults.done) == 1


def test_no_response_is_no_error(tester: FunctionalTester, bus: isotp.VirtualBus) -> None:
    frames = Frames(bus)
    request = Request(TesterPresent, subfunction=0, suppress_positive_response=True)
    assert tester.ask(request, p2_timeout=0) == []
    assert frames == ["7DF: SF 3E 80"]
