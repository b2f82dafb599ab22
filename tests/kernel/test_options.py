"""Options: written and read back, refused where they cannot work, and what each does to the frames on the bus."""

import errno
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

import isotp
from isotp import opts
from isotp.opts import flags

from .conftest import A_TO_B, B_TO_A, Background, Bus, Link, Pair, Sockets, gaps_ns, payload, segment

MakePair = Callable[..., Pair]

CTS = bytes([0x30, 0, 0])
HAS_DYN_FC_PARMS = opts.kernel_honours(flags.DYN_FC_PARMS)

# --- written and read back

GENERAL: list[tuple[dict[str, int], flags]] = [
    ({"optflags": flags.LISTEN_MODE}, flags.LISTEN_MODE),
    ({"optflags": flags.TX_PADDING}, flags.TX_PADDING),
    ({"optflags": flags.RX_PADDING}, flags.RX_PADDING),
    ({"optflags": flags.CHK_PAD_LEN}, flags.CHK_PAD_LEN),
    ({"optflags": flags.CHK_PAD_DATA, "rxpad": 0}, flags.CHK_PAD_DATA | flags.RX_PADDING),
    ({"optflags": flags.HALF_DUPLEX}, flags.HALF_DUPLEX),
    ({"optflags": flags.WAIT_TX_DONE}, flags.WAIT_TX_DONE),
    ({"optflags": flags.SF_BROADCAST}, flags.SF_BROADCAST),
    ({"optflags": flags.CF_BROADCAST}, flags.CF_BROADCAST),
    ({"frame_txtime": 0}, flags(0)),
    ({"frame_txtime": 1}, flags(0)),
    ({"frame_txtime": 0xFFFFFFFE}, flags(0)),
    ({"ext_address": 0}, flags.EXTEND_ADDR),
    ({"ext_address": 0xFF, "rx_ext_address": 0xFF}, flags.EXTEND_ADDR | flags.RX_EXT_ADDR),
    ({"txpad": 0}, flags.TX_PADDING),
    ({"txpad": 0xFF}, flags.TX_PADDING),
    ({"rxpad": 0}, flags.RX_PADDING),
    ({"rxpad": 0xFF}, flags.RX_PADDING),
    ({"ext_address": 1, "rx_ext_address": 0xFF}, flags.EXTEND_ADDR | flags.RX_EXT_ADDR),
    ({"tx_stmin": 0}, flags.FORCE_TXSTMIN),
    ({"tx_stmin": 0xFFFFFFFF}, flags.FORCE_TXSTMIN),
    ({"rx_stmin": 1_000_000}, flags.FORCE_RXSTMIN),
]
FLOW_CONTROL: list[dict[str, int]] = [
    {"bs": 0},
    {"bs": 255},
    {"stmin": 0x7F},
    {"stmin": 0xF1},
    {"stmin": 0xF9},
    {"stmin": isotp.STmin(0x80)},
    {"bs": 8, "stmin": isotp.STmin.from_us(300)},
]
LINK_LAYER: list[dict[str, int]] = [
    {"mtu": 16},
    {"mtu": 72},
    {"mtu": 72, "tx_flags": opts.CANFD_BRS},
    {"mtu": 72, "tx_flags": opts.CANFD_BRS | opts.CANFD_ESI, "tx_dl": 48},
    *({"mtu": 72, "tx_dl": tx_dl} for tx_dl in (8, 12, 16, 20, 24, 32, 48, 64)),
]


def test_defaults_are_those_of_the_kernel(new_socket: Sockets) -> None:
    for sock in (new_socket(), new_socket.native()):
        assert opts.general.read(sock) == opts.GeneralOptions(flags(0), 50_000, 0, 0xCC, 0xCC, 0, 0, 0)
        assert opts.flowcontrol.read(sock) == opts.FlowControlOptions(0, isotp.STmin(0), 0)
        assert opts.linklayer.read(sock) == opts.LinkLayerOptions(opts.LinkLayerProtocol.CAN, 8, 0)


