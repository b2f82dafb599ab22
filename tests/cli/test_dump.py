"""isotp dump and isotp perf on log files: every format, damaged ones, what they print and how they end."""

import gzip
import json
import random
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from isotp.cli.main import main

from ..capture.test_cases import CASES, EXPECTED
from .terminals import ERASED, bars, on_terminal

can = pytest.importorskip("can")

ISOTP = [sys.executable, "-m", "isotp"]
FORMATS = [".log", ".asc", ".blf", ".trc", ".csv", ".log.gz", ".asc.gz"]
VIN = b"\x62\xf1\x90WVWZZZ1JZXW000001"
NOISE = 0x3F0

# (milliseconds, identifier, data)
TRAFFIC = [
    (0, 0x7E0, "0322F19055555555"),
    (1, NOISE, "AABBCCDDEEFF0011"),
    (2, 0x7E8, "101462F190" + VIN[3:6].hex()),
    (4, 0x7E0, "3008055555555555"),
    (5, 0x7E8, "21" + VIN[6:13].hex()),
    (11, 0x7E8, "22" + VIN[13:20].hex()),
    (20, 0x7E0, "022E1255555555AA"),
    (21, 0x7E8, "037F2E31AAAAAAAA"),
    (30, 0x7E8, "101462F190010203"),
    (31, 0x7E0, "3000000000000000"),
    (32, 0x7E8, "2201020304050607"),
    (40, 0x7E8, "90"),
]
MESSAGES = ["22f190", VIN.hex(), "2e12", "7f2e31"]


def write(path: Path, traffic: Sequence[tuple[float, int, str]] = TRAFFIC, begin: float = 1_700_000_000.0) -> Path:
    """A log file, written by python-can."""
    with can.Logger(str(path)) as log:
        for ms, can_id, data in traffic:
            message = can.Message(
                timestamp=begin + ms / 1000,
                arbitration_id=can_id & 0x1FFFFFFF,
                is_extended_id=can_id > 0x7FF,
                data=bytes.fromhex(data),
                is_fd=len(data) > 16,
                channel=1,
            )
            log(message)
    return path


def dump(capsys: pytest.CaptureFixture[str], *arguments: object, command: str = "dump") -> list[str]:
    assert main([command, *map(str, arguments)]) == 0
    return capsys.readouterr().out.splitlines()


