"""The same recordings read by others: tshark's ISO 15765 dissector, and python-can."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from isotp.address import CAN_EFF_FLAG
from isotp.capture import Capture, Message, open_recording
from isotp.capture.frames import Frame
from isotp.errors import N_Result

from . import writers
from .traffic import MS, ids, talk

NEEDS_TSHARK = pytest.mark.skipif(
    shutil.which("tshark") is None, reason="tshark is not installed (to do: apt install tshark)"
)


def tshark(path: Path, *fields: str) -> list[list[str]]:
    command = ["tshark", "-r", str(path), "-o", "iso15765.can.ids:0-2047", "-T", "fields", "-E", "separator=;"]
    command += [word for field in ("frame.number", *fields) for word in ("-e", field)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return [line.split(";") for line in done.stdout.splitlines()]


def their_messages(path: Path) -> set[tuple[int, int, str]]:
    """Of each message: the number of its last frame, its identifier, its bytes."""
    found = set()
    for number, can_id, kind, reassembled, data in tshark(
        path, "can.id", "iso15765.message_type", "iso15765.reassembled.length", "data.data"
    ):
        if data and (int(kind.split(",")[0], 16) == 0 or reassembled):
            found.add((int(number), int(can_id), data.split(",")[-1]))
    return found


def our_messages(path: Path) -> tuple[set[tuple[int, int, str]], list[Message]]:
    """The same of ours, and the messages that failed."""
    number_of = {}
    reader = open_recording(path)
    for number, frame in enumerate((frame for batch in reader.batches() for frame in batch), 1):
        number_of[frame[0], frame[2]] = number
    reader.close()
    messages = list(Capture(path))
    return {
        (number_of[message.end_ns, message.source.can_id], message.source.can_id, message.data.hex())
        for message in messages
        if message.error is None
    }, [message for message in messages if message.error is not None]


def recording(seed: int, pair: int = 0) -> list[Frame]:
    """Each frame at a microsecond of its own."""
    frames = talk(ids(8, "offset", seed)[pair], 12, seed * 10 + pair, MS)[0]
    return [(now // MS * MS + i * 1000, *rest) for i, (now, *rest) in enumerate(frames)]  # type: ignore[misc]


def with_faults(frames: list[Frame], seed: int) -> list[Frame]:
    """A few frames lost, doubled, swapped with the next, or with another N_PCI."""
    chance = random.Random(seed)
    data = [frame[1:] for frame in frames]
    for _ in range(8):
        at = chance.randrange(len(data) - 1)
        kind = chance.randrange(4)
        if kind == 0:
            del data[at]
        elif kind == 1:
            data.insert(at, data[at])
        elif kind == 2 and data[at][1] == data[at + 1][1]:  # tshark loses one of two messages that overlap
            data[at : at + 2] = data[at : at + 2][::-1]
        elif kind == 3:
            channel, can_id, raw, is_fd = data[at]
            pci = 0x20 | chance.randrange(16) if raw[0] >> 4 == 2 else chance.choice([0x02, 0x30, 0xF0])
            data[at] = channel, can_id, bytes((pci,)) + raw[1:], is_fd
    return [(MS + i * 200_000, *rest) for i, rest in enumerate(data)]


@NEEDS_TSHARK
@pytest.mark.parametrize("seed", range(6))
def test_messages_are_those_of_tshark(seed: int, tmp_path: Path) -> None:
    path = tmp_path / "traffic.pcap"
    path.write_bytes(writers.pcap(recording(seed)))
    ours, failed = our_messages(path)
    assert (len(ours), failed) == (24, [])
    assert ours == their_messages(path)


@NEEDS_TSHARK
@pytest.mark.parametrize("seed", range(3))
def test_several_links_at_once(seed: int, tmp_path: Path) -> None:
    """All in one recording for us; tshark does not tell them apart and gets each link alone."""
    path = tmp_path / "traffic.pcap"
    parts = [recording(seed, pair) for pair in range(4)]
    path.write_bytes(writers.pcap(sorted(frame for part in parts for frame in part)))
    ours = {each[1:] for each in our_messages(path)[0]}
    theirs: set[tuple[int, str]] = set()
    for part in parts:
        alone = tmp_path / "alone.pcap"
        alone.write_bytes(writers.pcap(part))
        theirs |= {each[1:] for each in their_messages(alone)}
    assert ours == theirs


@NEEDS_TSHARK
@pytest.mark.parametrize("seed", range(20))
def test_messages_with_faults(seed: int, tmp_path: Path) -> None:
    """tshark takes consecutive frames that were doubled or swapped, where the standard ends the message.

    It also confuses the two directions where their messages overlap; there is none of that here.
    """
    path = tmp_path / "traffic.pcap"
    path.write_bytes(writers.pcap(with_faults(recording(seed), seed)))
    (ours, failed), theirs = our_messages(path), their_messages(path)
    assert ours <= theirs
    for _, can_id, data in theirs - ours:
        assert any(
            each.n_result is N_Result.N_WRONG_SN and each.source.can_id == can_id and data.startswith(each.data.hex())
            for each in failed
        )


@NEEDS_TSHARK
@pytest.mark.parametrize("kind", ["pcap", "pcapng", "SLL"])
def test_frames_are_those_of_tshark(kind: str, tmp_path: Path) -> None:
    frames = writers.sample(100, fd=True)
    path = tmp_path / "traffic"
    path.write_bytes(
        writers.pcapng(frames) if kind == "pcapng" else writers.pcap(frames, link_type=113 if kind == "SLL" else 227)
    )
    reader = open_recording(path)
    ours = [(frame[2] & 0x1FFFFFFF, len(frame[3])) for batch in reader.batches() for frame in batch]
    reader.close()
    theirs = [(int(can_id), int(size.split(",")[0] or 0)) for _, can_id, size in tshark(path, "can.id", "can.len")]
    assert ours == theirs == [(frame[2] & 0x1FFFFFFF, len(frame[3])) for frame in frames]


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf", ".trc", ".csv", ".db"])
def test_frames_are_those_of_python_can(suffix: str, tmp_path: Path) -> None:
    can = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    path = tmp_path / f"traffic{suffix}"
    writers.python_can(writers.sample(300, fd=suffix != ".trc"), path)
    reader = open_recording(path)
    ours = [(now / 1e9, can_id, data) for batch in reader.batches() for now, _, can_id, data, _ in batch]
    reader.close()
    with can.LogReader(path) as messages:
        theirs = [
            (each.timestamp, each.arbitration_id | (CAN_EFF_FLAG if each.is_extended_id else 0), bytes(each.data))
            for each in messages
        ]
    assert [each[1:] for each in ours] == [each[1:] for each in theirs]
    assert [each[0] for each in ours] == pytest.approx([each[0] for each in theirs], abs=1e-6)
    assert len(ours) == 300
