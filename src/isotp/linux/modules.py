"""The kernel modules of CAN: whether they are loaded or can be, their parameter, the remedy if one is missing."""

import os
import re
from pathlib import Path
from typing import Final

from .release import has
from .traits import FIXED_MAX_PDU_SIZE, HIGHEST_MAX_PDU_SIZE, MAX_PDU_SIZE

MODULE: Final = "can-isotp"
_PARAMETER: Final = Path("/sys/module/can_isotp/parameters/max_pdu_size")


def is_module_loaded(name: str) -> bool:
    """Whether /sys/module lists the module: it is loaded, or built in and has parameters."""
    return Path("/sys/module", name.replace("-", "_")).exists()


def is_module_loadable(name: str) -> bool | None:
    """Whether modprobe would find the module; None where the module tree of the running kernel is not here."""
    tree = Path("/lib/modules", os.uname().release)
    found: bool | None = None
    for index in ("modules.dep", "modules.builtin"):
        try:
            lines = (tree / index).read_text().splitlines()
        except OSError:
            continue
        found = bool(found) or any(
            re.search(rf"/{re.escape(name)}\.ko(\.\w+)?$", line.partition(":")[0]) for line in lines
        )
    return found


def remedy_for_module(name: str) -> str:
    """What to do to get the module loaded."""
    loadable = is_module_loadable(name)
    if loadable:
        return f"sudo modprobe {name}"
    if loadable is None:
        return (
            f"sudo modprobe {name} - on the host, if this is a container; the modules of kernel "
            f"{os.uname().release} are not on this file system"
        )
    if "-cloud-" in os.uname().release:
        return "Debian's cloud kernels have no CAN: sudo apt install linux-image-$(dpkg --print-architecture)"
    return (
        f"this kernel came without {name}: on Ubuntu sudo apt install linux-modules-extra-$(uname -r), "
        "elsewhere a kernel with CONFIG_CAN_ISOTP=m (Linux 5.10 or newer)"
    )


def max_pdu_size() -> int:
    """The longest message this kernel sends and receives, in bytes; an upper limit where it cannot be read."""
    try:
        return int(_PARAMETER.read_text())
    except (OSError, ValueError):  # a kernel without the parameter, or a container without /sys
        return HIGHEST_MAX_PDU_SIZE if has(MAX_PDU_SIZE) else FIXED_MAX_PDU_SIZE


def has_max_pdu_size_parameter() -> bool:
    """Whether `max_pdu_size` can be chosen when the module is loaded (Linux 6.4 and newer)."""
    return _PARAMETER.exists()
