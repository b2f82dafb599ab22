"""Debian's can-utils as peers in both directions, and candump as a second witness."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import isotp
from isotp import CAN_EFF_FLAG
from isotp.anysocket import IsoTpSocket
from isotp.opts import CANFD_BRS, flags

from .conftest import REQUIRED, Bus, Frame, Link, Sockets, gaps_ns, payload, segment, until

SIZES = (1, 6, 7, 8, 61, 62, 100, 4095)


@pytest.fixture(autouse=True)
def can_utils() -> None:
    """The tools are there."""
    missing = [tool for tool in ("isotpsend", "isotprecv", "candump") if shutil.which(tool) is None]
    if missing:
        (pytest.fail if REQUIRED else pytest.skip)(f"no {', '.join(missing)} (to do: apt install can-utils)")


class Peer(NamedTuple):
    """How a tool is told to be the other end of a socket of ours. Pairs are of our end and of the tool's."""

    arguments: tuple[str, ...] = ()
    ids: tuple[int, int] = (0x7E0, 0x7E8)
    prefixes: tuple[bytes, bytes] = (b"", b"")
    tx_dl: int = 8
    tx_flags: int = 0
    txpads: tuple[int | None, int | None] = (None, None)

    def other_end(self) -> "Peer":
        """The same link from the tool's end."""
        return self._replace(ids=self.ids[::-1], prefixes=self.prefixes[::-1], txpads=self.txpads[::-1])

    def configured(self, sock: IsoTpSocket) -> None:
        """Set the options of our end."""
        ours, theirs = self.txpads
        if ours is not None:
            sock.set_general_opts(flags.CHK_PAD_LEN | flags.CHK_PAD_DATA, txpad=ours, rxpad=theirs)
        if self.prefixes[0]:
            sock.set_general_opts(ext_address=self.prefixes[0][0], rx_ext_address=self.prefixes[1][0])
        if self.tx_dl > 8:
            sock.set_ll_opts(mtu=72, tx_dl=self.tx_dl, tx_flags=self.tx_flags)

    def command(self, tool: str, interface: str) -> list[str]:
        ours, theirs = (f"{i & ~CAN_EFF_FLAG:0{8 if i & CAN_EFF_FLAG else 3}X}" for i in self.ids)
        return [tool, "-s", theirs, "-d", ours, *self.arguments, interface]

    def bind(self, sock: isotp.socket, interface: str) -> None:
        self.configured(sock)
        sock.bind(interface, rxid=self.ids[1], txid=self.ids[0])

    def frames(self, data: bytes, ours: bool) -> list[bytes]:
        end = 0 if ours else 1
        return segment(data, self.tx_dl, self.prefixes[end], self.txpads[end])


PEERS = {
    "Classical": Peer(),
    "29 bits": Peer(ids=(0x18DAF110 | CAN_EFF_FLAG, 0x18DA10F1 | CAN_EFF_FLAG)),
    "29 bits, small": Peer(ids=(0x10 | CAN_EFF_FLAG, 0x11 | CAN_EFF_FLAG)),
    "CAN FD": Peer(("-L", "72:64:0"), tx_dl=64),
    "CAN FD, BRS": Peer(("-L", "72:24:1"), tx_dl=24, tx_flags=CANFD_BRS),
    "extended": Peer(("-x", "12"), prefixes=(b"\x12", b"\x12")),
    "extended, both": Peer(("-x", "12:34"), prefixes=(b"\x34", b"\x12")),
    "padding": Peer(("-p", "AA:BB", "-P", "a"), txpads=(0xBB, 0xAA)),
    "CAN FD, extended": Peer(("-L", "72:32:0", "-x", "12:34"), prefixes=(b"\x34", b"\x12"), tx_dl=32),
}


def hexadecimal(data: bytes) -> str:
    return data.hex(" ").upper()


def listeners(interface: str, who: str) -> int:
    """How many receivers of a kind the kernel has for the interface."""
    lists = Path("/proc/net/can").glob("rcvlist_*")
    lines = [line.split() for path in lists for line in path.read_text().splitlines()]
    return sum(fields[:1] == [interface] and fields[-1] == who for fields in lines)


