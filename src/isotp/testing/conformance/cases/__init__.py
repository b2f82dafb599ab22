"""The cases of the suite, by subject."""

from functools import cache

from ..case import Case
from . import addressing, flow_control, invalid, segmentation, timing, unexpected

_MODULES = (segmentation, flow_control, timing, unexpected, invalid, addressing)


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case for a stack that can be asked to send and that reports; `ecu_cases` are those for an ECU on a bus."""
    return tuple(case for module in _MODULES for case in module.cases())
