"""Driver: what calls the hub of a bus, as the sockets see it: `ThreadDriver`, or one that has no thread of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, Self, TypeVar

from ..bus.base import Bus
from ..errors import InterfaceError, IsoTpWarning, warn
from .hub import Hub
from .link import Link

T = TypeVar("T")


def warn_if_closing(bus: Bus) -> None:
    """Warn if something of a closed bus still runs, after it was waited for."""
    if bus.is_closing:
        warn(
            f"{bus.name} was closed, and reading from it has not ended: the adapter's driver does not return; nothing "
            "can be received from this bus until it does",
            IsoTpWarning,
        )


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


class ThreadlessDriver(ABC):
    """What drivers without a thread of their own have in common: what sockets ask for is done in the caller's thread.

    Args:
        bus: a bus that has no other driver.
    """

    hub: Hub

    @abstractmethod
    def __init__(self, bus: Bus) -> None:
        """Make `hub`."""

    @classmethod
    def serving(cls, bus: Bus, link: Link) -> Self:
        """The driver of `bus`, which serves `link` from now on.

        Raises:
            InterfaceError: the bus cannot be opened, or a driver of another kind has it.
            OptionError: the link uses CAN FD and the bus is Classical CAN.
        """
        driver = bus.driver
        if not isinstance(driver, cls):
            if driver is not None and not driver.has_ended:
                raise bus_is_taken(bus)
            driver = bus.driver = cls(bus)
        driver.hub.add(link)
        return driver

    @property
    def has_ended(self) -> bool:
        """Whether it serves no link: then sockets of another kind may use the bus."""
        return not self.hub.has_links

    def release(self, link: Link, before: Callable[[], object] = bool) -> None:
        """Call `before` and stop serving `link`."""
        before()
        self.hub.remove(link)

    @property
    def is_lost(self) -> bool:
        """False: there is no thread that a fork does not take along."""
        return False

    def call(self, function: Callable[[], T]) -> T:
        """Call `function`, and return what it returns."""
        return function()


def bus_is_taken(bus: Bus) -> InterfaceError:
    """The error for a bus whose driver is of another kind."""
    return InterfaceError(
        f"{bus.name} is in use by sockets of another kind: those that block and those of asyncio",
        remedy="use one kind on a bus, or give each kind its own (SocketCanBus twice for one interface)",
    )
