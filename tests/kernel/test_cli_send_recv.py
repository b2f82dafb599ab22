"""isotp send and isotp recv, as processes, with can-utils at the other end."""

import json
import os
import signal
import subprocess
import sysconfig
import time
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from isotp import CAN_EFF_FLAG
from isotp.errors import N_Result

from ..cli.terminals import ERASED, bars, on_terminal
from .can_utils import hexadecimal, need
from .conftest import Background, Bus, Link, Links, Sockets, payload
from .processes import ISOTP, Programs, Start, listeners, starting

US = ["-s", "7E8", "-d", "7E0"]
THEM = ["-s", "7E0", "-d", "7E8"]

LINKS = {
    "Classical": ([*US], [*THEM]),
    "29 bits": (["-s", "18DAF110", "-d", "18DA10F1"], ["-s", "18DA10F1", "-d", "18DAF110"]),
    "29 bits, small": (["-s", "00000011", "-d", "00000010"], ["-s", "00000010", "-d", "00000011"]),
    "fixed": (["--fixed", "F1:10"], ["-s", "18DA10F1", "-d", "18DAF110"]),
    "extended": ([*US, "-x", "34:12"], [*THEM, "-x", "12:34"]),
    "mixed": ([*US, "--mixed", "99"], [*THEM, "-x", "99"]),
    "CAN FD": ([*US, "-L", "72:64:0"], [*THEM, "-L", "72:64:0"]),
    "--brs": ([*US, "--brs"], [*THEM, "-L", "72:64:1"]),
    "padding": ([*US, "-p", "BB:AA", "-P", "a"], [*THEM, "-p", "AA:BB", "-P", "a"]),
    "soft": ([*US, "--soft"], [*THEM]),
    "soft, CAN FD": ([*US, "--soft", "--fd"], [*THEM, "-L", "72:64:0"]),
}


@pytest.fixture(autouse=True)
def can_utils() -> None:
    """The tools are there."""
    need("isotpsend", "isotprecv")


@pytest.fixture
def start(programs: Programs) -> Start:
    """`start(command, ready)` starts a program and waits until `ready()`."""
    return partial(programs.start, stdin=subprocess.DEVNULL)


def heard(interface: str) -> int:
    """How many ISO-TP receivers, of the kernel or of the engine, `interface` has."""
    return listeners(interface, "isotp") + listeners(interface, "raw")


def run(*arguments: str, stdin: str | bytes = b"") -> tuple[int, bytes, str]:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(**starting([*ISOTP, *arguments]), input=data, capture_output=True)
    return done.returncode, done.stdout, done.stderr.decode()


def isotpsend(interface: str, link: list[str], data: bytes) -> None:
    subprocess.run(
        ["isotpsend", "-b", *link, interface], input=hexadecimal(data).encode(), check=True, capture_output=True
    )


# A process takes seconds to start in an emulated machine: each kind of link goes one way, the first ones both.
@pytest.mark.parametrize("name", ["Classical", "29 bits", "extended", "CAN FD", "padding", "soft"])
def test_isotpsend_to_isotp_recv(vcan: Link, start: Start, name: str) -> None:
    ours, theirs = LINKS[name]
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *ours, "-n", "2"], lambda: heard(vcan) > before)
    for size in (5, 300):
        isotpsend(vcan, theirs, payload(size))
    out, err = receiver.communicate(timeout=100)
    assert (receiver.returncode, err) == (0, b"")
    assert [bytes.fromhex(line) for line in out.decode().splitlines()] == [payload(5), payload(300)]


@pytest.mark.parametrize("name", ["Classical", "29 bits, small", "fixed", "mixed", "--brs", "soft, CAN FD"])
def test_isotp_send_to_isotprecv(vcan: Link, start: Start, name: str) -> None:
    ours, theirs = LINKS[name]
    before = heard(vcan)
    receiver = start(["isotprecv", *theirs, vcan], lambda: heard(vcan) > before)
    assert run("send", vcan, *ours, *hexadecimal(payload(300)).split()) == (0, b"", "")
    out, err = receiver.communicate(timeout=100)
    assert (receiver.returncode, err) == (0, b"")
    assert bytes.fromhex(out.decode()) == payload(300)


def test_the_command_as_installed(vcan: Link, start: Start) -> None:
    before = heard(vcan)
    receiver = start(["isotprecv", *THEM, vcan], lambda: heard(vcan) > before)
    command = Path(sysconfig.get_path("scripts"), "isotp")
    assert command.exists(), "not installed; to do: pip install -e ."
    assert subprocess.run([command, "send", vcan, *US, "0102"], capture_output=True).stderr == b""
    assert receiver.communicate(timeout=100)[0].split() == [b"01", b"02"]


