"""Driver: what calls the hub of a bus, as the sockets see it: `ThreadDriver` or `LoopDriver`."""

from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from ..bus.base import Bus
from .hub import Hub
from .link import Link

T = TypeVar("T")


class Driver(Protocol):
    """Serves the links of a bus, from a thread or from an event loop."""

    hub: Hub

    @classmethod
    def serving(cls, bus: Bus, link: Link) -> Self:
        """The driver of `bus`, which serves `link` from now on."""

    def release(self, link: Link, before: Callable[[], object] = bool) -> None:
        """Call `before` and stop serving `link`."""

    def abandon(self, link: Link) -> None:
        """Stop serving `link` soon; from any thread, and from a garbage collection."""

    @property
    def is_lost(self) -> bool:
        """Whether this is a child process, which does not have the driver's thread and bus."""

    def post(self, function: Callable[[], object]) -> None:
        """Let the driver's thread call `function` soon; may be called from any thread."""

    def call(self, function: Callable[[], T]) -> T:
        """Let the driver's thread call `function`, and return what it returns."""

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in the driver's thread, so in a callback: it cannot wait for the driver."""
