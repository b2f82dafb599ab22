"""Values of a car file: each is read, or refused with its place and what is allowed there."""

from collections.abc import Callable, Mapping
from string import hexdigits
from typing import Any, TypeVar, overload

from ...errors import IsoTpError
from .answers import as_bytes

T = TypeVar("T")
D = TypeVar("D")
Read = Callable[[Any, str], T]
"""Reads a value, given the place where it is."""


class CarFileError(IsoTpError, ValueError):
    """A car file that cannot be. It says where in the file, and what is allowed there."""

    default_errno = None


def wrong(value: object, place: str, allowed: str) -> CarFileError:
    """The error of a value."""
    shown = value if isinstance(value, str) else "a table" if isinstance(value, Mapping) else repr(value)
    return CarFileError(f"{place}: {shown!s:.60}: allowed is {allowed}")


class Table:
    """A table of the file, whose values are taken one after the other.

    Args:
        value: what is in the file.
        place: where.
    """

    def __init__(self, value: Any, place: str) -> None:
        if not isinstance(value, Mapping):
            raise wrong(value, place or "the file", "a table")
        for key in value:
            if not isinstance(key, str):
                raise wrong(key, place or "the file", "a text as key: in YAML put it in quotes")
        self._left = dict(value)
        self._place = place
        self._known: list[str] = []

    def call(self, name: str) -> None:
        """Name it in errors."""
        self._place = name

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
            others = f"; there is: {', '.join(self._left)}" if self._left else ""
            raise CarFileError(f"{self._place or 'the file'}: {key} is missing{others}")
        return default

    def end(self) -> None:
        """Refuse what was not taken."""
        for key in self._left:
            raise CarFileError(f"{self.place(key)} means nothing: allowed here is {', '.join(self._known)}")


def number(lowest: float, highest: float, unit: str = "") -> Read[Any]:
    """Reads a number within these limits."""

    def read(value: Any, place: str) -> Any:
        allowed = f"a number from {lowest:g} to {highest:g}{unit}"
        if isinstance(value, str):
            raise wrong(repr(value), place, f"{allowed}, without quotes")
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise wrong(value, place, allowed)
        return value

    return read


def integer(lowest: int, highest: int) -> Read[int]:
    """Reads a whole number within these limits."""

    def read(value: Any, place: str) -> int:
        allowed = f"a whole number from {lowest:#x} to {highest:#x}"
        if isinstance(value, str):
            raise wrong(repr(value), place, f"{allowed}, such as 0x10, without quotes")
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(value, place, allowed)
        if not lowest <= value <= highest:
            raise wrong(f"{value} ({value:#x})" if value > 9 else value, place, allowed)
        return value

    return read


byte = integer(0, 0xFF)
can_id = integer(0, 0x1FFFFFFF)


def level(value: Any, place: str) -> int:
    """A level of security access: the sub-function that asks for its seed."""
    number = integer(1, 0x7D)(value, place)
    if number % 2 == 0:
        raise wrong(value, place, "an odd number, the sub-function that asks for the seed")
    return number


def seconds(value: Any, place: str) -> float:
    """A time in seconds."""
    return float(number(0, 1e6, " seconds")(value, place))


def text(value: Any, place: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise wrong(value, place, "a text")
    return value


def boolean(value: Any, place: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise wrong(value, place, "true or false")
    return value


def hexadecimal(value: Any, place: str, or_else: str = "") -> bytes:
    """Bytes, as hexadecimal digits; `or_else`: what else is allowed."""
    try:
        return as_bytes(text(value, place))
    except ValueError:
        raise wrong(value, place, f"hexadecimal, two digits for each byte, such as '62 F1 90'{or_else}") from None


def list_of(read: Read[T], hint: str = "") -> Read[list[T]]:
    """Reads a list with one element or more; `hint`: how it is written."""

    def read_list(value: Any, place: str) -> list[T]:
        if not isinstance(value, list) or not value:
            raise wrong(value, place, f"a list with one element or more{hint}")
        return [read(one, f"{place}[{number}]") for number, one in enumerate(value)]

    return read_list


def one_or_list_of(read: Read[T]) -> Read[list[T]]:
    """Reads a value or a list of such, which may be empty."""

    def read_any(value: Any, place: str) -> list[T]:
        if isinstance(value, list) and not value:
            return []
        return list_of(read)(value, place) if isinstance(value, list) else [read(value, place)]

    return read_any


def each(read_key: Read[Any], read: Read[T]) -> Read[dict[Any, T]]:
    """A table whose keys are chosen by the user."""

    def read_table(value: Any, place: str) -> dict[Any, T]:
        table = Table(value, place)
        return {read_key(key, table.place(key)): table.take(key, read) for key in value}

    return read_table


def hex_key(digits: int) -> Read[int]:
    """Reads a key that is a hexadecimal number of so many digits."""

    def read(key: Any, place: str) -> int:
        if len(key) != digits or not set(key) <= set(hexdigits):
            raise wrong(key, place, f"a hexadecimal number of {digits} digits as key")
        return int(key, 16)

    return read


sessions = list_of(integer(1, 0x7F))
