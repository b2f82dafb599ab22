"""Small recordings in the shape of real ones, and what each must give (cases/README.md)."""

import gzip
from pathlib import Path

import pytest

from isotp.capture import Capture, Message
from isotp.capture.frames import Frame
from isotp.capture.message import Fault
from isotp.capture.readers import open_recording

from .traffic import MS

CASES = Path(__file__).parent / "cases"
VIN = [("7E0", "22F190"), ("7E8", "62F1904D5956494E303030303030303030303031")]
EXPECTED = {
    "candump_plain.log": VIN,
    "candump_ta.log": VIN,
    "candump_minus_L.txt": VIN,
    "gvret.csv": VIN,
    "vin.pcap": VIN,
    "leftover_padding.log": [
        ("241", "2701"),
        ("641", "67011234"),
        ("241", "27025678"),
        ("641", "6702"),
        ("241", "1AB0"),
        ("641", "5AB040"),
        (
            "241",
            "36000102ABCD06000000000000F700000000000023000000000000340000000000009D00000000000036000000000000640000",
        ),
        ("641", "76"),
    ],
    "before_discovery.log": [("700", "3E80"), ("700", "8582FFFFFF"), ("77D", "7F8578"), ("77D", "C502")],
    "fc_on_7df.log": [
        ("7DF", "0902"),
        ("7E8", "490201" + "41" * 17),
        ("7E9", "490201" + "42" * 17),
        ("7DF", "0904"),
        ("7E8", "490401" + "41" * 17),
    ],
    "radio_text.log": [("2F5", "547261666669632061686561642C20736C6F7720646F776E2103")],
}


def short(message: Message) -> tuple[str, str]:
    return f"{message.source.can_id:03X}", message.data.hex().upper()


def frames(name: str) -> list[Frame]:
    reader = open_recording(CASES / name)
    found = [frame for batch in reader.batches() for frame in batch]
    reader.close()
    return found


def test_each_case_is_here() -> None:
    assert {path.name for path in CASES.iterdir()} == {*EXPECTED, "README.md"}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
def test_a_recording(name: str, is_packed: bool, tmp_path: Path) -> None:
    path = CASES / name
    if is_packed:
        path = tmp_path / "recording"
        path.write_bytes(gzip.compress((CASES / name).read_bytes()))
    capture = Capture(path)
    events = list(capture.events())
    assert [short(event) for event in events if isinstance(event, Message)] == EXPECTED[name]
    assert not any(isinstance(event, Fault) or event.error for event in events)
    assert (capture.not_shown, capture.skipped, capture.missed) == (0, 0, 0)


@pytest.mark.parametrize("name", EXPECTED)
def test_live(name: str) -> None:
    """Frames as they come: nothing is lost by finding, all of it has its own time."""
    capture = Capture(iter(frames(name)))
    messages = list(capture)
    assert sorted(map(short, messages)) == sorted(EXPECTED[name])
    assert (capture.not_shown, capture.missed) == (0, 0)
    seen = {(frame[0], frame[3]) for frame in frames(name)}
    for message in messages:
        assert set(zip(message.times_ns, message.frames, strict=True)) <= seen


def test_flow_control_for_several_ecus() -> None:
    messages = list(Capture(CASES / "fc_on_7df.log"))
    assert [message.n_bs_ns for message in messages if not message.is_single] == [MS] * 3
    targets = {f"{message.source.can_id:X}": message.target for message in messages}
    assert targets["7DF"] is None
    assert targets["7E8"] == targets["7E9"] == (0x7DF, None)


def test_times() -> None:
    for name in ("candump_ta.log", "candump_minus_L.txt", "vin.pcap", "gvret.csv"):
        long = list(Capture(CASES / name))[1]
        assert [time - long.begin_ns for time in long.times_ns] == [0, 2 * MS, 3 * MS]
        assert long.n_bs_ns == MS
    long = list(Capture(CASES / "candump_plain.log"))[1]
    assert (long.timing, long.n_bs_ns, long.is_timed) == (None, None, False)
