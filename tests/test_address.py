"""N_AI against the layouts of ISO 15765-2:2016, 10.3, written out here a second time."""

import copy
import dataclasses
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotp import CAN_EFF_FLAG, Address, AddressError, AddressingMode, AsymmetricAddress, CanMessage, TargetAddressType
from isotp.address import CanAddress, format_can_id, is_29bit_id, normal_address

EFF = 0x80000000
FUNCTIONAL = TargetAddressType.Functional
M = AddressingMode

byte = st.integers(0, 0xFF)
id_11 = st.integers(0, 0x7FF)
id_29 = st.integers(0, 0x1FFFFFFF)
id_29_marked = id_29.map(lambda i: i | EFF)
modest = settings(max_examples=40)


def pair_of(values: st.SearchStrategy[int]) -> st.SearchStrategy[list[int]]:
    return st.lists(values, min_size=2, max_size=2, unique=True)


def refused(text: str, **more: str) -> Any:
    """Expect an AddressError that says so."""
    return pytest.raises(AddressError, match=re.escape(text), **more)  # type: ignore[call-overload]


def test_the_flag() -> None:
    assert CAN_EFF_FLAG == EFF


# --- layouts


@modest
@given(pair_of(id_11))
def test_normal_11bits(ids: list[int]) -> None:
    address = Address.normal(rxid=ids[0], txid=ids[1])
    assert address.addressing_mode is M.Normal_11bits
    assert (address.rx, address.tx) == ((ids[0], None), (ids[1], None))
    assert (address.rx_only, address.tx_only, address.is_functional) == (False, False, False)
    assert address == Address(M.Normal_11bits, rxid=ids[0], txid=ids[1]) == normal_address(*ids)


@modest
@given(st.lists(st.integers(0x800, 0x1FFFFFFF) | id_29_marked, min_size=2, max_size=2, unique_by=lambda i: i | EFF))
def test_normal_29bits(ids: list[int]) -> None:
    """Above 0x7FF, or with the flag, an identifier has 29 bits; the result carries the flag either way."""
    address = Address.normal(rxid=ids[0], txid=ids[1])
    assert address.addressing_mode is M.Normal_29bits
    assert (address.rx, address.tx) == ((ids[0] | EFF, None), (ids[1] | EFF, None))
    assert normal_address(*ids) == address


@modest
@given(pair_of(id_29))
def test_small_29bit_identifiers(ids: list[int]) -> None:
    address = Address.normal(rxid=ids[0], txid=ids[1], is_extended_id=True)
    assert (address.rx, address.tx) == ((ids[0] | EFF, None), (ids[1] | EFF, None))
    assert address == Address(M.Normal_29bits, rxid=ids[0], txid=ids[1])


@modest
@given(pair_of(byte), st.booleans())
def test_normal_fixed(nodes: list[int], functional: bool) -> None:
    ta, sa = nodes
    address = Address.normal_fixed(target_address=ta, source_address=sa, functional=functional)
    base = EFF | (0x18DB0000 if functional else 0x18DA0000)
    assert address.tx == (base | ta << 8 | sa, None)
    assert address.rx == (None if functional else (base | sa << 8 | ta, None))
    tatype = FUNCTIONAL if functional else TargetAddressType.Physical
    assert address == Address(
        M.NormalFixed_29bits, target_address=ta, source_address=sa, target_address_type=tatype, tx_only=functional
    )


@modest
@given(pair_of(byte), byte, st.booleans())
def test_mixed_29bits(nodes: list[int], ae: int, functional: bool) -> None:
    ta, sa = nodes
    address = Address.mixed_29bits(target_address=ta, source_address=sa, address_extension=ae, functional=functional)
    base = EFF | (0x18CD0000 if functional else 0x18CE0000)
    assert address.tx == (base | ta << 8 | sa, ae)
    assert address.rx == (None if functional else (base | sa << 8 | ta, ae))


@modest
@given(pair_of(id_11), byte, byte)
def test_extended_11bits(ids: list[int], ta: int, sa: int) -> None:
    """Frames begin with the address of who they go to: N_TA what is sent, our own what is received."""
    address = Address.extended(rxid=ids[0], txid=ids[1], target_address=ta, source_address=sa)
    assert (address.rx, address.tx) == ((ids[0], sa), (ids[1], ta))
    assert address == Address(M.Extended_11bits, ids[1], ids[0], ta, sa)