@pytest.mark.parametrize("way", ["module", "method"])
@pytest.mark.parametrize(("given", "optflags"), GENERAL, ids=[str(given) for given, _ in GENERAL])
def test_general_is_written_and_read_back(
    new_socket: Sockets, way: str, given: dict[str, int], optflags: flags
) -> None:
    expected = replace(opts.GeneralOptions(), **(given | {"optflags": optflags}))  # type: ignore[arg-type]
    if way == "module":
        native = new_socket.native()
        assert opts.general.write(native, **given) == expected
        assert opts.general.read(native) == expected
    else:
        sock = new_socket()
        assert sock.set_general_opts(**given) == expected
        assert sock.get_general_opts() == sock.get_opts() == expected


@pytest.mark.parametrize("given", FLOW_CONTROL, ids=str)
def test_flowcontrol_is_written_and_read_back(new_socket: Sockets, given: dict[str, int]) -> None:
    expected = replace(opts.FlowControlOptions(), **given)  # type: ignore[arg-type]
    sock, native = new_socket(), new_socket.native()
    assert sock.set_fc_opts(**given) == sock.get_fc_opts() == expected
    assert opts.flowcontrol.write(native, **given) == opts.flowcontrol.read(native) == expected
    assert isinstance(opts.flowcontrol.read(native).stmin, isotp.STmin)


@pytest.mark.parametrize("given", LINK_LAYER, ids=str)
def test_linklayer_is_written_and_read_back(new_socket: Sockets, given: dict[str, int]) -> None:
    expected = replace(opts.LinkLayerOptions(), **given)  # type: ignore[arg-type]
    sock, native = new_socket(), new_socket.native()
    assert sock.set_ll_opts(**given) == sock.get_ll_opts() == expected
    assert opts.linklayer.write(native, **given) == opts.linklayer.read(native) == expected


def test_ext_address_alone_is_for_both_directions(new_socket: Sockets) -> None:
    sock = new_socket()
    written = sock.set_general_opts(ext_address=0xE5)
    assert written == sock.get_general_opts()
    assert (written.ext_address, written.rx_ext_address) == (0xE5, 0xE5)  # it is the kernel that copies it


def test_wftmax_is_stored_and_said_to_be_ignored(new_socket: Sockets) -> None:
    sock = new_socket()
    with pytest.warns(isotp.OptionIgnoredWarning, match="wftmax=3") as told:
        sock.set_fc_opts(wftmax=3)
    assert told[0].filename == __file__
    assert sock.get_fc_opts().wftmax == 3


def test_names_of_can_isotp_2_set_the_same(new_socket: Sockets) -> None:
    sock = new_socket()
    sock.set_opts(isotp.socket.flags.TX_PADDING, txpad=0x55)
    sock.set_ll_opts(mtu=isotp.socket.LinkLayerProtocol.CAN_FD)
    assert sock.get_opts().optflag == flags.TX_PADDING
    assert sock.get_opts().txpad == 0x55
    assert sock.get_ll_opts().mtu == 72


def test_each_write_keeps_all_the_rest(new_socket: Sockets) -> None:
    sock = new_socket()
    general: dict[str, int] = {
        "frame_txtime": 7,
        "ext_address": 0x11,
        "txpad": 0x22,
        "rxpad": 0x33,
        "rx_ext_address": 0x44,
        "tx_stmin": 55_000,
        "rx_stmin": 66_000,
    }
    for written, (name, value) in enumerate(general.items(), start=1):
        sock.set_general_opts(**{name: value})
        now = asdict(sock.get_general_opts())
        so_far = dict(list(general.items())[:written])
        assert {key: now[key] for key in so_far} == so_far
    all_flags = sock.get_general_opts().optflags
    assert all_flags == flags(0x0002 | 0x0004 | 0x0008 | 0x0080 | 0x0100 | 0x0200)

    sock.set_general_opts(all_flags | flags.HALF_DUPLEX)
    assert {key: asdict(sock.get_general_opts())[key] for key in general} == general

    sock.set_fc_opts(bs=4)
    sock.set_fc_opts(stmin=5)
    assert (sock.get_fc_opts().bs, sock.get_fc_opts().stmin) == (4, 5)
    sock.set_ll_opts(mtu=72)
    sock.set_ll_opts(tx_dl=32)
    sock.set_ll_opts(tx_flags=opts.CANFD_BRS)
    assert sock.get_ll_opts() == opts.LinkLayerOptions(opts.LinkLayerProtocol.CAN_FD, 32, opts.CANFD_BRS)
    assert {key: asdict(sock.get_general_opts())[key] for key in general} == general


