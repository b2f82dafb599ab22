"""Car files: ECUs described in TOML or YAML. `examples/car.toml` shows all of it."""

import errno
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, overload

from ...address import Address, AddressingMode, AsymmetricAddress, normal_address
from ...errors import AddressError, IsoTpError, UnavailableError
from .dids import Did
from .download import Download
from .dtcs import dtc_number
from .ecu import AnyAddress, Ecu
from .nrc import Nrc
from .routines import Routine
from .rules import Answer, Pattern, Reply, as_bytes, in_turn
from .security import Security

T = TypeVar("T")
D = TypeVar("D")
Read = Callable[[Any, str], T]

_HIGHEST_ID: Final = 0x1FFFFFFF


class CarFileError(IsoTpError, ValueError):
    """A car file that cannot be. It says where in the file, and what is allowed there."""

    default_errno = errno.EINVAL


def load_car(path: "str | os.PathLike[str]") -> tuple[Ecu, ...]:
    """The ECUs that a car file describes, for `Car(bus, *load_car("car.toml"))`.

    Args:
        path: a file in TOML, or in YAML if its name ends with .yaml or .yml. Recordings it names are relative to it.

    Raises:
        OSError: it cannot be read.
        CarFileError: what it says cannot be.
        UnavailableError: it is YAML, and PyYAML is not installed.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        content = _yaml(text) if path.suffix in (".yaml", ".yml") else tomllib.loads(text)
    except ValueError as e:  # which all errors of both are
        raise CarFileError(f"{path}: {e}") from None
    try:
        table = _Table(content, "")
        ecus = table.take("ecu", _list_of(lambda value, place: _ecu(value, place, path.parent)))
        table.end()
    except CarFileError as e:
        e.what = f"{path}: {e.what}"
        e.args = (e.errno, e.what)
        raise
    return tuple(ecus)


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise UnavailableError(
            "PyYAML is not installed", remedy="pip install 'isotp[yaml]', or write the file in TOML"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from None


# --- reading values


def _wrong(value: object, place: str, allowed: str) -> CarFileError:
    shown = value if isinstance(value, str) else repr(value)
    return CarFileError(f"{place}: {shown!s:.60}: allowed is {allowed}")


class _Table:
    """A table of the file, whose values are taken one after the other.

    Args:
        value: what is in the file.
        place: where.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise _wrong(value, place or "the file", "a table")
        for key in value:
            if not isinstance(key, str):
                raise _wrong(key, place or "the file", "a text as key: in YAML put it in quotes")
        self._left = dict(value)
        self._place = place
        self._known: list[str] = []

    def place(self, key: str) -> str:
        """Where a value of it is."""
        return f"{self._place}.{key}" if self._place else key

    def has(self, key: str) -> bool:
        """Whether there is a value that was not taken."""
        return key in self._left

    @overload
    def take(self, key: str, read: Read[T]) -> T: ...

    @overload
    def take(self, key: str, read: Read[T], default: D) -> T | D: ...

    def take(self, key: str, read: Read[Any], default: Any = ...) -> Any:
        """The value of `key`."""
        self._known.append(key)
        if key in self._left:
            return read(self._left.pop(key), self.place(key))
        if default is ...:
            raise CarFileError(f"{self._place or 'the file'}: {key} is missing")
        return default

    def end(self) -> None:
        """Refuse what was not taken."""
        for key in self._left:
            raise CarFileError(f"{self.place(key)} means nothing: allowed here is {', '.join(self._known)}")


