"""Tests against a simulated ECU in simulated time: none of them sleeps, whatever the ECU takes its time for."""

import pytest
from workshop import Client, NoAnswerError, RefusedError

from isotp.testing import Ecu, FakeClock, Frames, Nrc, Reply, SimulatedSocket, dtc_number, in_turn

VIN = "WVWZZZ1JZXW000001"


@pytest.fixture
def client(isotp_clock: FakeClock, isotp_tester: SimulatedSocket, isotp_ecu: Ecu) -> Client:
    """A client that talks to `isotp_ecu`."""
    return Client(isotp_tester)


# --- what it asks and what it makes of the answers


def test_the_vin(client: Client, isotp_frames: Frames) -> None:
    assert client.vin() == VIN
    assert isotp_frames == [
        "7E0: SF 22 F1 90",
        "7E8: FF 20 62 F1 90 57 56 57",
        "7E0: FC CTS",
        "7E8: CF 1 ..",
        "7E8: CF 2 ..",
    ]


def test_a_long_value(client: Client, isotp_ecu: Ecu) -> None:
    isotp_ecu.dids[0xF1A0] = bytes(range(256)) * 10
    assert client.read(0xF1A0) == bytes(range(256)) * 10


@pytest.mark.parametrize(
    ("dtcs", "codes"),
    [
        ({}, []),
        ({"P0301": 0x08}, ["P0301"]),
        ({"P0301": 0x2F, "C1234": 0x08, "U0100": 0x09}, ["P0301", "C1234", "U0100"]),
        ({"P0301": 0x08, "B2000": 0x04}, ["P0301"]),  # that one is pending only
    ],
)
def test_trouble_codes(client: Client, isotp_ecu: Ecu, dtcs: dict[str, int], codes: list[str]) -> None:
    isotp_ecu.dtcs.update({dtc_number(code): status for code, status in dtcs.items()})
    assert client.trouble_codes() == codes


def key_for(seed: bytes) -> bytes:
    return bytes((seed[0] ^ 0xA5, seed[1] ^ 0x5A))


def test_security_access(client: Client, isotp_ecu: Ecu) -> None:
    client.unlock(1, key_for)
    assert isotp_ecu.unlocked == 1


def test_a_wrong_key(client: Client, isotp_ecu: Ecu) -> None:
    with pytest.raises(RefusedError, match="service 0x27 was refused with 0x35"):
        client.unlock(1, lambda seed: seed)
    assert isotp_ecu.unlocked is None


@pytest.mark.parametrize("nrc", [Nrc.REQUEST_OUT_OF_RANGE, Nrc.CONDITIONS_NOT_CORRECT, Nrc.BUSY_REPEAT_REQUEST])
def test_a_refusal(client: Client, isotp_ecu: Ecu, nrc: Nrc) -> None:
    isotp_ecu.rules["22 F1 90"] = nrc
    with pytest.raises(RefusedError) as caught:
        client.vin()
    assert caught.value.code == nrc


# --- what takes time


def test_erasing_takes_five_minutes(client: Client, isotp_clock: FakeClock) -> None:
    client.unlock(1, key_for)
    client.erase()
    assert isotp_clock.monotonic() == pytest.approx(300.0)


def test_erasing_needs_the_key(client: Client) -> None:
    with pytest.raises(RefusedError, match="service 0x31 was refused with 0x33"):
        client.erase()


@pytest.mark.parametrize("seconds", [0.01, 0.5, 12.0])
def test_erasing_takes_its_time(client: Client, isotp_ecu: Ecu, isotp_clock: FakeClock, seconds: float) -> None:
    isotp_ecu.rules["31 01 FF 00"] = Reply("71 01 FF 00", after_s=seconds)
    client.erase()
    assert isotp_clock.monotonic() == pytest.approx(seconds)


def test_pending_and_then_nothing(client: Client, isotp_ecu: Ecu, isotp_clock: FakeClock) -> None:
    isotp_ecu.rules["31 01 FF 00"] = [Reply("7F 31 78")]
    with pytest.raises(NoAnswerError):
        client.erase()
    assert isotp_clock.monotonic() == pytest.approx(3 * 5.0)


def test_it_asks_again(client: Client, isotp_ecu: Ecu, isotp_clock: FakeClock, isotp_frames: Frames) -> None:
    isotp_ecu.rules["22 01 00"] = in_turn(None, None, "62 01 00 2A")
    assert client.read(0x0100) == b"\x2a"
    assert isotp_clock.monotonic() == pytest.approx(2.0)
    assert isotp_frames == ["SF 22 01 00"] * 3 + ["SF 62 01 00 2A"]


def test_it_gives_up(client: Client, isotp_ecu: Ecu, isotp_clock: FakeClock) -> None:
    isotp_ecu.rules["22 F1 90"] = None
    with pytest.raises(NoAnswerError, match="no answer to 22 f1 90 after 3 attempts"):
        client.vin()
    assert isotp_clock.monotonic() == pytest.approx(3.0)
    assert isotp_ecu.counts["requests"] == 3