def test_bind_changes_no_option(pair: MakePair) -> None:
    def configure(sock: isotp.socket) -> None:
        sock.set_general_opts(flags.HALF_DUPLEX, frame_txtime=0, txpad=0x55, tx_stmin=1000, rx_stmin=2000)
        sock.set_fc_opts(bs=3, stmin=4)
        sock.set_ll_opts(mtu=72, tx_dl=24, tx_flags=opts.CANFD_BRS)

    a, _ = pair(configure)
    wanted = flags.HALF_DUPLEX | flags.TX_PADDING | flags.FORCE_TXSTMIN | flags.FORCE_RXSTMIN
    assert a.get_general_opts() == opts.GeneralOptions(wanted, 0, 0, 0x55, 0xCC, 0, 1000, 2000)
    assert a.get_fc_opts() == opts.FlowControlOptions(3, isotp.STmin(4), 0)
    assert a.get_ll_opts() == opts.LinkLayerOptions(opts.LinkLayerProtocol.CAN_FD, 24, opts.CANFD_BRS)


# --- refused

REFUSED: list[tuple[str, dict[str, Any], list[str]]] = [
    ("general", {"frame_txtime": 0xFFFFFFFF}, ["frame_txtime=4294967295", "0 to 4294967294"]),
    ("general", {"frame_txtime": -1}, ["frame_txtime=-1", "allowed is 0 to"]),
    ("general", {"ext_address": 256}, ["ext_address=256", "0 to 255"]),
    ("general", {"txpad": 256}, ["txpad=256", "0 to 255"]),
    ("general", {"rxpad": -1}, ["rxpad=-1", "0 to 255"]),
    ("general", {"ext_address": 1, "rx_ext_address": 256}, ["rx_ext_address=256", "0 to 255"]),
    ("general", {"tx_stmin": 1 << 32}, ["tx_stmin=4294967296", "0 to 4294967295"]),
    ("general", {"rx_stmin": -1}, ["rx_stmin=-1", "0 to 4294967295"]),
    ("general", {"txpad": 1.5}, ["txpad", "integer", "1.5"]),
    ("general", {"txpad": True}, ["txpad", "integer", "True"]),
    ("general", {"optflags": 0x4000}, ["0x4000", "0x3fff"]),
    ("general", {"optflags": 0x80000000}, ["0x80000000", "0x3fff"]),
    ("general", {"optflags": -1}, ["optflags=-1", "allowed is 0"]),
    ("general", {"optflags": 0x1800}, ["SF_BROADCAST", "CF_BROADCAST", "exclude"]),
    ("general", {"optflags": 0x0801}, ["LISTEN_MODE", "BROADCAST"]),
    ("general", {"optflags": 0x0200}, ["RX_EXT_ADDR", "EXTEND_ADDR"]),
    ("general", {"rx_ext_address": 1}, ["RX_EXT_ADDR", "EXTEND_ADDR"]),
    ("general", {"optflags": 0x0020}, ["CHK_PAD_DATA", "RX_PADDING"]),
    ("general", {"optflags": 0x0080}, ["FORCE_TXSTMIN", "tx_stmin"]),
    ("general", {"optflags": 0x0100}, ["FORCE_RXSTMIN", "rx_stmin"]),
    ("flowcontrol", {"bs": 256}, ["bs=256", "0 to 255"]),
    ("flowcontrol", {"bs": "8"}, ["bs", "integer", "'8'"]),
    ("flowcontrol", {"stmin": 256}, ["stmin=256", "0 to 255"]),
    ("flowcontrol", {"stmin": 0x80}, ["stmin=0x80", "reserved", "0 to 0x7F", "0xF1 to 0xF9", "STmin("]),
    ("flowcontrol", {"stmin": 0xFA}, ["stmin=0xfa", "reserved"]),
    ("flowcontrol", {"wftmax": 256}, ["wftmax=256", "0 to 255"]),
    ("linklayer", {"mtu": 64}, ["mtu=64", "16", "72"]),
    ("linklayer", {"mtu": 72, "tx_dl": 13}, ["tx_dl=13", "8, 12, 16, 20, 24, 32, 48, 64"]),
    ("linklayer", {"tx_dl": 64}, ["tx_dl=64", "Classical CAN", "CAN_FD"]),
    ("linklayer", {"tx_flags": 1}, ["tx_flags=1", "Classical CAN"]),
    ("linklayer", {"mtu": 72, "tx_flags": 4}, ["tx_flags=4", "0 to 3"]),
]


