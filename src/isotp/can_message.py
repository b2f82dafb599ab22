"""The module name of can-isotp 2 for `isotp.CanMessage`."""

from .compat.can_message import CanMessage

__all__ = ["CanMessage"]
