"""The commands on --bus virtual, where they need neither a kernel nor an adapter."""

import io
import json
import os
import pty
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

import pytest

from isotp import VirtualBus
from isotp.address import CAN_EFF_FLAG
from isotp.can_frame import CanFrame
from isotp.cli.commands import scan
from isotp.cli.links.link import Link
from isotp.cli.links.virtual_peer import join
from isotp.cli.main import COMMANDS, main
from isotp.cli.parser import Parser

from .terminals import ERASED, bars, on_terminal

VIRTUAL = ["--bus", "virtual"]
LINK = [*VIRTUAL, "-s", "7E0", "-d", "7E8"]
ISOTP = [sys.executable, "-m", "isotp"]
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before


EXAMPLES = [
    example
    for name in COMMANDS
    for example in import_module(f"isotp.cli.commands.{name}").EXAMPLES
    if "--bus virtual" in example
]


@pytest.mark.parametrize("example", [one for one in EXAMPLES if " serve " not in one and " share " not in one])
def test_the_examples_that_need_nothing_work_as_pasted(example: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(example)[1:]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["-s", "7E0", "-d", "7E8"],
        ["-s", "18DA10F1", "-d", "18DAF110"],
        ["-s", "00000001", "-d", "002"],
        ["-s", "7E0", "-d", "7E8", "-x", "12:34"],
        ["-s", "7E0", "-d", "7E8", "--mixed", "99"],
        ["-s", "7E0", "-d", "18DAF110", "-x", "12:34"],
        ["--fixed", "10:F1"],
        ["--fixed", "10:F1", "--mixed", "99"],
        ["--fixed", "10:F1", "--base", "14DA"],
        ["--fixed", "10:F1", "--mixed", "99", "--base", "14CE"],
        ["-s", "7E0", "-d", "7E8", "--fd"],
        ["-s", "7E0", "-d", "7E8", "--brs", "-x", "12"],
        ["-s", "7E0", "-d", "7E8", "-L", "72:24:0"],
        ["-s", "7E0", "-d", "7E8", "-p", "AA:BB", "-P", "a"],
        ["-s", "7E0", "-d", "7E8", "-P", "l"],
        ["-s", "7E0", "-d", "7E8", "--bs", "2", "--stmin", "300us", "--tx-stmin", "0"],
    ],
    ids=" ".join,
)
def test_each_kind_of_link_carries_a_message_there_and_back(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    message = bytes(range(100)).hex(" ").upper()
    assert main(["send", *VIRTUAL, *options, "-w", message]) == 0
    assert capsys.readouterr() == (message + "\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send", "01"], "-s and -d missing"),
        (["send", *LINK, "0g"], "'0g' is not hexadecimal"),
        (["send", "-s", "7E0"], "INTERFACE is missing"),
        (["send", *LINK, "-x", "1", "--mixed", "2", "01"], "exclude each other"),
        (["send", *LINK, "--fixed", "10:F1", "01"], "leave out -s, -d and -x"),
        (["send", *LINK, "-L", "72:64:0", "--fd", "01"], "leave out --fd"),
        (["send", *LINK, "-P", "a", "01"], "-p :AA"),
        (["send", *LINK, "--file", "x", "01"], "not both"),
        (["send", *LINK, "--functional", "-w", "01"], "only sends"),
        (["send", *LINK, "--stmin", "5", "01"], "5ms"),
        (["send", *LINK, "--bs", "256", "01"], "255"),
        (["send", "--bus", "nonsense", "01"], "python-can"),
        (["recv", "can0", *LINK], "'can0' is too many"),
        (["recv", *LINK, "--json", "--ascii"], "exclude each other"),
        (["scan"], "INTERFACE is missing"),
        (["scan", *VIRTUAL, "--fixed", "F1", "--range", "1-2"], "leave out --range"),
        (["vcan", "up"], "NAME missing"),
        (["vcan", "list", "vcan0"], "shows all"),
        (["vcan", "remove"], "invalid choice: 'remove' (choose from 'up', 'down', 'list')"),
        (["snd"], "Did you mean 'send'?"),
        (["serve", *LINK, "--host", ""], "--host is empty"),
        (["serve", *LINK, "--host", "0.0.0.0"], "there is no password: say --insecure"),
        (["serve", *LINK, "--host", "::", "--port", "0"], "there is no password: say --insecure"),
        (["serve", *LINK, "--unix", ""], "--unix is empty"),
        (["serve", *LINK, "--unix", "x", "--port", "1"], "leave out --port, --host and --insecure"),
        (["serve", *LINK, "--max-clients", "0"], "allowed is 1 or more"),
        (["send", *LINK, "--repeat", "2"], "--repeat is for"),
        (["vcan", "up", "\udcff"], "no name of an interface"),
        (["vcan", "down", "a/b"], "no name of an interface"),
        (["send", *LINK, "22", "F1", "9"], "'9' has half a byte"),
        (["send", *LINK, "22F19"], "'22F19' has half a byte"),
        (["send", *VIRTUAL, "-s", "800", "-d", "7E8", "01"], "29 bits are written with 8 digits: 00000800"),
        (["scan", *VIRTUAL, "--range", "700-FFF"], "'FFF' is more than 11 bits"),
        (["send", *LINK, "--base", "14DA", "01"], "--base is for the identifiers that --fixed makes"),
        (["scan", *VIRTUAL, "--base", "14DA"], "--base is for the identifiers that --fixed makes"),
        (["dump", "x.log", "-s", "1", "-d", "2", "--base", "14DA"], "--base is for the identifiers that --fixed makes"),
        (["dump", "x.log", "-s", "1", "-d", "2", "-s", "3"], "-s is given 2 times and -d 1 times"),
        (["recv", "-s", "7E0", "-d", "7E8", "can0", "can1"], "one INTERFACE is needed, and these are 2: can0, can1"),
        (["demo", "--soft", "--interface", "vcan0"], "leave out --interface"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        # each value is fine, and together they are not
        (["send", *VIRTUAL, "-s", "7E0", "-d", "7E0", "01"], "are the same"),
        (["send", "can0", "-s", "7E0", "-d", "7E0", "-x", "1:2", "01"], "--soft can do with one"),
        (["send", *LINK, "-L", "16:8:1", "01"], "Classical CAN"),
        (["send", *LINK, "-L", "72:9:0", "01"], "tx_dl=9: allowed is 8, 12"),
        (["send", *LINK, "-L", "72:64:2", "01"], "the engine sends no error state indicator"),
        (["send", *LINK, "--tx-stmin", "5s", "01"], "allowed is up to 4294ms"),
        (["send", *LINK, "--tx-stmin", "900ms", "01"], "less than 900ms"),
        (["send", "-s"], "isotp send: argument -s/--txid: expected one argument"),
        (["recv", *LINK, "--rcvbuf", "9" * 20], "allowed is 1 to 1073741823"),
        # it would have no effect
        (["send", *LINK, "--soft", "01"], "leave out --soft"),
        (["send", *LINK, "--bitrate", "500000", "01"], "--bitrate 500000 is for an adapter of python-can"),
        (["recv", "can0", "-s", "7E0", "-d", "7E8", "--bitrate", "5"], "sudo ip link set can0 type can bitrate 5"),
        (["scan", "can0", "--bitrate", "500000"], "--bitrate 500000 is for an adapter"),
        (["dump", "x.log", "--bitrate", "500000"], "--bitrate 500000 is for an adapter"),
        (["dump", "x.log", "--fd"], "--fd is for --bus"),
        (["dump", "x.log", "--head", "5"], "say --messages"),
        (["dump", "x.log", "--messages", "--json", "--head", "5"], "leave out --ascii, --time and --head"),
        (["dump", "x.log", "--json", "-t", "z"], "leave out --ascii, --time and --head"),
        (["dump", "x.log", "--json", "-a"], "leave out --ascii, --time and --head"),
        (["perf", "x.log", "--size", "5"], "--size is for --self"),
        (["perf", "--self", "-s", "7E0"], "leave out all options"),
        (["send", *LINK, "--timeout", "2s", "01"], "say -w"),
        (["send", *LINK, "--interval", "2s", "01"], "say --repeat"),
        (["send", *LINK, "--functional", "01"], "leave out -d"),
        (["send", "can0", "-s", "7DF", "--functional", "--stmin", "0", "01"], "leave out --bs, --stmin"),
        (["recv", *LINK, "--listen"], "leave out -s"),
        (["recv", "can0", "-d", "7DF", "--listen", "--bs", "8"], "leave out --bs, --stmin"),
        (["recv", *LINK, "--tx-stmin", "5ms"], "is --stmin"),
        (["recv", *LINK, "--follow", "--count", "1"], "leave out one"),
        (["vcan", "down", "vcan0", "--classical"], "--classical is for up"),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err.splitlines()[0]
    assert len(err.splitlines()) <= 3
    assert err.splitlines()[-1].startswith("help: ")


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (
            ["send", "--bus", "nosuch:channel", "-s", "7E0", "-d", "7E8", "01"],
            1,
            "python-can cannot open nosuch:channel",
        ),
        (["send", *LINK, "--file", "/nonexistent/file"], 1, "No such file or directory: /nonexistent/file"),
        (["send", *VIRTUAL, "-s", "7DF", "--functional", *["00"] * 9], 1, "9 bytes"),
        (["send", "can0", "-s", "1", "-d", "2", "--file", "/nonexistent/file"], 1, "No such file"),
        (["recv", *VIRTUAL, "-d", "7E8", "-s", "7E0", "--raw", "/nonexistent/file"], 1, "No such file or directory"),
        (["scan", *VIRTUAL, "--range", "001-002", "--wait", "1ms", "--listen", "0"], 3, "no endpoint answered"),
    ],
)
def test_what_fails_is_a_sentence(
    arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert told in err
    assert "Traceback" not in err


def test_the_progress_of_a_long_message(tmp_path: Path) -> None:
    path = tmp_path / "long"
    path.write_bytes(bytes(6000))
    shown = on_terminal([*ISOTP, "send", *LINK, "--tx-stmin", "1ms", "--file", str(path)], 60, {})
    drawn = bars(shown, "bytes")
    assert drawn
    assert sorted(drawn) == drawn
    assert ERASED.split(shown)[-1] == ""


def test_the_progress_of_a_scan_and_what_it_finds() -> None:
    options = ["--range", "7D8-7E8", "--wait", "100ms", "--listen", "0"]
    shown = on_terminal([*ISOTP, "scan", *VIRTUAL, *options], 60, {"NO_COLOR": "1"})
    assert bars(shown, "probes")
    lines = ERASED.sub("", shown).split("\r\n")
    assert lines == [
        "scan writes 17 frames to virtual, one every 100 ms",
        "-s 7E0 -d 7E8  CTS BS=0 STmin=0 ms",
        "  isotp send --bus virtual -s 7E0 -d 7E8 -w 3E 00",
        "",
    ]


def test_the_peer_says_nothing_of_an_echo_for_a_command_that_has_ended() -> None:
    """Its first frame is on the bus, and nobody answers: a warning would be an error here."""
    link, bus = Link(txid=0x7E0, rxid=0x7E8), VirtualBus()
    echoing = threading.Event()
    bus.listen(lambda frame: echoing.set() if frame.data[:1] == b"\x10" and frame.can_id == 0x7E8 else None)
    with ExitStack() as stack:
        join(stack, bus, link, speaks=False)()
        bus.inject(CanFrame(0x7E0, b"\x10\x08ABCDEF"))
        bus.inject(CanFrame(0x7E0, b"\x21GH"))
        assert echoing.wait(30.0)


def test_lines_of_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"01 02 \n\n0304\nzz\n")))
    assert main(["send", *LINK, "-w"]) == 1
    out, err = capsys.readouterr()
    assert out == "01 02\n03 04\n"
    assert err == "line 4 of standard input: 'zz' is not hexadecimal: needed are bytes such as 22 F1 90\n"


