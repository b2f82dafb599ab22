"""Gateway files: what a gateway serves, in TOML. `examples/gateway.toml` shows all of it."""

import os
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from ..address import Address
from ..errors import AddressError, IsoTpError
from ..testing.ecu import file_addresses
from ..testing.ecu import file_values as values
from .settings import ID_SIZE, POWER_MODES, VIN_SIZE, FunctionalTarget, Permission, Setup, Target, Tls, Vehicle

_LONGEST: Final = 1 << 24
_LONGEST_MESSAGE: Final = 1 << 24
_logical: Final = values.integer(1, 0xFFFF)


class GatewayFileError(IsoTpError, ValueError):
    """A gateway file that cannot be. It says where in the file, and what is allowed there."""

    default_errno = None


def load_gateway(path: "str | os.PathLike[str]") -> Setup:
    """What a gateway file says, for `Gateway`.

    Args:
        path: a file in TOML. The files of TLS that it names are relative to it.

    Raises:
        OSError: it cannot be read.
        GatewayFileError: what it says cannot be.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8") as file:
            if len(text := file.read(_LONGEST + 1)) > _LONGEST:
                raise ValueError(f"longer than {_LONGEST} characters, which no gateway file is")
        return _setup(tomllib.loads(text), path.parent)
    except values.CarFileError as e:
        raise GatewayFileError(f"{path}: {e.what}", remedy=e.remedy) from None
    except ValueError as e:
        raise GatewayFileError(f"{path}: {e}") from None


def _setup(content: Any, folder: Path) -> Setup:
    table = values.Table(content, "")
    vehicle = table.take("gateway", _vehicle)
    ecus = table.take("ecu", values.list_of(_ecu, ", [[ecu]] in TOML"))
    by_name = {ecu.name: ecu.address for ecu in ecus}
    groups = table.take("functional", values.list_of(lambda v, place: _functional(v, place, by_name)), [])
    by_name |= {f"{group.address:#06x}": group.address for group in groups}
    testers = table.take("tester", values.list_of(lambda v, place: _tester(v, place, by_name), ", [[tester]] in TOML"))
    tls = table.take("tls", lambda v, place: _tls(v, place, folder), None)
    table.end()
    for number, tester in enumerate(testers):
        if tester.certificate is not None and (tls is None or tls.clients is None):
            what = f"tester[{number}].certificate: {tester.certificate}: needed is tls.clients, too"
            raise values.CarFileError(f"{what}, the authority of such certificates")
    _check_apart("name", (ecu.name for ecu in ecus))
    addresses = [vehicle.address, *(ecu.address for ecu in ecus), *(group.address for group in groups)]
    _check_apart("logical address", (f"{address:#06x}" for address in addresses))
    return Setup(vehicle, tuple(ecus), tuple(testers), tuple(groups), tls)


def _check_apart(what: str, given: Iterable[str]) -> None:
    for one, count in Counter(given).items():
        if count > 1:
            raise values.CarFileError(f"the {what} {one} is there {count} times: allowed is once")


def _vehicle(value: Any, place: str) -> Vehicle:
    table = values.Table(value, place)
    vehicle = Vehicle(
        address=table.take("address", _logical),
        vin=table.take("vin", _vin, ""),
        eid=table.take("eid", _identifier, bytes(ID_SIZE)),
        gid=table.take("gid", _identifier, bytes(ID_SIZE)),
        power_mode=table.take("power_mode", _power_mode, POWER_MODES["not supported"]),
        version=table.take("version", values.integer(1, 3), 2),
    )
    table.end()
    return vehicle


def _vin(value: Any, place: str) -> str:
    vin = values.text(value, place)
    if len(vin) != VIN_SIZE or not (vin.isascii() and vin.isalnum()):
        raise values.wrong(vin, place, f"{VIN_SIZE} letters and digits")
    return vin


def _identifier(value: Any, place: str) -> bytes:
    data = values.hexadecimal(value, place)
    if len(data) != ID_SIZE:
        raise values.wrong(value, place, f"{ID_SIZE} bytes, such as '02 00 00 00 00 01'")
    return data


def _power_mode(value: Any, place: str) -> int:
    if value not in POWER_MODES:
        raise values.wrong(value, place, " or ".join(map(repr, POWER_MODES)))
    return POWER_MODES[value]


def _ecu(value: Any, place: str) -> Target:
    table = values.Table(value, place)
    name = table.take("name", values.text, None)
    if name is not None:
        table.call(name)
    address = table.take("address", _logical)
    try:
        link = file_addresses.address(table, name or place)
    except values.CarFileError as e:
        e.remedy = e.remedy and e.remedy.replace("as the ECU sees them", "as a tester sees them: txid is that of "
            "requests").replace("(its own)", "(that of testers)").replace("(the tester's)", "(the ECU's)")  # fmt: skip
        raise
    ecu = Target(
        address,
        link,
        name=f"{address:#06x}" if name is None else name,
        bus=table.take("bus", values.text, None),
        longest=table.take("longest", values.integer(1, _LONGEST_MESSAGE), 4095),
    )
    table.end()
    return ecu


def _functional(value: Any, place: str, by_name: dict[str, int]) -> FunctionalTarget:
    table = values.Table(value, place)
    txid, byte = table.take("txid", values.can_id), table.take("tx_byte", values.byte, None)
    try:
        if byte is None:
            link = Address.normal(txid=txid, functional=True)
        else:
            link = Address.extended(txid=txid, target_address=byte, functional=True)
    except AddressError as e:
        raise values.CarFileError(f"{place}: {e.what}", remedy=e.remedy) from None
    group = FunctionalTarget(
        table.take("address", _logical),
        link,
        table.take("ecus", _named(by_name), tuple(by_name.values())),
        bus=table.take("bus", values.text, None),
    )
    table.end()
    return group


def _named(by_name: dict[str, int]) -> values.Read[tuple[int, ...]]:
    """Reads a list of names, and returns the logical addresses."""

    def read_one(value: Any, place: str) -> int:
        if value not in by_name:
            raise values.wrong(value, place, f"one of {', '.join(map(repr, by_name))}")
        return by_name[value]

    return lambda value, place: tuple(values.list_of(read_one)(value, place))


def _tester(value: Any, place: str, by_name: dict[str, int]) -> Permission:
    table = values.Table(value, place)
    first = table.take("address", _logical)
    last = table.take("last_address", values.integer(first, 0xFFFF), first)
    tester = Permission(
        addresses=range(first, last + 1),
        types=tuple(table.take("types", values.list_of(values.byte), (0, 1))),
        targets=table.take("ecus", _named(by_name), None),
        confirm=table.take("confirm", values.boolean, False),
        certificate=table.take("certificate", values.text, None),
    )
    table.end()
    return tester


def _tls(value: Any, place: str, folder: Path) -> Tls:
    table = values.Table(value, place)
    certificate, key = (str(folder / table.take(name, values.text)) for name in ("certificate", "key"))
    clients = table.take("clients", values.text, None)
    table.end()
    return Tls(certificate, key, None if clients is None else str(folder / clients))
