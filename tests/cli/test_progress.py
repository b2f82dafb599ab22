"""The progress bar where a terminal is not as one would like it, and standard error that nobody takes."""

import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from isotp.cli.output.progress import Bar

ISOTP = [sys.executable, "-m", "isotp"]
LINK = ["--bus", "virtual", "-s", "7E0", "-d", "7E8"]
SCAN = ["scan", "--bus", "virtual", "--range", "700-7FF", "--wait", "100ms", "--listen", "0"]
SHORT_SCAN = ["scan", "--bus", "virtual", "--range", "7E0", "--listen", "0"]
# Python as users have it: what could not be written stays in the buffer until the end.
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}


@contextmanager
def with_a_bar(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A command whose bar is on a terminal by now, and our end of that terminal."""
    ours, theirs = pty.openpty()
    environment = {**BUFFERED, "TERM": "xterm"}
    command = [*ISOTP, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        while b"/s" not in shown:
            shown += os.read(ours, 65536)
        yield process, ours


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    with with_a_bar(*SCAN) as (process, terminal):
        process.send_signal(signal.SIGINT)
        rest = b""
        try:
            while piece := os.read(terminal, 65536):
                rest += piece
        except OSError:  # EIO: the other end is closed
            pass
        os.close(terminal)
        assert process.wait(60) == 130
        assert rest.endswith(b"\r\x1b[2Kended by Ctrl-C\r\n")
        assert b"\x1b[?25l" not in rest, "a hidden cursor stays hidden where a signal ends the program"


def test_a_terminal_that_goes_away_is_no_failure(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_bytes(bytes(3000))
    with with_a_bar("send", *LINK, "-w", "--tx-stmin", "2ms", "--file", str(path)) as (process, terminal):
        os.close(terminal)
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, bytes.fromhex(out.decode())) == (0, bytes(3000))


def test_a_terminal_that_is_stopped_does_not_stop_the_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    writing, go_on = threading.Event(), threading.Event()

    class Stopped:
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

        def write(self, _: str) -> None:
            writing.set()
            go_on.wait(60)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(sys, "stderr", Stopped())
    monkeypatch.setenv("TERM", "xterm")
    with Bar("bytes", 10) as bar:
        bar.advance(1)
        assert writing.wait(60)
        bar.advance(1)  # which would not come back
        assert not go_on.is_set()
        go_on.set()


@pytest.mark.parametrize(
    ("arguments", "status"), [(["send", *LINK, "0g"], 2), (["send", *LINK, "--file", "nowhere"], 1), (SHORT_SCAN, 0)]
)
def test_a_full_disk_behind_stderr_changes_no_status(arguments: list[str], status: int) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*ISOTP, *arguments], stdout=subprocess.PIPE, stderr=full, env=BUFFERED)
    assert done.returncode == status