@modest
@given(pair_of(id_29), byte, byte)
def test_extended_29bits(ids: list[int], ta: int, sa: int) -> None:
    address = Address.extended(rxid=ids[0], txid=ids[1], target_address=ta, source_address=sa, is_extended_id=True)
    assert (address.rx, address.tx) == ((ids[0] | EFF, sa), (ids[1] | EFF, ta))
    assert address == Address(M.Extended_29bits, ids[1], ids[0], ta, sa)
    marked = Address.extended(rxid=ids[0] | EFF, txid=ids[1] | EFF, target_address=ta, source_address=sa)
    assert (marked.rx, marked.tx) == (address.rx, address.tx)


@modest
@given(pair_of(id_11), byte)
def test_mixed_11bits(ids: list[int], ae: int) -> None:
    address = Address.mixed_11bits(rxid=ids[0], txid=ids[1], address_extension=ae)
    assert (address.rx, address.tx) == ((ids[0], ae), (ids[1], ae))
    assert address == Address(M.Mixed_11bits, ids[1], ids[0], address_extension=ae)


def test_one_identifier_for_both_directions_of_two_nodes() -> None:
    address = Address.extended(rxid=0x7DF, txid=0x7DF, target_address=0x10, source_address=0xF1)
    assert (address.rx, address.tx) == ((0x7DF, 0xF1), (0x7DF, 0x10))


# --- halves, functional and asymmetric addresses

HALVES: dict[M, tuple[dict[str, int], CanAddress, dict[str, int], CanAddress]] = {
    # mode: what a sending half needs and what it is, what a receiving half needs and what it is
    M.Normal_11bits: ({"txid": 0x7E0}, CanAddress(0x7E0), {"rxid": 0x7E8}, CanAddress(0x7E8)),
    M.Normal_29bits: ({"txid": 0x7E0}, CanAddress(EFF | 0x7E0), {"rxid": 0x7E8}, CanAddress(EFF | 0x7E8)),
    M.NormalFixed_29bits: (
        {"target_address": 0x10, "source_address": 0xF1},
        CanAddress(0x98DA10F1),
        {"target_address": 0x10, "source_address": 0xF1},
        CanAddress(0x98DAF110),
    ),
    M.Extended_11bits: (
        {"txid": 0x640, "target_address": 0x10},
        CanAddress(0x640, 0x10),
        {"rxid": 0x641, "source_address": 0xF1},
        CanAddress(0x641, 0xF1),
    ),
    M.Extended_29bits: (
        {"txid": 0x640, "target_address": 0x10},
        CanAddress(EFF | 0x640, 0x10),
        {"rxid": 0x641, "source_address": 0xF1},
        CanAddress(EFF | 0x641, 0xF1),
    ),
    M.Mixed_11bits: (
        {"txid": 0x640, "address_extension": 0x99},
        CanAddress(0x640, 0x99),
        {"rxid": 0x641, "address_extension": 0x99},
        CanAddress(0x641, 0x99),
    ),
    M.Mixed_29bits: (
        {"target_address": 0x10, "source_address": 0xF1, "address_extension": 0x99},
        CanAddress(0x98CE10F1, 0x99),
        {"target_address": 0x10, "source_address": 0xF1, "address_extension": 0x99},
        CanAddress(0x98CEF110, 0x99),
    ),
}


def test_every_mode_has_halves() -> None:
    assert set(HALVES) == set(M)
    assert [m.value for m in M] == list(range(7))
    assert {m for m in M if m.is_29bit} == {M.Normal_29bits, M.NormalFixed_29bits, M.Extended_29bits, M.Mixed_29bits}
    assert {m for m in M if m.has_fixed_ids} == {M.NormalFixed_29bits, M.Mixed_29bits}


def make(mode: M, **parameters: Any) -> Address:
    return Address(mode, **parameters)


