"""isotp vcan, serve and scan, as processes; isotpserver as the model of serve."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest

import isotp
from isotp.linux.interface import query

from ..waiting import until
from .can_utils import need
from .conftest import Bus, Link, Links, Sockets, payload
from .processes import ISOTP, Start, listeners
from .test_cli_send_recv import run, start

__all__ = ["start"]  # a fixture

pytest.importorskip("pyroute2")


def test_vcan_up_list_down() -> None:
    name = f"vtc{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
        assert run("vcan", "up", name) == (0, f"{name} is up\n".encode(), "")
        found = query(any_socket, name)
        assert (found.is_can, found.is_up, found.mtu) == (True, True, 72)
        lines = run("vcan", "list")[1].decode().splitlines()
        assert next(line for line in lines if line.startswith(name)).split() == [
            name, "vcan", "up", "Classical", "CAN,", "CAN", "FD"
        ]  # fmt: skip
        assert run("vcan", "down", name) == (0, f"{name} is removed\n".encode(), "")
        with pytest.raises(OSError):
            query(any_socket, name)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv")
def test_vcan_without_rights() -> None:
    """Without the right to make interfaces, but with those to read: the checkout may be root's alone."""
    command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", *ISOTP, "vcan", "up", "vcannot"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "making vcannot needs root; to do: sudo isotp vcan up vcannot\n"


# --- serve


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextmanager
def client(port: int) -> Iterator[socket.socket]:
    """A connection, as soon as the server listens."""
    connected: list[socket.socket] = []

    def connect() -> bool:
        with suppress(ConnectionRefusedError):
            connected.append(socket.create_connection(("127.0.0.1", port), timeout=60))
        return bool(connected)

    until(connect)
    with closing(connected[0]):
        yield connected[0]