@pytest.mark.parametrize(("group", "given", "said"), REFUSED, ids=[f"{g}-{v}" for g, v, _ in REFUSED])
def test_a_wrong_value_is_refused_and_nothing_changes(
    new_socket: Sockets, group: str, given: dict[str, Any], said: list[str]
) -> None:
    sock = new_socket()
    sock.set_general_opts(txpad=0x77, frame_txtime=9)
    before = (sock.get_general_opts(), sock.get_fc_opts(), sock.get_ll_opts())
    with pytest.raises(isotp.OptionError) as caught:
        getattr(opts, group).write(sock, **given)
    assert caught.value.errno == errno.EINVAL
    assert [word for word in said if word not in str(caught.value)] == []
    assert (sock.get_general_opts(), sock.get_fc_opts(), sock.get_ll_opts()) == before


def test_no_option_changes_after_bind(pair: MakePair) -> None:
    a, _ = pair()
    before = (a.get_general_opts(), a.get_fc_opts(), a.get_ll_opts())
    for write in (
        lambda: a.set_general_opts(txpad=1),
        lambda: a.set_opts(0),
        lambda: a.set_fc_opts(bs=1),
        lambda: a.set_ll_opts(mtu=72),
        lambda: opts.general.write(a.real_socket(), frame_txtime=1),
        lambda: opts.flowcontrol.write(a.real_socket(), stmin=1),
        lambda: opts.linklayer.write(a.real_socket(), tx_dl=8),
    ):
        with pytest.raises(isotp.AlreadyBoundError, match="then bind") as caught:
            write()
        assert caught.value.errno == errno.EISCONN
    assert (a.get_general_opts(), a.get_fc_opts(), a.get_ll_opts()) == before


def test_options_of_something_else_are_a_type_error(new_socket: Sockets) -> None:
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as raw:
        with pytest.raises(TypeError, match="not an ISO-TP socket"):
            opts.general.read(raw)
        with pytest.raises(TypeError, match="not an ISO-TP socket"):
            opts.flowcontrol.write(raw, bs=1)
    closed = new_socket()
    closed.close()
    with pytest.raises(isotp.SocketClosedError):
        closed.get_ll_opts()


# --- the effect on the bus: the frames


@pytest.mark.parametrize("size", [1, 7, 8, 10, 13, 50])
def test_without_padding_frames_are_as_short_as_can_be(pair: MakePair, bus: Bus, size: int) -> None:
    a, b = pair()
    a.send(payload(size))
    assert b.recv() == payload(size)
    frames = segment(payload(size))
    got = bus.take(len(frames) + (size > 7))
    assert [f.data for f in got if f.can_id == A_TO_B] == frames
    assert [f.data for f in got if f.can_id == B_TO_A] == [CTS] * (size > 7)


@pytest.mark.parametrize("size", [1, 7, 10, 50])
def test_txpad_fills_every_frame(pair: MakePair, bus: Bus, size: int) -> None:
    a, b = pair(lambda sock: sock.set_general_opts(txpad=0x5A))
    a.send(payload(size))
    assert b.recv() == payload(size)
    frames = segment(payload(size), txpad=0x5A)
    got = bus.take(len(frames) + (size > 7))
    assert {len(f.data) for f in got} == {8}
    assert [f.data for f in got if f.can_id == A_TO_B] == frames
    assert [f.data for f in got if f.can_id == B_TO_A] == [CTS + b"\x5a" * 5] * (size > 7)


def test_tx_padding_alone_pads_with_cc(pair: MakePair, bus: Bus) -> None:
    a, b = pair(lambda sock: sock.set_general_opts(flags.TX_PADDING))
    a.send(b"\x01")
    assert b.recv() == b"\x01"
    assert bus.recv().data == bytes.fromhex("0101cccccccccccc")


def test_ext_address_begins_every_frame_both_ways(pair: MakePair, bus: Bus) -> None:
    a, b = pair(lambda sock: sock.set_general_opts(ext_address=0xE5))
    for size in (6, 30):
        a.send(payload(size))
        assert b.recv() == payload(size)
    frames = segment(payload(6), prefix=b"\xe5") + segment(payload(30), prefix=b"\xe5")
    got = bus.take(len(frames) + 1)
    assert [f.data for f in got if f.can_id == A_TO_B] == frames
    assert [f.data for f in got if f.can_id == B_TO_A] == [b"\xe5" + CTS]


