"""Addresses of an ECU: its own, those of requests to all, and those of testers that it does not know."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from ...address import CAN_EFF_FLAG, Address, AsymmetricAddress, CanAddress, normal_address
from ...can_frame import CanFrame
from ...errors import AddressError

AnyAddress = Address | AsymmetricAddress
Functional = int | Address | Sequence[int | Address] | None

_USUAL_11_BITS: Final = 0x7DF  # ISO 15765-4:2016, tables 5 and 6
_USUAL_29_BITS: Final = 0x18DB33F1
_FIXED: Final = 0x18DA  # ISO 15765-2:2016, 10.3.3: normal fixed addressing
_PRIORITY: Final = 7 << 26
_BYTE: Final = 0xFF


def own_address(address: AnyAddress | None, rxid: int | None, txid: int | None) -> AnyAddress:
    """The address of an ECU, given as such or by two identifiers.

    Raises:
        AddressError: it is missing, given twice, or has one direction only.
    """
    if address is None:
        return normal_address(rxid, txid)
    if rxid is not None or txid is not None:
        raise AddressError("address and rxid or txid are given: allowed is one of both")
    if address.rx is None or address.tx is None:
        raise AddressError(f"{address} has one direction only", remedy="an ECU receives and sends: name both")
    return address


def functional_addresses(address: AnyAddress, given: Functional) -> tuple[Address, ...]:
    """The addresses of functional requests to an ECU with this address; see `Ecu`.

    Raises:
        AddressError: one of them does not receive.
    """
    if given is None:
        rx = address.rx
        if rx is None or rx.address_byte is not None:
            return ()
        if not rx.can_id & CAN_EFF_FLAG:
            given = _USUAL_11_BITS
        elif (rx.can_id & ~CAN_EFF_FLAG) >> 16 == _FIXED:
            given = _USUAL_29_BITS & ~_BYTE | rx.can_id & _BYTE
        else:
            given = _USUAL_29_BITS
    listed = (given,) if isinstance(given, int | Address) else given
    halves = tuple(Address.normal(rxid=one) if isinstance(one, int) else one for one in listed)
    if deaf := [half for half in halves if half.rx is None]:
        raise AddressError(
            f"functional={deaf[0]}: it only sends",
            remedy="name what is received: an identifier, Address.normal(rxid=...), or "
            "Address.extended(rxid=..., source_address=...)",
        )
    return halves


class Visit(NamedTuple):
    """A request of a tester."""

    link: AnyAddress
    """The address of the ECU's link to this tester."""
    functional: Address | None
    """The address of the request, if it went to all."""


