"""isotp dump and isotp perf live, beside isotpdump, isotpsniffer and isotpperf on the same traffic."""

import json
import re
import signal
import subprocess
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import isotp

from ..waiting import until
from .can_utils import need
from .conftest import Bus, Link, payload
from .processes import ISOTP, Programs, Start, listeners, starting

IDS = ["-s", "7E0", "-d", "7E8"]
TESTER, ECU = 0x7E0, 0x7E8
SIZES = (3, 7, 8, 100, 1000)
# What no ISO-TP node sends.
JUNK = ["34", "30", "F0", "00", "09112233", "2A0102", ""]
LAST = "0755aa55aa55aa55"


@pytest.fixture(autouse=True)
def can_utils() -> None:
    """The tools are there."""
    need("isotpdump", "isotpsniffer", "isotpperf")


@pytest.fixture
def start(programs: Programs) -> Start:
    """`start(interface, command)` starts a program and waits until it listens, with so many sockets."""

    def start(interface: str, *command: str, sockets: int = 1) -> subprocess.Popen[str]:
        def listening() -> int:
            return listeners(interface, "raw") + listeners(interface, "isotp") + listeners("any", "raw")

        before = listening()
        return programs.start(command, lambda: listening() >= before + sockets, stdin=subprocess.PIPE, text=True)

    return start


def interrupted(process: "subprocess.Popen[str]", last: str) -> str:
    """What it printed until Ctrl-C, which comes after a line with `last` in it."""
    assert process.stdout is not None
    out = ""
    while last not in out:
        line = process.stdout.readline()
        assert line, process.communicate()
        out += line
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=100)
    assert process.returncode == 130, err
    assert err == "ended by Ctrl-C\n"
    return out + rest


