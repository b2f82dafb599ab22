"""Requests of testers that the ECU does not know: any address N_SA of theirs, and any priority.

With normal fixed addressing, and mixed addressing with 29 bits, the identifier of a request says who sent it (ISO
15765-2:2016, 10.3.2). So a tester gets a link of its own when its first frame is seen, and that frame is not lost.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ...address import CAN_EFF_FLAG, CAN_EFF_MASK, Address
from ...can_frame import CanFrame
from ...errors import AddressError
from ...sockets import IsoTpSocket
from ...soft.socket import SoftSocket
from .ecu import Ecu

if TYPE_CHECKING:
    from .station import Outlet

_PRIORITIES: Final = range(0, 8 << 26, 1 << 26)
_NOT_PRIORITY: Final = 0x03FFFF00  # the rest of an identifier, without N_SA

NewLine = Callable[[IsoTpSocket, "Outlet"], object]
"""Takes a socket for requests, and what sends the replies to them."""


class AnyTester:
    """Lets an ECU answer testers that come: each gets sockets when its first frame is seen.

    Args:
        ecu: the ECU, with normal fixed or 29-bit mixed addressing.
        own: what sends its replies to the tester it knows; its socket is in user space.
        open_socket: opens sockets in user space on the same bus.
        new_line: called, in the driver's thread, with new sockets.

    Raises:
        AddressError: the ECU has another addressing.
        TypeError: the socket is not in user space.
    """

    def __init__(
        self, ecu: Ecu, own: "Outlet", open_socket: Callable[[Address], IsoTpSocket], new_line: NewLine
    ) -> None:
        address = ecu.address
        if not isinstance(own.sock, SoftSocket):
            raise TypeError(f"ECU {ecu.name!r}: any_tester needs a bus or an interface, not {own.sock!r}")
        if not isinstance(address, Address) or not address.addressing_mode.has_fixed_ids:
            raise AddressError(
                f"ECU {ecu.name!r}: any_tester needs identifiers that say who sends",
                remedy="Address.normal_fixed(source_address=..., target_address=...), or Address.mixed_29bits",
            )
        self._ecu = ecu
        self._address = address
        self._open = open_socket
        self._new_line = new_line
        self._new_outlet = type(own)
        self._outlets = {_key(address): own}  # by the identifier of the requests
        driver = own.sock._end.served_by
        assert driver is not None
        self._driver = driver
        driver.call(lambda: driver.hub.admit(self._can_ids(), self.admit))

    def _can_ids(self) -> Iterator[int]:
        """Every identifier of requests to this ECU, and to all; none has its own address as that of the tester."""
        others = [source for source in range(0x100) if source != self._address.source_address]
        for half in (self._address.rx, *(each.rx for each in self._ecu.functional)):
            if half is not None and half.can_id & CAN_EFF_FLAG:
                rest = half.can_id & (CAN_EFF_FLAG | _NOT_PRIORITY)
                yield from (rest | priority | source for priority in _PRIORITIES for source in others)

    def admit(self, frame: CanFrame) -> None:
        """Open sockets for the tester that has sent `frame`; in the driver's thread."""
        can_id, source = frame.can_id & CAN_EFF_MASK, frame.can_id & 0xFF
        assert self._address.rx is not None
        base = can_id & 0x1C000000 | self._address.rx.can_id & 0x03FF0000
        address = replace(self._address, target_address=source, physical_id=base)
        is_to_all = (can_id ^ self._address.rx.can_id) & _NOT_PRIORITY != 0
        try:
            outlet = self._outlets.get(_key(address))
            if outlet is None:
                outlet = self._outlets[_key(address)] = self._new_outlet(self._open(address), self._ecu)
                self._new_line(outlet.sock, outlet)
            if is_to_all:
                self._new_line(self._open(Address.normal(rxid=frame.can_id)), outlet)
        except OSError:  # the bus is down
            self._ecu.counts["broken receptions"] += 1

    def close(self) -> None:
        """Admit no more."""
        driver = self._driver
        driver.call(lambda: driver.hub.dismiss(self.admit))


def _key(address: Address) -> int:
    assert address.rx is not None
    return address.rx.can_id
