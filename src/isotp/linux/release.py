"""Which Linux is running, and what can-isotp does in which release.

It goes by release because the kernel stores flags that it does not know and returns them: reading back proves
nothing. Observed on 6.1.192, 6.12.107, 7.2.13 and 7.3.4.
"""

import os
import re
from collections.abc import Callable
from typing import Final

CAN_ISOTP_SINCE: Final = (5, 10)  # the first Linux with can-isotp of its own
FLAGS_SINCE: Final = {"SF_BROADCAST": (5, 11), "CF_BROADCAST": (5, 19), "DYN_FC_PARMS": (6, 9)}  # others: 5.10
_MAX_PDU_SIZE_SINCE: Final = (6, 4)  # the module parameter
FIXED_MAX_PDU_SIZE: Final = 66_000  # of kernels without it; before 5.18 less
HIGHEST_MAX_PDU_SIZE: Final = 1_049_600  # the kernel clamps the parameter to it
# poll() shows POLLOUT only when nothing is being sent: fixed in 6.3, and in the stable series of 6.1.
_TRUTHFUL_POLL_SINCE: Final = (6, 3)
_TRUTHFUL_POLL_IN_6_1: Final = ((6, 1, 60), (6, 2))


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


def fixed_max_pdu_size() -> int | None:
    """The longest message in bytes where the kernel has no `max_pdu_size` parameter; None where it has one."""
    release = kernel_release()
    return FIXED_MAX_PDU_SIZE if release is None or release < _MAX_PDU_SIZE_SINCE else None


def poll_is_truthful() -> bool | None:
    """Whether poll() shows POLLOUT only when nothing is being sent; None: not known, has to be observed."""
    version = kernel_version()
    if version is None:
        return None
    first, end = _TRUTHFUL_POLL_IN_6_1
    return True if version >= _TRUTHFUL_POLL_SINCE or first <= version < end else None
