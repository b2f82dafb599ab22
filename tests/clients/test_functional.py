"""isotp.clients.udsoncan.functional_request with ECUs that send what a test lays out."""

import threading
import time
from typing import Any

import pytest
from udsoncan import Request
from udsoncan.services import ReadDataByIdentifier, TesterPresent

import isotp
from isotp.clients.udsoncan import EcuResponse, functional_request

from ..waiting import until
from .raw_ecus import RawEcus
from .scenarios import FUNCTIONAL_ID, Open, address_of

P2_S = 0.3
REQUEST, ON_BUS = Request(ReadDataByIdentifier, data=b"\xf1\x90"), "0322f190"
PENDING = "037f2278"


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


def codes(responses: list[EcuResponse]) -> dict[isotp.IsoTpSocket, str | None]:
    return {each.socket: each.response.code_name if each.response else None for each in responses}


def test_the_response_of_each_ecu_that_responds(tester: FunctionalTester, ecus: RawEcus) -> None:
    ecus.reply(FUNCTIONAL_ID, ON_BUS, (0x7EA, "037f2231"), (0x7E8, "0462f19001"))
    responses = tester.ask()
    assert codes(responses) == {tester.receivers[2]: "RequestOutOfRange", tester.receivers[0]: "PositiveResponse"}
    assert [each.address for each in responses] == [address_of(0x7E2), address_of(0x7E0)]
    assert responses[1].response is not None
    assert responses[1].response.data == b"\xf1\x90\x01"


def test_an_ecu_that_asks_for_time_is_waited_for(tester: FunctionalTester, ecus: RawEcus) -> None:
    ecus.reply(FUNCTIONAL_ID, ON_BUS, (0x7E8, PENDING), (0x7E9, "0462f19001"), (0x7E8, PENDING), (0x7E8, PENDING))

    def reply_late(_: object) -> None:
        until(lambda: ecus.seen)
        time.sleep(P2_S * 1.3)  # after P2, and before P2*
        ecus.send(0x7E8, "0462f19002")

    ecus.in_thread(reply_late)
    responses = tester.ask(p2_star_timeout=30)
    assert [(each.address, each.response and each.response.data) for each in responses] == [
        (address_of(0x7E1), b"\xf1\x90\x01"),
        (address_of(0x7E0), b"\xf1\x90\x02"),
    ]


def test_an_ecu_that_only_asks_for_time(tester: FunctionalTester, ecus: RawEcus) -> None:
    ecus.reply(FUNCTIONAL_ID, ON_BUS, (0x7E8, PENDING), (0x7E9, PENDING), (0x7E9, "0462f19002"))
    waiting = "RequestCorrectlyReceived_ResponsePending"
    assert codes(tester.ask()) == {tester.receivers[0]: waiting, tester.receivers[1]: "PositiveResponse"}


def test_an_ecu_that_never_stops_asking_for_time(tester: FunctionalTester, ecus: RawEcus) -> None:
    ecus.reply(FUNCTIONAL_ID, ON_BUS, (0x7E8, PENDING))

    def ask_for_time(over: threading.Event) -> None:
        until(lambda: ecus.seen)
        while not over.wait(0.02):
            ecus.send(0x7E8, PENDING)

    ecus.in_thread(ask_for_time)
    (response,) = tester.ask(p2_timeout=30, p2_star_timeout=30, request_timeout=P2_S)
    assert response.response is not None
    assert response.response.code == 0x78


def test_p2_counts_to_the_first_frame_of_a_response(tester: FunctionalTester, ecus: RawEcus) -> None:
    ecus.reply(FUNCTIONAL_ID, ON_BUS, (0x7E9, "100962f190010203"))

    def send_the_rest(_: object) -> None:
        until(lambda: any(frame.data[0] == 0x30 for frame in ecus.seen))
        time.sleep(P2_S * 1.3)
        ecus.send(0x7E9, "21040506")

    ecus.in_thread(send_the_rest)
    (response,) = tester.ask()
    assert response.response is not None
    assert response.response.data == b"\xf1\x90" + bytes(range(1, 7))


def test_a_response_that_breaks_off(tester: FunctionalTester, ecus: RawEcus) -> None:
    ecus.reply(FUNCTIONAL_ID, ON_BUS, (0x7E8, "101462f190010203"), (0x7E9, "0462f19002"))
    ecus.reply(0x7E0, "30", (0x7E8, "2504050607080910"))
    responses = {each.socket: each for each in tester.ask()}
    broken = responses.pop(tester.receivers[0])
    assert isinstance(broken.error, isotp.WrongSequenceNumberError)
    assert broken.response is None
    assert codes(list(responses.values())) == {tester.receivers[1]: "PositiveResponse"}


def test_a_response_that_had_begun_before(tester: FunctionalTester, ecus: RawEcus) -> None:
    ecus.send(0x7E8, "100962f190000000")
    until(lambda: ecus.seen)
    ecus.reply(FUNCTIONAL_ID, ON_BUS, (0x7E8, "21000000"), (0x7E8, "0462f19001"))
    (response,) = tester.ask()
    assert response.response is not None
    assert response.response.data == b"\xf1\x90\x01"


def test_no_response_is_no_error(tester: FunctionalTester, ecus: RawEcus) -> None:
    request = Request(TesterPresent, subfunction=0, suppress_positive_response=True)
    assert tester.ask(request, p2_timeout=0) == []
    assert [frame.data[:3] for frame in ecus.seen] == [b"\x02\x3e\x80"]
