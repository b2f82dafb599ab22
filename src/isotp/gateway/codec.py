"""Messages of DoIP, ISO 13400-2:2019: the header, and what of the payload the gateway reads and writes.

Of other people's packages doipclient has message classes for both directions. They take a payload of almost any length,
and their parser skips garbage, takes 4 GB if a header says so, and spends 4 ms on 4 KB. An entity has to refuse each of
these with a code of its own, so the table of payload types is here.
"""

import struct
from enum import IntEnum
from typing import Final, NamedTuple

HEADER: Final = struct.Struct(">BBHL")
"""Protocol version, its inverse, payload type, length of the payload."""
DEFAULT_VERSION: Final = 0xFF
"""What a vehicle identification request may have as protocol version."""
VERSIONS: Final = (1, 2, 3)
"""ISO/DIS 13400-2:2010, ISO 13400-2:2012, ISO 13400-2:2019."""


class Kind(IntEnum):
    """Payload types (table 17)."""

    HEADER_NACK = 0x0000
    IDENTIFICATION_REQUEST = 0x0001
    IDENTIFICATION_REQUEST_EID = 0x0002
    IDENTIFICATION_REQUEST_VIN = 0x0003
    ANNOUNCEMENT = 0x0004
    ACTIVATION_REQUEST = 0x0005
    ACTIVATION_RESPONSE = 0x0006
    ALIVE_CHECK_REQUEST = 0x0007
    ALIVE_CHECK_RESPONSE = 0x0008
    ENTITY_STATUS_REQUEST = 0x4001
    ENTITY_STATUS_RESPONSE = 0x4002
    POWER_MODE_REQUEST = 0x4003
    POWER_MODE_RESPONSE = 0x4004
    DIAGNOSTIC = 0x8001
    DIAGNOSTIC_ACK = 0x8002
    DIAGNOSTIC_NACK = 0x8003


class HeaderNack(IntEnum):
    """What is wrong with a header (table 19)."""

    INCORRECT_PATTERN = 0x00
    UNKNOWN_TYPE = 0x01
    TOO_LARGE = 0x02
    OUT_OF_MEMORY = 0x03
    INVALID_LENGTH = 0x04


class Activation(IntEnum):
    """Answers to a routing activation request (table 49)."""

    UNKNOWN_SOURCE = 0x00
    NO_SOCKET_LEFT = 0x01
    OTHER_SOURCE = 0x02
    ACTIVE_ELSEWHERE = 0x03
    NOT_AUTHENTICATED = 0x04
    NOT_CONFIRMED = 0x05
    UNSUPPORTED_TYPE = 0x06
    NEEDS_TLS = 0x07
    ACTIVATED = 0x10
    NEEDS_CONFIRMATION = 0x11


class Nack(IntEnum):
    """Why a diagnostic message does not reach its target (table 26)."""

    INVALID_SOURCE = 0x02
    UNKNOWN_TARGET = 0x03
    TOO_LARGE = 0x04
    OUT_OF_MEMORY = 0x05
    UNREACHABLE = 0x06
    UNKNOWN_NETWORK = 0x07
    TRANSPORT_ERROR = 0x08


_LENGTHS: Final = {
    Kind.HEADER_NACK: (1,),
    Kind.IDENTIFICATION_REQUEST: (0,),
    Kind.IDENTIFICATION_REQUEST_EID: (6,),
    Kind.IDENTIFICATION_REQUEST_VIN: (17,),
    Kind.ANNOUNCEMENT: (32, 33),
    Kind.ACTIVATION_REQUEST: (7, 11),
    Kind.ACTIVATION_RESPONSE: (9, 13),
    Kind.ALIVE_CHECK_REQUEST: (0,),
    Kind.ALIVE_CHECK_RESPONSE: (2,),
    Kind.ENTITY_STATUS_REQUEST: (0,),
    Kind.ENTITY_STATUS_RESPONSE: (3, 7),
    Kind.POWER_MODE_REQUEST: (0,),
    Kind.POWER_MODE_RESPONSE: (1,),
}
_SHORTEST: Final = 5  # of the others: two addresses, and a byte


class Header(NamedTuple):
    """The header of a message."""

    version: int
    kind: int
    length: int

    def fault(self, accepted: frozenset[Kind], longest: int) -> HeaderNack | None:
        """What is wrong with it, in the order of the standard.

        Args:
            accepted: the payload types that are allowed here.
            longest: bytes of the longest payload.
        """
        if self.kind not in accepted:
            return HeaderNack.UNKNOWN_TYPE
        if self.length > longest:
            return HeaderNack.TOO_LARGE
        lengths = _LENGTHS.get(Kind(self.kind))
        fits = self.length >= _SHORTEST if lengths is None else self.length in lengths
        return None if fits else HeaderNack.INVALID_LENGTH


def read_header(data: bytes) -> Header | None:
    """The header at the beginning of `data`; None if that is none (incorrect pattern)."""
    if len(data) < HEADER.size:
        return None
    version, inverse, kind, length = HEADER.unpack_from(data)
    is_identification = Kind.IDENTIFICATION_REQUEST <= kind <= Kind.IDENTIFICATION_REQUEST_VIN
    if version ^ 0xFF != inverse or not (version in VERSIONS or (version == DEFAULT_VERSION and is_identification)):
        return None
    return Header(version, kind, length)


def message(version: int, kind: Kind, *parts: "int | bytes") -> bytes:
    """A message; a part that is a number has two bytes."""
    payload = b"".join(part if isinstance(part, bytes) else part.to_bytes(2) for part in parts)
    return HEADER.pack(version, version ^ 0xFF, kind, len(payload)) + payload