def read_line(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        line += connection.recv(1)
    return line


@pytest.mark.parametrize("server", ["isotpserver", "isotp serve"])
def test_serve_speaks_as_isotpserver(vcan: Link, new_socket: Sockets, start: Start, server: str) -> None:
    """The same conversation with both."""
    need("isotpserver")
    ecu = new_socket()
    ecu.bind(vcan, rxid=0x7E0, txid=0x7E8)
    command = ["isotpserver"] if server == "isotpserver" else [*ISOTP, "serve", vcan]
    port = free_port()
    link = ["-l", str(port), "-s", "7E0", "-d", "7E8"]
    process = start([*command, *link, *([vcan] if server == "isotpserver" else [])], lambda: True)

    def have_come(number: int) -> None:
        """Wait until the server has its clients: isotpserver has a process with a socket for each."""
        if server == "isotpserver":
            until(lambda: listeners(vcan, "isotp") == 1 + number)
        else:
            assert process.stderr is not None
            while number:
                number -= process.stderr.readline().endswith(b" came\n")

    with client(port) as first, client(port) as second:
        have_come(2)
        first.sendall(b"<22F190>")
        assert ecu.recv() == b"\x22\xf1\x90"
        first.sendall(b"noise<01><0")
        assert ecu.recv() == b"\x01"
        first.sendall(b"2aB>")
        assert ecu.recv() == b"\x02\xab"
        second.sendall(b"<" + payload(300).hex().encode() + b">\r\n")
        assert ecu.recv() == payload(300)
        ecu.send(b"\x62\xf1\x90\xab")
        assert read_line(first) == read_line(second) == b"<62F190AB>\n"
        first.sendall(b"<5><123><>")  # half bytes and nothing: not sent
        first.sendall(b"<07>")
        assert ecu.recv() == b"\x07"
    with client(port) as third:
        have_come(1)
        ecu.send(payload(6))
        assert read_line(third) == b"<" + payload(6).hex().upper().encode() + b">\n"


def test_serve_says_what_fails_and_goes_on(vcan: Link, new_socket: Sockets, start: Start) -> None:
    port = free_port()
    server = start([*ISOTP, "serve", vcan, "-l", str(port), "-s", "7E0", "-d", "7E8"], lambda: True)
    with client(port) as one:
        one.sendall(b"<" + b"00" * 20 + b">")  # nobody answers
        one.sendall(b"<3E00>")
        assert server.stderr is not None
        said = [server.stderr.readline() for _ in range(3)]
        assert b" came" in said[1]
        assert b"N_TIMEOUT_Bs" in said[2]
        ecu = new_socket()
        ecu.bind(vcan, rxid=0x7E0, txid=0x7E8)
        ecu.send(b"\x7e\x00")
        assert read_line(one) == b"<7E00>\n"
        vcan.down()
        assert server.wait(100) == 1
        assert one.recv(1) == b""
    assert f"{vcan} went down".encode() in server.stderr.read()


@pytest.mark.parametrize("engine", [[], ["--soft"]], ids=["kernel", "engine"])
def test_serve_ends_while_the_receiver_asks_to_wait(vcan: Link, bus: Bus, start: Start, engine: list[str]) -> None:
    port = free_port()
    server = start([*ISOTP, "serve", vcan, *engine, "-l", str(port), "-s", "7E0", "-d", "7E8"], lambda: True)
    with client(port) as one:
        one.sendall(b"<" + b"00" * 20 + b">")
        assert bus.recv().can_id == 0x7E0
        bus.send(0x7E8, b"\x31\0\0")
        server.send_signal(signal.SIGTERM)

        def wait_on() -> bool:
            bus.send(0x7E8, b"\x31\0\0")
            return server.poll() is not None

        until(wait_on)
        assert one.recv(1) == b""
    assert server.returncode == 143
    assert server.stderr is not None
    assert b"ended by SIGTERM\n" in server.stderr.read()


# --- scan


def test_scan_for_can_fd_on_classical_can(new_link: Links) -> None:
    classical = new_link(16)
    status, out, err = run("scan", classical, "--range", "7E0", "--fd")
    assert (status, out) == (1, b"")
    assert f"{classical} is Classical CAN" in err
    assert "to do: leave out --fd and --brs" in err


def test_scan(vcan: Link, bus: Bus, new_socket: Sockets) -> None:
    plain, extended = new_socket(), new_socket()
    plain.set_fc_opts(bs=8, stmin=5)
    plain.bind(vcan, rxid=0x7E0, txid=0x7E8)
    extended.bind(vcan, isotp.Address.extended(rxid=0x6F1, txid=0x612, target_address=0xF1, source_address=0x12))
    options = ["--wait", "20ms", "--listen", "0", "--json"]
    status, out, err = run("scan", vcan, "--range", "7DE-7E3", *options)
    assert (status, err.splitlines()) == (0, [f"scan writes 6 frames to {vcan}, one every 20 ms"])
    assert json.loads(out) == {"channel": vcan, "source": "7E0", "target": "7E8", "fs": 0, "bs": 8, "stmin": 5}
    frames = bus.take(6 + 1 + 2)
    assert {frame.can_id for frame in frames} == {*range(0x7DE, 0x7E4), 0x7E8}
    status, out, _ = run("scan", vcan, "--range", "6F1", "-x", "10-14", *options)
    assert status == 0
    found = json.loads(out)
    assert (found["source"], found["target"]) == ("6F1/12", "612/F1")


def test_scan_of_29_bits_and_of_a_bus_that_is_down(vcan: Link, new_socket: Sockets) -> None:
    ecu = new_socket()
    ecu.bind(vcan, isotp.Address.normal_fixed(target_address=0xF1, source_address=0x10))
    status, out, _ = run("scan", vcan, "--fixed", "F1", "--wait", "10ms", "--listen", "0")
    assert status == 0
    assert out.decode().splitlines()[0].startswith("-s 18DA10F1 -d 18DAF110  CTS BS=0 STmin=0 ms")
    other = new_socket()
    other.set_ll_opts(mtu=72, tx_dl=64)
    other.bind(vcan, rxid=0x14DA20F1, txid=0x14DAF120)
    status, out, _ = run("scan", vcan, "--fixed", "F1", "--base", "14DA", "--fd", "--wait", "10ms", "--listen", "0")
    assert status == 0
    assert out.decode().splitlines() == [
        "-s 14DA20F1 -d 14DAF120  CTS BS=0 STmin=0 ms",
        f"  isotp send {vcan} -s 14DA20F1 -d 14DAF120 --fd -w 3E 00",
    ]
    vcan.down()
    status, out, err = run("scan", vcan, "--range", "7E0")
    assert (status, out) == (1, b"")
    assert f"{vcan} is down" in err
