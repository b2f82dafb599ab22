"""Checked: attributes of an ECU that are checked when they are assigned, and the dicts in some of them likewise."""

from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from typing import Any, Generic, TypeVar

from .parts import Did, Routine, Security, dtc_number

T = TypeVar("T")


def within(what: str, given: Any, lowest: float, highest: float, *, is_odd: bool = False) -> Any:
    """`given`, a number; whole, if `lowest` is.

    Raises:
        TypeError: it is no such number.
        ValueError: it is not from `lowest` to `highest`, or even where that is not allowed.
    """
    is_whole = isinstance(lowest, int)
    limits = f"{lowest:#x} to {highest:#x}" if is_whole else f"{lowest:g} to {highest:g}"
    told = f"{what}: {given!r}: allowed is {limits}{', an odd number' if is_odd else ''}"
    if not isinstance(given, int if is_whole else int | float):
        raise TypeError(told)
    if not lowest <= given <= highest or (is_odd and given % 2 == 0):
        raise ValueError(told)
    return given


class Parts(MutableMapping[Any, T]):
    """A dict whose keys and values are checked and converted when they are assigned, as by the constructor of `Ecu`.

    Walking through it is safe while another thread changes it.

    Args:
        key: returns the key that is kept.
        value: returns the value that is kept.
        given: what is in it at first.
    """

    def __init__(self, key: Callable[[Any], Any], value: Callable[[Any], T], given: Mapping[Any, Any]) -> None:
        self._parts: dict[Any, T] = {}
        self._key, self._value = key, value
        self.update(given)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._parts[self._key(key)] = self._value(value)

    def __getitem__(self, key: Any) -> T:
        return self._parts[self._key(key)]

    def __delitem__(self, key: Any) -> None:
        del self._parts[self._key(key)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts.copy())

    def __len__(self) -> int:
        return len(self._parts)

    def __repr__(self) -> str:
        return repr(self._parts)

    def copy(self) -> dict[Any, T]:
        """What is in it now, as a dict."""
        return self._parts.copy()


class Checked(Generic[T]):
    """An attribute that is checked and converted when it is assigned.

    Args:
        convert: returns what is kept, from the name of the attribute and what is assigned.
    """

    def __init__(self, convert: Callable[[str, Any], T]) -> None:
        self._convert = convert

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, owner: Any, kind: type) -> T:
        return self if owner is None else owner.__dict__[self._name]  # type: ignore[return-value]

    def __set__(self, owner: Any, value: Any) -> None:
        owner.__dict__[self._name] = self._convert(self._name, value)


def seconds(lowest: float, highest: float) -> Checked[float]:
    """A time within these limits."""
    return Checked(lambda name, given: within(name, given, lowest, highest))


def sessions(name: str, given: Collection[int]) -> tuple[int, ...]:
    """The diagnostic sessions of an ECU."""
    return tuple(within(name, one, 1, 0x7F) for one in given)


def dids(name: str, given: Mapping[Any, Any]) -> Parts[Did]:
    """Data identifiers; what is no `Did` becomes the value of one."""
    return Parts(
        lambda key: within(name, key, 0, 0xFFFF), lambda value: value if isinstance(value, Did) else Did(value), given
    )


def dtcs(name: str, given: Mapping[Any, Any]) -> Parts[int]:
    """Status bytes by trouble code, which may be given as text."""
    return Parts(dtc_number, lambda value: within(f"{name}: status", value, 0, 0xFF), given)


def security(name: str, given: Mapping[Any, Any]) -> Parts[Security]:
    """`Security` by level."""

    def checked(value: Any) -> Security:
        if not isinstance(value, Security):
            raise TypeError(f"{name}: {value!r} is no Security: Security(key=...)")
        return value

    return Parts(lambda key: within(name, key, 1, 0x7D, is_odd=True), checked, given)


def routines(name: str, given: Mapping[Any, Any]) -> Parts[Routine]:
    """Routines; what is no `Routine` becomes what one answers when it is started."""
    return Parts(
        lambda key: within(name, key, 0, 0xFFFF),
        lambda value: value if isinstance(value, Routine) else Routine(value),
        given,
    )
