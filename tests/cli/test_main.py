"""What all commands share: help, exit status, and no traceback whatever happens to the terminal."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

import isotp
from isotp.checkup import doctor as doctor_module
from isotp.cli.main import COMMANDS, main
from isotp.cli.status import Terminated

ISOTP = [sys.executable, "-m", "isotp"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"isotp {isotp.__version__}\n"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_has_an_example_to_paste(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    examples = re.findall(r"^  (?:.*\| )?(?:python -m )?isotp (.*)", shown, re.MULTILINE)
    assert examples
    for example in examples:
        name = example.split()[0]
        assert name == command[0] if command else name in COMMANDS
        assert main([name, "--help"]) == 0
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("columns", [60, 120])
@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_help_fits_the_terminal(
    command: list[str], columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main([*command, "--help"]) == 0
    shown = capsys.readouterr().out
    help_text = shown.partition("example")[0]
    assert max(map(len, help_text.splitlines())) <= columns
    assert not re.search(r"<(bool|str|int|float|Path|list)|\{\w+\}", help_text)


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        ["nonsense"],
        ["doctor", "--colour"],
        ["demo", "--size", "0"],
        ["demo", "--size", "x"],
        ["demo", "--size", "9" * 20],
    ],
)
def test_wrong_usage_is_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wrong) == 2
    assert "usage:" in capsys.readouterr().err


def test_the_console_script_names_itself(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/isotp"])
    main(["--help"])
    assert capsys.readouterr().out.split()[:2] == ["usage:", "isotp"]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_who_goes_away_is_no_error(unbuffered: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as out:
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run([*ISOTP, "doctor"], stdout=out, stderr=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stderr) == (141, b"")


def test_help_into_head() -> None:
    """What is longer than head reads ends with the status of a reader who goes away, as everywhere; else with 0."""
    line = f"{sys.executable} -m isotp --help | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    first, status = done.stdout.splitlines()
    assert first.startswith("usage: ")
    assert status in ("0", "141")
    assert done.stderr == ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["--version"]], ids=" ".join)
def test_help_that_nothing_reads(arguments: list[str], unbuffered: str) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as out:
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        done = subprocess.run([*ISOTP, *arguments], stdout=out, stderr=subprocess.PIPE, env=environment)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_sentence() -> None:
    with open("/dev/full", "wb") as out:
        done = subprocess.run([*ISOTP, "--version"], stdout=out, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "No space left on device\n")


def test_no_stdout_at_all() -> None:
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *ISOTP, "doctor"], stderr=subprocess.PIPE)
    assert done.returncode in (0, 1)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("closed", "arguments", "status", "err"),
    [
        ("<&-", ["send", "--bus", "virtual", "-s", "7E0", "-d", "7E8"], 1, "nothing was sent: "),
        (">&-", ["recv", "--bus", "virtual", "-s", "7E0", "-d", "7E8", "--raw", "-"], 0, ""),
        ("2>&-", ["scan", "--bus", "virtual", "--range", "7E1", "--wait", "1ms", "--listen", "0"], 3, ""),
        ("2>&-", ["send", "--bus", "virtual", "-s", "7E0", "-d", "7E0", "01"], 2, ""),
    ],
)
def test_closed_streams(closed: str, arguments: list[str], status: int, err: str) -> None:
    command = ["sh", "-c", f'"$@" {closed}', "sh", *ISOTP, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.partition("there")[0]) == (status, "", err)


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (KeyboardInterrupt(), 130, "ended by Ctrl-C\n"),
        (Terminated(), 143, "ended by SIGTERM\n"),
        (BrokenPipeError(), 141, ""),
        (TimeoutError("no message after 1 s"), 3, "no message after 1 s\n"),
        (BlockingIOError(11, "no message"), 3, "no message\n"),
        (
            isotp.InterfaceDownError("can0 is down", remedy="set it up"),
            1,
            "can0 is down (ENETDOWN)\n  to do: set it up\n",
        ),
        (FileNotFoundError(2, "No such file", "x.log"), 1, "No such file: x.log\n"),
    ],
)
def test_errors_become_a_sentence_and_a_status(
    error: BaseException,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(isotp, "doctor", lambda: _raise(error))
    assert main(["doctor"]) == status
    assert capsys.readouterr().err == told


def test_warnings_are_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def doctor() -> doctor_module.Report:
        isotp.errors.warn("look here", isotp.DuplicateBindingWarning)
        return doctor_module.Report((doctor_module.Finding("all", True, "well"),), works=True)

    monkeypatch.setattr(isotp, "doctor", doctor)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.filters", [("default", None, Warning, None, 0)])
        assert main(["doctor"]) == 0
    assert capsys.readouterr().err == "warning: look here\n"


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colours_only_where_they_are_wanted(variables: dict[str, str], coloured: bool) -> None:
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    ours, theirs = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        child = subprocess.Popen([*ISOTP, "doctor"], stdout=theirs, env=inherited | {"TERM": "xterm"} | variables)
        os.close(theirs)
        shown = b""
        try:
            while block := terminal.read(4096):
                shown += block
        except OSError:  # how a terminal ends
            pass
        child.wait()
    assert b"python" in shown
    assert (b"\x1b[" in shown) is coloured


def test_no_colours_in_a_pipe() -> None:
    done = subprocess.run([*ISOTP, "doctor"], stdout=subprocess.PIPE, env=os.environ | {"TERM": "xterm"})
    assert b"\x1b" not in done.stdout


def test_help_does_not_load_the_sockets() -> None:
    program = "import sys; from isotp.cli.main import main; main(['--version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert not {"isotp.kernel.socket", "ctypes", "asyncio"} & set(done.stdout.split())