@pytest.mark.parametrize("mode", M)
def test_halves_of_every_mode(mode: M) -> None:
    to, tx, back, rx = HALVES[mode]
    sending, receiving = make(mode, **to, tx_only=True), make(mode, **back, rx_only=True)
    assert (sending.tx, sending.rx) == (tx, None)
    assert (receiving.tx, receiving.rx) == (None, rx)
    both = make(mode, **to | back)
    assert (both.tx, both.rx) == (tx, rx)
    # what the other half needs may stand there and changes nothing
    assert make(mode, **to | back, tx_only=True).tx == tx
    assert make(mode, **to | back, rx_only=True).rx == rx
    pair = AsymmetricAddress(tx_addr=sending, rx_addr=receiving)
    assert (pair.tx, pair.rx) == (tx, rx)
    assert str(pair) == str(both) == f"rxid={rx} txid={tx}"
    assert not pair.is_functional


@pytest.mark.parametrize("mode", M)
def test_each_parameter_is_needed(mode: M) -> None:
    to, _, back, _ = HALVES[mode]
    for needed, half in ((to, {"tx_only": True}), (back, {"rx_only": True}), (to | back, {})):
        for name in needed:
            rest = {n: v for n, v in needed.items() if n != name}
            with refused(f"{name} missing: {mode.name}") as caught:
                make(mode, **rest, **half)
            takes = caught.value.what.partition(" takes ")[2]
            assert set(takes.split(", ")) == set(needed)


@pytest.mark.parametrize("mode", M)
def test_what_means_nothing_is_refused(mode: M) -> None:
    to, _, back, _ = HALVES[mode]
    meant = to | back
    free = {"txid", "rxid", "target_address", "source_address", "address_extension", "physical_id", "functional_id"}
    free -= set(meant) | ({"physical_id", "functional_id"} if mode.has_fixed_ids else set())
    assert free
    for name in free:
        for half in ({}, {"tx_only": True}, {"rx_only": True}):
            with refused(f"{name} means nothing here: {mode.name}"):
                make(mode, **meant, **{name: 0x18DA0000 if name.endswith("_id") else 1}, **half)


@pytest.mark.parametrize("mode", M)
def test_functional_is_one_way(mode: M) -> None:
    to, tx, back, rx = HALVES[mode]
    swap = {0x98DA: 0x98DB, 0x98CE: 0x98CD} if mode.has_fixed_ids else {}
    sending = make(mode, **to, target_address_type=FUNCTIONAL)
    assert (sending.is_functional, sending.tx_only, sending.rx) == (True, True, None)
    assert sending.tx == tx._replace(can_id=swap.get(tx.can_id >> 16, tx.can_id >> 16) << 16 | tx.can_id & 0xFFFF)
    receiving = make(mode, **back, rx_only=True, target_address_type=FUNCTIONAL)
    assert (receiving.is_functional, receiving.tx) == (True, None)
    assert receiving.rx == rx._replace(can_id=swap.get(rx.can_id >> 16, rx.can_id >> 16) << 16 | rx.can_id & 0xFFFF)
    assert AsymmetricAddress(sending, make(mode, **back, rx_only=True)).is_functional


CONSTRUCTORS: dict[str, tuple[Callable[..., Address], dict[str, int]]] = {
    "normal": (Address.normal, {}),
    "extended": (Address.extended, {"target_address": 0x10, "source_address": 0xF1}),
    "mixed_11bits": (Address.mixed_11bits, {"address_extension": 0x99}),
}


@pytest.mark.parametrize("name", CONSTRUCTORS)
def test_one_identifier_makes_a_half(name: str) -> None:
    make_address, more = CONSTRUCTORS[name]
    sending, receiving = make_address(txid=0x700, **more), make_address(rxid=0x701, **more)
    assert sending.tx_only
    assert receiving.rx_only
    assert sending.tx
    assert sending.tx.can_id == 0x700
    assert receiving.rx
    assert receiving.rx.can_id == 0x701
    group = make_address(txid=0x7DF, functional=True, **more)
    assert group.is_functional
    assert group.tx_only
    listener = make_address(rxid=0x7DF, functional=True, **more)
    assert listener.is_functional
    assert listener.rx_only
    with refused("rxid and txid missing"):
        make_address(**more)
    with refused("txid missing"):
        make_address(functional=True, **more)


