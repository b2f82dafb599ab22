"""Addresses in a car file: of an ECU, and of requests to all."""

from collections.abc import Mapping
from typing import Any

from ...address import Address, AddressingMode, AsymmetricAddress, normal_address
from ...errors import AddressError
from . import file_values as values
from .addresses import AnyAddress


def address(table: values.Table, place: str) -> AnyAddress:
    """By two identifiers, with an address byte for each, one for both, or none; or by the addresses (29 bits)."""
    ids: dict[str, Any] = {key: table.take(key, values.can_id, None) for key in ("rxid", "txid")}
    bytes_ = {key: table.take(key, values.byte, None) for key in ("rx_byte", "tx_byte")}
    nodes: dict[str, Any] = {key: table.take(key, values.byte, None) for key in ("source_address", "target_address")}
    extension = table.take("address_extension", values.byte, None)
    base = table.take("base", values.integer(0, 0x1FFF), None)
    is_extended, is_fixed = (any(one is not None for one in part.values()) for part in (bytes_, nodes))
    is_mixed = extension is not None
    try:
        if is_extended and (is_fixed or is_mixed or base is not None):
            raise AddressError("rx_byte and tx_byte go with rxid and txid only")
        if is_extended:
            return AsymmetricAddress(
                Address.extended(txid=ids["txid"], target_address=bytes_["tx_byte"]),
                Address.extended(rxid=ids["rxid"], source_address=bytes_["rx_byte"]),
            )
        if not is_fixed and not is_mixed and base is None:
            return normal_address(ids["rxid"], ids["txid"])
        fixed = AddressingMode.Mixed_29bits if is_mixed else AddressingMode.NormalFixed_29bits
        return Address(
            AddressingMode.Mixed_11bits if is_mixed and not is_fixed else fixed,
            **ids,
            **nodes,
            address_extension=extension,
            physical_id=None if base is None else base << 16,
        )
    except AddressError as e:
        raise values.CarFileError(
            f"{place}: {e.what}",
            remedy="say rxid and txid, as the ECU sees them (with rx_byte and tx_byte for extended addressing, with "
            "address_extension for mixed addressing), or source_address (its own) and target_address (the tester's) "
            "for normal fixed addressing (with address_extension for mixed addressing)",
        ) from None


def functional(value: Any, place: str) -> "int | Address":
    """An identifier of requests to all, or one with the address byte."""
    if not isinstance(value, Mapping):
        return values.can_id(value, place)
    table = values.Table(value, place)
    half = Address.extended(rxid=table.take("rxid", values.can_id), source_address=table.take("rx_byte", values.byte))
    table.end()
    return half
