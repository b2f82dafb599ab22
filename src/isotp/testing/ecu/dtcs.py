"""Diagnostic trouble codes: services 0x14 and 0x19."""

import re
from typing import Final

_NAME: Final = re.compile(r"([PCBU])([0-3][0-9A-F]{3})(?:-([0-9A-F]{2}))?", re.IGNORECASE)
_HIGHEST: Final = 0xFFFFFF
ALL: Final = 0xFFFFFF
"""The group of all DTCs."""


def dtc_number(dtc: int | str) -> int:
    """The three bytes of a DTC as a number: of "P0301", of "P0301-2F" with its failure type, or of the number itself.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(dtc, str):
        if found := _NAME.fullmatch(dtc.strip()):
            letter, digits, failure_type = found.groups()
            return "PCBU".index(letter.upper()) << 22 | int(digits, 16) << 8 | int(failure_type or "0", 16)
    elif 0 <= dtc < _HIGHEST:
        return dtc
    raise ValueError(f"{dtc!r} is not a DTC: allowed is P, C, B or U with four digits, such as P0301 or P0301-2F")


def record(dtc: int, status: int) -> bytes:
    """A DTC and its status as responses carry them."""
    return dtc.to_bytes(3) + bytes((status,))
