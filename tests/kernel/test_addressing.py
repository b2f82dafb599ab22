"""Every address as it is on the bus: CAN identifiers, address bytes, flow control; and addresses that cannot be."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import isotp
from isotp import CAN_EFF_FLAG, Address, AddressingMode, AsymmetricAddress, TargetAddressType, opts
from isotp.opts import flags

from .conftest import A_TO_B, B_TO_A, Bus, Link, Links, Sockets, payload, segment

EFF = CAN_EFF_FLAG
CTS = bytes([0x30, 0, 0])


class Ends(NamedTuple):
    """The address of each end, and what the bus must see of them."""

    a: Address | AsymmetricAddress
    b: Address | AsymmetricAddress
    a_id: int
    a_prefix: bytes
    b_id: int
    b_prefix: bytes


def normal(a_id: int, b_id: int, is_extended_id: bool | None = None) -> Ends:
    a = Address.normal(rxid=b_id, txid=a_id, is_extended_id=is_extended_id)
    b = Address.normal(rxid=a_id, txid=b_id, is_extended_id=is_extended_id)
    flag = EFF if is_extended_id or a_id > 0x7FF else 0
    return Ends(a, b, a_id | flag, b"", b_id | flag, b"")


def by_mode(mode: AddressingMode, **other: Any) -> tuple[Address, Address]:
    """Two ends with N_SA 0xF1 and 0x10, written as in can-isotp 2."""
    a = Address(mode, target_address=0x10, source_address=0xF1, **other)
    b = Address(mode, target_address=0xF1, source_address=0x10, **other)
    return a, b


def extended(a_id: int, b_id: int, flag: int) -> Ends:
    a = Address.extended(txid=a_id, rxid=b_id, target_address=0x12, source_address=0x34, is_extended_id=bool(flag))
    b = Address.extended(txid=b_id, rxid=a_id, target_address=0x34, source_address=0x12, is_extended_id=bool(flag))
    return Ends(a, b, a_id | flag, b"\x12", b_id | flag, b"\x34")


def halves(tx: Address, rx: Address) -> AsymmetricAddress:
    return AsymmetricAddress(tx, rx)


PHYSICAL = {
    "Normal_11bits": normal(0x7E0, 0x7E8),
    "Normal_11bits, lowest and highest": normal(0x000, 0x7FF),
    "Normal_29bits": normal(0x18DA10F1, 0x18DAF110),
    "Normal_29bits, highest": normal(0x1FFFFFFF, 0x1FFFFFFE),
    "Normal_29bits, small": normal(0x10, 0x11, is_extended_id=True),
    "Normal_29bits, small by flag": Ends(
        Address.normal(rxid=0x11 | EFF, txid=0x10 | EFF),
        Address.normal(rxid=0x10 | EFF, txid=0x11 | EFF),
        0x10 | EFF,
        b"",
        0x11 | EFF,
        b"",
    ),
    "same number, 11 and 29 bits": Ends(
        halves(Address.normal(txid=0x123), Address.normal(rxid=0x123, is_extended_id=True)),
        halves(Address.normal(txid=0x123, is_extended_id=True), Address.normal(rxid=0x123)),
        0x123,
        b"",
        0x123 | EFF,
        b"",
    ),
    "NormalFixed_29bits": Ends(
        *by_mode(AddressingMode.NormalFixed_29bits), 0x18DA10F1 | EFF, b"", 0x18DAF110 | EFF, b""
    ),
    "NormalFixed_29bits, own base": Ends(
        *by_mode(AddressingMode.NormalFixed_29bits, physical_id=0x14DA0000),
        0x14DA10F1 | EFF,
        b"",
        0x14DAF110 | EFF,
        b"",
    ),
    "Extended_11bits": extended(0x601, 0x602, 0),
    "Extended_29bits": extended(0x1ABCDE01, 0x1ABCDE02, EFF),
    "Extended_29bits, small": extended(0x01, 0x02, EFF),
    "Extended_11bits, one address": Ends(
        Address.extended(txid=0x601, rxid=0x602, target_address=0x12, source_address=0x12),
        Address.extended(txid=0x602, rxid=0x601, target_address=0x12, source_address=0x12),
        0x601,
        b"\x12",
        0x602,
        b"\x12",
    ),
    "Mixed_11bits": Ends(
        Address.mixed_11bits(txid=0x701, rxid=0x702, address_extension=0x99),
        Address.mixed_11bits(txid=0x702, rxid=0x701, address_extension=0x99),
        0x701,
        b"\x99",
        0x702,
        b"\x99",
    ),
    "Mixed_29bits": Ends(
        *by_mode(AddressingMode.Mixed_29bits, address_extension=0x77),
        0x18CE10F1 | EFF,
        b"\x77",
        0x18CEF110 | EFF,
        b"\x77",
    ),
    "11 bits out, 29 bits in": Ends(
        halves(Address.normal(txid=0x7E0), Address.normal(rxid=0x18DAF110)),
        halves(Address.normal(txid=0x18DAF110), Address.normal(rxid=0x7E0)),
        0x7E0,
        b"",
        0x18DAF110 | EFF,
        b"",
    ),
    "Extended_11bits out, Mixed_29bits in": Ends(
        halves(
            Address.extended(txid=0x601, target_address=0x12),
            Address(
                AddressingMode.Mixed_29bits,
                target_address=0x10,
                source_address=0xF1,
                address_extension=0x77,
                rx_only=True,
            ),
        ),
        halves(
            Address(
                AddressingMode.Mixed_29bits,
                target_address=0xF1,
                source_address=0x10,
                address_extension=0x77,
                tx_only=True,
            ),
            Address.extended(rxid=0x601, source_address=0x12),
        ),
        0x601,
        b"\x12",
        0x18CEF110 | EFF,
        b"\x77",
    ),
}


@pytest.mark.parametrize("ends", PHYSICAL.values(), ids=PHYSICAL)
def test_physical(new_socket: Sockets, vcan: Link, bus: Bus, ends: Ends) -> None:
    a, b = new_socket(), new_socket()
    a.bind(vcan, ends.a)
    b.bind(vcan, ends.b)
    assert (a.address, b.address) == (ends.a, ends.b)
    for size in (1, 6, 7, 8, 50):
        for sender, receiver, own_id, prefix, other_id, other_prefix in (
            (a, b, ends.a_id, ends.a_prefix, ends.b_id, ends.b_prefix),
            (b, a, ends.b_id, ends.b_prefix, ends.a_id, ends.a_prefix),
        ):
            sender.send(payload(size))
            assert receiver.recv() == payload(size)
            expected = [(own_id, data) for data in segment(payload(size), prefix=prefix)]
            if len(expected) > 1:
                expected.insert(1, (other_id, other_prefix + CTS))
            assert [(f.can_id, f.data) for f in bus.take(len(expected))] == expected


@pytest.mark.parametrize("name", ["Extended_11bits", "Mixed_29bits", "Extended_11bits out, Mixed_29bits in"])
def test_frames_with_another_address_byte_are_ignored(new_socket: Sockets, vcan: Link, bus: Bus, name: str) -> None:
    ends = PHYSICAL[name]
    b = new_socket()
    b.bind(vcan, ends.b)
    wrong = bytes([ends.a_prefix[0] ^ 1])
    bus.send(ends.a_id, wrong + b"\x02no")
    bus.send(ends.a_id, wrong + b"\x10\x14no!!!")
    bus.send(ends.a_id, ends.a_prefix + b"\x03yes")
    assert b.recv() == b"yes"
    assert bus.is_silent()


def test_many_links_share_identifiers_by_their_address_byte(new_socket: Sockets, vcan: Link) -> None:
    tester = [new_socket() for _ in range(3)]
    unit = [new_socket() for _ in range(3)]
    for n in range(3):
        tester[n].bind(vcan, Address.extended(txid=0x600, rxid=0x601, target_address=n, source_address=0xF0 + n))
        unit[n].bind(vcan, Address.extended(txid=0x601, rxid=0x600, target_address=0xF0 + n, source_address=n))
    for n in range(3):
        tester[n].send(payload(100, n))
    assert [unit[n].recv() for n in range(3)] == [payload(100, n) for n in range(3)]
    for n in range(3):
        unit[n].settimeout(0)
        with pytest.raises(BlockingIOError):
            unit[n].recv()


FUNCTIONAL = {
    "Normal_11bits": (
        Address.normal(txid=0x7DF, functional=True),
        Address(rxid=0x7DF, rx_only=True, target_address_type=TargetAddressType.Functional),
        0x7DF,
        b"",
    ),
    "Normal_29bits": (
        Address.normal(txid=0x1BFF0001, functional=True),
        Address.normal(rxid=0x1BFF0001),
        0x1BFF0001 | EFF,
        b"",
    ),
    "NormalFixed_29bits": (
        Address.normal_fixed(target_address=0x33, source_address=0xF1, functional=True),
        Address(
            AddressingMode.NormalFixed_29bits,
            target_address=0xF1,
            source_address=0x33,
            rx_only=True,
            target_address_type=TargetAddressType.Functional,
        ),
        0x18DB33F1 | EFF,
        b"",
    ),
    "NormalFixed_29bits, own base": (
        Address(
            AddressingMode.NormalFixed_29bits,
            target_address=0x33,
            source_address=0xF1,
            functional_id=0x14DB0000,
            target_address_type=TargetAddressType.Functional,
        ),
        Address.normal(rxid=0x14DB33F1),
        0x14DB33F1 | EFF,
        b"",
    ),
    "Extended_11bits": (
        Address.extended(txid=0x600, target_address=0xFE, functional=True),
        Address.extended(rxid=0x600, source_address=0xFE),
        0x600,
        b"\xfe",
    ),
    "Extended_29bits": (
        Address.extended(txid=0x600, target_address=0xFE, functional=True, is_extended_id=True),
        Address.extended(rxid=0x600, source_address=0xFE, is_extended_id=True),
        0x600 | EFF,
        b"\xfe",
    ),
    "Mixed_11bits": (
        Address.mixed_11bits(txid=0x700, address_extension=0x99, functional=True),
        Address.mixed_11bits(rxid=0x700, address_extension=0x99),
        0x700,
        b"\x99",
    ),
    "Mixed_29bits": (
        Address.mixed_29bits(target_address=0x33, source_address=0xF1, address_extension=0x77, functional=True),
        Address(
            AddressingMode.Mixed_29bits,
            target_address=0xF1,
            source_address=0x33,
            address_extension=0x77,
            rx_only=True,
            target_address_type=TargetAddressType.Functional,
        ),
        0x18CD33F1 | EFF,
        b"\x77",
    ),
}


@pytest.mark.parametrize(("to_all", "of_each", "can_id", "prefix"), FUNCTIONAL.values(), ids=FUNCTIONAL)
def test_functional(
    new_socket: Sockets, vcan: Link, bus: Bus, to_all: Address, of_each: Address, can_id: int, prefix: bytes
) -> None:
    sender = new_socket()
    sender.bind(vcan, to_all)
    receivers = [new_socket() for _ in range(3)]
    for receiver in receivers:
        receiver.bind(vcan, of_each)
    longest = 7 - len(prefix)
    for size in (1, longest):
        assert sender.send(payload(size)) == size
        assert [receiver.recv() for receiver in receivers] == [payload(size)] * 3
        frame = bus.recv()
        assert (frame.can_id, frame.data) == (can_id, prefix + bytes([size]) + payload(size))
    with pytest.raises(isotp.MessageSizeError, match=f"at most {longest} go"):
        sender.send(payload(longest + 1))
    with pytest.raises(isotp.OneWayError, match="only sends"):
        sender.recv()
    with pytest.raises(isotp.OneWayError, match="only receives"):
        receivers[0].send(b"x")
    assert bus.is_silent()


def test_functional_on_can_fd_takes_what_a_long_single_frame_takes(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    sender, receiver = new_socket(), new_socket()
    for end in (sender, receiver):
        end.set_ll_opts(mtu=72, tx_dl=64)
    sender.bind(vcan, Address.extended(txid=0x600, target_address=0xFE, functional=True))
    receiver.bind(vcan, Address.extended(rxid=0x600, source_address=0xFE))
    sender.send(payload(61))
    assert receiver.recv() == payload(61)
    assert bus.recv().data == b"\xfe\x00\x3d" + payload(61)
    with pytest.raises(isotp.MessageSizeError, match="at most 61 go"):
        sender.send(payload(62))


def test_asymmetric_functional_out_is_one_way(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    a = new_socket()
    a.bind(vcan, AsymmetricAddress(Address.normal(txid=0x7DF, functional=True), Address.normal(rxid=0x7E8)))
    a.send(b"\x3e\x80")
    assert (bus.recv().can_id, bus.frames[0].data) == (0x7DF, b"\x02\x3e\x80")
    with pytest.raises(isotp.OneWayError):
        a.recv()


def test_receiving_half_listens_without_flow_control(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    listener = new_socket()
    listener.bind(vcan, Address.normal(rxid=A_TO_B))
    first, *rest = segment(payload(100))
    bus.send(A_TO_B, first)
    assert bus.is_silent()
    for frame in rest:
        bus.send(A_TO_B, frame)
    assert listener.recv() == payload(100)
    with pytest.raises(isotp.OneWayError, match="only receives"):
        listener.send(b"x")


def test_receiving_half_overhears_a_transfer(new_socket: Sockets, vcan: Link) -> None:
    a, b, listener = new_socket(), new_socket(), new_socket()
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    listener.bind(vcan, Address.normal(rxid=A_TO_B))
    with pytest.warns(isotp.DuplicateBindingWarning):  # b will answer, and so far cannot know that listener won't
        b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    a.send(payload(200))
    assert b.recv() == listener.recv() == payload(200)


def test_sending_half_sends_single_frames_or_all_without_flow_control(
    new_socket: Sockets, vcan: Link, bus: Bus
) -> None:
    single, many = new_socket(), new_socket()
    single.bind(vcan, Address.normal(txid=A_TO_B))
    single.send(payload(7))
    with pytest.raises(isotp.MessageSizeError):
        single.send(payload(8))
    many.set_general_opts(flags.CF_BROADCAST)
    many.bind(vcan, Address.normal(txid=B_TO_A))
    many.send(payload(80))
    expected = [(A_TO_B, segment(payload(7))[0]), *((B_TO_A, data) for data in segment(payload(80)))]
    assert [(f.can_id, f.data) for f in bus.take(len(expected))] == expected
    with pytest.raises(isotp.OneWayError):
        many.recv()


# --- options and addresses together


@pytest.mark.parametrize(
    ("address", "added"),
    [
        (Address.normal(rxid=1, txid=2), opts.GeneralOptions()),
        (
            Address.extended(rxid=1, txid=2, target_address=3, source_address=4),
            opts.GeneralOptions(flags.EXTEND_ADDR | flags.RX_EXT_ADDR, ext_address=3, rx_ext_address=4),
        ),
        (
            Address.mixed_11bits(rxid=1, txid=2, address_extension=5),
            opts.GeneralOptions(flags.EXTEND_ADDR, ext_address=5, rx_ext_address=5),
        ),
        (Address.normal(txid=2, functional=True), opts.GeneralOptions(flags.SF_BROADCAST)),
        (Address.normal(rxid=1), opts.GeneralOptions(flags.LISTEN_MODE)),
    ],
    ids=str,
)
def test_options_set_before_are_kept(
    new_socket: Sockets, vcan: Link, address: Address, added: opts.GeneralOptions
) -> None:
    sock = new_socket()
    sock.set_general_opts(flags.HALF_DUPLEX, frame_txtime=0, txpad=0x55, rxpad=0x66, tx_stmin=1000, rx_stmin=2000)
    sock.set_fc_opts(bs=8, stmin=0xF3)
    sock.set_ll_opts(mtu=72, tx_dl=32, tx_flags=1)
    before = sock.get_general_opts(), sock.get_fc_opts(), sock.get_ll_opts()
    sock.bind(vcan, address)
    general = sock.get_general_opts()
    assert general.optflags == before[0].optflags | added.optflags
    assert (general.ext_address, general.rx_ext_address) == (added.ext_address, added.rx_ext_address)
    assert (general.frame_txtime, general.txpad, general.rxpad) == (0, 0x55, 0x66)
    assert (general.tx_stmin, general.rx_stmin) == (1000, 2000)
    assert (sock.get_fc_opts(), sock.get_ll_opts()) == before[1:]


def test_address_byte_as_an_option_serves_bare_identifiers(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    a = new_socket()
    a.set_general_opts(ext_address=0x12, rx_ext_address=0x34)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    a.send(b"hi")
    assert bus.recv().data == b"\x12\x02hi"
    bus.send(B_TO_A, b"\x34\x02ho")
    assert a.recv() == b"ho"


def test_address_byte_as_an_option_may_be_that_of_the_address(new_socket: Sockets, vcan: Link, bus: Bus) -> None:
    a = new_socket()
    a.set_general_opts(ext_address=0x12, rx_ext_address=0x34)
    a.bind(vcan, Address.extended(rxid=B_TO_A, txid=A_TO_B, target_address=0x12, source_address=0x34))
    a.send(b"hi")
    assert bus.recv().data == b"\x12\x02hi"


# --- what cannot be

Configure = Callable[[isotp.socket], object]
CONFLICTS: dict[str, tuple[Configure, Address | AsymmetricAddress, type[Exception], list[str]]] = {
    "ext_address": (
        lambda s: s.set_general_opts(ext_address=1),
        Address.extended(rxid=1, txid=2, target_address=2, source_address=3),
        isotp.AddressError,
        ["ext_address=0x01", "0x02"],
    ),
    "rx_ext_address": (
        lambda s: s.set_general_opts(ext_address=2, rx_ext_address=1),
        Address.extended(rxid=1, txid=2, target_address=2, source_address=3),
        isotp.AddressError,
        ["rx_ext_address=0x01", "0x03"],
    ),
    "rx_ext_address, mixed": (
        lambda s: s.set_general_opts(ext_address=2, rx_ext_address=1),
        Address.mixed_11bits(rxid=1, txid=2, address_extension=2),
        isotp.AddressError,
        ["rx_ext_address=0x01", "0x02"],
    ),
    "LISTEN_MODE to all": (
        lambda s: s.set_general_opts(flags.LISTEN_MODE),
        Address.normal(txid=1, functional=True),
        isotp.OptionError,
        ["LISTEN_MODE", "BROADCAST"],
    ),
    "SF_BROADCAST to receive": (
        lambda s: s.set_general_opts(flags.SF_BROADCAST),
        Address.normal(rxid=1),
        isotp.OptionError,
        ["LISTEN_MODE", "BROADCAST"],
    ),
    "address byte one way": (
        lambda s: s.set_general_opts(txpad=1),
        AsymmetricAddress(Address.normal(txid=1), Address.extended(rxid=2, source_address=3)),
        isotp.AddressError,
        ["both directions or", "two sockets"],
    ),
    "same identifier": (
        lambda s: s.set_general_opts(txpad=1),
        Address(AddressingMode.Extended_11bits, 1, 1, target_address=2, source_address=3),
        isotp.AddressError,
        ["different CAN identifiers"],
    ),
}


@pytest.mark.parametrize(("configure", "address", "error", "said"), CONFLICTS.values(), ids=CONFLICTS)
def test_conflicts_are_told_and_change_nothing(
    new_socket: Sockets,
    vcan: Link,
    configure: Configure,
    address: Address,
    error: type[Exception],
    said: list[str],
) -> None:
    sock = new_socket()
    sock.set_general_opts(frame_txtime=0, tx_stmin=7)
    configure(sock)
    before = sock.get_general_opts()
    with pytest.raises(error) as caught:
        sock.bind(vcan, address)
    assert [word for word in said if word not in str(caught.value)] == []
    assert sock.get_general_opts() == before
    assert not sock.bound
    assert sock.address is None

    sock.set_general_opts(0, txpad=0x42)
    sock.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    assert sock.get_general_opts().optflags == flags.TX_PADDING
    sock.send(b"usable")


def test_extended_addresses_may_share_an_identifier() -> None:
    address = Address.extended(rxid=0x600, txid=0x600, target_address=2, source_address=3)
    assert address == Address(AddressingMode.Extended_11bits, 0x600, 0x600, target_address=2, source_address=3)


def test_can_fd_on_a_classical_interface_is_refused(new_socket: Sockets, new_link: Links) -> None:
    classical = new_link(mtu=16)
    sock = new_socket()
    sock.set_ll_opts(mtu=72, tx_dl=64)
    sock.set_general_opts(txpad=1)
    before = sock.get_general_opts(), sock.get_ll_opts()
    with pytest.raises(isotp.OptionError, match="is Classical CAN") as caught:
        sock.bind(classical, Address.extended(rxid=1, txid=2, target_address=2, source_address=3))
    assert classical in str(caught.value)
    assert (sock.get_general_opts(), sock.get_ll_opts()) == before
    sock.set_ll_opts(mtu=16, tx_dl=8)
    sock.bind(classical, rxid=B_TO_A, txid=A_TO_B)
    sock.send(b"usable")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({}, isotp.AddressError, "rxid and txid missing"),
        ({"rxid": 1}, isotp.AddressError, "txid missing"),
        ({"txid": 1}, isotp.AddressError, "rxid missing"),
        ({"rxid": 0x123, "txid": 0x123}, isotp.AddressError, "the same"),
        ({"rxid": 0x20000000, "txid": 1}, isotp.AddressError, "rxid=0x20000000 is not a CAN identifier"),
        ({"rxid": 1, "txid": -1}, isotp.AddressError, "txid=-0x1 is not a CAN identifier"),
        ({"rxid": "0x123", "txid": 1}, isotp.AddressError, "rxid must be an integer"),
        ({"address": Address.normal(rxid=1, txid=2), "rxid": 1}, isotp.AddressError, "give one of them"),
        ({"address": 0x123}, TypeError, "must be an isotp.Address"),
    ],
    ids=str,
)
def test_a_wrong_address_leaves_the_socket_usable(
    new_socket: Sockets, vcan: Link, given: dict[str, int], error: type[Exception], said: str
) -> None:
    sock = new_socket()
    with pytest.raises(error, match=said):
        sock.bind(vcan, **given)  # type: ignore[arg-type]
    assert sock.get_general_opts() == opts.GeneralOptions()
    sock.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    sock.send(b"usable")


def test_binding_twice_is_refused(new_socket: Sockets, vcan: Link) -> None:
    sock = new_socket()
    sock.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    with pytest.raises(isotp.AlreadyBoundError) as caught:
        sock.bind(vcan, rxid=1, txid=2)
    assert caught.value.link == f"{vcan} rxid=0x7E8 txid=0x7E0"
    assert sock.address == Address.normal(rxid=B_TO_A, txid=A_TO_B)
    sock.send(b"usable")