def test_rx_ext_address_is_the_peers_own(pair: MakePair, bus: Bus) -> None:
    a, b = pair(
        configure_a=lambda sock: sock.set_general_opts(ext_address=0xB0, rx_ext_address=0xA0),
        configure_b=lambda sock: sock.set_general_opts(ext_address=0xA0, rx_ext_address=0xB0),
    )
    bus.send(A_TO_B, b"\xa0\x01!")  # not for b: it expects 0xB0
    a.send(payload(30))
    assert b.recv() == payload(30)
    frames = segment(payload(30), prefix=b"\xb0")
    got = bus.take(len(frames) + 1)
    assert [f.data for f in got if f.can_id == A_TO_B] == frames
    assert [f.data for f in got if f.can_id == B_TO_A] == [b"\xa0" + CTS]


@pytest.mark.parametrize(
    ("optflags", "good", "bad"),
    [
        (flags.RX_PADDING | flags.CHK_PAD_LEN, "01aa000000000000", "01aa0000"),
        (flags.RX_PADDING | flags.CHK_PAD_DATA, "01aaeeee", "01aaee00"),
        (flags.RX_PADDING | flags.CHK_PAD_DATA | flags.CHK_PAD_LEN, "01aaeeeeeeeeeeee", "01aaeeeeeeeeee00"),
        (flags.CHK_PAD_LEN, "01aa", "01aa00"),
    ],
    ids=str,
)
def test_padding_is_checked(new_socket: Sockets, vcan: Link, bus: Bus, optflags: flags, good: str, bad: str) -> None:
    b = new_socket()
    b.set_general_opts(optflags, **({"rxpad": 0xEE} if optflags & flags.RX_PADDING else {}))
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    bus.send(A_TO_B, bytes.fromhex(good))
    assert b.recv() == b"\xaa"
    bus.send(A_TO_B, bytes.fromhex(bad))
    with pytest.raises(isotp.InvalidCanDataError, match="padding") as caught:
        b.recv()
    assert caught.value.errno == errno.EBADMSG
    bus.send(A_TO_B, bytes.fromhex(good))
    assert b.recv() == b"\xaa"


