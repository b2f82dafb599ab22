"""Offer: a link that an edge shares, and what its owner leaves to clients."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..address import AsymmetricAddress
from ..errors import ForbiddenError, OptionError
from ..opts.optflags import flags
from ..sockets import AsyncIsoTpSocket
from . import keys
from .wire import AnyAddress

Make = Callable[[bool], AsyncIsoTpSocket]


@dataclass(frozen=True)
class Offer:
    """A link that is offered, or all links of a bus of some kind.

    Args:
        link: its name, such as "garage/car7/engine".
        make: makes an unbound asyncio socket; its argument says whether to watch for the begin of messages.
        address: the address; None: the client says one, of a kind in `any`.
        interface: what `bind` of the socket needs; None: the socket was made for a bus.
        any: kinds of addresses that a client may say: names of `AddressingMode` in small letters, or "all".
        exclusive: one client at a time may send on an address; others only listen.
        options: names of options that clients may set, such as "bs", "stmin", "txpad"; "all": any.
        configure: sets the owner's options of a socket.
    """

    link: str
    make: Make
    address: AnyAddress | None = None
    interface: str | None = None
    any: tuple[str, ...] = ()
    exclusive: bool = True
    options: tuple[str, ...] = ()
    configure: Callable[[AsyncIsoTpSocket], object] = field(default=lambda _: None)

    def __post_init__(self) -> None:
        keys.checked_link(self.link)
        if (self.address is None) != bool(self.any):
            raise OptionError(f"{self.link}: needed is an address, or `any` with kinds of addresses")

    @property
    def words(self) -> str:
        """What is offered, in words."""
        return str(self.address) if self.address is not None else f"any {', '.join(self.any)}"

    def chosen(self, address: AnyAddress | None) -> AnyAddress:
        """The address of a socket; AddressError or ForbiddenError if the client may not have it."""
        if self.address is not None:
            if address not in (None, self.address):
                raise ForbiddenError(f"{self.link} is {self.address}, not {address}: leave the address out")
            return self.address
        if address is None:
            raise OptionError(f"{self.link} is {self.words}: bind needs an address")
        halves = (address.tx_addr, address.rx_addr) if isinstance(address, AsymmetricAddress) else (address,)
        if "all" not in self.any and any(half.addressing_mode.name.lower() not in self.any for half in halves):
            raise ForbiddenError(f"{self.link} is {self.words}, not {address}")
        return address

    def check_options(self, options: list[list[Any]]) -> None:
        """Raise OptionError for an option that clients may not set."""
        for _, given in options:
            for name, value in given.items():
                listens = name == "optflags" and value in (None, int(flags.LISTEN_MODE))
                if value is not None and not listens and name not in self.options and "all" not in self.options:
                    raise OptionError(f"{name}={value}: the owner of {self.link} has not left this option to clients")
