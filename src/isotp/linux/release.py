"""Which Linux is running."""

import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from .traits import Trait

_UBUNTU: Final = Path("/proc/version_signature")  # "Ubuntu 6.8.0-45.45-generic 6.8.12"


def kernel_version() -> tuple[int, int, int] | None:
    """(major, minor, patch) of the running Linux kernel; None elsewhere or where it cannot be read.

    Debian's release says 6.1.0-56 where the version says 6.1.192, and Ubuntu's 6.8.0-45 where a file of its own says
    6.8.12: the patch level is taken from there.
    """
    uname: Callable[[], tuple[str, ...]] | None = getattr(os, "uname", None)
    if uname is None:
        return None
    system, _, release, version, _ = uname()
    return _parsed(system, release, version)


@cache
def _parsed(system: str, release: str, version: str) -> tuple[int, int, int] | None:
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if system != "Linux" or not found:
        return None
    major, minor, patch = (int(part or 0) for part in found.groups())
    said = f"{version} {_UBUNTU.read_text() if _UBUNTU.exists() else ''}"
    if not patch and (full := re.findall(rf"\b{major}\.{minor}\.(\d+)", said)):
        patch = int(full[-1])
    return major, minor, patch


def kernel_release() -> tuple[int, int] | None:
    """(major, minor) of the running Linux kernel; None elsewhere or where it cannot be read."""
    version = kernel_version()
    return version[:2] if version else None


def has(trait: Trait) -> bool | None:
    """Whether the running kernel has something, as far as is known; None: not Linux, or not readable."""
    version = kernel_version()
    return None if version is None else trait.is_in(version)