@pytest.mark.parametrize("given", [b"", b"\n \n"])
def test_standard_input_without_a_message(
    given: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert main(["send", *LINK]) == 1
    assert "nothing was sent: there is no message in standard input" in capsys.readouterr().err


def test_bytes_of_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    assert main(["send", *LINK, "-w"]) == 1
    assert "--file -" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe")))
    assert main(["send", *LINK, "-w", "--file", "-"]) == 0
    assert capsys.readouterr().out == "FF FE\n"


def test_more_often_than_a_machine_word_counts() -> None:
    arguments = ["send", *LINK, "-w", "--repeat", str(1 << 70), "01"]
    with subprocess.Popen([*ISOTP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert [child.stdout.readline() for _ in range(3)] == ["01\n"] * 3
        child.stdout.close()
        assert (child.wait(60), child.stderr.read()) == (141, "")


def test_a_file_longer_than_any_kernel_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "long"
    path.write_bytes(bytes(range(256)) * 5000)
    assert main(["send", *LINK, "--fd", "-w", "--timeout", "20s", "--file", str(path)]) == 0
    assert bytes.fromhex(capsys.readouterr().out) == path.read_bytes()


def test_the_formats_of_recv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = b"Hello over ISO-TP, number 1"
    assert main(["recv", *LINK]) == 0
    assert bytes.fromhex(capsys.readouterr().out) == text
    assert main(["recv", *LINK, "--ascii"]) == 0
    assert capsys.readouterr().out == text.decode() + "\n"
    assert main(["recv", *LINK, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.pop("time") > 1.7e9
    assert told == {
        "channel": "virtual",
        "source": "7E8",
        "target": "7E0",
        "length": 27,
        "data": text.hex(),
        "dropped": 0,
    }
    assert main(["recv", *LINK, "--raw", str(tmp_path / "raw")]) == 0
    assert (tmp_path / "raw").read_bytes() == text


def test_scan_finds_the_peer_and_says_how_to_reach_it(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--range", "7DD-7E4", "--wait", "100ms", "--listen", "0"]
    assert main(["scan", *VIRTUAL, *options, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"channel": "virtual", "source": "7E0", "target": "7E8", "fs": 0, "bs": 0, "stmin": 0}
    assert err == "scan writes 8 frames to virtual, one every 100 ms\n"
    assert main(["scan", *VIRTUAL, *options]) == 0
    line = capsys.readouterr().out.strip()
    assert main(shlex.split(line.partition("isotp ")[2])) == 0
    assert capsys.readouterr().out == "3E 00\n"


@pytest.mark.parametrize("fd", [[], ["--fd"], ["--brs"]], ids=str)
def test_scan_of_29_bits_and_can_fd(fd: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scan", *VIRTUAL, "--range", "18DA10EE-18DA10F2", "--wait", "100ms", "--listen", "0", *fd]) == 0
    first, line = capsys.readouterr().out.splitlines()
    assert first == "-s 18DA10F1 -d 18DAF110  CTS BS=0 STmin=0 ms"
    assert line == f"  isotp send --bus virtual -s 18DA10F1 -d 18DAF110{''.join(f' {each}' for each in fd)} -w 3E 00"


@pytest.mark.parametrize(
    ("options", "count", "some"),
    [
        ([], 256, 0x700),
        (["--fixed", "F1"], 255, 0x18DA10F1 | CAN_EFF_FLAG),
        (["--fixed", "F1", "--base", "14DA"], 255, 0x14DA10F1 | CAN_EFF_FLAG),
        (["--fixed", "F1", "--base", "any"], 8 * 255, 0x00DA10F1 | CAN_EFF_FLAG),
        (["--fixed", "F1", "--base", "any"], 8 * 255, 0x1CDAFFF1 | CAN_EFF_FLAG),
    ],
)
def test_what_a_scan_tries(options: list[str], count: int, some: int) -> None:
    parser = Parser("scan")
    scan.add_arguments(parser)
    probes = scan._probes(parser.parse_args(options))
    assert len(probes) == count
    assert some in {probe.can_id for probe in probes}


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
@pytest.mark.parametrize("action", ["up", "down"])
def test_vcan_leaves_other_interfaces_alone(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pyroute2")
    assert main(["vcan", action, "lo"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lo is no virtual CAN interface: it is left alone")
    assert "to do: isotp vcan list shows which interfaces are virtual" in err
    assert "ip link" not in err


def test_an_adapter_of_python_can(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    can = pytest.importorskip("can")

    class Unplugged(can.BusABC):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, **options: object) -> None:
            assert options == {"interface": "usb", "channel": "COM3:1", "bitrate": 500_000}
            self.channel_info = "an adapter"
            self._is_shutdown = False

        def send(self, message: object, timeout: float | None = None) -> None: ...

        def recv(self, timeout: float | None = None) -> None:
            raise can.CanOperationError("the adapter is gone")

        def shutdown(self) -> None:
            self._is_shutdown = True

    monkeypatch.setattr(can, "Bus", Unplugged)
    status = main(["recv", "--bus", "usb:COM3:1", "--bitrate", "500000", "-s", "7E0", "-d", "7E8"])
    assert (status, capsys.readouterr()) == (
        1,
        ("", "an adapter: the adapter is gone (ENODEV)\n  link: an adapter rxid=0x7E8 txid=0x7E0\n"),
    )


# --- as processes


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*ISOTP, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        with process:
            process.kill()


def test_ctrl_c(start: Start) -> None:
    receiver = start("recv", *LINK, "--follow")
    assert receiver.stdout is not None
    receiver.stdout.readline()
    receiver.send_signal(signal.SIGINT)
    assert receiver.communicate(timeout=60)[1] == "ended by Ctrl-C\n"
    assert receiver.returncode == 130


@pytest.mark.parametrize("command", [["recv", *LINK, "--follow"], ["send", *LINK, "--repeat", "0", "-w", "01"]])
def test_sigterm(start: Start, command: list[str]) -> None:
    process = start(*command)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert said.endswith("ended by SIGTERM\n")
    assert command[0] == "send" or said == "ended by SIGTERM\n"  # else it says what was given up
    assert process.returncode == 143


def test_a_reader_who_goes_away(start: Start) -> None:
    receiver = start("recv", *LINK, "--follow")
    assert receiver.stdout is not None
    assert receiver.stderr is not None
    receiver.stdout.readline()
    receiver.stdout.close()
    assert receiver.stderr.read() == ""
    assert receiver.wait(60) == 141


# --- the frame


EXTRAS = ["can", "udsoncan", "pyroute2", "shtab"]
ALONE = f"import sys; sys.modules.update(dict.fromkeys({EXTRAS})); from isotp.cli.main import main; sys.exit(main())"


def run_alone(*arguments: str) -> tuple[int, str, str]:
    """A command where only the package itself is installed."""
    command = [sys.executable, "-c", ALONE, *arguments]
    frames = ["7E0#0322F190", "7E8#1014010203040506", "7E0#300000", "7E8#2101010101010101"]
    log = "".join(f"({time}.000000) can0 {frame}\n" for time, frame in enumerate(frames))
    done = subprocess.run(command, input=log, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["send", *LINK, "-w", "22", "F1", "90"], "22 F1 90"),
        (["recv", *LINK, "--ascii"], "Hello over ISO-TP, number 1"),
        (["scan", *VIRTUAL, "--range", "7E0", "--listen", "0"], "-s 7E0 -d 7E8  CTS"),
        (["dump", "-"], "SF len 3      22 F1 90"),
        (["dump", "-m", "-"], "[3]  22 F1 90"),
        (["perf", "-"], "1 transfer, 1 failed"),
        (["perf", "--self", "--size", "9"], "engine on VirtualBus"),
        (["demo", "--soft"], "identical to what was sent"),
        (["serve", "--help"], "--port"),
        (["--help"], "commands:"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_without_the_extras(arguments: list[str], shown: str) -> None:
    status, out, err = run_alone(*arguments)
    assert status == 0, err
    assert shown in out
    assert "Traceback" not in err


def test_a_recording_that_needs_an_extra(tmp_path: Path) -> None:
    database = tmp_path / "drive.db"
    database.write_bytes(b"SQLite format 3\0" + bytes(100))
    status, out, err = run_alone("dump", str(database))
    assert (status, out) == (1, "")
    assert f"{sys.executable} -m pip install python-can" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["vcan", "list"], "pyroute2 is not installed\n  to do: PIP install pyroute2"),
        (["dump", "-", "--uds"], "udsoncan is not installed\n  to do: PIP install udsoncan, or leave out --uds"),
        (
            ["send", "--bus", "pcan:1", "-s", "1", "-d", "2", "01"],
            "python-can is not installed\n  to do: PIP install python-can",
        ),
        (["--print-completion", "bash"], "shtab is not installed\n  to do: PIP install shtab"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_extra_that_is_missing_is_named(arguments: list[str], told: str) -> None:
    status, out, err = run_alone(*arguments)
    assert (status, out) == (1, "")
    assert told.replace("PIP", f"{sys.executable} -m pip").split("\n") == [
        line.partition(" (")[0] for line in err.splitlines()
    ]


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["send", *LINK, "01"], {"isotp.cli.commands.send", "isotp.soft.socket"}),
        (["dump", "-"], {"isotp.cli.commands.dump"}),
        (["vcan", "list", "vcan0"], {"isotp.cli.commands.vcan"}),  # refused before pyroute2, which loads all there is
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_loads_what_it_needs(arguments: list[str], needed: set[str]) -> None:
    program = "import sys; from isotp.cli.main import main; main(sys.argv[1:]); print(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], input="", stdout=subprocess.PIPE, text=True, check=True
    )
    heavy = {"can", "pyroute2", "udsoncan", "shtab", "asyncio", "logging", "isotp.kernel.socket"}
    others = {f"isotp.cli.commands.{name}" for name in COMMANDS}
    assert needed <= set(done.stdout.splitlines())
    assert not (heavy | others) - needed & set(done.stdout.splitlines())


@pytest.fixture(scope="module")
def bash_completion(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The script of `isotp --print-completion bash`, on a machine with the CAN interfaces can0 and vcan3."""
    pytest.importorskip("shtab")
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    done = subprocess.run([*ISOTP, "--print-completion", "bash"], capture_output=True, text=True, check=True)
    net = tmp_path_factory.mktemp("net")
    for name, kind in (("can0", 280), ("vcan3", 280), ("eth0", 1)):
        (net / name).mkdir()
        (net / name / "type").write_text(f"{kind}\n")
    assert done.stdout.count("/sys/class/net") == 2
    return done.stdout.replace("/sys/class/net", str(net))


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("isotp se", {"send", "serve"}),
        ("isotp send --int", {"--interval"}),
        ("isotp vcan l", {"list"}),
        ("isotp recv --check-padding ", {"l", "c", "a"}),
        ("isotp simulate pyproj", {"pyproject.toml"}),
        ("isotp dump pyproj", {"pyproject.toml"}),
        ("isotp dump ", {"any", "can0", "vcan3", "pyproject.toml"}),
        ("isotp demo --interface v", {"vcan3"}),
        ("isotp vcan down v", {"vcan3"}),
    ],
)
def test_completion(bash_completion: str, words: str, wanted: set[str]) -> None:
    ask = f"""
        COMP_WORDS=({words}{" ''" * words.endswith(" ")}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        _shtab_isotp; echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", bash_completion + ask], capture_output=True, text=True, cwd=ROOT)
    assert wanted <= set(done.stdout.split()), done.stderr
    assert "-D" not in done.stdout  # what is only there to be answered


@pytest.mark.parametrize("command", ["send", "recv", "conform", "serve", "scan"])
def test_completion_of_an_interface_is_no_file(bash_completion: str, command: str) -> None:
    ask = f"""
        COMP_WORDS=(isotp {command} ''); COMP_CWORD=2; _shtab_isotp; echo "${{COMPREPLY[@]}}"; complete -p isotp
    """
    done = subprocess.run(["bash", "-c", bash_completion + ask], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["can0 vcan3", "complete -F _shtab_isotp isotp"], done.stderr


@pytest.mark.parametrize("no_color", ["", "1"])
def test_help_on_a_terminal(no_color: str) -> None:
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "60", "NO_COLOR": no_color}
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        child = subprocess.Popen([*ISOTP, "send", "--help"], stdout=theirs, env=environment)
        os.close(theirs)
        shown = b""
        try:
            while block := terminal.read(4096):
                shown += block
        except OSError:  # how a terminal ends
            pass
        assert child.wait() == 0
    assert b"examples:" in shown
    assert (b"33m" in shown) is (not no_color)


def test_perf_self(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perf", "--self", "--size", "100"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["path", "bytes", "median", "95", "%", "bytes/s", "messages"]
    path, numbers = rows[-1][:22].rstrip(), rows[-1][22:].split()
    assert path == "engine on VirtualBus"
    size, _, _, _, _, throughput, messages = numbers
    assert size == "100"
    assert int(throughput.replace(",", "")) > 0
    assert int(messages) >= 10
    assert max(map(len, rows)) <= 80


def test_perf_self_in_sixty_columns(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["perf", "--self", "--size", "4095"]) == 0
    out, err = capsys.readouterr()
    assert "engine on VirtualBus    4095" in out
    assert max(map(len, [*out.splitlines(), *err.splitlines()])) <= 60


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_perf_self_never_on_a_real_bus(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perf", "--self", "lo"]) == 1
    assert "lo is not a CAN interface" in capsys.readouterr().err
    assert main(["perf", "--self", "nosuch"]) == 1
    assert "no interface 'nosuch'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "in_file"),
    [
        (["scan", *VIRTUAL, "--range", "7E0", "--json"], b'{"channel": "virtual", "source": "7E0"'),
        (["send", *LINK, "-w", "--file", "PATH"], bytes(3000).hex(" ").encode()),
    ],
)
def test_results_go_to_the_file_though_a_bar_is_on_the_terminal(
    arguments: list[str], in_file: bytes, tmp_path: Path
) -> None:
    (tmp_path / "message").write_bytes(bytes(3000))
    command = [*ISOTP, *(str(tmp_path / "message") if word == "PATH" else word for word in arguments)]
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"})
        os.close(theirs)
        reader = threading.Thread(target=_drain, args=(terminal,))
        reader.start()
        out, _ = child.communicate()
        reader.join()
    assert child.returncode == 0
    assert out.startswith(in_file)
    assert b"\x1b" not in out


def _drain(terminal: BinaryIO) -> None:
    try:
        while terminal.read(4096):
            pass
    except OSError:  # how a terminal ends
        pass
