"""Car files: ECUs described in TOML or YAML. `examples/car.toml` shows all of it."""

import os
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ...errors import AddressError, not_installed
from . import file_addresses as addresses
from . import file_values as values
from .answers import Answer, Nrc, Reply
from .base import check_identifiers
from .ecu import Ecu
from .parts import Did, Download, Routine, Security, dtc_number
from .playback import messages_about
from .rules import Rules, in_turn

_LONGEST: Final = 1 << 24


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
    try:
        with path.open(encoding="utf-8") as file:
            if len(text := file.read(_LONGEST + 1)) > _LONGEST:
                raise ValueError(f"longer than {_LONGEST} characters, which no car file is")
        content = _yaml(text) if path.suffix in (".yaml", ".yml") else tomllib.loads(text)
    except ValueError as e:  # which all errors of both are
        raise values.CarFileError(f"{path}: {e}") from None
    try:
        table = values.Table(content, "")
        read = values.list_of(lambda value, place: _ecu(value, place, path), ", [[ecu]] in TOML")
        ecus = table.take("ecu", read)
        table.end()
        _check_apart(ecus)
    except values.CarFileError as e:
        e.what = f"{path}: {e.what}"
        e.args = (e.errno, e.what)
        raise
    return tuple(ecus)


def _yaml(text: str) -> Any:
    try:
        import yaml
    except ImportError:
        raise not_installed("PyYAML", otherwise=", or write the file in TOML") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as e:
        raise ValueError(" ".join(str(e).split())) from None


# --- the parts of an ECU


def _ecu(value: Any, place: str, path: Path) -> Ecu:
    table = values.Table(value, place)
    name = table.take("name", values.text, None)
    if name is not None:
        place = name
        table.call(place)
    address = addresses.address(table, place)
    fields: dict[str, Any] = {
        "functional": table.take("functional", values.one_or_list_of(addresses.functional), None),
        "dids": table.take("dids", values.each(values.hex_key(4), _did), {}),
        "dtcs": table.take("dtcs", values.each(_dtc, values.byte), {}),
        "security": table.take("security", values.each(_level_key, _security), {}),
        "routines": table.take("routines", values.each(values.hex_key(4), _routine), {}),
        "download": table.take("download", _download, None),
        "sessions": table.take("sessions", values.sessions, (1, 2, 3)),
    }
    times = {"p2": values.number(0, 65.535, " seconds"), "p2_star": values.number(0.01, 655.35, " seconds")}
    for key in ("p2", "p2_star", "s3", "delay", "boot"):
        seconds = table.take(key, times.get(key, values.seconds), None)
        if seconds is not None:
            fields[f"{key}_s"] = seconds
    rules: Mapping[bytes | str, Answer] = table.take("rules", _rules, {})
    capture = table.take("capture", values.text, None)
    pending = table.take("capture_pending", values.boolean, False)
    for key in ("any_tester", "any_extension"):
        fields[key] = table.take(key, values.boolean, False)
    without = table.take("without_services", values.list_of(values.byte), [])
    table.end()
    try:
        ecu = Ecu(name, address, **fields)
    except AddressError as e:
        raise values.CarFileError(f"{place}: {e.what}", remedy=e.remedy) from None
    if capture is not None:
        try:
            ecu.learn(messages_about(path.parent / capture, ecu.address, ecu.functional), pending)
        except AddressError as e:
            raise values.CarFileError(f"{place}.capture: {e.what}", remedy=e.remedy) from None
        except OSError as e:
            what = f"{e.strerror}: {e.filename}" if e.filename else str(e)
            raise values.CarFileError(f"{place}.capture: {what}") from None
    for service in without:
        ecu.services.pop(service, None)
    ecu.rules.update(rules)
    _check_references(ecu, place)
    return ecu


def _check_references(ecu: Ecu, place: str) -> None:
    """Refuse a level or a session that the ECU does not have. In Python a function may unlock it or enter it."""
    parts: dict[str, Any] = {f"dids.{number:04X}": did for number, did in ecu.dids.items()}
    parts |= {f"routines.{number:04X}": routine for number, routine in ecu.routines.items()}
    parts |= {f"security.{level:02X}": security for level, security in ecu.security.items()}
    parts |= {} if ecu.download is None else {"download": ecu.download}
    for where, part in parts.items():
        level = getattr(part, "security", None)
        if level is not None and level not in ecu.security:
            raise values.CarFileError(f"{place}.{where}.security: {level}: the ECU has no [ecu.security.{level:02X}]")
        for session in part.sessions or ():
            if session not in ecu.sessions:
                had = ", ".join(map(str, ecu.sessions))
                raise values.CarFileError(f"{place}.{where}.sessions: {session}: the sessions of the ECU are {had}")


def _check_apart(ecus: Sequence[Ecu]) -> None:
    """Refuse two ECUs with the same name or identifier."""
    try:
        check_identifiers(ecus)
    except AddressError as e:
        raise values.CarFileError(e.what, remedy=e.remedy) from None
    for name, count in Counter(ecu.name for ecu in ecus).items():
        if count > 1:
            raise values.CarFileError(f"two ECUs are called {name!r}: give each a name of its own")


