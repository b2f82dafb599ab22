"""The module name of can-isotp 2 for what is in `isotp.compat`."""

from .compat.can_message import CanMessage
from .compat.layer import TransportLayer
from .compat.logic import TransportLayerLogic
from .compat.rate_limiter import RateLimiter
from .compat.stacks import CanStack, NotifierBasedCanStack
from .compat.tools import FiniteByteGenerator, Timer

__all__ = [
    "CanMessage",
    "CanStack",
    "FiniteByteGenerator",
    "NotifierBasedCanStack",
    "RateLimiter",
    "Timer",
    "TransportLayer",
    "TransportLayerLogic",
]
