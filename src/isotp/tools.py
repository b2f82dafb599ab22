"""The module name of can-isotp 2 for the helpers in `isotp.compat`."""

from .compat.tools import FiniteByteGenerator, Timer

__all__ = ["FiniteByteGenerator", "Timer"]
