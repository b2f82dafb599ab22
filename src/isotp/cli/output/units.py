"""How addresses, times and rates are written, in lines and in JSON.

docs/reference/json.md lists all keys of --json; those of one command alone are made by that command.
"""

import json
from typing import Any, Final

from ...address import CAN_EFF_FLAG, CAN_EFF_MASK, CanAddress
from ...stmin import STmin

_S: Final = 1_000_000_000  # an integer: dividing by 1e9 would round the nanoseconds twice


def json_text(known: Any, indent: int | None = None) -> str:
    """JSON in printable ASCII, on one line unless `indent` is given: json.dumps leaves DEL as it is."""
    return json.dumps(known, indent=indent).replace("\x7f", "\\u007f")


def short_address(address: CanAddress) -> str:
    """An identifier as candump writes it, with the address byte behind a slash."""
    can_id = address.can_id
    text = f"{can_id & CAN_EFF_MASK:08X}" if can_id & CAN_EFF_FLAG else f"{can_id:03X}"
    return text if address.address_byte is None else f"{text}/{address.address_byte:02X}"


def json_seconds(time_ns: int) -> float:
    """`time` and all other times of --json."""
    return time_ns / _S


def json_link(channel: str, source: CanAddress, target: CanAddress | None) -> dict[str, Any]:
    """`channel`, `source` and `target` of a message: what its frames carry, and what the frames that answer carry."""
    return {
        "channel": channel,
        "source": short_address(source),
        "target": None if target is None else short_address(target),
    }


def size_text(size: int) -> str:
    """A number of bytes as the command line takes it."""
    for unit, shift in (("G", 30), ("M", 20), ("K", 10)):
        if size and not size % (1 << shift):
            return f"{size >> shift}{unit}"
    return str(size)


def stmin_text(raw: int) -> str:
    """STmin as a time with its unit."""
    stmin = STmin(raw)
    if stmin.is_reserved:
        return f"reserved 0x{raw:02X} (127 ms)"
    return f"{stmin.ns // 1_000_000} ms" if raw <= 0x7F else f"{stmin.ns // 1000} us"


def duration(time_ns: int) -> str:
    """A time with three decimals of a millisecond, or in seconds if it is long."""
    return f"{time_ns / 1e9:.3f} s" if time_ns >= 10_000_000_000 else f"{time_ns / 1e6:.3f} ms"


def rate(bytes_per_second: float) -> str:
    """Throughput with its unit."""
    return f"{bytes_per_second / 1000:.2f} kB/s" if bytes_per_second >= 10_000 else f"{bytes_per_second:.0f} B/s"
