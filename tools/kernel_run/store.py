"""The cache folder: kernels, package lists, busybox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import mkdtemp

VARIABLE = "ISOTP_KERNEL_RUN_CACHE"


@contextmanager
def locked() -> Iterator[Path]:
    """The cache folder, for one process at a time."""
    folder = Path(os.environ.get(VARIABLE) or "~/.cache/isotp-kernel-run").expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        flock(lock, LOCK_EX)
        for stale in folder.glob("tmp-*"):  # of a process that was killed
            shutil.rmtree(stale, ignore_errors=True)
        yield folder


@contextmanager
def fresh(cache: Path) -> Iterator[Path]:
    """A new folder in the cache, removed at the end: rename what is complete before that."""
    tmp = Path(mkdtemp(prefix="tmp-", dir=cache))
    try:
        yield tmp
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
