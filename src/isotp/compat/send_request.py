"""SendRequest and ProcessStats: what `send` queues, and what `process` did."""

import threading
from dataclasses import dataclass

from ..address import TargetAddressType
from .tools import FiniteByteGenerator


class SendRequest:
    """A message to be sent.

    Args:
        data: the message.
        target_address_type: physical or functional.
    """

    def __init__(self, data: bytes | FiniteByteGenerator, target_address_type: TargetAddressType) -> None:
        self.data = data
        self.target_address_type = target_address_type
        self.complete_event = threading.Event()
        """Set once it was sent, or has failed."""
        self.error: Exception | None = None
        """Why it failed, or None."""

    @property
    def success(self) -> bool:
        """Whether it was sent."""
        return self.complete_event.is_set() and self.error is None

    def complete(self, error: Exception | None = None) -> None:
        """End it; `error`: why it failed."""
        self.error = error
        self.complete_event.set()


@dataclass(slots=True)
class ProcessStats:
    """What one call of `process` did."""

    received: int = 0
    """CAN frames that rxfn returned."""
    received_processed: int = 0
    """Those of them for this address."""
    sent: int = 0
    """CAN frames sent."""
    frame_received: int = 0
    """Messages that were complete."""
