"""What `isotp share` offers: links of the command line and of an edge file, each with what makes its sockets."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import isotp

from ...bus.base import Bus
from ...errors import OptionError
from ...remote import Offer
from ...remote.edge_file import Place
from ...sockets import AsyncIsoTpSocket
from ..options import values
from .buses import open_bus, socketcan_bus
from .link import BIGGEST, Link
from .opening import engine_bus
from .opening_in_loop import join_in_loop


def offer_of(stack: ExitStack, link: Link, name: str, exclusive: bool) -> Offer:
    """The link that the options of the command line describe, as `name`."""
    link.check()
    if link.bus is None and not link.soft:
        return Offer(name, _kernel_socket, link.address, link.interface, exclusive=exclusive, configure=link.configure)
    bus = engine_bus(stack, link)
    if link.bus is not None and link.bus.is_virtual:
        asyncio.get_running_loop()
        join_in_loop(stack, bus, link)
    return Offer(name, _engine(bus), link.address, exclusive=exclusive, configure=link.configure)


class Makers:
    """Makes the offers of an edge file; links on one interface or adapter share its bus.

    Args:
        stack: closes the buses.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._buses: dict[Place, Bus] = {}

    def offer(self, place: Place, said: dict[str, Any]) -> Offer:
        """See `edge_file.MakeOffer`."""
        if place.interface is not None and not place.soft:
            return Offer(make=_kernel_socket, interface=place.interface, **said)
        bus = self._buses.get(place)
        if bus is None:
            bus = self._buses[place] = self._open(place)
        return Offer(make=_engine(bus), **said)

    def _open(self, place: Place) -> Bus:
        if place.bus is None:
            return socketcan_bus(place.interface or "")
        try:
            where = values.where(place.bus)
        except values.WrongValue as e:
            raise OptionError(f"bus: {e}") from None
        return open_bus(self._stack, where, None, place.fd)


def _kernel_socket(watch_begin: bool) -> AsyncIsoTpSocket:
    return isotp.AsyncSocket(watch_begin=watch_begin)


def _engine(bus: Bus) -> Callable[[bool], AsyncIsoTpSocket]:
    def make(_: bool) -> AsyncIsoTpSocket:
        sock = isotp.AsyncSoftSocket(bus)
        sock.set_engine_opts(max_pdu_size=BIGGEST)
        return sock

    return make