def _number(lowest: float, highest: float, unit: str = "") -> Read[Any]:
    def read(value: Any, place: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise _wrong(value, place, f"a number from {lowest:g} to {highest:g}{unit}")
        return value

    return read


def _integer(lowest: int, highest: int) -> Read[int]:
    def read(value: Any, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
            raise _wrong(value, place, f"a whole number from {lowest:#x} to {highest:#x}, such as {highest:#x}")
        return value

    return read


_byte = _integer(0, 0xFF)
_can_id = _integer(0, _HIGHEST_ID)
_level = _integer(1, 0x7D)


def _seconds(value: Any, place: str) -> float:
    return float(_number(0, 1e6, " seconds")(value, place))


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str):
        raise _wrong(value, place, "a text")
    return value


def _bool(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, place, "true or false")
    return value


def _hex(value: Any, place: str) -> bytes:
    try:
        return as_bytes(_text(value, place))
    except ValueError:
        raise _wrong(value, place, "hexadecimal, two digits for each byte, such as '62 F1 90'") from None


def _list_of(read: Read[T]) -> Read[list[T]]:
    def read_list(value: Any, place: str) -> list[T]:
        if not isinstance(value, list) or not value:
            raise _wrong(value, place, "a list with one element or more")
        return [read(one, f"{place}[{number}]") for number, one in enumerate(value)]

    return read_list


def _one_or_list_of(read: Read[T]) -> Read[list[T]]:
    def read_any(value: Any, place: str) -> list[T]:
        return _list_of(read)(value, place) if isinstance(value, list) else [read(value, place)]

    return read_any


def _each(read_key: Read[Any], read: Read[T]) -> Read[dict[Any, T]]:
    """A table whose keys are chosen by the user."""

    def read_table(value: Any, place: str) -> dict[Any, T]:
        table = _Table(value, place)
        return {read_key(key, table.place(key)): table.take(key, read) for key in value}

    return read_table


def _hex_key(digits: int) -> Read[int]:
    def read(key: Any, place: str) -> int:
        try:
            number = int(key, 16)
        except ValueError:
            number = -1
        if not 0 <= number < 16**digits:
            raise _wrong(key, place, f"a hexadecimal number of {digits} digits as key")
        return number

    return read


_sessions = _list_of(_integer(1, 0x7F))


# --- the parts of an ECU


def _ecu(value: Any, place: str, directory: Path) -> Ecu:
    table = _Table(value, place)
    name = table.take("name", _text, "ecu")
    address = _address(table, place)
    fields: dict[str, Any] = {
        "functional": table.take("functional", _one_or_list_of(_can_id), None),
        "dids": table.take("dids", _each(_hex_key(4), _did), {}),
        "dtcs": table.take("dtcs", _each(_dtc, _byte), {}),
        "security": table.take("security", _each(_hex_key(2), _security), {}),
        "routines": table.take("routines", _each(_hex_key(4), _routine), {}),
        "download": table.take("download", _download, None),
        "sessions": table.take("sessions", _sessions, (1, 2, 3)),
    }
    for key in ("p2", "p2_star", "s3", "delay", "boot"):
        if table.has(key):
            fields[f"{key}_s"] = table.take(key, _seconds)
        else:
            table.take(key, _seconds, None)
    rules = table.take("rules", _rules, {})
    without = table.take("without_services", _list_of(_byte), [])
    table.end()
    ecu = Ecu(name, address, **fields)
    for service in without:
        ecu.services.pop(service, None)
    ecu.rules.update(rules)
    return ecu


def _address(table: _Table, place: str) -> AnyAddress:
    """By two identifiers, with an address byte for each or without; or normal fixed, or mixed, by the addresses."""
    ids: dict[str, Any] = {key: table.take(key, _can_id, None) for key in ("rxid", "txid")}
    byte_names = ("rx_byte", "tx_byte", "source_address", "target_address", "address_extension")
    rx_byte, tx_byte, source, target, extension = (table.take(key, _byte, None) for key in byte_names)
    base = table.take("base", _integer(0, 0x1FFF), None)
    try:
        if source is None and target is None:
            if rx_byte is None and tx_byte is None:
                return normal_address(ids["rxid"], ids["txid"])
            return AsymmetricAddress(
                Address.extended(txid=ids["txid"], target_address=tx_byte),
                Address.extended(rxid=ids["rxid"], source_address=rx_byte),
            )
        has_extension = extension is not None
        return Address(
            AddressingMode.Mixed_29bits if has_extension else AddressingMode.NormalFixed_29bits,
            **ids,
            target_address=target,
            source_address=source,
            address_extension=extension,
            physical_id=None if base is None else base << 16,
        )
    except AddressError as e:
        raise CarFileError(
            f"{place}: {e.what}",
            remedy="say rxid and txid, as the ECU sees them (with rx_byte and tx_byte for extended addressing), or "
            "source_address (its own) and target_address (the tester's) for normal fixed addressing",
        ) from None


def _did(value: Any, place: str) -> Did:
    if not isinstance(value, Mapping):
        return Did(_hex(value, place))
    table = _Table(value, place)
    data = _hex_or_text(table, place)
    did = Did(
        data,
        writable=table.take("writable", _bool, False),
        security=table.take("security", _level, None),
        secret=table.take("secret", _bool, False),
        sessions=table.take("sessions", _sessions, None),
    )
    table.end()
    return did


def _hex_or_text(table: _Table, place: str) -> bytes:
    data = table.take("hex", _hex, None)
    text = table.take("text", _text, None)
    if data is not None and text is None:
        return data
    if text is not None and data is None:
        return text.encode()
    raise CarFileError(f"{place}: needed is hex or text, one of them")


def _dtc(key: Any, place: str) -> int:
    try:
        return dtc_number(key)
    except ValueError as e:
        try:
            return dtc_number(int(key, 16))
        except ValueError:
            raise CarFileError(f"{place}: {e}, or six hexadecimal digits") from None


def _security(value: Any, place: str) -> Security:
    table = _Table(value, place)
    security = Security(
        table.take("key", _key),
        seed=table.take("seed", _hex, None),
        attempts=table.take("attempts", _integer(1, 255), 3),
        delay_s=table.take("delay", _seconds, 10.0),
        sessions=table.take("sessions", _sessions, None),
    )
    table.end()
    return security


def _key(value: Any, place: str) -> "bytes | Callable[[bytes], bytes]":
    """The key: always the same, or the seed combined with something."""
    if not isinstance(value, Mapping):
        return _hex(value, place)
    table = _Table(value, place)
    mask = table.take("xor", _hex, None)
    summand = table.take("add", _integer(0, (1 << 64) - 1), None)
    table.end()
    if mask and summand is None:
        return lambda seed: bytes(byte ^ mask[at % len(mask)] for at, byte in enumerate(seed))
    if summand is not None and mask is None:
        return lambda seed: ((int.from_bytes(seed) + summand) % (1 << 8 * len(seed))).to_bytes(len(seed))
    raise CarFileError(f"{place}: needed is xor or add, one of them; or hexadecimal for a key that is always right")


def _routine(value: Any, place: str) -> Routine:
    if not isinstance(value, Mapping):
        return Routine(_answer(value, place))
    table = _Table(value, place)
    routine = Routine(
        start=table.take("start", _answer, b""),
        stop=table.take("stop", _answer, None),
        results=table.take("results", _answer, None),
        security=table.take("security", _level, None),
        sessions=table.take("sessions", _sessions, None),
    )
    table.end()
    return routine


def _download(value: Any, place: str) -> Download:
    table = _Table(value, place)
    download = Download(
        start=table.take("start", _integer(0, (1 << 64) - 1), 0),
        size=table.take("size", _integer(1, 1 << 64), 1 << 32),
        block=table.take("block", _integer(3, 0xFFFF), 0x102),
        security=table.take("security", _level, None),
        sessions=table.take("sessions", _sessions, None),
    )
    table.end()
    return download


def _rules(value: Any, place: str) -> dict[str, Answer]:
    rules = _each(_text, _answer)(value, place)
    for pattern in rules:
        try:
            Pattern.of(pattern)
        except ValueError as e:
            raise CarFileError(f"{place}: {e}") from None
    return rules


def _answer(value: Any, place: str) -> Answer:
    if isinstance(value, list):
        return in_turn(*_list_of(_answer)(value, place))
    if not isinstance(value, Mapping):
        return _hex(value, place)
    table = _Table(value, place)
    data = table.take("reply", _hex, None)
    nrc = table.take("nrc", _nrc, None)
    is_silent = table.take("silent", _bool, False)
    if (data is not None) + (nrc is not None) + is_silent != 1:
        raise CarFileError(f"{place}: needed is reply, nrc or silent = true, one of them")
    reply = Reply(
        data if nrc is None else nrc,
        after_s=table.take("after", _seconds, 0.0),
        pending=table.take("pending", _bool, True),
    )
    table.end()
    return reply


def _nrc(value: Any, place: str) -> Nrc:
    try:
        return Nrc(value)
    except ValueError:
        raise _wrong(value, place, f"one of {', '.join(f'{nrc:#04x}' for nrc in Nrc)}") from None
