"""What a message says in UDS (ISO 14229-1): service, sub-function, identifier, negative response; names of udsoncan."""

import inspect
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

_NEGATIVE: Final = 0x7F
_POSITIVE: Final = 0x40
_SUPPRESS: Final = 0x80  # suppressPosRspMsgIndicationBit, the top bit of a sub-function
_SECURITY_ACCESS: Final = 0x27
_ROUTINE_CONTROL: Final = 0x31
_READ_BY_IDENTIFIER: Final = 0x22
_BY_IDENTIFIER: Final = frozenset((0x22, 0x24, 0x2E, 0x2F))
_HEAD: Final = 4  # bytes that decide what a message is called


class Uds(NamedTuple):
    """A message in words."""

    service: str
    kind: str
    """request, response, or negative response."""
    detail: str
    """Sub-function, identifier, or negative response code; may be empty."""

    def __str__(self) -> str:
        if self.kind == "negative response":
            return f"{self.service} refused: {self.detail}"
        return f"{self.service} {self.kind}{f' {self.detail}' if self.detail else ''}"


# How many bytes messages of a service have at most, and responses at least (ISO 14229-1:2020); without an entry, any.
# A request that is too short is still shown as one: testers send such, and ECUs refuse them.
_REQUEST_MAX: Final = {0x10: 2, 0x11: 2, 0x14: 5, 0x24: 3, 0x28: 5, 0x3E: 2, 0x87: 5}
_RESPONSE: Final = {
    0x10: (2, 6),
    0x11: (2, 3),
    0x14: (1, 1),
    0x19: (2, None),
    0x22: (4, None),
    0x23: (2, None),
    0x24: (4, None),
    0x27: (2, None),
    0x28: (2, 2),
    0x29: (3, None),
    0x2A: (1, 1),
    0x2C: (2, 4),
    0x2E: (3, 3),
    0x2F: (4, None),
    0x31: (4, None),
    0x34: (3, 17),
    0x35: (3, 17),
    0x36: (2, None),
    0x38: (2, None),
    0x3D: (4, None),
    0x3E: (2, 2),
    0x83: (2, None),
    0x84: (2, None),
    0x85: (2, 2),
    0x86: (3, None),
    0x87: (2, 2),
}


def describe(data: bytes, length: int | None = None) -> Uds | None:
    """`data` in words; None for what cannot be UDS that udsoncan knows.

    Args:
        data: the message, or its beginning.
        length: how many bytes the message has, if `data` is only the beginning.
    """
    return _describe(data[:_HEAD], len(data) if length is None else length)


@lru_cache(4096)
def _describe(head: bytes, length: int) -> Uds | None:
    if not head:
        return None
    services = _services()
    if head[0] == _NEGATIVE:
        if length != 3 or len(head) < 3 or head[1] & _POSITIVE or not head[1]:
            return None
        service = services.get(head[1])
        name = service.get_name() if service else f"service 0x{head[1]:02X}"
        return Uds(name, "negative response", _response_code(head[2]))
    if (service := services.get(head[0])) is not None:
        return Uds(service.get_name(), "request", _detail(service, head[0], head)) if _fits(head, length) else None
    sid = head[0] & ~_POSITIVE
    if head[0] & _POSITIVE and (service := services.get(sid)) is not None and _fits(head, length):
        return Uds(service.get_name(), "response", _detail(service, sid, head))
    return None


def _fits(head: bytes, length: int) -> bool:
    """Whether a message of this length can be what its first byte says."""
    if head[0] & _POSITIVE:
        least, most = _RESPONSE.get(head[0] & ~_POSITIVE, (1, None))
        return least <= length and (most is None or length <= most)
    if head[0] == _READ_BY_IDENTIFIER:
        return length % 2 == 1 and length > 1
    return length <= _REQUEST_MAX.get(head[0], length)


@cache
def _services() -> dict[int, Any]:
    """The service classes of udsoncan by request id."""
    from udsoncan import services
    from udsoncan.BaseService import BaseService

    classes = [c for c in vars(services).values() if inspect.isclass(c) and issubclass(c, BaseService)]
    return {c.request_id(): c for c in classes if c is not BaseService}


def _response_code(code: int) -> str:
    from udsoncan.Response import Response

    name = Response.Code.get_name(code)
    return f"0x{code:02X}" if name.isdecimal() else f"{name} (0x{code:02X})"


def _detail(service: Any, sid: int, head: bytes) -> str:
    if sid in _BY_IDENTIFIER:
        return _identifier(head[1:3])
    if len(head) < 2:
        return ""
    value = head[1] & ~_SUPPRESS
    if sid == _SECURITY_ACCESS:
        name = f"{'RequestSeed' if value & 1 else 'SendKey'} level 0x{value:02X}"
    else:
        if not service.use_subfunction():
            return ""
        name = _sub_function(service).get(value, f"0x{value:02X}")
    if sid == _ROUTINE_CONTROL and len(head) >= 4:
        name += f" {_routine(head[2:4])}"
    return f"{name}, no response wanted" if head[1] & _SUPPRESS and not head[0] & _POSITIVE else name


def _identifier(raw: bytes) -> str:
    if len(raw) < 2:
        return ""
    from udsoncan import DataIdentifier

    name = str(DataIdentifier.name_from_id(int.from_bytes(raw, "big")))
    # Only 0xF180 to 0xF19F and a few more have a meaning of their own; the rest is a range with one name.
    return f"{_hex(raw)} {name.removesuffix('DataIdentifier')}" if name.endswith("DataIdentifier") else _hex(raw)


def _routine(raw: bytes) -> str:
    from udsoncan import Routine

    name = str(Routine.name_from_id(int.from_bytes(raw, "big")))
    return _hex(raw) if name.endswith("Specific") or name.startswith("ISOSAE") else f"{_hex(raw)} {name}"


def _hex(raw: bytes) -> str:
    return raw.hex().upper()


@cache
def _sub_function(service: Any) -> dict[int, str]:
    """The names of a service's sub-functions (udsoncan's own look-up takes any value for one of a named range)."""
    from udsoncan.BaseService import BaseSubfunction

    names: dict[int, str] = {}
    for group in vars(service).values():
        if inspect.isclass(group) and issubclass(group, BaseSubfunction):
            for name, value in vars(group).items():
                if name.startswith("_"):  # Python 3.13 adds names with numbers and tuples
                    continue
                if isinstance(value, int):
                    names[value] = name
                elif isinstance(value, tuple):
                    for each in range(value[0], value[1] + 1):
                        names.setdefault(each, name)
    return names
