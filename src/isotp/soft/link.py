"""A link as a hub serves it: its engine, and the frames that are not on the bus yet."""

from collections.abc import Callable

from ..can_frame import CanFrame
from ..engine.engine import Engine
from ..engine.events import Direction, Event, TransferFailed
from ..engine.n_pdu import NPciType
from ..errors import IsoTpError


class Link:
    """One engine on one bus.

    Args:
        engine: of the link; nobody but the hub lets it send and takes its events.
        on_event: called with each event, with the hub's lock held.
        on_failure: called when the bus fails, likewise.
    """

    __slots__ = ("armed", "engine", "held", "moved_ns", "on_event", "on_failure", "rx", "tx", "unechoed")

    def __init__(
        self, engine: Engine, on_event: Callable[[Event], None], on_failure: Callable[[IsoTpError], None]
    ) -> None:
        self.engine = engine
        self.on_event = on_event
        self.on_failure = on_failure
        self.rx = engine.address.rx
        self.tx = engine.address.tx
        self.held: list[CanFrame] = []
        """Frames the bus had no room for, oldest first."""
        self.unechoed = 0
        """How many frames the bus took and has not echoed."""
        self.moved_ns = 0
        """When the bus last took or echoed one."""
        self.armed: list[int] = []
        """When the hub looks at this link by itself, latest first."""

    def belongs_to(self, frame: CanFrame, failed: TransferFailed) -> bool:
        """Whether `frame`, one of ours, was sent by the half of the link that `failed` is about."""
        at = 0 if self.tx is None or self.tx.address_byte is None else 1
        is_flow_control = frame.data[at] >> 4 == NPciType.FC
        return is_flow_control == (failed.direction is Direction.RECEIVING)
