"""Debian's can-utils as peers in both directions, and candump as a second witness."""

import os
import subprocess
from functools import partial

import pytest

import isotp
from isotp import CAN_EFF_FLAG
from isotp.opts import flags

from .can_utils import PEERS, SIZES, Peer, hexadecimal, need
from .conftest import Bus, Frame, Link, Sockets, gaps_ns, payload
from .processes import Programs, Start, listeners


@pytest.fixture(autouse=True)
def can_utils() -> None:
    """The tools are there."""
    need("isotpsend", "isotprecv", "candump")


@pytest.fixture
def start(programs: Programs) -> Start:
    """`start(command, ready)` starts a program and waits until `ready()`."""
    return partial(programs.start, text=True)


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
        output, said = receiver.communicate(timeout=100)
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
    assert bytes.fromhex(receiver.communicate(timeout=100)[0]) == payload(76)
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
    output, said = dump.communicate(timeout=100)
    assert (said, dump.returncode) == ("", os.EX_OK)
    seen = [parse(line) for line in output.splitlines()]
    assert {interface for interface, _ in seen} == {vcan}
    recorded = bus.take(count)
    assert [f._replace(timestamp_ns=f.timestamp_ns // 1000) for _, f in seen] == [
        f._replace(timestamp_ns=f.timestamp_ns // 1000) for f in recorded
    ]
