"""What was seen and what was wanted, side by side."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final

_NOTHING: Final = "nothing"
_CONTEXT: Final = 2
_MOST: Final = 200  # of those that differ, to be compared each with each

Pair = tuple[int | None, int | None]
"""Where in both sequences; None: nothing."""


def side_by_side(seen: Sequence[object], shown: Sequence[str], wanted: Sequence[object]) -> Iterator[str]:
    """Lines with what was seen, as `shown`, beside what is wanted; those that differ begin with `!`.

    Of the others only those next to them are there.
    """
    pairs = list(_pairs(seen, wanted))
    differs = [i is None or j is None or seen[i] != wanted[j] for i, j in pairs]
    width = max([len(_NOTHING), *map(len, shown)])
    left_out = 0
    for at, (i, j) in enumerate(pairs):
        if not any(differs[max(0, at - _CONTEXT) : at + _CONTEXT + 1]):
            left_out += 1
            continue
        yield from _count(left_out)
        left_out = 0
        left = _NOTHING if i is None else shown[i]
        right = _NOTHING if j is None else wanted[j]
        yield f"{'!' if differs[at] else ' '} {left:{width}}   {right}"
    yield from _count(left_out)


def _count(left_out: int) -> list[str]:
    return [f"  ({left_out} more as wanted)"] if left_out else []


def _pairs(seen: Sequence[object], wanted: Sequence[object]) -> Iterator[Pair]:
    """Which belong together."""
    most = min(len(seen), len(wanted))
    head = next((n for n in range(most) if seen[n] != wanted[n]), most)
    tail = next((n for n in range(most - head) if seen[-1 - n] != wanted[-1 - n]), most - head)
    seen_end, wanted_end = len(seen) - tail, len(wanted) - tail
    a_end, b_end = min(seen_end, head + _MOST), min(wanted_end, head + _MOST)
    yield from zip(range(head), range(head), strict=True)
    for a, b in _aligned(seen[head:a_end], wanted[head:b_end]):
        yield None if a is None else head + a, None if b is None else head + b
    yield from zip_longest(range(a_end, seen_end), range(b_end, wanted_end))
    yield from zip(range(seen_end, len(seen)), range(wanted_end, len(wanted)), strict=True)


def _aligned(seen: Sequence[object], wanted: Sequence[object]) -> Iterator[Pair]:
    """Pairs by difflib. It compares numbers: what is wanted may match many frames, so it has no hash."""
    distinct: list[object] = []
    for one in wanted:
        if one not in distinct:
            distinct.append(one)
    matcher: SequenceMatcher[int] = SequenceMatcher(
        None,
        [next((n for n, other in enumerate(distinct) if one == other), -1) for one in seen],
        [distinct.index(one) for one in wanted],
        autojunk=False,
    )
    for _, a, a_end, b, b_end in matcher.get_opcodes():
        yield from zip_longest(range(a, a_end), range(b, b_end))