def objects(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def talk(interface: str, sizes: Sequence[int] = SIZES) -> None:
    """Messages of all sizes in both directions, the kernel at both ends."""
    with warnings.catch_warnings(), isotp.socket(timeout=30) as tester, isotp.socket(timeout=30) as ecu:
        warnings.simplefilter("ignore", isotp.DuplicateBindingWarning)  # isotpsniffer, which only listens
        tester.set_general_opts(txpad=0x55)
        ecu.set_fc_opts(bs=8, stmin=1)
        tester.bind(interface, rxid=ECU, txid=TESTER)
        ecu.bind(interface, rxid=TESTER, txid=ECU)
        for size in sizes:
            tester.send(payload(size))
            ecu.recv()
            ecu.send(payload(size, 1))
            tester.recv()


def talked(sizes: Sequence[int]) -> list[tuple[str, bytes]]:
    return [pair for size in sizes for pair in (("7E0", payload(size)), ("7E8", payload(size, 1)))]


@pytest.mark.parametrize("how", ["ids", "found", "any", "python-can"])
def test_messages_are_what_isotpsniffer_sees(vcan: Link, start: Start, how: str) -> None:
    ways = {
        "ids": [str(vcan), *IDS],
        "found": [str(vcan)],
        "any": ["any"],
        "python-can": ["--bus", f"socketcan:{vcan}"],
    }
    where = ways[how]
    sniffer = start(vcan, "isotpsniffer", *IDS, "-f", "1", vcan, sockets=2)
    ours = start(vcan, *ISOTP, "dump", "--messages", "--json", *where)
    # python-can reads too slowly, under emulation, for long messages.
    sizes = SIZES[:4] if how == "python-can" else SIZES
    talk(vcan, sizes)
    out = interrupted(ours, payload(sizes[-1], 1).hex())
    theirs, _ = sniffer.communicate("\n", timeout=100)  # a key ends it
    seen = [
        (found[1], bytes.fromhex(found[2]))
        for found in re.finditer(rf"{vcan}\s+(\w+)\s+\[\d+\]\s+((?:[0-9A-F]{{2}} ?)+)", theirs)
    ]
    messages = objects(out)
    assert [(each["source"], bytes.fromhex(each["data"])) for each in messages] == talked(sizes)
    # It reads two sockets: of messages that wait in both, any comes first.
    for source in ("7E0", "7E8"):
        assert [each for each in seen if each[0] == source] == [each for each in talked(sizes) if each[0] == source]
    assert not any("error" in each for each in messages)
    for each in messages:
        if each["source"] == "7E0" and each["length"] > 7:
            assert (each["bs"], each["stmin"], each["target"]) == (8, 1, "7E8")
            # What the kernel keeps, less the jitter of the time stamps.
            assert each["min_gap"] is None or each["min_gap"] > 0.0009
            assert 0 < each["n_bs"] < 1


def test_frames_are_what_isotpdump_sees(vcan: Link, start: Start, new_bus: Callable[[str], Bus]) -> None:
    theirs = start(vcan, "isotpdump", *IDS, vcan)
    ours = start(vcan, *ISOTP, "dump", "--json", vcan, *IDS)
    talk(vcan)
    raw = new_bus(vcan)
    for data in (*JUNK, LAST):
        raw.send(ECU, bytes.fromhex(data))
    found = [each for each in objects(interrupted(ours, LAST)) if "id" in each]
    theirs.send_signal(signal.SIGINT)
    shown = theirs.communicate(timeout=100)[0].splitlines()
    assert len(found) >= len(shown) > 2 * sum(size // 7 for size in SIZES)
    if len(found) != len(shown):  # isotpdump does not show empty frames
        found = [each for each in found if each["raw"]]
    for frame, line in zip(found, shown, strict=True):
        words = line.split()
        assert words[1] == frame["id"]
        assert words[2] == f"[{len(frame['raw']) // 2}]"
        if "fault" in frame:
            continue
        assert words[3] == f"[{frame['type']}]"
        payload_shown = re.search(r"data: ([0-9A-F ]*)", line)
        if frame["type"] == "FC":
            assert f"FC: {frame['fs']}" in line
            assert f"BS: {frame['bs']}" in line
            assert f"STmin: 0x{frame['stmin']:02X}" in line
        elif frame["type"] == "CF":
            assert f"sn: {frame['sn']:X} " in line
            assert payload_shown is not None
            assert bytes.fromhex(payload_shown[1]).hex() == frame["data"]
        else:
            assert f"ln: {frame['length']} " in line
            assert payload_shown is not None
            assert bytes.fromhex(payload_shown[1]).hex().startswith(frame["data"])  # they show the padding, too


def test_perf_agrees_with_isotpperf(vcan: Link, start: Start) -> None:
    theirs = start(vcan, "stdbuf", "-o0", "isotpperf", *IDS, vcan)
    ours = start(vcan, *ISOTP, "perf", vcan, "-s", "7E0", "-d", "7E8")
    talk(vcan)
    out = interrupted(ours, f"7E8 > 7E0  {SIZES[-1]} bytes")
    theirs.send_signal(signal.SIGINT)
    shown = theirs.communicate(timeout=100)[0]
    seen = [
        tuple(map(float, each))
        for each in re.findall(r"BS:\s*(\d+) # STmin:\s*(\d+) msec\) : (\d+) byte in ([\d.]+)s", shown)
    ]
    lines = re.findall(r"7E0 > 7E8  (\d+) bytes  ([\d.]+) ms; .*BS (\d+); STmin (\d+) ms", out)
    found = [(float(bs), float(stmin), float(size), float(ms) / 1000) for size, ms, bs, stmin in lines]
    assert [each[2] for each in found] == [size for size in SIZES if size > 7]
    found = [each for each in found if each[2] >= 100]  # of shorter ones it may say "no time available"
    seen = [each for each in seen if each[2] >= 100]
    assert [each[:3] for each in found] == [each[:3] for each in seen], shown
    assert [each[3] for each in found] == pytest.approx([each[3] for each in seen], abs=1e-4)
    total = sum(size for size in SIZES if size > 7)
    assert re.search(rf"{vcan}  7E0 > 7E8  3 transfers, {total:,} bytes", out)


def test_can_fd(vcan: Link, start: Start) -> None:
    ours = start(vcan, *ISOTP, "dump", "-m", "--json", "-n", "1", vcan)
    with isotp.socket(timeout=30) as one, isotp.socket(timeout=30) as two:
        for sock in (one, two):
            sock.set_ll_opts(mtu=72, tx_dl=64)
        one.bind(vcan, rxid=0x123, txid=0x456)
        two.bind(vcan, rxid=0x456, txid=0x123)
        one.send(payload(500))
    out, _ = ours.communicate(timeout=100)
    (message,) = objects(out)
    assert (message["source"], message["target"], message["data"]) == ("456", "123", payload(500).hex())
    assert ours.returncode == 0


def test_silence_is_told_though_no_frame_comes(vcan: Link, start: Start, new_bus: Callable[[str], Bus]) -> None:
    ours = start(vcan, *ISOTP, "dump", "-m", "-n", "1", vcan, *IDS)
    new_bus(vcan).send(TESTER, bytes.fromhex("1064010203040506"))
    out, _ = ours.communicate(timeout=100)
    assert "no flow control after the first frame, 6 of 100 bytes done (N_TIMEOUT_Bs)" in out


@pytest.mark.parametrize("command", ["dump", "perf"])
@pytest.mark.parametrize(("what", "text"), [("down", "went down"), ("delete", "was removed")])
def test_an_interface_that_disappears(vcan: Link, start: Start, command: str, what: str, text: str) -> None:
    ours = start(vcan, *ISOTP, command, vcan)
    talk(vcan)
    getattr(vcan, what)()
    out, err = ours.communicate(timeout=100)
    assert ours.returncode == 1
    assert f"{vcan} {text}" in err
    assert "Traceback" not in err
    assert "7E0" in out  # what was seen before is shown


def test_interfaces_that_cannot_be(vcan: Link) -> None:
    vcan.down()
    for name, text in ((str(vcan), "is down"), ("nowhere0", "no interface 'nowhere0'"), ("lo", "not a CAN interface")):
        done = subprocess.run(**starting([*ISOTP, "dump", name]), capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert text in done.stderr
        assert "Traceback" not in done.stderr


def test_a_closed_pipe(vcan: Link) -> None:
    ours = subprocess.Popen(
        **starting([*ISOTP, "dump", vcan]), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with ours:
        assert ours.stdout is not None
        assert ours.stderr is not None
        until(lambda: listeners(vcan, "raw"))
        ours.stdout.close()
        talk(vcan)
        assert ours.wait(100) == 141
        assert ours.stderr.read() == ""
