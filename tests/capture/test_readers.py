"""Every format read back equal, by its content alone; damaged files end with a sentence, never with a traceback."""

import gzip
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isotp.capture.frames import TIME_MAX_NS, Frame
from isotp.capture.readers import UnreadableError, open_recording

from . import writers

MS = 1_000_000
FIRST = writers.sample()[0][0]


def read(path: Path) -> tuple[list[Frame], int]:
    reader = open_recording(path)
    try:
        return [frame for batch in reader.batches() for frame in batch], reader.passed_over
    finally:
        reader.close()


def encoded(content: str | bytes) -> bytes:
    return content.encode("latin-1") if isinstance(content, str) else content


# For each: what writes it, whether it has CAN FD, whether times begin at 0, whether channels are as in `sample`.
Format = tuple[Callable[[list[Frame]], str | bytes], bool, bool, str | None]
FORMATS: dict[str, Format] = {
    "candump -l": (writers.candump_log, True, False, "can{}"),
    "candump -L -x": (lambda frames: writers.candump_log(frames, " R"), True, False, "can{}"),
    "candump -ta": (lambda frames: writers.candump_screen(frames, "a"), True, False, "can{}"),
    "candump -tz": (lambda frames: writers.candump_screen(frames, "z"), True, True, "can{}"),
    "candump -td": (lambda frames: writers.candump_screen(frames, "d"), True, True, "can{}"),
    "candump -tA": (lambda frames: writers.candump_screen(frames, "A"), True, False, "can{}"),
    "candump -x -a": (lambda frames: writers.candump_screen(frames, "a", True, True), True, False, "can{}"),
    "candump -a": (lambda frames: writers.candump_screen(frames, "z", ascii_too=True), True, True, "can{}"),
    "gvret": (writers.gvret, False, True, "{}"),
    "busmaster": (writers.busmaster, False, True, "{}"),
    "trc 1.1": (writers.trc("1.1"), False, True, None),
    "trc 1.2": (writers.trc("1.2"), False, True, "{}"),
    "trc 1.3": (writers.trc("1.3"), False, True, "{}"),
    "trc 2.0": (writers.trc("2.0"), True, True, None),
    "trc 2.1": (writers.trc("2.1"), True, True, "{}"),
    "pcap": (writers.pcap, True, False, None),
    "pcap, big endian, ns": (lambda frames: writers.pcap(frames, ">", True), True, False, None),
    "pcap of wireshark": (lambda frames: writers.pcap(frames, is_short=True), True, False, None),
    "pcap, SLL": (lambda frames: writers.pcap(frames, link_type=113), True, False, None),
    "pcap, SLL2": (lambda frames: writers.pcap(frames, link_type=276), True, False, None),
    "pcapng": (writers.pcapng, True, False, "can{}"),
    "pcapng, big endian, ns": (lambda frames: writers.pcapng(frames, ">", 9), True, False, "can{}"),
    "pcapng, SLL2": (lambda frames: writers.pcapng(frames, link_type=276), True, False, "can{}"),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("is_packed", [False, True], ids=["plain", "gzip"])
def test_read_back(name: str, is_packed: bool, tmp_path: Path) -> None:
    write, has_fd, begins_at_0, channel = FORMATS[name]
    frames = writers.sample(fd=has_fd)
    content = encoded(write(frames))
    path = tmp_path / "recording"  # no suffix: the content says what it is
    path.write_bytes(gzip.compress(content) if is_packed else content)
    found, skipped = read(path)
    assert skipped == 0
    start = FIRST if begins_at_0 else 0
    assert [(time - start, *rest) for time, _, *rest in frames] == [(time, *rest) for time, _, *rest in found]
    if channel is not None:
        assert [frame[1] for frame in found] == [channel.format(frame[1]) for frame in frames]


def test_trc_1_0_has_whole_milliseconds(tmp_path: Path) -> None:
    frames = writers.sample()
    path = tmp_path / "recording"
    path.write_text(writers.trc("1.0")(frames))
    found, skipped = read(path)
    assert (skipped, [frame[2:] for frame in found]) == (0, [frame[2:] for frame in frames])
    assert all(abs(got[0] - (frame[0] - FIRST)) <= MS // 2 for got, frame in zip(found, frames, strict=True))


def test_identifiers_of_cooked_frames_in_either_order(tmp_path: Path) -> None:
    frames = writers.sample(fd=True)
    path = tmp_path / "recording"
    for order in "<>":
        path.write_bytes(writers.pcap(frames, link_type=113, id_order=order))
        assert [frame[2:] for frame in read(path)[0]] == [frame[2:] for frame in frames]


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf", ".trc", ".csv", ".db", ".mf4"])
@pytest.mark.parametrize("count", [1, 400, 3000])
def test_what_python_can_writes(suffix: str, count: int, tmp_path: Path) -> None:
    pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    if suffix == ".mf4":
        pytest.importorskip("asammdf", reason="asammdf is not installed (to do: pip install asammdf)")
    if suffix == ".db" and count > 500:
        pytest.skip("python-can's writer loses all but the first 501 of so many")
    frames = writers.sample(count, fd=suffix != ".trc")
    written = tmp_path / f"recording{suffix}"
    writers.python_can(frames, written)
    path = written.rename(tmp_path / "RECORDING.TXT")
    found, skipped = read(path)
    assert skipped == 0
    assert [frame[2:] for frame in found] == [frame[2:] for frame in frames]
    times = [frame[0] - found[0][0] for frame in found]
    assert times == pytest.approx([writers.since(frame, frames) for frame in frames], abs=2000)


def test_asc_variants(tmp_path: Path) -> None:
    """Header, decimal numbers, relative times, events that are no frames: as Vector's tools write them."""
    path = tmp_path / "recording"
    path.write_text(
        "date Tue Nov 14 10:13:20.100 pm 2023\nbase dec  timestamps relative\nno internal events logged\n"
        "// version 13.0.0\n"
        "   0.500000 1  2016            Rx   d 3 02 16 03  Length = 240000 BitCount = 124 ID = 2016\n"
        "   0.250000 2  417001744x      Tx   d 1 255  Length = 1\n"
        "   0.250000 1  Statistic: D 1 R 0 XD 0 XR 0 E 0 O 0 B 0.04%\n"
        "   0.000000 CANFD   1 Rx        291  Engine_Data    1 0 9 12 0 1 2 3 4 5 6 7 8 9 10 11    0 0 3000 0 0 0 0 0\n"
        "   0.100000 1  2016            Rx   r\n"
        "   0.100000 1  ErrorFrame\n"
        "End TriggerBlock\n"
    )
    found, skipped = read(path)
    assert skipped == 0
    assert found == [
        (500 * MS, "0", 2016, bytes((2, 16, 3)), False),
        (750 * MS, "1", 417001744 | 0x80000000, b"\xff", False),
        (750 * MS, "0", 291, bytes(range(12)), True),
    ]


def test_candump_variants(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text(
        "(0.5) can0 7E0#0141\n(1.000000) can0 7E0#0142334455667788_9\n(2.000000000) can0 7E0##10143 T\r\n"
        "(3.000000) can0 000007E0#0144 R\n(4.000000) can0 7E0#R8\n(4.000000) can0 20000080#0000000000000000\n"
        "(4.000000) can0 7E0#\n\n(5.000000) can0 7E0#0145",
    )
    found, skipped = read(path)
    assert skipped == 0
    assert [(frame[0] // (100 * MS), frame[2], frame[3].hex()) for frame in found] == [
        (5, 0x7E0, "0141"),
        (10, 0x7E0, "0142334455667788"),
        (20, 0x7E0, "0143"),
        (30, 0x800007E0, "0144"),
        (40, 0x7E0, ""),
        (50, 0x7E0, "0145"),
    ]


def test_candump_on_the_screen_has_other_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text(
        "  can0  7E0   [8]  remote request\n"
        " \x1b[31m can0\x1b[0m  7E0   [2]  01 41\n"
        "  can0  20000004   [8]  00 04 00 00 00 00 00 00   ERRORFRAME\n"
        "DROPCOUNT: dropped 1 CAN frame on 'can0' socket (total drops 1)\n"
        "  can0  7E0   [3]  01 42\n"
        "  vcan10  12345678   [0] \n"
        "  can0  7E0  {F}  01 42 00 00 00 00 00 00\n"
    )
    found, skipped = read(path)
    assert [(frame[1], frame[3].hex()) for frame in found] == [
        ("can0", "0141"),
        ("vcan10", ""),
        ("can0", "0142000000000000"),
    ]
    assert skipped == 2


def test_lines_that_are_no_frames_are_counted(tmp_path: Path) -> None:
    good = writers.candump_log(writers.sample(14)).encode().splitlines()
    junk = [b"\xff\xfe\x00", b"(1.0) can0", b"(x) can0 7E0#00", b"(1.0) can0 7E0#0", b"(1.0) can0 GGG#00"]
    junk += [b"_" * 50, b"\0" * 70_000, b"(1e999) can0 123#00", b"(nan) can0 123#00", b"(1.000000) can0 FFFFFFFFF#00"]
    junk += [b"(" + b"9" * 310 + b".000000) can0 123#00", b"(-1.000000) can0 123#00", b"(1.000000) can0 7E0"]
    junk += [b"(" + b"9" * 5000 + b".5) can0 123#00"]
    path = tmp_path / "recording"
    path.write_bytes(b"\n".join(line for pair in zip(good, junk, strict=True) for line in pair))
    found, skipped = read(path)
    assert (len(found), skipped) == (14, 14)


@pytest.mark.parametrize("digits", [19, 310, 5000])
@pytest.mark.parametrize(
    "name", ["candump -l", "candump -ta", "gvret", "busmaster", "trc 1.1", "trc 2.1", "asc", "csv"]
)
def test_times_that_no_clock_has(name: str, digits: int, tmp_path: Path) -> None:
    stamp = "9" * digits
    content = {
        "candump -l": f"({stamp}.000000) can0 123#00\n(1.000000) can0 123#00\n",
        "candump -ta": f" ({stamp}.000000)  can0  123   [1]  00\n (1.000000)  can0  123   [1]  00\n",
        "gvret": "Time Stamp,ID,Extended,Dir,Bus,LEN,D1\n"
        f"{stamp}000,123,false,Rx,0,1,00,\n1000000,123,false,Rx,0,1,00,\n",
        "busmaster": f"***BUSMASTER***\n{stamp}:00:00:0000 Rx 1 0x123 s 1 00\n00:00:01:0000 Rx 1 0x123 s 1 00\n",
        "trc 1.1": f";$FILEVERSION=1.1\n1) {stamp}.0 Rx 0123 1 00\n2) 1000.0 Rx 0123 1 00\n",
        "trc 2.1": f";$COLUMNS=N,O,T,B,I,d,R,L,D\n1 {stamp}.0 DT 1 0123 Rx - 1 00\n2 1000.0 DT 1 0123 Rx - 1 00\n",
        "asc": f"base hex  timestamps absolute\n {stamp}.0 1  123  Rx   d 1 00\n 1.0 1  123  Rx   d 1 00\n",
        "csv": "timestamp,arbitration_id,extended,remote,error,dlc,data\n"
        f"{stamp}.0,0x123,0,0,0,1,AA==\n1.0,0x123,0,0,0,1,AA==\n",
    }[name]
    path = tmp_path / "recording"
    path.write_text(content)
    found, skipped = read(path)
    assert ([frame[0] for frame in found], skipped) == ([1000 * MS], 1)


def damaged(content: bytes, chance: random.Random) -> bytes:
    raw = bytearray(content)
    for _ in range(chance.randrange(1, 6)):
        at = chance.choice([0, 3, 20, 30, chance.randrange(len(raw))])
        raw[at : at + 8] = chance.randbytes(chance.randrange(1, 12))
    return bytes(raw[: len(raw) - chance.randrange(30)])


@pytest.mark.parametrize("name", [*FORMATS, ".blf", ".asc", ".db", ".csv"])
def test_damaged_files(name: str, tmp_path: Path) -> None:
    """Frames, or UnreadableError; whatever else comes out is a fault of ours."""
    chance = random.Random(name)
    path = tmp_path / "recording"
    if name in FORMATS:
        content = encoded(FORMATS[name][0](writers.sample(fd=FORMATS[name][1])))
    else:
        pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
        writers.python_can(writers.sample(), tmp_path / f"r{name}")
        content = (tmp_path / f"r{name}").read_bytes()
    for i in range(60):
        broken = damaged(content, chance)
        path.write_bytes(broken if i % 5 else gzip.compress(broken)[: -chance.randrange(1, 40)])
        try:
            found, _ = read(path)
        except UnreadableError:
            continue
        for time_ns, channel, can_id, data, is_fd in found:
            assert 0 <= time_ns <= TIME_MAX_NS
            assert len(data) <= 64
            assert can_id <= 0x7FF or can_id & 0x80000000
            assert isinstance(channel, str)
            assert isinstance(is_fd, bool)


def test_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "notes.log"
    path.write_text("Dear diary,\ntoday nothing was recorded.\n")
    with pytest.raises(UnreadableError, match="can be read: candump") as caught:
        open_recording(path)
    assert "candump -l can0" in str(caught.value)


def test_packets_that_are_no_can_frames(tmp_path: Path) -> None:
    path = tmp_path / "net.pcap"
    for content in (writers.pcap([], link_type=1), writers.pcapng([], link_type=1)):
        path.write_bytes(content)
        with pytest.raises(UnreadableError, match="link type 1,"):
            read(path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    assert read(path) == ([], 0)


def test_a_pipe_is_read_as_it_comes() -> None:
    """And one in no form that is known is refused while it is open."""
    code = (
        "import sys; from isotp.capture import open_recording\n"
        "for batch in open_recording('-').batches():\n"
        "    for frame in batch: print(frame[3].hex(), flush=True)"
    )

    def start() -> subprocess.Popen[bytes]:
        pipe = subprocess.PIPE
        return subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe)

    with start() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in range(3):
            process.stdin.write(f"({number}.000000)  can0  7E0   [1]  0{number}\n".encode())
            process.stdin.flush()
            assert process.stdout.readline() == f"0{number}\n".encode()
        process.stdin.close()
        assert process.wait(30) == 0
    with start() as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"interface=can0 id=7e0 data=00\n" * 40)
        process.stdin.flush()
        assert process.wait(30) == 1
        assert b"standard input: no recording" in process.stderr.read()


def test_standard_input_that_is_a_file_can_be_read_again(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    path.write_text(writers.candump_log(writers.sample(5)))
    code = (
        "from isotp.capture import open_recording\nr = open_recording('-')\n"
        "for _ in range(2):\n    print(sum(map(len, r.batches())))\n    r = r.again()"
    )
    with path.open() as file:
        done = subprocess.run([sys.executable, "-c", code], stdin=file, capture_output=True, text=True)
    assert done.stdout == "5\n5\n", done.stderr


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    content = gzip.compress(writers.candump_log(writers.sample(5)).encode())
    thread = threading.Thread(target=path.write_bytes, args=(content,))
    thread.start()
    try:
        assert len(read(path)[0]) == 5
    finally:
        thread.join()


def test_without_python_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "can", None)
    path = tmp_path / "recording"
    path.write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(OSError, match="python-can db is read by python-can") as caught:
        open_recording(path)
    remedy: Any = caught.value
    assert remedy.remedy == f"{sys.executable} -m pip install python-can"
