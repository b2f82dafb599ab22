"""The address of a link, made of what the command line says, and how it is shown."""

from dataclasses import replace
from enum import Enum

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK, Address, AsymmetricAddress, CanAddress, normal_address
from .values import Bytes2


class Way(Enum):
    """Which directions a link has."""

    BOTH = "both"
    SEND = "to many receivers: single frames, no flow control"
    LISTEN = "receive without ever sending flow control"


def make_address(
    way: Way,
    txid: int | None,
    rxid: int | None,
    extended: Bytes2 | None = None,
    mixed: int | None = None,
    fixed: Bytes2 | None = None,
) -> Address | AsymmetricAddress:
    """The address; see `link.Link` for what each argument is.

    Raises:
        ValueError: something is missing, or contradicts something else; it says what to do.
        AddressError: an identifier or address that cannot be.
    """
    if extended is not None and mixed is not None:
        raise ValueError("-x (extended) and --mixed exclude each other")
    if fixed is not None:
        if txid is not None or rxid is not None or extended is not None:
            raise ValueError("--fixed makes the identifiers: leave out -s, -d and -x")
        return _fixed(way, fixed, mixed)
    txid, rxid = _wanted(way, txid, rxid)
    if mixed is not None:
        # With free identifiers mixed addressing looks on the bus like extended addressing, one byte for both ways.
        extended = Bytes2(mixed, mixed)
    if extended is not None:
        return _extended(way, txid, rxid, extended)
    if way is Way.BOTH:
        return normal_address(rxid, txid)
    return Address.normal(rxid=rxid, txid=txid, functional=way is Way.SEND)


def _extended(way: Way, txid: int | None, rxid: int | None, extended: Bytes2) -> Address | AsymmetricAddress:
    if rxid is None:
        return Address.extended(txid=txid, target_address=extended.tx, functional=way is Way.SEND)
    rx = Address.extended(rxid=rxid, source_address=extended.rx)
    if txid is None:
        return rx
    # Two halves, so that one may have 11 bits and the other one 29.
    return AsymmetricAddress(Address.extended(txid=txid, target_address=extended.tx), rx)


def _wanted(way: Way, txid: int | None, rxid: int | None) -> tuple[int | None, int | None]:
    """The identifiers that this way needs, and no others."""
    needed = {"-s": (txid, way is not Way.LISTEN), "-d": (rxid, way is not Way.SEND)}
    if missing := [name for name, (value, is_needed) in needed.items() if is_needed and value is None]:
        example = {Way.BOTH: "-s 7E0 -d 7E8", Way.SEND: "-s 7DF", Way.LISTEN: "-d 7DF"}[way]
        raise ValueError(f"{' and '.join(missing)} missing: the identifiers of the link, such as {example}")
    if way is Way.SEND and rxid is not None:
        raise ValueError("--functional receives nothing: leave out -d")
    if way is Way.LISTEN and txid is not None:
        raise ValueError("--listen sends nothing: leave out -s")
    return txid, rxid


def _fixed(way: Way, fixed: Bytes2, mixed: int | None) -> Address:
    target, source = fixed
    assert target is not None
    assert source is not None
    functional = way is Way.SEND
    if mixed is None:
        address = Address.normal_fixed(target_address=target, source_address=source, functional=functional)
    else:
        address = Address.mixed_29bits(
            target_address=target, source_address=source, address_extension=mixed, functional=functional
        )
    return replace(address, rx_only=True) if way is Way.LISTEN else address


def short_address(address: CanAddress) -> str:
    """As candump writes identifiers, with the address byte behind a slash."""
    can_id = address.can_id
    text = f"{can_id & CAN_EFF_MASK:08X}" if can_id & CAN_EFF_FLAG else f"{can_id:03X}"
    return text if address.address_byte is None else f"{text}/{address.address_byte:02X}"