def test_the_halves_of_extended_need_one_address_each() -> None:
    assert Address.extended(txid=0x640, target_address=0x10).tx == (0x640, 0x10)
    assert Address.extended(rxid=0x641, source_address=0xF1).rx == (0x641, 0xF1)
    with refused("target_address missing: Extended_11bits (sending half) takes txid, target_address"):
        Address.extended(txid=0x640, source_address=0xF1)


def test_other_bases_of_fixed_identifiers() -> None:
    address = Address(
        M.NormalFixed_29bits, target_address=0x10, source_address=0xF1, physical_id=0x1CDA0000, functional_id=0x1CDB0000
    )
    assert (address.tx, address.rx) == ((0x9CDA10F1, None), (0x9CDAF110, None))
    assert dataclasses.replace(address, target_address_type=FUNCTIONAL).tx == (0x9CDB10F1, None)
    mixed = Address(
        M.Mixed_29bits, target_address=0x10, source_address=0xF1, address_extension=0x99, physical_id=0x1CCEFFFF
    )
    assert mixed.tx == (0x9CCE10F1, 0x99)  # the low 16 bits are those of the nodes
    with refused("physical_id=0x20000000 is not a 29-bit identifier"):
        dataclasses.replace(mixed, physical_id=0x20000000)


def test_asymmetric_wants_two_halves() -> None:
    sending, receiving = Address.normal(txid=1), Address.normal(rxid=2)
    whole = Address.normal(txid=1, rxid=2)
    for pair in ((receiving, sending), (whole, receiving), (sending, whole)):
        with refused("tx_addr must be a tx_only half and rx_addr an rx_only half"):
            AsymmetricAddress(*pair)
    with refused("two Address halves"):
        AsymmetricAddress(sending, 2)  # type: ignore[arg-type]
    with refused("the two directions are the same: rx and tx are both 0x001"):
        AsymmetricAddress(sending, Address.normal(rxid=1))


# --- bare identifiers


@modest
@given(id_11, st.integers(0x800, 0x1FFFFFFF) | id_29_marked, st.booleans())
def test_normal_address_of_two_widths(short: int, long: int, swap: bool) -> None:
    rxid, txid = (long, short) if swap else (short, long)
    address = normal_address(rxid, txid)
    assert isinstance(address, AsymmetricAddress)
    assert {address.rx, address.tx} == {(short, None), (long | EFF, None)}
    assert address.rx == (rxid if rxid <= 0x7FF else rxid | EFF, None)
    with refused(f"rxid={rxid:#x} and txid={txid:#x} differ in width") as caught:
        Address.normal(rxid=rxid, txid=txid)
    assert "is_extended_id=True" in str(caught.value)
    both = Address.normal(rxid=rxid, txid=txid, is_extended_id=True) if short | EFF != long | EFF else None
    assert both is None or {both.rx, both.tx} == {(short | EFF, None), (long | EFF, None)}


@pytest.mark.parametrize(
    ("rxid", "txid", "missing"), [(None, 0x7E0, "rxid"), (0x7E8, None, "txid"), (None, None, "rxid and txid")]
)
def test_normal_address_needs_both(rxid: int | None, txid: int | None, missing: str) -> None:
    """One identifier would make a one-way socket, and most often it is the other one that was forgotten."""
    with refused(f"{missing} missing") as caught:
        normal_address(rxid, txid)
    assert 'bind("vcan0", rxid=0x123, txid=0x456)' in str(caught.value.remedy)


@modest
@given(st.integers(-(2**33), 2**33))
def test_every_integer_is_an_identifier_of_one_width_or_refused(value: int) -> None:
    if 0 <= value <= 0x7FF:
        assert not is_29bit_id("rxid", value)
    elif 0x800 <= value <= 0x1FFFFFFF or 0x80000000 <= value <= 0x9FFFFFFF:
        assert is_29bit_id("rxid", value)
    else:
        with refused(f"rxid={value:#x} is not a CAN identifier: allowed is 0 to 0x7FF (11 bits), above it up to"):
            normal_address(value, 0x123)


@pytest.mark.parametrize("value", [-1, 0x20000000, 0x7FFFFFFF, 0xA0000000, 0x100000000])
def test_no_identifier(value: int) -> None:
    with refused(f"rxid={value:#x} is not a CAN identifier"):
        is_29bit_id("rxid", value)


# --- refusals: what was given, what is allowed, what to do