def _did(value: Any, place: str) -> Did:
    if not isinstance(value, Mapping):
        return Did(values.hexadecimal(value, place, "; a text is { text = ... }"))
    table = values.Table(value, place)
    data = _hex_or_text(table, place)
    did = Did(
        data,
        writable=table.take("writable", values.boolean, False),
        security=table.take("security", values.level, None),
        secret=table.take("secret", values.boolean, False),
        sessions=table.take("sessions", values.sessions, None),
    )
    table.end()
    return did


def _hex_or_text(table: values.Table, place: str) -> bytes:
    data = table.take("hex", values.hexadecimal, None)
    text = table.take("text", values.text, None)
    if data is not None and text is None:
        return data
    if text is not None and data is None:
        return text.encode()
    raise values.CarFileError(f"{place}: needed is hex or text, one of them")


def _dtc(key: Any, place: str) -> int:
    try:
        return dtc_number(key)
    except ValueError as e:
        try:
            return dtc_number(int(key, 16))
        except ValueError:
            raise values.CarFileError(f"{place}: {e}, or six hexadecimal digits") from None


def _level_key(key: Any, place: str) -> int:
    return values.level(values.hex_key(2)(key, place), place)


def _security(value: Any, place: str) -> Security:
    table = values.Table(value, place)
    security = Security(
        table.take("key", _key),
        seed=table.take("seed", values.hexadecimal, None),
        attempts=table.take("attempts", values.integer(1, 255), 3),
        delay_s=table.take("delay", values.seconds, 10.0),
        sessions=table.take("sessions", values.sessions, None),
    )
    table.end()
    return security


def _key(value: Any, place: str) -> "bytes | Callable[[bytes], bytes]":
    """The key: always the same, or the seed combined with something."""
    if not isinstance(value, Mapping):
        return values.hexadecimal(value, place)
    table = values.Table(value, place)
    mask = table.take("xor", values.hexadecimal, None)
    summand = table.take("add", values.integer(0, (1 << 64) - 1), None)
    table.end()
    if mask and summand is None:
        return lambda seed: bytes(byte ^ mask[at % len(mask)] for at, byte in enumerate(seed))
    if summand is not None and mask is None:
        return lambda seed: ((int.from_bytes(seed) + summand) % (1 << 8 * len(seed))).to_bytes(len(seed))
    raise values.CarFileError(
        f"{place}: needed is xor or add, one of them; or hexadecimal for a key that is always right"
    )


def _routine(value: Any, place: str) -> Routine:
    if not isinstance(value, Mapping):
        return Routine(_answer(value, place))
    table = values.Table(value, place)
    routine = Routine(
        start=table.take("start", _answer, b""),
        stop=table.take("stop", _answer, None),
        results=table.take("results", _answer, None),
        security=table.take("security", values.level, None),
        sessions=table.take("sessions", values.sessions, None),
    )
    table.end()
    return routine


def _download(value: Any, place: str) -> Download:
    table = values.Table(value, place)
    download = Download(
        start=table.take("start", values.integer(0, (1 << 64) - 1), 0),
        size=table.take("size", values.integer(1, 1 << 64), 1 << 32),
        block=table.take("block", values.integer(3, 0xFFFF), 0x102),
        security=table.take("security", values.level, None),
        sessions=table.take("sessions", values.sessions, None),
    )
    table.end()
    return download


def _rules(value: Any, place: str) -> Rules:
    rules = Rules()
    for pattern, answer in values.each(values.text, _answer)(value, place).items():
        try:
            rules[pattern] = answer
        except ValueError as e:
            raise values.CarFileError(f"{place}.{pattern}: {e}") from None
    return rules


def _answer(value: Any, place: str) -> Answer:
    if isinstance(value, list):
        answers = values.list_of(_answer)(value, place)
        try:
            return in_turn(*answers)
        except ValueError as e:
            raise values.CarFileError(f"{place}: {e}") from None
    if not isinstance(value, Mapping):
        return values.hexadecimal(value, place)
    table = values.Table(value, place)
    data = table.take("reply", values.hexadecimal, None)
    nrc = table.take("nrc", _nrc, None)
    is_silent = table.take("silent", values.boolean, False)
    if (data is not None) + (nrc is not None) + is_silent != 1:
        raise values.CarFileError(f"{place}: needed is reply, nrc or silent = true, one of them")
    reply = Reply(
        data if nrc is None else nrc,
        after_s=table.take("after", values.seconds, 0.0),
        pending=table.take("pending", values.boolean, True),
    )
    table.end()
    return reply


def _nrc(value: Any, place: str) -> Nrc:
    try:
        return Nrc(value)
    except ValueError:
        raise values.wrong(value, place, f"one of {', '.join(f'{nrc:#04x}' for nrc in Nrc)}") from None