def test_what_isotprecv_prints_is_what_isotp_send_reads(vcan: Link, start: Start) -> None:
    before = heard(vcan)
    receiver = start(["stdbuf", "-oL", "isotprecv", "-l", *THEM, vcan], lambda: heard(vcan) > before)
    first, second = payload(200), payload(20, seed=1)
    assert run("send", vcan, *US, stdin=f"{hexadecimal(first)} \n\n{second.hex()}\n") == (0, b"", "")
    assert receiver.stdout is not None
    printed = [receiver.stdout.readline() for _ in range(2)]
    assert [bytes.fromhex(line.decode()) for line in printed] == [first, second]
    # and back
    other = start([*ISOTP, "recv", vcan, "-s", "7D8", "-d", "7D0"], lambda: heard(vcan) > before + 1)
    subprocess.run(["isotpsend", "-b", "-s", "7D0", "-d", "7D8", vcan], input=printed[0], check=True)
    assert bytes.fromhex(other.communicate(timeout=100)[0].decode()) == first


def test_a_file_there_and_back(vcan: Link, start: Start, tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(payload(4095))
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US, "--raw", str(back)], lambda: heard(vcan) > before)
    assert run("send", vcan, *THEM, "--file", str(there)) == (0, b"", "")
    assert receiver.wait(100) == 0
    assert back.read_bytes() == payload(4095)
    receiver = start([*ISOTP, "recv", vcan, *US, "--raw", "-"], lambda: heard(vcan) > before)
    assert run("send", vcan, *THEM, "--file", "-", stdin=payload(999)) == (0, b"", "")
    assert receiver.communicate(timeout=100)[0] == payload(999)


def test_json_has_the_time_of_the_kernel(vcan: Link, bus: Bus, start: Start) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US, "--json"], lambda: heard(vcan) > before)
    isotpsend(vcan, THEM, b"abc")
    told = json.loads(receiver.communicate(timeout=100)[0])
    assert told.pop("time") == bus.recv().timestamp_ns / 1_000_000_000
    assert told == {"channel": vcan, "source": "7E0", "target": "7E8", "length": 3, "data": "616263", "dropped": 0}


def test_the_progress_of_a_long_message(vcan: Link, new_socket: Sockets, tmp_path: Path) -> None:
    ecu = new_socket()
    ecu.set_fc_opts(stmin=2)
    ecu.bind(vcan, rxid=0x7E8, txid=0x7E0)
    path = tmp_path / "long"
    path.write_bytes(payload(4000))
    shown = on_terminal([*ISOTP, "send", vcan, *US, "--file", str(path)], 60, {})
    drawn = bars(shown, "bytes")
    assert drawn
    assert all(percent == round(done / 40) for percent, done in drawn)
    assert ERASED.split(shown)[-1] == ""
    assert ecu.recv() == payload(4000)


def test_wait_reply_and_repeat(vcan: Link, new_socket: Sockets, background: Background) -> None:
    ecu = new_socket()
    ecu.bind(vcan, rxid=0x7E8, txid=0x7E0)
    times = []

    def answer() -> None:
        for number in range(3):
            assert ecu.recv() == b"\x01\x02\x03"
            times.append(time.monotonic())
            ecu.send(payload(20, seed=number))

    echo = background(answer)
    done = run("send", vcan, *US, "--repeat", "3", "--interval", "300ms", "-w", "01 02 03")
    echo.result()
    assert done == (0, "".join(f"{hexadecimal(payload(20, seed=n))}\n" for n in range(3)).encode(), "")
    assert all(after - before > 0.25 for before, after in pairwise(times))


@pytest.mark.parametrize("soft", [[], ["--soft"]], ids=["kernel", "soft"])
def test_the_n_result_is_told_and_is_the_status(vcan: Link, soft: list[str]) -> None:
    status, out, err = run("send", vcan, *US, *soft, *["00"] * 20)
    assert (status, out) == (11, b"")
    assert N_Result.N_TIMEOUT_Bs.name in err.splitlines()[0]
    assert "to do: " in err


def test_a_message_that_breaks_off(vcan: Link, bus: Bus, start: Start) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US], lambda: heard(vcan) > before)
    bus.send(0x7E0, bytes([0x10, 20, 1, 2, 3, 4, 5, 6]))
    bus.recv()
    bus.send(0x7E0, bytes([0x22, 1, 2, 3, 4, 5, 6, 7]))
    out, err = receiver.communicate(timeout=100)
    assert (receiver.returncode, out) == (13, b"")
    assert b"N_WRONG_SN" in err
    receiver = start([*ISOTP, "recv", vcan, *US, "--follow"], lambda: heard(vcan) > before)
    bus.send(0x7E0, bytes([0x10, 20, 1, 2, 3, 4, 5, 6]))
    bus.recv()
    bus.send(0x7E0, bytes([0x22, 1, 2, 3, 4, 5, 6, 7]))
    bus.send(0x7E0, bytes([1, 0x55]))
    assert receiver.stdout is not None
    assert receiver.stdout.readline() == b"55\n"
    receiver.send_signal(signal.SIGINT)
    _, err = receiver.communicate(timeout=100)
    assert receiver.returncode == 130
    assert err.startswith(b"warning: ")
    assert b"N_WRONG_SN" in err


