"""The module name of can-isotp 2 for what is in `isotp.compat`."""

from .compat.layer import TransportLayer
from .compat.logic import TransportLayerLogic
from .compat.rate_limiter import RateLimiter
from .compat.stacks import CanStack, NotifierBasedCanStack

__all__ = ["CanStack", "NotifierBasedCanStack", "RateLimiter", "TransportLayer", "TransportLayerLogic"]
