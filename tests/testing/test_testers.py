"""Which frames an ECU answers whose testers it does not know."""

import pytest

import isotp
from isotp.address import Address, CanAddress
from isotp.can_frame import CanFrame
from isotp.testing import Ecu
from isotp.testing.ecu import addresses
from isotp.testing.ecu.addresses import AnyAddress

EFF = 0x80000000
FIXED = Address.normal_fixed(source_address=0x10, target_address=0xF1)
MIXED_29 = Address.mixed_29bits(source_address=0x10, target_address=0xF1, address_extension=0x55)
MIXED_11 = Address.mixed_11bits(rxid=0x750, txid=0x758, address_extension=0x40)
EXTENDED = Address.extended(rxid=0x6F1, txid=0x660, source_address=0x60, target_address=0xF1)


def unknown(
    address: AnyAddress, *, any_tester: bool = True, any_extension: bool = False, functional: object = ()
) -> addresses.Testers:
    ecu = Ecu("any", address, any_tester=any_tester, any_extension=any_extension, functional=functional)  # type: ignore[arg-type]
    assert ecu.testers is not None
    return ecu.testers


def links(known: addresses.Testers, can_id: int, data: bytes = b"\x02\x3e\x00") -> tuple[CanAddress | None, ...] | None:
    """What the link receives and sends, and what the request to all carries."""
    visit = known.visit(CanFrame(can_id, data))
    assert visit is None or can_id in set(known.can_ids())
    if visit is None:
        return None
    return visit.link.rx, visit.link.tx, None if visit.functional is None else visit.functional.rx


def test_normal_fixed() -> None:
    known = unknown(FIXED, functional=[0x18DB33F1, 0x7DF])
    for base in (0x18DA, 0x00DA, 0x1CDA):
        rx, tx = EFF | base << 16 | 0x1045, EFF | base << 16 | 0x4510
        assert links(known, rx) == (CanAddress(rx), CanAddress(tx), None)
        to_all = EFF | base + 1 << 16 | 0x3345
        assert links(known, to_all) == (CanAddress(rx), CanAddress(tx), CanAddress(to_all))
    for other in (0x98DA1145, 0x99DA1045, 0x98DA1010, 0x98DB3310, 0x98DB3445, 0x7DF, 0x545):
        assert links(known, other) is None
    assert [half.rx for half in known.silent_functional] == [CanAddress(0x7DF)]
    assert len(list(known.can_ids())) == 2 * 8 * 256


def test_identifiers_that_look_like_normal_fixed_ones() -> None:
    known = unknown(isotp.AsymmetricAddress(Address.normal(txid=0x14DAF110), Address.normal(rxid=0x14DA10F1)))
    assert links(known, 0x98DA1033) == (CanAddress(0x98DA1033), CanAddress(0x98DA3310), None)


def test_mixed_29_bits() -> None:
    to_all = Address.extended(rxid=0x18CD33F1, source_address=0x55)
    known = unknown(MIXED_29, functional=to_all)
    own = CanAddress(0x94CE1045, 0x55), CanAddress(0x94CE4510, 0x55)
    assert links(known, 0x94CE1045, b"\x55\x02\x3e\x00") == (*own, None)
    assert links(known, 0x94CD3345, b"\x55\x02\x3e\x00") == (*own, CanAddress(0x94CD3345, 0x55))
    for data in (b"", b"\x54\x02\x3e\x00"):
        assert links(known, 0x94CE1045, data) is None


def test_any_extension_with_29_bits() -> None:
    to_all = Address.extended(rxid=0x18CD33F1, source_address=0x55)
    known = unknown(MIXED_29, any_tester=False, any_extension=True, functional=to_all)
    rx, tx = CanAddress(0x98CE10F1, 7), CanAddress(0x98CEF110, 7)
    assert links(known, 0x98CE10F1, b"\x07\x02\x3e\x00") == (rx, tx, None)
    assert links(known, 0x98CD33F1, b"\x07\x02\x3e\x00") == (rx, tx, CanAddress(0x98CD33F1, 7))
    assert links(known, 0x98CE1045, b"\x07\x02\x3e\x00") is None
    known = unknown(MIXED_29, any_extension=True)
    assert links(known, 0x98CE1045, b"\x07") == (CanAddress(0x98CE1045, 7), CanAddress(0x98CE4510, 7), None)


def test_any_extension_with_11_bits() -> None:
    known = unknown(MIXED_11, any_tester=False, any_extension=True)
    for byte in (0, 0x41, 0xFF):
        link = CanAddress(0x750, byte), CanAddress(0x758, byte), None
        assert links(known, 0x750, bytes((byte, 2, 0x3E, 0))) == link
    known.leave_to([CanAddress(0x750, 0x41), CanAddress(0x751, 0x42)])
    assert links(known, 0x750, b"\x41\x02\x3e\x00") is None
    assert links(known, 0x750, b"\x42\x02\x3e\x00") is not None
    assert list(known.can_ids()) == [0x750]


def test_extended() -> None:
    to_all = Address.extended(rxid=0x6F1, source_address=0xDF)
    known = unknown(EXTENDED, functional=[to_all, 0x7DF])
    link = CanAddress(0x6F4, 0x60), CanAddress(0x660, 0xF4)
    assert links(known, 0x6F4, b"\x60\x02\x3e\x00") == (*link, None)
    assert links(known, 0x6F4, b"\xdf\x02\x3e\x00") == (*link, CanAddress(0x6F4, 0xDF))
    for can_id, data in ((0x6F4, b"\x61"), (0x6F4, b""), (0x660, b"\x60"), (0x7F4, b"\x60")):
        assert links(known, can_id, data) is None
    assert [half.rx for half in known.silent_functional] == [CanAddress(0x7DF)]


@pytest.mark.parametrize(
    "address",
    [
        Address.normal(rxid=0x7E0, txid=0x7E8),
        Address.normal(rxid=0x18DA10F1, txid=0x18DAF111),
        MIXED_11,
        Address.extended(rxid=0x7E0, txid=0x7E8, source_address=0x60, target_address=0xF1),
    ],
)
def test_addresses_that_do_not_say_who_sends(address: AnyAddress) -> None:
    with pytest.raises(isotp.AddressError, match="'any': any_tester needs identifiers that say who sends"):
        unknown(address)


@pytest.mark.parametrize("address", [FIXED, EXTENDED, Address.normal(rxid=1, txid=2)])
def test_addresses_without_extension(address: AnyAddress) -> None:
    with pytest.raises(isotp.AddressError, match="'any': any_extension needs frames with N_AE"):
        unknown(address, any_tester=False, any_extension=True)
