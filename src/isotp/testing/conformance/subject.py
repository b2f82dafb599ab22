"""Subject: what is tested. Derive from it to test a stack of your own."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from ...address import Address, AsymmetricAddress
from ...can_frame import CanFrame
from .case import DEFAULT_ADDRESS, Need, Setup


class Heard(NamedTuple):
    """A frame of the subject."""

    time_ns: int
    frame: CanFrame


class Reported(NamedTuple):
    """What the subject reports."""

    time_ns: int
    what: str
    """"message", "sent", or the name of an N_Result."""
    data: bytes = b""
    text: str = ""
    """In its own words."""


class Subject(ABC):
    """The thing under test, and the bus between it and the tester.

    Times are nanoseconds of one clock, which is the subject's: real, or simulated, in which case `receive` and `report`
    advance it. A subject overrides those of `ask`, `report`, `hold` and `block` that it has in its `abilities`.
    """

    name: str
    abilities: frozenset[Need]
    early_ns: int = 0
    """By how much a time that was measured may be too short."""
    late_ns: int = 0
    """By how much it may be too long."""

    def refuses(self, setup: Setup) -> str | None:
        """Why it cannot be set up so, where `abilities` do not say that; None: it can."""
        return None

    @abstractmethod
    def open(self, setup: Setup) -> None:
        """Begin a case, with a subject that knows nothing of the one before."""

    @abstractmethod
    def close(self) -> None:
        """End the case."""

    def recover(self) -> None:  # noqa: B027 - need not be overridden
        """Called when a case has failed, before `close`: wait until nothing of it can disturb the next one."""

    def address(self, setup: Setup) -> Address | AsymmetricAddress:
        """The address of the subject, as it sees it."""
        return setup.address or DEFAULT_ADDRESS

    @abstractmethod
    def now(self) -> int:
        """The time."""

    @abstractmethod
    def send(self, frame: CanFrame, is_exact: bool) -> None:
        """Give a frame to the subject; unless `is_exact` it may be padded, if the subject asks for padding."""

    @abstractmethod
    def receive(self, until_ns: int) -> Heard | None:
        """The next frame of the subject; None if there is none until then."""

    def ask(self, data: bytes) -> None:
        """Ask the subject to send a message."""
        raise NotImplementedError

    def report(self, until_ns: int) -> Reported | None:
        """What the subject reports next; None if there is nothing until then."""
        return None

    def hold(self, on: bool) -> None:
        """Make the application not ready (True) or ready."""
        raise NotImplementedError

    def block(self, on: bool) -> None:
        """Let the bus take no more frames of the subject (True) or take them again."""
        raise NotImplementedError
