"""ECUs that answer as one did in a recording."""

from pathlib import Path
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.capture import Capture
from isotp.errors import IsoTpWarning
from isotp.testing import Car, Ecu, FakeClock, Reply, Routine, SimulatedSocket, load_car

VIN = b"WVWZZZ1JZXW000001"


class Recording:
    """Frames of a conversation, as they are in a list."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, CanFrame]] = []
        self._clock = FakeClock()
        self._bus = isotp.VirtualBus(clock=self._clock, frame_ns=100_000)
        self._bus.listen(lambda frame: self.frames.append((self._clock.monotonic(), frame)))

    def of(self, *ecus: Ecu, ask: Any) -> list[tuple[float, CanFrame]]:
        with Car(self._bus, *ecus):
            ask(self)
        return self.frames

    def say(self, txid: int, rxid: int, *requests: str, replies: int = 1) -> None:
        with SimulatedSocket(self._bus, 30.0) as tester:
            tester.bind(rxid=rxid, txid=txid)
            for request in requests:
                tester.send(bytes.fromhex(request))
                for _ in range(replies):
                    while (reply := tester.recv())[0] == 0x7F and reply[2] == 0x78:
                        pass
                self._clock.sleep(1.0)


def conversation(recording: Recording) -> None:
    recording.say(0x7E0, 0x7E8, "22 F1 90", "22 01 00", "22 01 00", "31 01 02 03", "22 99 99", "22 01 00")
    recording.say(0x7E0, 0x7E8, "3E 80", replies=0)


def engine() -> Ecu:
    values = iter("123")
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, dids={0xF190: VIN, 0x100: lambda request: next(values)})
    ecu.routines[0x203] = Routine(Reply("00", after_s=7.0))
    return ecu


def ask(ecu: Ecu, request: str, now_s: float = 0.0) -> str | None:
    replies = ecu.request(bytes.fromhex(request), now_s)
    assert len(replies) < 2
    assert all(after_s == 0 for after_s, _ in replies)
    return replies[0][1].hex(" ") if replies else None


@pytest.mark.parametrize("ids", [{}, {"rxid": 0x7E0, "txid": 0x7E8}])
def test_an_ecu_learns_from_a_recording(ids: dict[str, Any]) -> None:
    ecu = Ecu.from_capture(Recording().of(engine(), ask=conversation), "copy", **ids)
    assert (ecu.name, str(ecu.address)) == ("copy", "rxid=0x7E0 txid=0x7E8")
    assert ask(ecu, "22 f1 90") == "62 f1 90 " + VIN.hex(" ")
    assert [ask(ecu, "22 01 00") for _ in range(4)] == [f"62 01 00 {byte}" for byte in ("31", "32", "33", "31")]
    assert ask(ecu, "31 01 02 03") == "71 01 02 03 00"
    assert ask(ecu, "22 99 99") == "7f 22 31"
    assert ask(ecu, "3e 80") is None
    assert ask(ecu, "3e 00") == "7e 00"
    assert ask(ecu, "22 f1 91") == "7f 22 11"  # was not asked there


def test_pending_and_delays() -> None:
    original = engine()
    ecu = Ecu.from_capture(Recording().of(original, ask=conversation), pending=True)
    expected = original.served[3].replies
    played = ecu.request(bytes.fromhex("31 01 02 03"))
    assert len(played) == 3
    assert [data for _, data in played] == [data for _, data in expected]
    assert [after_s for after_s, _ in played] == pytest.approx([after_s for after_s, _ in expected], abs=1e-3)


def test_tester_present_meanwhile() -> None:
    """The replies to a request come after another request."""
    frames = [
        (0.0, CanFrame(0x7E0, b"\x04\x31\x01\x02\x03")),
        (0.1, CanFrame(0x7E8, b"\x03\x7f\x31\x78")),
        (0.2, CanFrame(0x7DF, b"\x02\x3e\x80")),
        (0.3, CanFrame(0x7DF, b"\x02\x3e\x00")),
        (0.4, CanFrame(0x7E8, b"\x02\x7e\x00")),
        (0.5, CanFrame(0x7E8, b"\x04\x71\x01\x02\x03")),
        (0.6, CanFrame(0x7E0, b"\x02\x11\x01")),
        (0.7, CanFrame(0x7E0, b"\x02\x11\x01")),
        (0.8, CanFrame(0x7E8, b"\x02\x51\x01")),
        (0.9, CanFrame(0x7DF, b"\x02\x11\x01")),
    ]
    ecu = Ecu.from_capture(frames)
    assert ask(ecu, "31 01 02 03") == "71 01 02 03"
    assert ask(ecu, "3e 00") == "7e 00"
    assert ask(ecu, "3e 80") is None
    assert [ask(ecu, "11 01") for _ in range(3)] == [None, "51 01", None]


def test_another_protocol_and_several_replies() -> None:
    frames = [
        (0.0, CanFrame(0x123, b"\x02\x01\x02")),
        (0.1, CanFrame(0x456, b"\x01\xaa")),
        (0.2, CanFrame(0x456, b"\x01\xbb")),
    ]
    for pending, times in ((False, [0.0, 0.0]), (True, [0.1, 0.2])):
        ecu = Ecu.from_capture(frames, rxid=0x123, txid=0x456, pending=pending)
        assert ecu.request(b"\x01\x02") == [(times[0], b"\xaa"), (times[1], b"\xbb")]


def three_ecus(recording: Recording) -> None:
    for at in range(3):
        recording.say(0x6A0 + at, 0x7A0 + at, "22 F1 90", "22 F1 90", "22 F1 91")


def test_all_ecus_of_a_recording() -> None:
    ecus = [Ecu(rxid=0x6A0 + at, txid=0x7A0 + at, dids={0xF190: bytes((0x30 + at,)) * 17}) for at in range(3)]
    frames = Recording().of(*ecus, ask=three_ecus)
    car = Car.from_capture(bus := isotp.VirtualBus(clock=FakeClock()), frames)
    assert [ecu.name for ecu in car.ecus] == [f"0x6A{at} -> 0x7A{at}" for at in range(3)]
    with car:
        for at in range(3):
            with SimulatedSocket(bus, 1.0) as tester:
                tester.bind(rxid=0x7A0 + at, txid=0x6A0 + at)
                tester.send(b"\x22\xf1\x90")
                assert tester.recv()[3:] == bytes((0x30 + at,)) * 17
    with pytest.raises(isotp.AddressError, match="3 ECUs: 0x6A0 -> 0x7A0, 0x6A1 -> 0x7A1, 0x6A2 -> 0x7A2"):
        Ecu.from_capture(frames)


@pytest.mark.parametrize("ids", [(0x7A0, 0x6A0), (0x6A0, 0x7A1), (0x123, 0x456), (0x6A0, 0x456)])
def test_identifiers_that_are_not_in_the_recording(ids: tuple[int, int]) -> None:
    ecus = [Ecu(rxid=0x6A0 + at, txid=0x7A0 + at, dids={0xF190: VIN}) for at in range(3)]
    frames = Recording().of(*ecus, ask=three_ecus)
    told = r"no request to rxid=.* the recording has 3 ECUs: 0x6A0 -> 0x7A0, 0x6A1 -> 0x7A1, 0x6A2 -> 0x7A2"
    with pytest.raises(isotp.AddressError, match=told):
        Ecu.from_capture(frames, rxid=ids[0], txid=ids[1])


def test_a_recording_without_ecus() -> None:
    frames = [(0.0, CanFrame(0x123, b"\x02\x01\x02"))]
    with pytest.raises(isotp.AddressError, match="no ECU of the recording answers"):
        Ecu.from_capture(frames)
    with pytest.raises(isotp.AddressError, match="no ECU of the recording answers"):
        Car.from_capture(isotp.VirtualBus(), frames)


def test_a_car_file_names_a_recording(tmp_path: Path) -> None:
    (tmp_path / "drive.log").write_text(
        "(1700000000.000000) can0 7E0#0322F190\n(1700000000.400000) can0 7E8#0462F19041\n"
    )
    text = "[[ecu]]\nrxid = 0x7E0\ntxid = 0x7E8\ncapture = 'drive.log'\n[ecu.rules]\n'01' = '41'"
    (tmp_path / "car.toml").write_text(text)
    (ecu,) = load_car(tmp_path / "car.toml")
    assert ask(ecu, "22 f1 90") == "62 f1 90 41"
    assert ask(ecu, "01") == "41"
    (tmp_path / "car.toml").write_text(text.replace("[ecu.rules]", "capture_pending = true\n[ecu.rules]"))
    (ecu,) = load_car(tmp_path / "car.toml")
    assert ecu.request(b"\x22\xf1\x90") == [(0.4, b"\x62\xf1\x90A")]


def test_messages_that_broke_off_are_left_out() -> None:
    frames = [
        (0.0, CanFrame(0x7E0, b"\x03\x22\xf1\x90")),
        (0.1, CanFrame(0x7E8, b"\x10\x14\x62\xf1\x90abc")),  # and no more
        (5.0, CanFrame(0x7E0, b"\x02\x3e\x00")),
        (5.1, CanFrame(0x7E8, b"\x02\x7e\x00")),
    ]
    ecu = Ecu("engine", rxid=0x7E0, txid=0x7E8, services={})
    with pytest.warns(IsoTpWarning, match="ECU 'engine': messages of the recording broke off .*: 22 f1 90"):
        ecu.learn(Capture(frames, ecu.address))
    assert ask(ecu, "22 f1 90") == "7f 22 11"  # not known, and not silence
    assert ask(ecu, "3e 00") == "7e 00"