def objects(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[dict[str, Any]]:
    return [json.loads(line) for line in dump(capsys, "--json", *arguments)]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("ids", [[], ["-s", "7E0", "-d", "7E8"]], ids=["found", "given"])
def test_messages_of_every_format(
    tmp_path: Path, suffix: str, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = objects(capsys, "--messages", *ids, write(tmp_path / f"bus{suffix}"))
    messages = [each for each in found if "data" in each and "error" not in each]
    assert [each["data"] for each in messages] == MESSAGES
    assert [each["source"] for each in messages] == ["7E0", "7E8", "7E0", "7E8"]
    long = messages[1]
    assert (long["target"], long["length"], long["bs"], long["stmin"]) == ("7E0", 20, 8, 5)
    assert long["n_bs"] == pytest.approx(0.002, abs=1e-4)
    assert long["n_cr"] == pytest.approx(0.006, abs=1e-4)
    assert long["min_gap"] == pytest.approx(0.006, abs=1e-4)
    assert long["bytes_per_s"] == pytest.approx(20 / 0.009, rel=0.02)
    assert long["uds"] == {"service": "ReadDataByIdentifier", "kind": "response", "detail": "F190 VIN"}
    assert messages[3]["uds"]["kind"] == "negative response"
    failed, fault = found[4:]
    assert failed["error"]["n_result"] == "N_WRONG_SN"
    assert (failed["done"], failed["length"]) == (6, 20)
    assert fault["fault"] == "reserved N_PCI type 9"


@pytest.mark.parametrize("suffix", FORMATS)
def test_frames_of_every_format(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [each for each in objects(capsys, write(tmp_path / f"bus{suffix}")) if "raw" in each and "id" in each]
    assert [(each["id"], each["raw"].upper()) for each in frames] == [
        (f"{can_id:03X}", data.upper()) for _, can_id, data in TRAFFIC if can_id != NOISE
    ]
    times = [each["time"] - frames[0]["time"] for each in frames]
    assert times == pytest.approx([ms / 1000 for ms, can_id, _ in TRAFFIC if can_id != NOISE], abs=1e-4)


def test_frames_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dump(capsys, "--ascii", write(tmp_path / "bus.log")) == [
        "   0.000000  can1  7E0  SF len 3      22 F1 90  '\"..'  ReadDataByIdentifier request F190 VIN",
        "   0.002000  can1  7E8  FF len 20     62 F1 90 57 56 57  'b..WVW'  ReadDataByIdentifier response F190 VIN",
        "   0.004000  can1  7E0  FC CTS        BS 8, STmin 5 ms",
        "   0.005000  can1  7E8  CF SN 1       5A 5A 5A 31 4A 5A 58  'ZZZ1JZX'",
        "   0.011000  can1  7E8  CF SN 2       57 30 30 30 30 30 31  'W000001'",
        "   0.020000  can1  7E0  SF len 2      2E 12  '..'  WriteDataByIdentifier request",
        "   0.021000  can1  7E8  SF len 3      7F 2E 31  '..1'  "
        "WriteDataByIdentifier refused: RequestOutOfRange (0x31)",
        "   0.030000  can1  7E8  FF len 20     62 F1 90 01 02 03  'b.....'  ReadDataByIdentifier response F190 VIN",
        "   0.031000  can1  7E0  FC CTS        BS 0, STmin 0 ms",
        "   0.032000  can1  7E8  CF SN 2       01 02 03 04 05 06 07  '.......'",
        "    can1  7E8 > 7E0  ! SN 2 instead of 1 after 6 of 20 bytes (N_WRONG_SN)",
        "   0.040000  can1  7E8  ??            90",
        "    can1  7E8 > 7E0  ! reserved N_PCI type 9",
    ]


def test_messages_as_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = dump(capsys, "--messages", "--time", "a", write(tmp_path / "bus.log"))
    assert lines[1] == (
        "1700000000.011000  can1  7E8 > 7E0  [20]  62 F1 90 57 56 57 5A 5A 5A 31 4A 5A 58 57 30 30 30 30 30 31  "
        "ReadDataByIdentifier response F190 VIN  "
        "(9.000 ms; 2222 B/s; BS 8; STmin 5 ms, kept 6.000 ms; N_Bs 2.000 ms; N_Cr 6.000 ms)"
    )
    assert lines[4].endswith("! SN 2 instead of 1 after 6 of 20 bytes (N_WRONG_SN)")
    assert lines[5] == "1700000000.040000  can1  7E8 > 7E0  ! reserved N_PCI type 9  90"


def test_an_stmin_that_is_not_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traffic = [(0, 0x7E8, "1014010203040506"), (1, 0x7E0, "30000A")]
    traffic += [(2, 0x7E8, "2101010101010101"), (5, 0x7E8, "2201010101010101")]
    (line,) = dump(capsys, "-m", write(tmp_path / "bus.log", traffic))
    assert "STmin 10 ms NOT KEPT, 3.000 ms" in line


@pytest.mark.parametrize(
    ("style", "pattern"),
    [
        ("z", r" +0\.002000$"),
        ("a", r"1700000000\.002000$"),
        ("d", r" +0\.002000$"),
        ("A", r"2023-11-1\d \d\d:\d\d:\d\d\.002000$"),
    ],
)
def test_time_stamps(tmp_path: Path, style: str, pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = dump(capsys, "-t", style, write(tmp_path / "bus.log"))
    assert re.match(pattern, lines[1].split("  can1")[0])


def test_long_messages_are_cut_and_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "bus.log")
    assert "[20]  62 F1 90 57 ... (16 more)" in dump(capsys, "-m", "--head", "4", path)[1]
    assert VIN.hex(" ").upper() in dump(capsys, "-m", "--head", "0", path)[1]


def test_can_fd_and_29_bits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytes(range(60))
    traffic = [(0, 0x18DA10F1, "003C" + data.hex() + "CCCC"), (1, 0x18DAF110, "0141")]
    found = objects(capsys, "-m", write(tmp_path / "bus.log", traffic))
    assert [(each["source"], each["data"]) for each in found] == [("18DA10F1", data.hex()), ("18DAF110", "41")]


def test_extended_addressing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traffic = [(0, 0x456, "10100A0102030405"), (1, 0x123, "2030000000000000"), (2, 0x456, "1021060708090A0B")]
    path = write(tmp_path / "bus.log", traffic)
    for options in (["-x", "any"], ["-s", "456", "-d", "123", "-x", "10:20"]):
        (found,) = objects(capsys, "-m", *options, path)
        assert (found["source"], found["target"], found["data"]) == ("456/10", "123/20", "0102030405060708090a")
    assert main(["dump", "-m", str(path)]) == 0
    err = capsys.readouterr().err
    assert "links were found only with an address byte before each N_PCI (extended addressing): say -x any" in err
    assert "no ISO-TP link found in 3 frames" in err


def test_several_links_by_their_identifiers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = [(0x600, 0x608), (0x123, 0x456), (0x18DA10F1, 0x18DAF110)]
    traffic: list[tuple[float, int, str]] = []
    for step, data in enumerate(["1014010203040506", "300000", "2107080910111213", "2214151617181920"]):
        traffic += [(10 * step + n, pair[step == 1], data) for n, pair in enumerate(pairs)]
    path = write(tmp_path / "bus.log", traffic)
    options = ["-s", "600", "-d", "608", "-s", "123", "-d", "456", "--fixed", "10:F1"]
    found = objects(capsys, "-m", *options, path)
    assert [(each["source"], each["target"], each["length"]) for each in found] == [
        ("600", "608", 20), ("123", "456", 20), ("18DA10F1", "18DAF110", 20)
    ]  # fmt: skip
    assert len(dump(capsys, *options, path, command="perf")) == 3 + 3


@pytest.mark.parametrize("command", ["dump", "perf"])
@pytest.mark.parametrize("messages", [[], ["-m"]], ids=["frames", "messages"])
def test_identifiers_that_match_nothing(
    tmp_path: Path, command: str, messages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "bus.log")
    assert main([command, str(path), "-s", "123", "-d", "456", *(messages if command == "dump" else [])]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"{path}: none of these identifiers in 12 frames; without -s, -d and --fixed links are found by their traffic\n"
    )


def test_extended_addressing_taken_for_normal_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traffic = [(n, 0x600, "F1" + data) for n, data in enumerate(["100A0102030405", "21060708090A0B"] * 9)]
    path = write(tmp_path / "bus.log", traffic)
    assert main(["dump", "-m", "-s", "600", "-d", "6F1", str(path)]) == 0
    assert "if this is extended addressing, say -x any" in capsys.readouterr().err


def test_each_channel_has_its_own_links(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for ms, can_id, data in TRAFFIC[:6]:
        lines += [f"({ms / 1000:.6f}) {name} {can_id:03X}#{data}" for name in ("can0", "can1")]
    path = tmp_path / "two.log"
    path.write_text("\n".join(lines))
    found = objects(capsys, "-m", path)
    assert [(each["channel"], each["data"]) for each in found] == [
        (name, data) for data in MESSAGES[:2] for name in ("can0", "can1")
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_recordings_in_the_shape_of_real_ones(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dump", "-m", "--json", str(CASES / name)]) == 0
    out, err = capsys.readouterr()
    found = [json.loads(line) for line in out.splitlines()]
    assert [(each["source"], each["data"].upper()) for each in found] == EXPECTED[name]
    assert not any("error" in each or "fault" in each for each in found)
    assert err == ""


def test_frames_of_no_link_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "bus.log")
    for options in (["-m"], ["-m", "--json"], []):
        assert main(["dump", *options, str(path)]) == 0
        err = capsys.readouterr().err
        assert err == f"{path}: 1 of 12 frames are of no link that was found; -s and -d name more\n"


def test_frames_that_a_pipe_no_longer_has_are_counted() -> None:
    before = [f"({n / 1000:.6f}) can0 456#0141000000000000\n" for n in range(50)]
    after = [f"(1.00{n}000) can0 {frame}\n" for n, frame in enumerate(["456#100A010203040506", "123#300000"])]
    log = "".join([*before, *after, "(1.003000) can0 456#210708090A\n"])
    done = subprocess.run([*ISOTP, "dump", "-m", "-"], input=log, capture_output=True, text=True)
    assert "[10]  01 02 03 04 05 06 07 08 09 0A" in done.stdout
    missed = 53 - 2 - len(done.stdout.splitlines())
    assert missed > 0
    assert done.stderr == (
        f"standard input: {missed} of 53 frames are of no link that was found, {missed} of them before their link was "
        "found; -s and -d name more\n"
    )


def test_count_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "bus.log")
    assert len(dump(capsys, "-n", "3", path)) == 3
    assert len(dump(capsys, "-m", "-n", "2", path)) == 2


def test_a_message_that_the_recording_cuts_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = objects(capsys, "-m", "-s", "7E0", "-d", "7E8", write(tmp_path / "bus.log", TRAFFIC[2:5]))
    assert found["error"]["text"] == "the recording ends after 13 of 20 bytes"


# --- whatever a file holds


def test_lines_that_are_no_frames_are_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write(tmp_path / "bus.log").read_bytes().splitlines()
    junk = [b"", b"\xff\xfe\x00", b"(1.0) can0", b"(x) can0 7E0#00", b"(1.0) can0 7E0#0", b"(1.0) can0 GGG#00"]
    junk += [b"(1.000000) can0 123#R", b"(1.000000) can0 20000080#0000000000000000", b"_" * 50, b"\0" * 70_000]
    junk += [b"(1e999) can0 123#00", b"(nan) can0 123#00", b"(1.000000) can0 FFFFFFFFF#00"]
    path = tmp_path / "junk.log"
    path.write_bytes(b"\n".join(line for pair in zip(junk, [*good, b""], strict=True) for line in pair))
    assert main(["dump", "--messages", "--json", str(path)]) == 0
    shown = capsys.readouterr()
    messages = [json.loads(line) for line in shown.out.splitlines()]
    assert [each["data"] for each in messages if "data" in each and "error" not in each] == MESSAGES
    assert f"{len(junk) - 3} lines were no CAN frames" in shown.err


@pytest.mark.parametrize("options", [[], ["-m"], ["--json"], ["-m", "--json"], ["-t", "A"]], ids=str)
def test_a_time_that_no_float_holds(tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bus.log"
    path.write_text(f"(1.000000) can0 7E0#0141\n({'9' * 310}.000000) can0 7E0#0142\n(2.000000) can0 7E0#0143\n")
    assert main(["dump", *options, str(path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert err == f"{path}: 1 lines were no CAN frames\n"


def test_candump_variants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bus.log"
    path.write_text(
        "(0.5) can0 7E0#0141\n(1.000000) can0 7E0#0142334455667788_9\n(2.000000000) can0 7E0##10143 T\r\n"
        "(3.000000) can0 000007E0#0144 R\n(4.000000) can0 7E0#0145",
    )
    frames = objects(capsys, "--no-uds", path)
    assert [(each["time"], each["data"]) for each in frames] == [(0.5, "41"), (1, "42"), (2, "43"), (4, "45")]


@pytest.mark.parametrize("suffix", [".log", ".asc", ".blf", ".trc", ".csv"])
@pytest.mark.parametrize("messages", [[], ["--messages"]], ids=["frames", "messages"])
def test_malformed_traffic_never_stops_it(
    tmp_path: Path, suffix: str, messages: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(suffix)
    traffic: list[tuple[float, int, str]] = []
    for i in range(3000):
        can_id = chance.choice([0x7E0, 0x7E8, 0x7DF, 0x300, 0x301, 0x18DA10F1, 0x18CE10F1])
        data = bytes((chance.choice([0x02, 0x10, 0x21, 0x22, 0x30, 0x31, 0x32, 0xF0]),)) + chance.randbytes(7)
        traffic.append((i, can_id, data[: chance.randrange(1, 9)].hex()))
    found = dump(capsys, *messages, write(tmp_path / f"bus{suffix}", traffic))
    assert len(found) > 500


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files_end_with_a_sentence(tmp_path: Path, suffix: str) -> None:
    chance = random.Random(suffix)
    path = write(tmp_path / f"bus{suffix}", TRAFFIC * 50)
    raw = bytearray(path.read_bytes())
    for at in (0, 3, len(raw) // 2, len(raw) - 10):
        damaged = raw[:at] + chance.randbytes(8) + raw[at + 8 :]
        path.write_bytes(damaged[: len(damaged) - chance.randrange(20)])
        done = subprocess.run([*ISOTP, "dump", path], capture_output=True, text=True)
        assert "Traceback" not in done.stderr
        assert done.returncode in (0, 1)
        assert done.returncode == 0 or done.stderr.strip()


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (["nowhere.log"], 1, "No such file or directory: nowhere.log"),
        (["nowhere.blf"], 1, "No such file or directory: nowhere.blf"),
        (["."], 1, "."),
        (["pyproject.toml"], 1, "toml"),
        ([], 2, "SOURCE"),
        (["can0", "--bus", "socketcan:can0"], 2, "needed is one of SOURCE"),
        (["--bus", "virtual"], 2, "bus in this process"),
        (["--bus", "nonsense:1"], 1, "python-can cannot open nonsense:1"),
        (["x.log", "-x", "10"], 2, "-x any"),
        (["x.log", "-x", "any", "-s", "1"], 2, "-x any finds all links"),
        (["x.log", "-t", "q"], 2, "'q'"),
    ],
)
def test_what_cannot_be(
    arguments: list[str], status: int, text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    for command in ("dump", "perf") if "-t" not in arguments else ("dump",):
        assert main([command, *arguments]) == status
        assert text in capsys.readouterr().err


def test_an_empty_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "empty.log"
    path.touch()
    assert main(["dump", str(path)]) == 1
    assert "no CAN frames in it" in capsys.readouterr().err


def test_standard_input(tmp_path: Path) -> None:
    log = write(tmp_path / "bus.log").read_bytes()
    done = subprocess.run([*ISOTP, "dump", "-m", "--json", "-"], input=log, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["data"] for line in done.stdout.splitlines()[:4]] == MESSAGES


# --- the terminal


def big(path: Path, times: int = 8_000) -> Path:
    block = "".join(f"({1.0:.6f}) can0 {can_id:03X}#{data}\n" for _, can_id, data in TRAFFIC)
    opening = gzip.open if path.suffix == ".gz" else open
    with opening(path, "wt") as file:
        file.write(block * times)
    return path


def test_a_closed_pipe_is_141(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*ISOTP, "dump", big(tmp_path / "bus.log")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    complaints = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), complaints) == (141, b"")


def test_ctrl_c_is_130(tmp_path: Path) -> None:
    """Interrupted while it waits for more on standard input."""
    process = subprocess.Popen(
        [*ISOTP, "dump", "-m", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"(1.0) can0 7E0#0141\n(1.0) can0 7E0#1010010203040506\n")
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"   0.000000  can0  7E0  [1]  41")
    process.send_signal(signal.SIGINT)
    out, complaints = process.communicate(timeout=30)
    assert (process.returncode, complaints) == (130, b"ended by Ctrl-C\n")
    assert b"interrupted after 6 of 16 bytes" in out


@pytest.mark.parametrize(
    ("environment", "has_colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_and_progress_are_for_terminals(tmp_path: Path, environment: dict[str, str], has_colours: bool) -> None:
    shown = on_terminal([*ISOTP, "dump", "-m", str(big(tmp_path / "bus.log"))], 60, environment)
    assert (re.search(r"\x1b\[\d+m", shown) is not None) is has_colours
    can_erase = environment.get("TERM") != "dumb"
    assert (bool(bars(shown, "frames")), "\x1b[2K" in shown) == (can_erase, can_erase)
    plain = ERASED.sub("", re.sub(r"\x1b\[[0-9;]+m", "", shown))
    assert max(map(len, plain.split("\r\n"))) <= 60
    quiet = subprocess.run([*ISOTP, "dump", "-m", tmp_path / "bus.log"], capture_output=True)
    assert b"\x1b" not in quiet.stdout + quiet.stderr
    assert b"%" not in quiet.stderr


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """What a log needs at most, in a process of its own; the second one is six times as long."""

    def peak(times: int) -> int:
        path = big(tmp_path / f"{times}.log", times)
        code = (
            "import resource, sys; from isotp.cli.main import main; main(['dump', '-m', sys.argv[1]]);"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        return int(done.stderr.split()[-1])

    assert peak(30_000) < peak(5_000) + 5_000  # kilobytes


# --- perf


def test_perf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert dump(capsys, write(tmp_path / "bus.log"), command="perf") == [
        "   0.011000  can1  7E8 > 7E0  20 bytes  "
        "9.000 ms; 2222 B/s; BS 8; STmin 5 ms, kept 6.000 ms; N_Bs 2.000 ms; N_Cr 6.000 ms",
        "   0.032000  can1  7E8 > 7E0  20 bytes  "
        "2.000 ms; 3000 B/s; BS 0; STmin 0 ms; N_Bs 1.000 ms; N_Cr 1.000 ms"
        "  ! SN 2 instead of 1 after 6 of 20 bytes (N_WRONG_SN)",
        "can1  7E8 > 7E0  2 transfers, 1 failed, 20 bytes in 9.000 ms: 2222 B/s",
    ]


def test_a_bus_of_python_can(capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, where the two ends of python-can's virtual bus can meet."""
    import threading

    with can.Bus(interface="virtual", channel="dump-test") as sender:

        def send() -> None:
            while not done.wait(0.02):
                sender.send(can.Message(arbitration_id=0x7E0, data=b"\x02\x10\x03", is_extended_id=False))

        done = threading.Event()
        thread = threading.Thread(target=send)
        thread.start()
        try:
            (line,) = dump(capsys, "-m", "-n", "1", "--bus", "virtual:dump-test")
        finally:
            done.set()
            thread.join()
    assert line.endswith(
        "virtual:dump-test  7E0  [2]  10 03  DiagnosticSessionControl request extendedDiagnosticSession"
    )


def test_times_in_json_are_those_of_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamps = [f"1700000000.{number * 7919 % 1_000_000:06}" for number in range(1000)]
    path = tmp_path / "times.log"
    path.write_text("".join(f"({stamp}) can0 7E0#023E00\n" for stamp in stamps))
    for more in ([], ["--messages"]):
        assert main(["dump", "--json", "-s", "7E0", "-d", "7E8", *more, str(path)]) == 0
        shown = capsys.readouterr().out.splitlines()
        assert [float(stamp) for stamp in stamps] == [json.loads(line)["time"] for line in shown]