@pytest.fixture
def start(no_leaks: None) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start(command, ready)` starts a program and waits until `ready()`."""
    running: list[subprocess.Popen[str]] = []

    def start(command: list[str], ready: Callable[[], object]) -> subprocess.Popen[str]:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        until(lambda: ready() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        return process

    yield start
    for process in running:
        with process:
            process.kill()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_isotpsend_to_recv(new_socket: Sockets, vcan: Link, bus: Bus, peer: Peer) -> None:
    b = new_socket()
    peer.bind(b, vcan)
    sent: list[bytes] = []
    for size in SIZES:
        subprocess.run(
            peer.command("isotpsend", vcan),
            input=hexadecimal(payload(size)),
            text=True,
            check=True,
            capture_output=True,
        )
        assert b.recv() == payload(size)
        sent += (frames := peer.frames(payload(size), ours=False))
        bus.take(len(frames) + (len(frames) > 1))
    assert [f.data for f in bus.frames if f.can_id == peer.ids[1]] == sent


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_send_to_isotprecv(new_socket: Sockets, vcan: Link, bus: Bus, start: Start, peer: Peer) -> None:
    a = new_socket()
    peer.bind(a, vcan)
    own = listeners(vcan, "isotp")
    for size in (6, 62, 100):
        receiver = start(peer.command("isotprecv", vcan), lambda: listeners(vcan, "isotp") > own)
        assert a.send(payload(size)) == size
        output, said = receiver.communicate(timeout=50)
        assert bytes.fromhex(output) == payload(size)
        assert (said, receiver.returncode) == ("", 0)
        frames = peer.frames(payload(size), ours=True)
        got = bus.take(len(frames) + (len(frames) > 1))
        assert [f.data for f in got if f.can_id == peer.ids[0]] == frames


@pytest.mark.parametrize(("bs", "stmin"), [(0, "0"), (1, "0"), (4, "5"), (3, "F3")])
def test_isotprecv_asks_for_blocks_and_pauses(
    new_socket: Sockets, vcan: Link, bus: Bus, start: Start, bs: int, stmin: str
) -> None:
    a = new_socket()
    a.bind(vcan, rxid=0x7E8, txid=0x7E0)
    own = listeners(vcan, "isotp")
    command = ["isotprecv", "-s", "7E8", "-d", "7E0", "-b", f"{bs:x}", "-m", stmin, vcan]
    receiver = start(command, lambda: listeners(vcan, "isotp") > own)
    a.send(payload(76))
    assert bytes.fromhex(receiver.communicate(timeout=50)[0]) == payload(76)
    flow_controls = 1 + (9 // bs if bs else 0)
    got = bus.take(11 + flow_controls)
    answers = [f.data for f in got if f.can_id == 0x7E8]
    assert answers == [bytes([0x30, bs, int(stmin, 16)])] * flow_controls
    assert min(gaps_ns(got), default=0) >= isotp.STmin(int(stmin, 16)).ns


@pytest.mark.parametrize(("bs", "stmin"), [(2, 0), (8, 0xF5), (0, 3)])
def test_isotpsend_obeys_our_blocks_and_pauses(new_socket: Sockets, vcan: Link, bus: Bus, bs: int, stmin: int) -> None:
    b = new_socket()
    b.set_fc_opts(bs=bs, stmin=stmin)
    b.bind(vcan, rxid=0x7E8, txid=0x7E0)
    command = ["isotpsend", "-s", "7E8", "-d", "7E0", "-b", vcan]
    subprocess.run(command, input=hexadecimal(payload(76)), text=True, check=True, capture_output=True)
    assert b.recv() == payload(76)
    flow_controls = 1 + (9 // bs if bs else 0)
    got = bus.take(11 + flow_controls)
    assert [f.data for f in got if f.can_id == 0x7E0] == [bytes([0x30, bs, stmin])] * flow_controls
    assert min(gaps_ns(got), default=0) >= isotp.STmin(stmin).ns


def test_isotprecv_that_does_not_pad_is_refused(new_socket: Sockets, vcan: Link, start: Start) -> None:
    a = new_socket()
    a.set_general_opts(flags.CHK_PAD_LEN | flags.CHK_PAD_DATA, rxpad=0xAA)
    a.bind(vcan, rxid=0x7E8, txid=0x7E0)
    own = listeners(vcan, "isotp")
    start(["isotprecv", "-s", "7E8", "-d", "7E0", vcan], lambda: listeners(vcan, "isotp") > own)
    with pytest.raises(isotp.InvalidCanDataError):
        a.send(payload(10))


def parse(line: str) -> tuple[str, Frame]:
    """Interface and frame of a line in candump's log format."""
    stamp, interface, frame, *_ = line.split()
    can_id, is_fd, rest = frame.partition("##")
    if not is_fd:
        can_id, _, rest = frame.partition("#")
    tx_flags, data = (int(rest[0], 16) & 3, rest[1:]) if is_fd else (0, rest)
    seconds, _, fraction = stamp.strip("()").partition(".")
    nanoseconds = int(seconds) * 1_000_000_000 + int(fraction.ljust(9, "0"))
    number = int(can_id, 16) | (CAN_EFF_FLAG if len(can_id) == 8 else 0)
    return interface, Frame(number, bytes.fromhex(data), bool(is_fd), tx_flags, nanoseconds)


@pytest.mark.parametrize("name", ["Classical", "29 bits", "CAN FD, BRS", "padding", "CAN FD, extended"])
def test_candump_sees_what_the_raw_socket_sees(
    new_socket: Sockets, vcan: Link, bus: Bus, start: Start, name: str
) -> None:
    peer = PEERS[name]
    a, b = new_socket(), new_socket()
    peer.bind(a, vcan)
    peer.other_end().bind(b, vcan)
    count = sum(len(f) + (len(f) > 1) for f in (peer.frames(payload(size), ours=True) for size in (5, 30, 300)))
    raw = listeners(vcan, "raw")
    dump = start(["candump", "-L", "-n", str(count), vcan], lambda: listeners(vcan, "raw") > raw)
    for size in (5, 30, 300):
        a.send(payload(size))
        assert b.recv() == payload(size)
    output, said = dump.communicate(timeout=50)
    assert (said, dump.returncode) == ("", os.EX_OK)
    seen = [parse(line) for line in output.splitlines()]
    assert {interface for interface, _ in seen} == {vcan}
    recorded = bus.take(count)
    assert [f._replace(timestamp_ns=f.timestamp_ns // 1000) for _, f in seen] == [
        f._replace(timestamp_ns=f.timestamp_ns // 1000) for f in recorded
    ]
