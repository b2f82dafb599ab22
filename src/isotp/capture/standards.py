"""What the standards fix and any traffic shows: identifiers, their partners, how a response repeats its request.

ISO 15765-4 (7DF, 7E0 to 7EF), ISO 15765-2 (18DA, 18DB, 18CE, 18CD), ISO 14229-1 and ISO 15031-5 (services).
"""

from typing import Final

from ..address import CAN_EFF_FLAG

Key = tuple[str, int] | tuple[str, int, int]
"""A channel and an identifier on it, and the address byte that its frames begin with, if there is one."""

_PHYSICAL: Final = (0xDA, 0xCE)  # bits 16 to 25 of the identifier, whatever the priority
_FUNCTIONAL: Final = (0xDB, 0xCD)
_MIXED: Final = (0xCE, 0xCD)

POSITIVE: Final = 0x40
NEGATIVE: Final = 0x7F
_CLEAR_DTCS: Final = 0x14
_BY_IDENTIFIER: Final = frozenset((0x22, 0x24, 0x2E, 0x2F))
_WITHOUT_PARAMETER: Final = frozenset((0x03, 0x04, 0x07, 0x0A, 0x37))
# Responses that do not repeat the request's second byte.
_NO_ECHO: Final = frozenset((0x23, 0x34, 0x35, 0x84))


def _format(can_id: int) -> int | None:
    return (can_id >> 16) & 0x3FF if can_id & CAN_EFF_FLAG else None


def usual_partner(key: Key) -> Key | None:
    """The identifier that answers this one; None where the standards do not say."""
    can_id = key[1]
    if 0x7E0 <= can_id <= 0x7EF and len(key) == 2:
        return key[0], can_id ^ 0x08
    if _format(can_id) in _PHYSICAL:
        swapped = can_id & ~0xFFFF | (can_id & 0xFF) << 8 | (can_id >> 8) & 0xFF
        return key[0], swapped, *key[2:]
    return None


def is_functional(can_id: int) -> bool:
    """Whether this identifier is for requests to all."""
    return can_id == 0x7DF or _format(can_id) in _FUNCTIONAL


def is_reserved(can_id: int) -> bool:
    """Whether this identifier is for ISO-TP."""
    return 0x7E0 <= can_id <= 0x7EF or is_functional(can_id) or _format(can_id) in _PHYSICAL


def has_address_byte(can_id: int) -> bool:
    """Whether this identifier has mixed addressing."""
    return _format(can_id) in _MIXED


def answers(request: bytes, response: bytes) -> bool:
    """Whether a message that begins with `response` answers one that begins with `request`, in UDS or OBD."""
    service = request[0]
    if response[0] == NEGATIVE:
        return len(response) == 3 and response[1] == service
    if response[0] != service | POSITIVE:
        return False
    if len(request) == 1:
        return service in _WITHOUT_PARAMETER
    if service == _CLEAR_DTCS:
        return len(response) == 1
    if service in _BY_IDENTIFIER:
        return len(response) > 2 and response[1:3] == request[1:3]
    return service not in _NO_ECHO and len(response) > 1 and not (response[1] ^ request[1]) & 0x7F
