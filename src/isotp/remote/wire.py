"""What edge and client write to each other: a header in JSON beside the bytes of a message."""

import errno
import json
from dataclasses import fields
from typing import Any, Final

from .. import errors
from ..address import Address, AddressingMode, AsymmetricAddress, TargetAddressType
from ..errors import IsoTpError
from ..sockets import ReceivedMessage

AnyAddress = Address | AsymmetricAddress
_BUILTINS: Final = {"TimeoutError": TimeoutError, "BlockingIOError": BlockingIOError}
_HEADER_MAX: Final = 1 << 16


def pack(header: dict[str, Any]) -> bytes:
    """A header as bytes."""
    return json.dumps(header, separators=(",", ":")).encode()


def unpack(data: Any) -> dict[str, Any]:
    """The header that `data` is; ValueError if it is none."""
    raw = bytes(data) if data is not None else b""
    if len(raw) > _HEADER_MAX:
        raise ValueError(f"a header of {len(raw)} bytes")
    try:
        header = json.loads(raw)
    except RecursionError:
        raise ValueError("a header with too many brackets") from None
    if not isinstance(header, dict):
        raise ValueError("the header is no object")
    return header


def integer(value: Any, least: int = 0, most: int = 1 << 62) -> int:
    """`value` if it is an integer in that range, or ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r:.40} is no number from {least} to {most}")
    return value


def seconds(value: Any) -> float | None:
    """`value` if it is a time to wait or None, or ValueError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e6:
        raise ValueError(f"{value!r:.40} is no time in seconds")
    return float(value)


def of_error(error: BaseException) -> dict[str, Any]:
    """What the other side needs to raise `error` again."""
    known = {"class": type(error).__name__, "notes": getattr(error, "__notes__", [])}
    if isinstance(error, IsoTpError):
        return known | {"what": error.what, "link": error.link, "remedy": error.remedy, "errno": error.errno}
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return known | {"what": text or type(error).__name__, "errno": getattr(error, "errno", None)}


def to_error(said: dict[str, Any], link: str | None) -> OSError:
    """The error that the edge had; `link`: what it is called here."""
    name, what = str(said.get("class")), str(said.get("what"))
    error: OSError
    if name in _BUILTINS:
        error = BlockingIOError(errno.EAGAIN, what) if name == "BlockingIOError" else TimeoutError(what)
    else:
        kind = getattr(errors, name, None)
        known = isinstance(kind, type) and issubclass(kind, IsoTpError)
        made = (kind if known else IsoTpError)(what if known else f"the edge had a {name}: {what}")  # type: ignore[misc]
        made.link, made.remedy = link if said.get("link") else None, said.get("remedy")
        made.errno = said["errno"] if isinstance(said.get("errno"), int) else made.errno
        error = made
    notes = said.get("notes")
    for note in notes if isinstance(notes, list) else ():
        error.add_note(str(note))
    return error


def of_address(address: AnyAddress | None) -> dict[str, Any] | None:
    """An address as JSON has it."""
    if address is None:
        return None
    if isinstance(address, AsymmetricAddress):
        return {"tx_addr": of_address(address.tx_addr), "rx_addr": of_address(address.rx_addr)}
    return {field.name: getattr(address, field.name) for field in fields(address) if field.init} | {
        "addressing_mode": address.addressing_mode.name,
        "target_address_type": address.target_address_type.name,
    }


def to_address(said: Any) -> AnyAddress | None:
    """The address; ValueError or AddressError if it is none."""
    if said is None:
        return None
    if not isinstance(said, dict):
        raise ValueError("no address")
    if "tx_addr" in said:
        tx, rx = to_address(said["tx_addr"]), to_address(said.get("rx_addr"))
        if not isinstance(tx, Address) or not isinstance(rx, Address):
            raise ValueError("no address: half of it is none")
        return AsymmetricAddress(tx, rx)
    try:
        return Address(
            **said
            | {
                "addressing_mode": AddressingMode[said["addressing_mode"]],
                "target_address_type": TargetAddressType[said["target_address_type"]],
            }
        )
    except (KeyError, TypeError) as e:
        raise ValueError(f"no address: {e}") from None


def of_message(message: ReceivedMessage) -> dict[str, Any]:
    """What there is to say of a message beside its bytes."""
    return {"at": message.timestamp_ns, "begin": message.begin_ns, "dropped": message.dropped}


def to_message(said: dict[str, Any], data: bytes) -> ReceivedMessage:
    """The message."""
    return ReceivedMessage(data, int(said["at"]), int(said["dropped"]), said["begin"])