class Testers:
    """The testers that an ECU answers without knowing them: by their frames its links to them.

    ISO 15765-2:2016, 10.3, says what a frame tells about its sender:

    - Normal fixed addressing, and mixed addressing with 29 bits: the identifier has N_SA and a priority.
    - Extended addressing: each sender has an identifier. Which N_SA that means is not said; here it is the last byte,
      as 0x6F1 is that of 0xF1. The reply begins with it.
    - Mixed addressing: the frame begins with N_AE, which belongs to the ECU, and so does the reply.
    - Normal addressing: nothing.

    Args:
        name: of the ECU, for errors.
        address: its own, for the tester that it knows.
        functional: those of requests to all.
        any_tester: whether it answers any N_SA and any priority.
        any_extension: whether it answers any N_AE.

    Raises:
        AddressError: the addressing does not have that.
    """

    def __init__(
        self, name: str, address: AnyAddress, functional: Sequence[Address], *, any_tester: bool, any_extension: bool
    ) -> None:
        rx, tx = address.rx, address.tx
        assert rx is not None
        assert tx is not None
        self._rx, self._tx = rx, tx
        self._is_extended = rx.address_byte != tx.address_byte
        self._any_extension = any_extension
        self._taken: set[int | None] = set()
        if any_tester and not (
            rx.can_id & _BYTE == tx.address_byte if self._is_extended else _mirrored(rx.can_id) == tx.can_id
        ):
            raise AddressError(
                f"ECU {name!r}: any_tester needs identifiers that say who sends, and {address} does not",
                remedy="Address.normal_fixed(source_address=..., target_address=...), Address.mixed_29bits, or "
                "Address.extended with the tester's address as last byte of rxid, such as 0x6F1 for 0xF1",
            )
        if any_extension and (self._is_extended or rx.address_byte is None):
            raise AddressError(
                f"ECU {name!r}: any_extension needs frames with N_AE, and those of {address} have none",
                remedy="Address.mixed_11bits or Address.mixed_29bits",
            )
        # The bits of an identifier that the tester chooses.
        self._free = 0 if not any_tester else _BYTE if self._is_extended else _BYTE | _PRIORITY
        self._functional = [half.rx for half in functional if half.rx is not None and self._tells_sender(half.rx)]
        self.silent_functional = tuple(half for half in functional if half.rx not in self._functional)
        """The functional addresses that do not tell who sends: their replies go to the tester that the ECU knows."""

    def _tells_sender(self, half: CanAddress) -> bool:
        """Whether it is known from functional requests with this address to whom the reply goes."""
        if not self._free:
            return half.address_byte is not None
        return self._fits(half.can_id, self._rx) if self._is_extended else bool(half.can_id & CAN_EFF_FLAG)

    def _fits(self, can_id: int, half: CanAddress) -> bool:
        return (can_id ^ half.can_id) & ~self._free == 0

    def leave_to(self, others: Iterable[CanAddress]) -> None:
        """Answer no N_AE of `others`: what requests to the other ECUs of the car carry."""
        self._taken = {other.address_byte for other in others if self._fits(other.can_id, self._rx)}

    def can_ids(self) -> Iterator[int]:
        """Every identifier of their requests."""
        priorities = range(0, _PRIORITY + 1, 1 << 26) if self._free & _PRIORITY else (0,)
        sources = range(_BYTE + 1) if self._free else (0,)
        for half in (self._rx, *self._functional):
            yield from (half.can_id & ~self._free | high | low for high in priorities for low in sources)

    def visit(self, frame: CanFrame) -> Visit | None:
        """What a frame on the bus tells; None: it is no request to this ECU."""
        half = next((half for half in (self._rx, *self._functional) if self._is_for(frame, half)), None)
        source = frame.can_id & _BYTE
        own = self._rx.address_byte if self._is_extended else self._rx.can_id >> 8 & _BYTE
        if half is None or (self._free and source == own):
            return None
        byte = None if half.address_byte is None else frame.data[0]
        extension = self._rx.address_byte if byte is None or not self._any_extension else byte
        rx = CanAddress(self._rx.can_id & ~self._free | frame.can_id & self._free, extension)
        if self._is_extended:
            tx = CanAddress(self._tx.can_id, source)
        else:
            tx = CanAddress(_mirrored(rx.can_id) if self._free else self._tx.can_id, extension)
        return Visit(_link(rx, tx), None if half is self._rx else _receiving(CanAddress(frame.can_id, byte)))

    def _is_for(self, frame: CanFrame, half: CanAddress) -> bool:
        if not self._fits(frame.can_id, half) or half.address_byte is None:
            return self._fits(frame.can_id, half)
        if not frame.data:
            return False
        return frame.data[0] == half.address_byte or (self._any_extension and frame.data[0] not in self._taken)


def _mirrored(can_id: int) -> int:
    """The identifier of the other direction, with N_TA and N_SA swapped; the same, where it has neither."""
    if not can_id & CAN_EFF_FLAG:
        return can_id
    return can_id & ~0xFFFF | (can_id & _BYTE) << 8 | can_id >> 8 & _BYTE


def _receiving(rx: CanAddress) -> Address:
    if rx.address_byte is None:
        return Address.normal(rxid=rx.can_id)
    return Address.extended(rxid=rx.can_id, source_address=rx.address_byte)


def _link(rx: CanAddress, tx: CanAddress) -> AnyAddress:
    if tx.address_byte is None:
        return normal_address(rx.can_id, tx.can_id)
    return AsymmetricAddress(Address.extended(txid=tx.can_id, target_address=tx.address_byte), _receiving(rx))
