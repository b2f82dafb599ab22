"""What every --json says in the same way: times in seconds, identifiers and bytes in hexadecimal.

The README has all keys; those of one command alone are where it makes them.
"""

from typing import Any, Final

from ..address import CanAddress
from .addresses import short_address

_S: Final = 1_000_000_000  # an integer: by 1e9 the nanoseconds would be rounded twice


def seconds(time_ns: int) -> float:
    """`time` and all other times."""
    return time_ns / _S


def link(channel: str, source: CanAddress, target: CanAddress | None) -> dict[str, Any]:
    """`channel`, `source` and `target` of a message: what its frames carry, and what those that answer it carry."""
    return {
        "channel": channel,
        "source": short_address(source),
        "target": None if target is None else short_address(target),
    }