def test_identifiers_out_of_range() -> None:
    with refused("txid=0x800 is not an 11-bit identifier: allowed is 0 to 0x7FF") as caught:
        Address(M.Normal_11bits, txid=0x800, rxid=1)
    assert caught.value.remedy == "use a 29-bit addressing mode for longer identifiers"
    with refused("rxid=0x80000123 is not an 11-bit identifier"):
        Address.normal(rxid=0x80000123, txid=1, is_extended_id=False)
    with refused("rxid=0x20000000 is not a 29-bit identifier: allowed is 0 to 0x1FFFFFFF"):
        Address(M.Normal_29bits, txid=1, rxid=0x20000000)
    with refused("rxid=-0x1 is not a 29-bit identifier"):
        Address(M.Normal_29bits, txid=1, rxid=-1)


@pytest.mark.parametrize("value", [True, "0x7E8", 7.0, b"\x01", None])
def test_identifiers_of_another_type(value: Any) -> None:
    text = "rxid missing" if value is None else f"rxid must be an integer, not {value!r}"
    with refused(text):
        Address(M.Normal_11bits, txid=1, rxid=value)
    if value is not None:
        with refused(text):
            Address.normal(txid=1, rxid=value)


@pytest.mark.parametrize("value", [-1, 0x100, True, "1", 1.0])
def test_not_a_byte(value: Any) -> None:
    shown = hex(value) if type(value) is int else repr(value)
    for name in ("target_address", "source_address", "address_extension"):
        nodes = {"target_address": 1, "source_address": 2, "address_extension": 3} | {name: value}
        with refused(f"{name}={shown} is not a byte: allowed is 0 to 0xFF"):
            Address.mixed_29bits(**nodes)


@pytest.mark.parametrize(
    ("make_address", "both"),
    [
        (lambda: Address.normal(rxid=0x123, txid=0x123), "0x123"),
        (lambda: Address.normal(rxid=0x12345, txid=0x80012345), "0x00012345"),
        (lambda: Address.normal_fixed(target_address=0x10, source_address=0x10), "0x18DA1010"),
        (lambda: Address.extended(rxid=1, txid=1, target_address=5, source_address=5), "0x001/0x05"),
        (lambda: Address.mixed_11bits(rxid=1, txid=1, address_extension=0x99), "0x001/0x99"),
    ],
)
def test_the_same_address_twice(make_address: Callable[[], Address], both: str) -> None:
    with refused(f"the two directions are the same: rx and tx are both {both}"):
        make_address()


def test_target_address_type_must_be_one() -> None:
    for value in (1, "Functional", True):
        with refused(f"target_address_type must be a TargetAddressType, not {value!r}"):
            Address(M.Normal_11bits, txid=1, rxid=2, target_address_type=value)  # type: ignore[arg-type]


def test_other_misuse() -> None:
    with refused("addressing_mode must be an AddressingMode, not 1919") as caught:
        Address(1919, 1817)  # type: ignore[arg-type]
    assert caught.value.remedy == "name the identifiers: Address.normal(rxid=..., txid=...)"
    with refused("an address cannot be both rx_only and tx_only"):
        Address(M.Normal_11bits, txid=1, rxid=2, rx_only=True, tx_only=True)
    with pytest.raises(ValueError, match="two directions"):  # as plain code would expect
        Address.normal(rxid=1, txid=1)


# --- what an address is to Python

ADDRESSES = [
    *(make(mode, **to | back) for mode, (to, _, back, _) in HALVES.items()),
    Address.normal(txid=0x7DF, functional=True),
    Address.normal(rxid=0x7E8),
    normal_address(0x123, 0x18DA10F1),
]


def test_frozen_equal_hashable() -> None:
    address, twin = (Address.normal(rxid=0x7E8, txid=0x7E0) for _ in range(2))
    assert address == twin
    assert hash(address) == hash(twin)
    assert address != Address.normal(rxid=0x7E8, txid=0x7E1)
    assert len({*ADDRESSES, *ADDRESSES, address, twin}) == len(ADDRESSES)  # it is the first of them
    with pytest.raises(dataclasses.FrozenInstanceError):
        address.rxid = 1  # type: ignore[misc]
    pair = AsymmetricAddress(Address.normal(txid=1), Address.normal(rxid=2))
    with pytest.raises(dataclasses.FrozenInstanceError):
        pair.tx_addr = Address.normal(txid=3)  # type: ignore[misc]