@pytest.mark.parametrize(("what", "soft"), [("down", []), ("delete", []), ("down", ["--soft"]), ("delete", ["--soft"])])
def test_an_interface_that_disappears(vcan: Link, start: Start, what: str, soft: list[str]) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US, *soft, "--follow"], lambda: heard(vcan) > before)
    getattr(vcan, what)()
    out, err = receiver.communicate(timeout=100)
    assert (receiver.returncode, out) == (1, b"")
    assert vcan in err.decode().splitlines()[0]
    assert b"Traceback" not in err
    assert b"socket" not in err  # which a user has none of
    assert (b"was removed" in err, b"ip link set" in err) == (what == "delete", what == "down")


@pytest.mark.parametrize("soft", [[], ["--soft"]], ids=["kernel", "soft"])
def test_can_fd_on_classical_can(new_link: Links, soft: list[str]) -> None:
    classical = new_link(16)
    status, out, err = run("send", classical, *US, *soft, "--fd", "01")
    assert (status, out) == (1, b"")
    assert f"to do: leave out --fd, --brs and -L; or make it CAN FD: sudo ip link set {classical} down mtu 72 up" in err


def test_the_wrong_padding(vcan: Link, start: Start) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US, "-p", "AA:BB", "-P", "a"], lambda: heard(vcan) > before)
    isotpsend(vcan, [*THEM, "-p", "CC"], b"1")
    out, err = receiver.communicate(timeout=100)
    assert (receiver.returncode, out) == (14, b"")
    assert b"to do: look at the frames (isotp dump); say with -p how they are padded, or leave out -P" in err


def test_a_full_queue(vcan: Link) -> None:
    vcan.take_no_frame()
    status, out, err = run("send", vcan, *US, "01")
    assert (status, out) == (1, b"")
    assert "queue" in err
    assert "Traceback" not in err


def test_a_reader_who_goes_away(vcan: Link, start: Start) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US, "--follow"], lambda: heard(vcan) > before)
    assert receiver.stdout is not None
    assert receiver.stderr is not None
    receiver.stdout.close()
    isotpsend(vcan, THEM, b"1")
    assert receiver.stderr.read() == b""
    assert receiver.wait(100) == 141


def test_ctrl_c(vcan: Link, start: Start) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US], lambda: heard(vcan) > before)
    receiver.send_signal(signal.SIGINT)
    assert receiver.communicate(timeout=100) == (b"", b"ended by Ctrl-C\n")
    assert receiver.returncode == 130


@pytest.mark.parametrize("command", ["recv", "send"])
def test_nothing_comes(vcan: Link, command: str) -> None:
    status, out, err = run(command, vcan, *US, "--timeout", "100ms", *(["-w", "01"] if command == "send" else []))
    assert (status, out) == (3, b"")
    assert err == (
        f"no message on {vcan} rxid=0x7E0 txid=0x7E8 after 0.1 s\n"
        f"  to do: isotp dump {vcan} shows the frames; are -s and -d swapped? does -P refuse the padding?\n"
    )


def test_functional_and_listen(vcan: Link, bus: Bus, start: Start) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, "-d", "7DF", "--listen"], lambda: heard(vcan) > before)
    assert run("send", vcan, "-s", "7DF", "--functional", "3E", "80") == (0, b"", "")
    assert receiver.communicate(timeout=100)[0] == b"3E 80\n"
    assert bus.recv().data == b"\x02\x3e\x80"
    assert bus.is_silent()


def test_flow_control_options(vcan: Link, bus: Bus, start: Start) -> None:
    before = heard(vcan)
    receiver = start([*ISOTP, "recv", vcan, *US, "--bs", "10", "--stmin", "300us"], lambda: heard(vcan) > before)
    isotpsend(vcan, THEM, payload(60))
    assert bytes.fromhex(receiver.communicate(timeout=100)[0].decode()) == payload(60)
    assert bus.take(2)[1].data == bytes([0x30, 10, 0xF3])


def test_small_29_bit_identifiers_are_29_bits(vcan: Link, bus: Bus) -> None:
    assert run("send", vcan, "-s", "00000011", "-d", "00000010", "01")[0] == 0
    assert bus.recv().can_id == 0x11 | CAN_EFF_FLAG


def test_no_such_interface(vcan: Link) -> None:
    status, _, err = run("send", "nosuch", *US, "01")
    assert status == 1
    assert "nosuch" in err
    assert vcan in err
    assert os.linesep + "  to do: " in err
