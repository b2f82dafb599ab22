"""The cache folder: kernels, package lists, busybox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import mkdtemp

from . import NotRunError, say

VARIABLE = "ISOTP_KERNEL_RUN_CACHE"


def path() -> Path:
    """Where the cache is: what VARIABLE names, else a folder where the XDG base directory specification puts it."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path("~/.cache").expanduser()) / "isotp-kernel-run"


@contextmanager
def locked() -> Iterator[Path]:
    """The cache folder, for one process at a time."""
    folder = path()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / "lock", "w")  # noqa: SIM115 - closed below
    except OSError as error:
        raise NotRunError(f"no cache in {folder}: {error.strerror}; name another folder in {VARIABLE}") from None
    with lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another isotp-kernel, which uses {folder}")
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