@pytest.mark.parametrize("address", ADDRESSES, ids=str)
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda a: pickle.loads(pickle.dumps(a))])
def test_copies(address: Address | AsymmetricAddress, how: Callable[[Any], Any]) -> None:
    twin = how(address)
    assert type(twin) is type(address)
    assert twin == address
    assert (twin.tx, twin.rx, twin.is_functional) == (address.tx, address.rx, address.is_functional)


def test_str() -> None:
    assert str(Address.normal(rxid=0x7E8, txid=0x7E0)) == "rxid=0x7E8 txid=0x7E0"
    assert str(Address.normal(txid=0x7DF, functional=True)) == "txid=0x7DF"
    assert str(Address.normal(rxid=0x7E8)) == "rxid=0x7E8"
    assert str(Address.normal_fixed(target_address=0x10, source_address=0xF1)) == "rxid=0x18DAF110 txid=0x18DA10F1"
    extended = Address.extended(rxid=0x641, txid=0x640, target_address=0x10, source_address=1)
    assert f"{extended}" == "rxid=0x641/0x01 txid=0x640/0x10"


@pytest.mark.parametrize(
    ("can_id", "text"),
    [(0, "0x000"), (0x7FF, "0x7FF"), (EFF, "0x00000000"), (EFF | 0x7FF, "0x000007FF"), (0x9FFFFFFF, "0x1FFFFFFF")],
)
def test_format_can_id(can_id: int, text: str) -> None:
    assert format_can_id(can_id) == text
    assert str(CanAddress(can_id, 0)) == f"{text}/0x00"


# --- the names of can-isotp 2


def test_what_an_address_of_can_isotp_can_be_asked() -> None:
    address = Address(AddressingMode.Mixed_29bits, target_address=1, source_address=2, address_extension=3)
    functional = TargetAddressType.Functional
    assert (address.get_tx_arbitration_id(), address.get_rx_arbitration_id()) == (0x18CE0102, 0x18CE0201)
    assert (address.get_tx_arbitration_id(functional), address.get_rx_arbitration_id(functional)) == (
        0x18CD0102,
        0x18CD0201,
    )
    assert address.is_tx_29bits()
    assert address.is_rx_29bits()
    assert (address.get_tx_extension_byte(), address.get_rx_extension_byte()) == (3, 3)
    assert address.requires_tx_extension_byte()
    assert (address.get_tx_payload_prefix(), address.get_rx_prefix_size()) == (b"\3", 1)
    assert not address.is_partial_address()


@pytest.mark.parametrize("half", [Address(txid=1, tx_only=True), Address(rxid=1, rx_only=True)])
def test_a_half_does_not_have_the_other_direction(half: Address) -> None:
    assert half.is_partial_address()
    asked = half.get_rx_arbitration_id if half.tx_only else half.get_tx_arbitration_id
    with pytest.raises(NotImplementedError, match="other half"):
        asked()


def test_which_frames_are_for_an_address() -> None:
    address = Address(AddressingMode.Mixed_29bits, target_address=1, source_address=2, address_extension=3)
    for can_id, data, extended, expected in (
        (0x18CE0201, b"\3", True, True),
        (0x18CD0201, b"\3\1", True, True),
        (0x18CE0201, b"\4", True, False),
        (0x18CE0201, b"", True, False),
        (0x18CE0201, b"\3", False, False),
        (0x18CE0102, b"\3", True, False),
    ):
        message = CanMessage(can_id, len(data), data, extended)
        assert address.is_for_me(message) is expected


def test_an_asymmetric_address_answers_for_both_halves() -> None:
    rx = Address(AddressingMode.NormalFixed_29bits, target_address=1, source_address=2, rx_only=True)
    address = AsymmetricAddress(Address(txid=5, tx_only=True), rx)
    assert (address.get_tx_arbitration_id(), address.get_rx_arbitration_id()) == (5, 0x18DA0201)
    assert address.get_rx_arbitration_id(TargetAddressType.Functional) == 0x18DB0201
    assert address.is_for_me(CanMessage(0x18DB0201, 0, b"", True))
