"""The transport layers of can-isotp 2, over this package's engine: code written for can-isotp runs unchanged.

`isotp.TransportLayer`, `isotp.CanStack` and so on are these classes. New code had better use `isotp.socket` or
`isotp.SoftSocket`: they raise errors where they happen.
"""

from .can_message import CanMessage
from .layer import TransportLayer
from .logic import TransportLayerLogic
from .stacks import CanStack, NotifierBasedCanStack

__all__ = ["CanMessage", "CanStack", "NotifierBasedCanStack", "TransportLayer", "TransportLayerLogic"]
