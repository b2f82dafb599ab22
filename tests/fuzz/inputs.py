"""Inputs of the corpus, changed by chance."""

from functools import cache
from typing import Final

from hypothesis import strategies as st

from .targets import corpus

_BYTES: Final = (b"\0", b"\xff", b"\n", b" ", b"9", b"-", b".", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x1b[2J")
_CHANGES_MAX: Final = 6
_REPEATS: Final = (2, 20, 5000)


@cache
def inputs(target: str) -> st.SearchStrategy[bytes]:
    """Mostly what is in the corpus with a few changes, and now and then any bytes."""
    seeds = [path.read_bytes() for path in corpus(target)]
    return st.one_of(_changed(seeds), _changed(seeds), st.binary(max_size=200))


@st.composite
def _changed(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, _CHANGES_MAX))):
        begin = draw(st.integers(0, len(data)))
        end = min(len(data), begin + draw(st.integers(0, 8)))
        part = data[begin:end]
        match draw(st.sampled_from(("overwrite", "insert", "remove", "repeat", "number", "cut", "splice"))):
            case "overwrite":
                part = draw(st.binary(min_size=len(part), max_size=len(part)))
            case "insert":
                part += draw(st.one_of(st.sampled_from(_BYTES), st.binary(max_size=8)))
            case "remove":
                part = b""
            case "repeat":
                part *= draw(st.sampled_from(_REPEATS))
            case "number":
                part = draw(st.integers(0, 1 << 32)).to_bytes(5, draw(st.sampled_from(("little", "big"))))[: len(part)]
            case "cut":
                data, part = data[:end], b""
            case "splice":
                other = draw(st.sampled_from(seeds))
                data, end = data[:begin] + other[draw(st.integers(0, len(other))) :], begin
                part = b""
        data = data[:begin] + part + data[end:]
    return data
