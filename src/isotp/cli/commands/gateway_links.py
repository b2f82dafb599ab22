"""The links of isotp gateway: which buses, and their sockets."""

from collections.abc import Iterator
from contextlib import ExitStack

import isotp

from ...bus.base import Bus
from ...gateway.settings import FunctionalTarget, Setup, Target
from ...sockets import AsyncIsoTpSocket
from ..links.buses import open_bus, place, socketcan_bus
from ..links.link import BIGGEST, Link
from ..links.remedies import in_options
from ..options import values
from ..output import terminal
from ..parser import Parser, WrongUsage


def add_bus(parser: Parser) -> None:
    """Add the options that say where the ECUs are."""
    group = parser.group("Bus")
    group.add_argument(
        "--bus",
        metavar="WHERE",
        type=place,
        help="where ECUs are for which FILE does not say it: a CAN interface, such as can0, or an adapter of "
        "python-can, such as pcan:PCAN_USBBUS1",
    )
    group.add_argument("--car", metavar="FILE", help="no bus: the simulated ECUs of this car file, in this process")
    group.add_argument(
        "--bitrate",
        metavar="N",
        type=values.number(1),
        help="bit rate of the python-can adapter in bit/s (default: as the adapter is set)",
    )
    group.add_argument(
        "--soft", action="store_true", help="on a CAN interface use the protocol engine in Python, not the kernel's"
    )


def check_buses(setup: Setup, link: Link) -> None:
    """Refuse a file with ECUs that are nowhere."""
    if link.bus is None and link.interface is None:
        targets: list[Target | FunctionalTarget] = [*setup.ecus, *setup.functional]
        for target in targets:
            if target.bus is None:
                raise WrongUsage(
                    f"--bus is missing: where is the ECU {target.address:#06x}? Say bus in the file, or --bus can0; "
                    "or --car FILE for simulated ECUs"
                )


def described(setup: Setup) -> Iterator[str]:
    """Lines about a gateway."""
    yield f"gateway {setup.vehicle.address:#06x}{f', VIN {setup.vehicle.vin}' if setup.vehicle.vin else ''}"
    names = {ecu.address: terminal.visible(ecu.name) for ecu in setup.ecus}
    for ecu in setup.ecus:
        yield f"{ecu.address:#06x} {terminal.paint(names[ecu.address], terminal.GREEN)}  {ecu.link}"
    for group in setup.functional:
        yield f"{group.address:#06x} to all of {', '.join(names[each] for each in group.ecus)}  {group.link}"


class Links:
    """Opens the links of a gateway.

    Args:
        stack: closes the buses.
        link: what the options say; the file says the addresses.
    """

    def __init__(self, stack: ExitStack, link: Link) -> None:
        self._stack, self._link = stack, link
        self._buses: dict[str | values.Where, Bus] = {}

    def __call__(self, target: Target | FunctionalTarget) -> AsyncIsoTpSocket:
        """The bound socket of an ECU."""
        where = place(target.bus) if target.bus is not None else self._link.interface or self._link.bus
        assert where is not None
        with in_options(self._link):
            if isinstance(where, str) and not self._link.soft:
                return self._bound(isotp.AsyncSocket(), where, target)
            sock = isotp.AsyncSoftSocket(self._bus(where), rcvbuf=BIGGEST)
            sock.set_engine_opts(max_pdu_size=BIGGEST)
            return self._bound(sock, None, target)

    def _bound(
        self, sock: AsyncIsoTpSocket, interface: str | None, target: Target | FunctionalTarget
    ) -> AsyncIsoTpSocket:
        with ExitStack() as stack:
            stack.callback(sock.close)
            self._link.configure(sock)
            sock.bind(interface, target.link)
            stack.pop_all()
        return sock

    def _bus(self, where: str | values.Where) -> Bus:
        if where not in self._buses and isinstance(where, str):
            self._buses[where] = socketcan_bus(where)
        elif where not in self._buses and not isinstance(where, str):
            self._buses[where] = open_bus(self._stack, where, self._link.bitrate, self._link.is_fd)
        return self._buses[where]
