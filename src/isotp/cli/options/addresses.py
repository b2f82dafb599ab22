"""The address of a link, made of what the command line says."""

from dataclasses import replace
from enum import Enum

from ...address import Address, AsymmetricAddress, normal_address
from ...errors import AddressError
from ..parser import WrongUsage
from .values import Bytes2

AnyAddress = Address | AsymmetricAddress


class Way(Enum):
    """Which directions a link has."""

    BOTH = "both"
    SEND = "to many receivers: single frames, no flow control"
    LISTEN = "receive without ever sending flow control"


def make_address(
    way: Way,
    txid: int | None = None,
    rxid: int | None = None,
    extended: Bytes2 | None = None,
    mixed: int | None = None,
    fixed: Bytes2 | None = None,
    base: int | None = None,
) -> AnyAddress:
    """The address that the options make; `options.groups.add_addresses` documents each of them.

    Raises:
        WrongUsage: something is missing, out of range, or contradicts something else.
    """
    if extended is not None and mixed is not None:
        raise WrongUsage("-x (extended) and --mixed exclude each other")
    if base is not None and fixed is None:
        raise WrongUsage("--base is for the identifiers that --fixed makes: say --fixed, or leave it out")
    if fixed is not None and (txid is not None or rxid is not None or extended is not None):
        raise WrongUsage("--fixed makes the identifiers: leave out -s, -d and -x")
    try:
        if fixed is not None:
            return _fixed(way, fixed, mixed, base)
        _check_identifiers(way, txid, rxid)
        # With free identifiers mixed addressing looks on the bus like extended addressing, one byte for both ways.
        return _free(way, txid, rxid, Bytes2(mixed, mixed) if mixed is not None else extended)
    except AddressError as e:
        raise WrongUsage(e.what) from None


def one_direction(txid: int | None, rxid: int | None, byte: int | None) -> Address:
    """The address of one direction of a link, for those who only listen to it."""
    if byte is None:
        return Address.normal(rxid=rxid, txid=txid)
    if rxid is None:
        return Address.extended(txid=txid, target_address=byte)
    return Address.extended(rxid=rxid, source_address=byte)


def _free(way: Way, txid: int | None, rxid: int | None, extended: Bytes2 | None) -> AnyAddress:
    functional = way is Way.SEND
    if extended is None:
        if way is Way.BOTH:
            return normal_address(rxid, txid)
        return Address.normal(rxid=rxid, txid=txid, functional=functional)
    if rxid is None:
        return Address.extended(txid=txid, target_address=extended.tx, functional=functional)
    rx = Address.extended(rxid=rxid, source_address=extended.rx)
    if txid is None:
        return rx
    # Two halves, so that one may have 11 bits and the other one 29.
    return AsymmetricAddress(Address.extended(txid=txid, target_address=extended.tx), rx)


def _check_identifiers(way: Way, txid: int | None, rxid: int | None) -> None:
    """Refuse identifiers that are missing, and those that are not used here."""
    needed = {"-s": (txid, way is not Way.LISTEN), "-d": (rxid, way is not Way.SEND)}
    if missing := [name for name, (value, is_needed) in needed.items() if is_needed and value is None]:
        example = {Way.BOTH: "-s 7E0 -d 7E8", Way.SEND: "-s 7DF", Way.LISTEN: "-d 7DF"}[way]
        raise WrongUsage(f"{' and '.join(missing)} missing: the identifiers of the link, such as {example}")
    if way is Way.SEND and rxid is not None:
        raise WrongUsage("--functional receives nothing: leave out -d")
    if way is Way.LISTEN and txid is not None:
        raise WrongUsage("--listen sends nothing: leave out -s")


def _fixed(way: Way, fixed: Bytes2, mixed: int | None, base: int | None) -> Address:
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
    return replace(address, rx_only=way is Way.LISTEN, physical_id=base, functional_id=base)
