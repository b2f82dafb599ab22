"""Which Linux is running."""

import os
import re
from collections.abc import Callable


def kernel_version() -> tuple[int, int, int] | None:
    """(major, minor, patch) of the running Linux kernel; None elsewhere or where it cannot be read.

    Debian's release says 6.1.0-56 where the version says 6.1.192: the patch level is taken from there.
    """
    uname: Callable[[], tuple[str, ...]] | None = getattr(os, "uname", None)
    if uname is None:
        return None
    system, _, release, version, _ = uname()
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", release)
    if system != "Linux" or not found:
        return None
    major, minor, patch = (int(part or 0) for part in found.groups())
    if not patch and (full := re.search(rf"\b{major}\.{minor}\.(\d+)", version)):
        patch = int(full[1])
    return major, minor, patch


def kernel_release() -> tuple[int, int] | None:
    """(major, minor) of the running Linux kernel; None elsewhere or where it cannot be read."""
    version = kernel_version()
    return version[:2] if version else None
