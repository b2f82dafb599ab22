"""A limit for the memory that a recording takes: what python-can reads may make as much as it likes of a small file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from ..output.units import size_text

MAX_MEMORY: Final = 2 << 30


class MemoryLimitError(OSError):
    """A recording would take more memory than was allowed."""


@contextmanager
def limited(size: int | None, name: str) -> Iterator[None]:
    """In this block the process gets at most `size` bytes (None: MAX_MEMORY) more than it has. Only Linux does so.

    Raises:
        MemoryLimitError: that was too little for what is called `name`.
    """
    if sys.platform != "linux":
        yield
        return
    size = MAX_MEMORY if size is None else size
    import resource  # Windows has no such module

    before = resource.getrlimit(resource.RLIMIT_AS)
    with suppress(OSError, ValueError):  # no /proc here, or the process is over a limit already
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + size
        allowed = [each for each in (*before, most) if each != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_AS, (min(allowed), before[1]))
    try:
        yield
    except MemoryError:
        what = f"{name}: takes more than {size_text(size)} of memory; if it is sound, give a higher --max-memory"
        raise MemoryLimitError(what) from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
