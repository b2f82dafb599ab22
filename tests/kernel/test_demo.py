"""isotp demo, as a process."""

import re
import signal
import subprocess
from itertools import pairwise

import pytest

import isotp

from .conftest import Link, Sockets, segment
from .processes import ISOTP, starting

pytestmark = pytest.mark.kernel

DEMO = [*ISOTP, "demo"]
ROW = re.compile(r" *(\d+\.\d{3}) +(?:(\d+\.\d{3}) )?(->|<-) (\w{3}) ([0-9a-f]+) +(.*)")


def run(*arguments: str, columns: int = 80) -> tuple[int, str, str]:
    done = subprocess.run(**starting([*DEMO, *arguments], COLUMNS=str(columns)), capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_frames_of_a_hundred_bytes(vcan: Link) -> None:
    status, out, err = run("--interface", vcan)
    assert (status, err) == (0, "")
    rows = [found.groups() for line in out.splitlines() if (found := ROW.fullmatch(line))]
    sent = [bytes.fromhex(data) for _, _, way, _, data, _ in rows if way == "->"]
    assert sent == segment(bytes(range(100)))
    assert [data for _, _, way, _, data, _ in rows if way == "<-"] == ["300501"] * 3
    assert [n for n, row in enumerate(rows) if row[2] == "<-"] == [1, 7, 13], "a flow control for each block"
    assert [row[5] for row in rows[:3]] == [
        "FirstFrame FF_DL=100, bytes 0..5",
        "FlowControl CTS, BS=5, STmin=1 ms",
        "ConsecutiveFrame SN=1, bytes 6..12",
    ]
    assert rows[-1][5] == "ConsecutiveFrame SN=14, bytes 97..99"
    for before, row in pairwise(rows):
        assert row[1] is not None
        assert float(row[1]) == pytest.approx(float(row[0]) - float(before[0]), abs=0.0021)
        if before[2] == row[2] == "->":
            assert float(row[1]) >= 1.0, "sooner than STmin"
    assert "18 CAN frame(s) in " in out
    assert "100 bytes, identical to what was sent" in out
    assert max(map(len, out.splitlines())) <= 80


def test_the_error_of_a_send_to_nobody_is_shown(vcan: Link) -> None:
    _, out, _ = run("--interface", vcan, columns=120)
    assert "FlowControlTimeoutError: no flow control within 1 s while sending 20 bytes" in out
    assert f"link: {vcan} rxid=0x6B8 txid=0x6B0" in out
    assert "to do: check that the receiver is awake" in out


@pytest.mark.parametrize(
    ("size", "told"),
    [
        (7, "SingleFrame SF_DL=7, bytes 0..6"),
        (1, "1 CAN frame(s) in 0.000 ms: 1 SingleFrame."),
        (5000, "ConsecutiveFrame SN=10, bytes 4993..4999"),
    ],
)
def test_other_sizes(size: int, told: str, vcan: Link) -> None:
    status, out, err = run("--interface", vcan, "--size", str(size))
    assert (status, err) == (0, "")
    assert told in out
    assert f"{size} bytes, identical to what was sent" in out
    assert len(out.splitlines()) < 60, "a long run is summed up"
    assert max(map(len, out.splitlines())) <= 80


def test_it_finds_a_vcan_by_itself(vcan: Link) -> None:
    status, out, _ = run()
    assert status == 0
    assert "identical" in out


def test_a_message_too_long_is_a_sentence(vcan: Link) -> None:
    status, _, err = run("--interface", vcan, "--size", "1000000")
    assert status == 1
    assert "1000000 bytes" in err
    assert "than this kernel sends" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["nosuchcan", "lo"])
def test_an_interface_that_will_not_do_is_a_sentence(name: str, vcan: Link) -> None:
    status, out, err = run("--interface", name)
    assert (status, out) == (1, "")
    assert name in err
    assert vcan in err, "the interfaces that would do are named"
    assert "Traceback" not in err


def test_an_interface_that_is_down(vcan: Link) -> None:
    vcan.down()
    status, _, err = run("--interface", vcan)
    assert status == 1
    assert f"{vcan} is down" in err


def test_the_same_identifiers_are_in_use(vcan: Link, new_socket: Sockets) -> None:
    other = new_socket()
    other.set_general_opts(isotp.opts.flags.LISTEN_MODE)
    other.bind(vcan, rxid=0x6A0, txid=0x6A8)
    _, _, err = run("--interface", vcan)
    assert err.startswith("warning: 1 other ISO-TP socket(s) already listen to 0x6A0")
    assert ".py" not in err


def test_ctrl_c(vcan: Link) -> None:
    child = subprocess.Popen(
        **starting([*DEMO, "--interface", vcan, "--size", "8000"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert vcan in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "ended by Ctrl-C\n")
    assert "identical" not in out


def test_a_reader_who_goes_away(vcan: Link) -> None:
    child = subprocess.Popen(
        **starting([*DEMO, "--interface", vcan]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    with child:
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 141
