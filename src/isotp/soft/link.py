"""Link: one end of a link as a hub serves it: its engine, and its frames that are not on the bus yet."""

from collections.abc import Callable
from typing import Protocol

from ..can_frame import CanFrame
from ..engine.engine import Engine
from ..engine.events import Direction, Event, TransferFailed
from ..engine.n_pdu import NPciType
from ..errors import InterfaceError


class Server(Protocol):
    """What serves a link: a `Hub`, as the owner of the link sees it."""

    clock: Callable[[], int]
    """Monotonic nanoseconds."""
    time_ns: Callable[[], int]
    """Nanoseconds since the epoch."""

    @property
    def has_failed(self) -> bool:
        """Whether the bus was given up."""

    def failure(self) -> InterfaceError:
        """A new error that says why the bus was given up; only after it was."""

    def touch(self, link: "Link") -> None:
        """Let the next turn, which is due now, ask `link` for frames and events."""

    def call_later(self, callback: Callable[[], None]) -> None:
        """Make a callback of the application after the turn."""


class Owner(Protocol):
    """What a link reports to: a `Bound`, or a transport layer of `compat`."""

    def on_event(self, event: Event) -> None:
        """The engine reports `event`."""

    def on_bus_failure(self, error: InterfaceError) -> None:
        """The bus failed; `error` is an object for this link alone."""

    def on_fork(self) -> None:
        """This is a child process now, where the threads of the parent hold no locks and release none."""


class Link:
    """One engine on one bus.

    Args:
        engine: its engine; only the hub takes its frames and events.
        owner: returns what the hub calls, in the driver's thread; None: it is gone. For a socket a weak reference.
    """

    __slots__ = ("_owner", "armed", "engine", "held", "hub", "moved_ns", "rx", "tx", "unechoed")

    def __init__(self, engine: Engine, owner: Callable[[], Owner | None]) -> None:
        self.engine = engine
        self._owner = owner
        self.hub: Server
        """The hub that serves it, once it is added."""
        self.rx = engine.address.rx
        self.tx = engine.address.tx
        self.held: list[CanFrame] = []
        """Frames that the bus had no room for, oldest first."""
        self.unechoed = 0
        """How many frames the bus has taken and not echoed."""
        self.moved_ns = 0
        """When the bus last took or echoed one, in nanoseconds."""
        self.armed: list[int] = []
        """The times of its entries in `Deadlines`, latest first."""

    def on_event(self, event: Event) -> None:
        """Pass on what the engine says, unless the owner is gone."""
        if (owner := self._owner()) is not None:
            owner.on_event(event)

    def on_bus_failure(self, error: InterfaceError) -> None:
        """Pass on a failure of the bus."""
        if (owner := self._owner()) is not None:
            owner.on_bus_failure(error)

    def on_fork(self) -> None:
        """Pass on that this is a child process now."""
        if (owner := self._owner()) is not None:
            owner.on_fork()

    def belongs_to(self, frame: CanFrame, failed: TransferFailed) -> bool:
        """Whether `frame`, one of ours, was sent by the half of the link that `failed` is about."""
        at = 0 if self.tx is None or self.tx.address_byte is None else 1
        is_flow_control = frame.data[at] >> 4 == NPciType.FC
        return is_flow_control == (failed.direction is Direction.RECEIVING)
