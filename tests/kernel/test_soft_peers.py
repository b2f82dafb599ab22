"""Debian's can-utils, the kernel's ISO-TP behind them, as peers of SoftSocket in both directions."""

import subprocess

import pytest

import isotp

from . import test_peers
from .can_utils import PEERS, SIZES, Peer, hexadecimal
from .conftest import Bus, Link, payload
from .processes import Start, listeners

can_utils, start = test_peers.can_utils, test_peers.start  # fixtures


def bound(sock: isotp.SoftSocket, peer: Peer) -> None:
    peer.configured(sock)
    sock.bind(rxid=peer.ids[1], txid=peer.ids[0])


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_isotpsend_to_recv(vcan: Link, bus: Bus, peer: Peer) -> None:
    with isotp.SoftSocket(isotp.SocketCanBus(vcan), timeout=30.0) as soft:
        bound(soft, peer)
        sent: list[bytes] = []
        for size in SIZES:
            subprocess.run(
                peer.command("isotpsend", vcan),
                input=hexadecimal(payload(size)),
                text=True,
                check=True,
                capture_output=True,
            )
            assert soft.recv() == payload(size)
            sent += (frames := peer.frames(payload(size), ours=False))
            bus.take(len(frames) + (len(frames) > 1))
    assert [f.data for f in bus.frames if f.can_id == peer.ids[1]] == sent


@pytest.mark.parametrize("peer", PEERS.values(), ids=PEERS)
def test_send_to_isotprecv(vcan: Link, bus: Bus, start: Start, peer: Peer) -> None:
    with isotp.SoftSocket(isotp.SocketCanBus(vcan), timeout=30.0) as soft:
        bound(soft, peer)
        for size in (6, 62, 4095):
            receiver = start(peer.command("isotprecv", vcan), lambda: listeners(vcan, "isotp"))
            assert soft.send(payload(size)) == size
            output, said = receiver.communicate(timeout=60)
            assert bytes.fromhex(output) == payload(size)
            assert (said, receiver.returncode) == ("", 0)
            frames = peer.frames(payload(size), ours=True)
            got = bus.take(len(frames) + (len(frames) > 1))
            assert [f.data for f in got if f.can_id == peer.ids[0]] == frames


@pytest.mark.parametrize(("bs", "stmin"), [(1, "0"), (4, "5"), (3, "F3")])
def test_isotprecv_asks_for_blocks_and_pauses(vcan: Link, bus: Bus, start: Start, bs: int, stmin: str) -> None:
    with isotp.SoftSocket(isotp.SocketCanBus(vcan), timeout=30.0) as soft:
        soft.bind(rxid=0x7E8, txid=0x7E0)
        command = ["isotprecv", "-s", "7E8", "-d", "7E0", "-b", f"{bs:x}", "-m", stmin, vcan]
        receiver = start(command, lambda: listeners(vcan, "isotp"))
        soft.send(payload(76))
        assert bytes.fromhex(receiver.communicate(timeout=60)[0]) == payload(76)
    got = bus.take(11 + 1 + 9 // bs)
    assert [f.data for f in got if f.can_id == 0x7E8] == [bytes([0x30, bs, int(stmin, 16)])] * (1 + 9 // bs)


def test_isotprecv_that_does_not_pad_is_refused(vcan: Link, start: Start) -> None:
    with isotp.SoftSocket(isotp.SocketCanBus(vcan), timeout=30.0) as soft:
        soft.set_general_opts(isotp.opts.flags.CHK_PAD_LEN | isotp.opts.flags.CHK_PAD_DATA, rxpad=0xAA)
        soft.bind(rxid=0x7E8, txid=0x7E0)
        start(["isotprecv", "-s", "7E8", "-d", "7E0", vcan], lambda: listeners(vcan, "isotp"))
        with pytest.raises(isotp.InvalidCanDataError):
            soft.send(payload(10))
