"""Rules: which request gets which answer."""

import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, Final, NamedTuple

from .answers import Answer, Nrc, Reply, Request, as_bytes

_BYTE: Final = re.compile(r"[0-9A-Fa-f]{2}")


def in_turn(*answers: Answer) -> Callable[[Request], Answer]:
    """A rule whose first request gets the first answer, the next one the next; after the last it begins again.

    Raises:
        ValueError: there are no answers, or one is none.
    """
    if not answers:
        raise ValueError("in_turn() takes one answer or more")
    answers = tuple(map(checked, answers))
    count = -1

    def answer(request: Request) -> Answer:
        nonlocal count
        count += 1
        chosen = answers[count % len(answers)]
        return chosen(request) if callable(chosen) else chosen

    return answer


class Pattern(NamedTuple):
    """What requests look like: bytes, None for any byte, and whether more may follow."""

    values: tuple[int | None, ...]
    is_open: bool

    @classmethod
    def of(cls, text: "bytes | str") -> "Pattern":
        """The pattern of bytes, or of a text: hexadecimal, `??` for any byte, `*` at the end for any rest.

        Raises:
            ValueError: it is neither.
        """
        if not isinstance(text, str):
            return cls(tuple(bytes(text)), False)
        packed = "".join(text.split())
        is_open = packed.endswith("*")
        packed = packed.removesuffix("*")
        pairs = [packed[at : at + 2] for at in range(0, len(packed), 2)]
        if not all(pair == "??" or _BYTE.fullmatch(pair) for pair in pairs):
            raise ValueError(
                f"{text!r} is not a pattern: two hexadecimal digits for each byte, ?? for any byte, * at the end for "
                "any rest, such as '22 F1 90', '22 ?? 90' or '2E F1 *'"
            )
        return cls(tuple(None if pair == "??" else int(pair, 16) for pair in pairs), is_open)

    def matches(self, data: bytes) -> bool:
        """Whether a request looks like this."""
        if len(data) < len(self.values) or (len(data) > len(self.values) and not self.is_open):
            return False
        return all(value is None or value == byte for value, byte in zip(self.values, data, strict=False))

    @property
    def rank(self) -> tuple[int, bool, int]:
        """How much it says about a request: how many bytes, whether their number, and how many in all."""
        known = sum(value is not None for value in self.values)
        return known, not self.is_open, len(self.values)

    def __str__(self) -> str:
        words = ["??" if value is None else f"{value:02X}" for value in self.values]
        return " ".join([*words, "*"] if self.is_open else words)


class Rules(MutableMapping["bytes | str", Answer]):
    """Answers by the pattern of the request, as a dict.

    A key is bytes, or a text: hexadecimal, `??` for any byte, `*` at the end for any rest. Of several patterns that
    match a request the one that says most about it is taken.
    """

    def __init__(self) -> None:
        self._exact: dict[bytes, Answer] = {}
        self._patterns: dict[Pattern, Answer] = {}  # those that say most come first

    def __setitem__(self, pattern: "bytes | str", answer: Answer) -> None:
        key, answer = _key(pattern), checked(answer)
        if isinstance(key, bytes):
            self._exact[key] = answer
        else:
            every = {**self._patterns, key: answer}
            self._patterns = {one: every[one] for one in sorted(every, key=lambda one: one.rank, reverse=True)}

    def __delitem__(self, pattern: "bytes | str") -> None:
        key = _key(pattern)
        if isinstance(key, bytes):
            del self._exact[key]
        else:
            left = dict(self._patterns)
            del left[key]
            self._patterns = left  # a new one: the ECU may be walking through the old one in another thread

    def __getitem__(self, pattern: "bytes | str") -> Answer:
        key = _key(pattern)
        return self._exact[key] if isinstance(key, bytes) else self._patterns[key]

    def __iter__(self) -> "Iterator[bytes | str]":
        yield from self._exact
        yield from map(str, self._patterns)

    def __len__(self) -> int:
        return len(self._exact) + len(self._patterns)

    def __repr__(self) -> str:
        return f"Rules({dict(self)})"

    def find(self, request: bytes) -> Answer:
        """What answers a request.

        Raises:
            KeyError: no pattern matches.
        """
        if request in self._exact:
            return self._exact[request]
        for pattern, answer in self._patterns.items():
            if pattern.matches(request):
                return answer
        raise KeyError(request)


def _key(pattern: "bytes | str") -> "bytes | Pattern":
    """What a pattern is kept by: bytes if it is exact."""
    key = Pattern.of(pattern)
    if key.is_open or None in key.values:
        return key
    return bytes(value for value in key.values if value is not None)


def checked(answer: Any) -> Answer:
    """`answer`, with hexadecimal digits made bytes; whatever cannot be sent is refused now and not at a request.

    Raises:
        TypeError: it answers nothing.
        ValueError: it is empty, or no hexadecimal.
    """
    if isinstance(answer, str | bytes | bytearray):
        answer = as_bytes(answer)
    if answer == b"" or (isinstance(answer, Reply) and answer.data == b""):
        raise ValueError("an answer has one byte or more; None is silence")
    if isinstance(answer, bytes):
        return answer
    is_list = isinstance(answer, Sequence) and all(isinstance(one, Reply) for one in answer)
    if answer is None or callable(answer) or isinstance(answer, Nrc | Reply) or is_list:
        return answer  # type: ignore[no-any-return]
    raise TypeError(
        f"{answer!r} answers no request: bytes, hexadecimal digits, an Nrc, a Reply or a list of them, a function, "
        "or None for silence"
    )