def test_padding_of_the_last_consecutive_frame_is_checked(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    b = new_socket()
    b.set_general_opts(flags.CHK_PAD_DATA | flags.CHK_PAD_LEN, rxpad=0xEE)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    first, last = segment(payload(10), txpad=0xEE)
    for frame in (first, last):
        bus.send(A_TO_B, frame)
    assert b.recv() == payload(10)
    for frame in (first, last[:-1] + b"\0"):
        bus.send(A_TO_B, frame)
    with pytest.raises(isotp.InvalidCanDataError, match="padding"):
        b.recv()


def test_padding_of_flow_control_is_checked(new_socket: Sockets, vcan: Link, bus: Bus, background: Background) -> None:
    a = new_socket()
    a.set_general_opts(flags.CHK_PAD_DATA | flags.CHK_PAD_LEN, rxpad=0xEE)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    sending = background(lambda: a.send(payload(10)))
    bus.recv()
    bus.send(B_TO_A, CTS)
    with pytest.raises(isotp.InvalidCanDataError, match="flow control"):
        sending.result()
    sending = background(lambda: a.send(payload(10)))
    bus.recv()
    bus.send(B_TO_A, CTS + b"\xee" * 5)
    assert sending.result() == 10


def test_listen_mode_sends_no_flow_control(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    for optflags in (flags.LISTEN_MODE, flags(0)):
        b = new_socket()
        b.set_general_opts(optflags)
        b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
        first, *rest = segment(payload(30))
        bus.send(A_TO_B, first)
        if optflags:
            assert bus.is_silent()
        else:
            assert bus.recv().data == CTS
        for frame in rest:
            bus.send(A_TO_B, frame)
        assert b.recv() == payload(30)
        b.close()
    assert [f.data for f in bus.frames] == [CTS]


@pytest.mark.parametrize("half", [True, False])
def test_half_duplex_does_not_receive_while_sending(new_socket: Sockets, vcan: Link, bus: Bus, half: bool) -> None:
    a = new_socket()
    a.set_general_opts(flags.HALF_DUPLEX if half else 0)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    a.send(payload(10), confirm=False)
    bus.recv()
    bus.send(B_TO_A, b"\x02hi")  # in the middle of a's message
    bus.send(B_TO_A, CTS)
    a.confirm()
    bus.send(B_TO_A, b"\x03bye")
    assert a.recv() == (b"bye" if half else b"hi")


def test_half_duplex_takes_no_flow_control_while_receiving(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    a = new_socket()
    a.set_general_opts(flags.HALF_DUPLEX)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    bus.send(B_TO_A, segment(payload(10))[0])
    assert bus.recv().data == CTS
    a.send(payload(9), confirm=False)
    assert bus.recv().data == segment(payload(9))[0]
    bus.send(B_TO_A, CTS)
    assert bus.is_silent()
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.confirm()


# --- the effect on the bus: block size and times


@pytest.mark.parametrize("bs", [1, 2, 5])
def test_bs_asks_for_flow_control_after_each_block(pair: MakePair, bus: Bus, bs: int) -> None:
    a, b = pair(configure_b=lambda sock: sock.set_fc_opts(bs=bs, stmin=0))
    size = 6 + 7 * 10
    a.send(payload(size))
    assert b.recv() == payload(size)
    flow_controls = 1 + (10 - 1) // bs
    bus.take(11 + flow_controls)
    assert [f.data for f in bus.frames if f.can_id == B_TO_A] == [bytes([0x30, bs, 0])] * flow_controls
    places = [i for i, f in enumerate(bus.frames) if f.can_id == B_TO_A]
    assert places == [1 + k * (bs + 1) for k in range(flow_controls)]


@pytest.mark.parametrize("stmin", [0x01, 0x05, 0x14, 0xF1, 0xF9], ids=hex)
def test_frames_never_come_sooner_than_stmin(pair: MakePair, bus: Bus, stmin: int) -> None:
    a, b = pair(
        configure_a=lambda sock: sock.set_general_opts(frame_txtime=0),
        configure_b=lambda sock: sock.set_fc_opts(stmin=stmin),
    )
    a.send(payload(200))
    assert b.recv() == payload(200)
    got = bus.take(len(segment(payload(200))) + 1)
    assert got[1].data == bytes([0x30, 0, stmin])
    assert min(gaps_ns(got)) >= isotp.STmin(stmin).ns


def test_a_reserved_stmin_goes_out_as_it_is_and_means_127_ms(pair: MakePair, bus: Bus) -> None:
    a, b = pair(configure_b=lambda sock: sock.set_fc_opts(stmin=isotp.STmin(0x80)))
    a.send(payload(6 + 14))
    assert b.recv() == payload(6 + 14)
    got = bus.take(4)
    assert got[1].data == bytes([0x30, 0, 0x80])
    assert min(gaps_ns(got)) >= 127_000_000


def test_frame_txtime_adds_to_stmin(pair: MakePair, bus: Bus) -> None:
    a, b = pair(
        configure_a=lambda sock: sock.set_general_opts(frame_txtime=15_000_000),
        configure_b=lambda sock: sock.set_fc_opts(stmin=5),
    )
    a.send(payload(48))
    assert b.recv() == payload(48)
    got = bus.take(8)
    assert min(gaps_ns(got)) >= 20_000_000


def test_frame_txtime_zero_sends_without_a_pause(pair: MakePair, bus: Bus) -> None:
    def configure(sock: isotp.socket) -> None:
        sock.set_general_opts(frame_txtime=200_000_000)
        sock.set_general_opts(frame_txtime=0)  # a plain 0 would keep the 200 ms

    a, b = pair(configure_a=configure)
    a.send(payload(76))
    assert b.recv() == payload(76)
    got = bus.take(12)
    assert sum(gaps_ns(got)) < 1_000_000_000 < 9 * 200_000_000


def test_tx_stmin_sends_slower_than_asked(pair: MakePair, bus: Bus) -> None:
    a, b = pair(configure_a=lambda sock: sock.set_general_opts(tx_stmin=20_000_000))
    a.send(payload(48))
    assert b.recv() == payload(48)
    got = bus.take(8)
    assert got[1].data == CTS
    assert min(gaps_ns(got)) >= 20_000_000


def test_tx_stmin_zero_sends_faster_than_asked(pair: MakePair, bus: Bus) -> None:
    a, b = pair(
        configure_a=lambda sock: sock.set_general_opts(tx_stmin=0),
        configure_b=lambda sock: sock.set_fc_opts(stmin=0x7F),
    )
    a.send(payload(76))
    assert b.recv() == payload(76)
    got = bus.take(12)
    assert got[1].data == bytes([0x30, 0, 0x7F])
    assert sum(gaps_ns(got)) < 9 * 127_000_000


def test_rx_stmin_ignores_what_comes_too_soon(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    b = new_socket()
    b.set_general_opts(rx_stmin=400_000_000)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    first, second, last = segment(payload(20))
    bus.send(A_TO_B, first)
    bus.recv()
    bus.send(A_TO_B, second)
    bus.send(A_TO_B, b"\x22TOOSOON")  # would complete the message
    time.sleep(0.45)
    bus.send(A_TO_B, last)
    assert b.recv() == payload(20)


@pytest.mark.parametrize("bs_later", [1, 4])
def test_dyn_fc_parms_obeys_every_flow_control(new_socket: Sockets, vcan: Link, bus: Bus, bs_later: int) -> None:
    a = new_socket()
    if not HAS_DYN_FC_PARMS:
        with pytest.raises(isotp.OptionError, match=r"DYN_FC_PARMS \(since Linux 6\.9\)"):
            a.set_general_opts(flags.DYN_FC_PARMS)
        assert a.get_general_opts().optflags == 0
    else:
        a.set_general_opts(flags.DYN_FC_PARMS)
        assert a.get_general_opts().optflags == flags.DYN_FC_PARMS
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    frames = segment(payload(6 + 7 * 7))
    a.send(payload(6 + 7 * 7), confirm=False)
    assert bus.recv().data == frames[0]
    bus.send(B_TO_A, bytes([0x30, 2, 0]))
    bus.take(2)
    bus.send(B_TO_A, bytes([0x30, bs_later, 0]))
    block = bs_later if HAS_DYN_FC_PARMS else 2  # without it the first block size holds
    bus.take(block)
    assert bus.is_silent()
    while len(bus.frames) < len(frames):
        bus.send(B_TO_A, bytes([0x30, 0 if HAS_DYN_FC_PARMS else 2, 0]))
        bus.take(min(len(frames) - len(bus.frames), 7 if HAS_DYN_FC_PARMS else 2))
    a.confirm()
    assert [f.data for f in bus.frames] == frames


# --- the effect on the bus: CAN FD


@pytest.mark.parametrize("tx_flags", [0, opts.CANFD_BRS, opts.CANFD_ESI, opts.CANFD_BRS | opts.CANFD_ESI])
def test_can_fd_frames_carry_tx_flags(pair: MakePair, bus: Bus, tx_flags: int) -> None:
    a, b = pair(lambda sock: sock.set_ll_opts(mtu=72, tx_dl=64, tx_flags=tx_flags))
    for size in (5, 40, 200):
        a.send(payload(size))
        assert b.recv() == payload(size)
    frames = [frame for size in (5, 40, 200) for frame in segment(payload(size), 64)]
    got = bus.take(len(frames) + 1)
    assert [f.data for f in got if f.can_id == A_TO_B] == frames
    assert {(f.fd, f.flags) for f in got} == {(True, tx_flags)}


@pytest.mark.parametrize("tx_dl", [8, 12, 16, 20, 24, 32, 48, 64])
def test_can_fd_frames_are_no_longer_than_tx_dl(pair: MakePair, bus: Bus, tx_dl: int) -> None:
    a, b = pair(lambda sock: sock.set_ll_opts(mtu=72, tx_dl=tx_dl))
    sizes = (1, 7, 8, tx_dl - 3, tx_dl - 2, tx_dl - 1, tx_dl, 3 * tx_dl + 1)
    frames: list[bytes] = []
    flow_controls = 0
    for size in sizes:
        a.send(payload(size))
        assert b.recv() == payload(size)
        frames += (of_this := segment(payload(size), tx_dl))
        flow_controls += len(of_this) > 1
    got = bus.take(len(frames) + flow_controls)
    assert [f.data for f in got if f.can_id == A_TO_B] == frames
    assert max(len(f.data) for f in got) == tx_dl
    assert all(f.fd for f in got)


def test_can_fd_frames_are_padded_with_txpad(pair: MakePair, bus: Bus) -> None:
    def configure(sock: isotp.socket) -> None:
        sock.set_ll_opts(mtu=72, tx_dl=64)
        sock.set_general_opts(txpad=0x5A)

    a, b = pair(configure)
    for size in (3, 9, 33, 70):
        a.send(payload(size))
        assert b.recv() == payload(size)
    frames = [frame for size in (3, 9, 33, 70) for frame in segment(payload(size), 64, txpad=0x5A)]
    got = bus.take(len(frames) + 1)
    assert [f.data for f in got if f.can_id == A_TO_B] == frames


@pytest.mark.parametrize("own", [16, 72])
def test_classical_and_fd_frames_do_not_mix(new_socket: Sockets, vcan: Link, bus: Bus, own: int) -> None:
    b = new_socket()
    b.set_ll_opts(mtu=own)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    bus.send(A_TO_B, b"\x02no", fd=own == 16)
    bus.send(A_TO_B, b"\x03yes", fd=own == 72)
    assert b.recv() == b"yes"


# --- the effect on the bus: broadcast


def test_sf_broadcast_sends_single_frames_alone(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    a = new_socket()
    a.set_general_opts(flags.SF_BROADCAST)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    listeners = [new_socket() for _ in range(3)]
    for number, listener in enumerate(listeners):
        listener.set_general_opts(flags.LISTEN_MODE)
        listener.bind(vcan, rxid=A_TO_B, txid=B_TO_A + number)
    assert a.send(payload(7)) == 7
    assert [listener.recv() for listener in listeners] == [payload(7)] * 3
    assert bus.recv().data == segment(payload(7))[0]
    with pytest.raises(isotp.MessageSizeError, match=r"8 bytes do not fit a single frame.*at most 7"):
        a.send(payload(8))
    with pytest.raises(isotp.OneWayError, match="only sends"):
        a.recv()
    assert bus.is_silent()


@pytest.mark.parametrize("fd", [False, True])
def test_cf_broadcast_sends_all_without_flow_control(new_socket: Sockets, vcan: Link, bus: Bus, fd: bool) -> None:
    def configure(sock: isotp.socket, optflags: flags) -> None:
        sock.set_general_opts(optflags)
        if fd:
            sock.set_ll_opts(mtu=72, tx_dl=64)

    a = new_socket()
    configure(a, flags.CF_BROADCAST)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    listeners = [new_socket() for _ in range(2)]
    for number, listener in enumerate(listeners):
        configure(listener, flags.LISTEN_MODE)
        listener.bind(vcan, rxid=A_TO_B, txid=B_TO_A + number)
    for size in (5, 300):
        assert a.send(payload(size)) == size
        assert [listener.recv() for listener in listeners] == [payload(size)] * 2
    frames = [frame for size in (5, 300) for frame in segment(payload(size), 64 if fd else 8)]
    assert [f.data for f in bus.take(len(frames))] == frames
    assert bus.is_silent()
    with pytest.raises(isotp.OneWayError):
        a.recv()


# --- WAIT_TX_DONE


def test_wait_tx_done_is_taken_over(new_socket: Sockets, vcan: Link, bus: Bus, background: Background) -> None:
    a = new_socket()
    a.set_general_opts(flags.WAIT_TX_DONE)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    assert a.get_general_opts().optflags == flags.WAIT_TX_DONE
    assert opts.general.read(a.real_socket()).optflags == 0  # else no timeout and no close() could end a send

    sending = background(lambda: a.send(payload(10), confirm=False))
    bus.recv()
    sending.wait_until_polling()
    bus.send(B_TO_A, CTS)
    assert sending.result() == 10

    a.settimeout(0.3)  # the receiver has its second all the same
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.send(payload(10), confirm=False)


def test_wait_tx_done_on_a_native_socket(new_socket: Sockets, vcan: Link, bus: Bus, background: Background) -> None:
    native = new_socket.native()
    opts.general.write(native, flags.WAIT_TX_DONE)
    native.bind((vcan, B_TO_A, A_TO_B))
    sending = background(lambda: native.send(payload(10)))
    bus.recv()
    assert bus.is_silent()
    assert not sending.is_done
    bus.send(B_TO_A, CTS)
    assert sending.result() == 10
    with pytest.raises(OSError) as caught:
        native.send(payload(10))
    assert caught.value.errno == errno.ECOMM
