"""AbstractAddress: what code for can-isotp 2 asks an address, by the same names."""

from abc import ABC, abstractmethod
from enum import Enum
from typing import Final, NamedTuple, Protocol

CAN_EFF_FLAG: Final = 0x80000000  # linux/can.h: the identifier has 29 bits


class CanAddress(NamedTuple):
    """One direction of a link, as its frames carry it."""

    can_id: int
    """The identifier, with CAN_EFF_FLAG set where it has 29 bits."""
    address_byte: int | None = None
    """The byte before the N_PCI (N_TA in extended, N_AE in mixed addressing), or None."""

    def __str__(self) -> str:
        text = format_can_id(self.can_id)
        return text if self.address_byte is None else f"{text}/{self.address_byte:#04x}"


def format_can_id(can_id: int) -> str:
    """`can_id` as candump shows it: three digits for 11 bits, eight for 29."""
    if can_id & CAN_EFF_FLAG:
        return f"0x{can_id & ~CAN_EFF_FLAG:08X}"
    return f"0x{can_id:03X}"


class TargetAddressType(Enum):
    """N_TAtype: one receiver (physical) or many (functional, single frames only)."""

    Physical = 0
    Functional = 1


class ReceivedFrame(Protocol):
    """What `is_for_me` needs of a frame: an `isotp.CanMessage`, for one."""

    arbitration_id: int
    is_extended_id: bool
    data: bytes


class AbstractAddress(ABC):
    """The base of `Address` and `AsymmetricAddress`, with the methods that an address of can-isotp 2 has.

    Those about a direction that a half does not have raise NotImplementedError.
    """

    __slots__ = ()

    @abstractmethod
    def halves(self, target_address_type: TargetAddressType) -> tuple[CanAddress | None, CanAddress | None]:
        """The sending and the receiving direction of physical or functional addressing; None in the other half."""

    def _tx(self, address_type: TargetAddressType = TargetAddressType.Physical) -> CanAddress:
        return _existing(self.halves(TargetAddressType(address_type))[0])

    def _rx(self, address_type: TargetAddressType = TargetAddressType.Physical) -> CanAddress:
        return _existing(self.halves(TargetAddressType(address_type))[1])

    def get_tx_arbitration_id(self, address_type: TargetAddressType = TargetAddressType.Physical) -> int:
        """The CAN identifier of the frames sent, without CAN_EFF_FLAG."""
        return self._tx(address_type).can_id & ~CAN_EFF_FLAG

    def get_rx_arbitration_id(self, address_type: TargetAddressType = TargetAddressType.Physical) -> int:
        """The CAN identifier of the frames received, without CAN_EFF_FLAG."""
        return self._rx(address_type).can_id & ~CAN_EFF_FLAG

    def is_tx_29bits(self) -> bool:
        """Whether the frames sent have 29-bit identifiers."""
        return bool(self._tx().can_id & CAN_EFF_FLAG)

    def is_rx_29bits(self) -> bool:
        """Whether the frames received have 29-bit identifiers."""
        return bool(self._rx().can_id & CAN_EFF_FLAG)

    def get_tx_extension_byte(self) -> int | None:
        """The byte before the N_PCI of the frames sent; None: there is none."""
        return self._tx().address_byte

    def get_rx_extension_byte(self) -> int | None:
        """The byte before the N_PCI of the frames received; None: there is none."""
        return self._rx().address_byte

    def requires_tx_extension_byte(self) -> bool:
        """Whether the frames sent have a byte before the N_PCI."""
        return self.get_tx_extension_byte() is not None

    def requires_rx_extension_byte(self) -> bool:
        """Whether the frames received have a byte before the N_PCI."""
        return self.get_rx_extension_byte() is not None

    def get_tx_payload_prefix(self) -> bytes:
        """What the data of the frames sent begins with."""
        byte = self.get_tx_extension_byte()
        return b"" if byte is None else bytes((byte,))

    def get_rx_prefix_size(self) -> int:
        """How many bytes of the frames received come before the N_PCI."""
        return int(self.requires_rx_extension_byte())

    def is_partial_address(self) -> bool:
        """Whether one direction is missing."""
        return None in self.halves(TargetAddressType.Physical)

    def is_for_me(self, msg: ReceivedFrame) -> bool:
        """Whether a frame received is for this address, physical or functional."""
        for address_type in TargetAddressType:
            can_id, byte = self._rx(address_type)
            is_29bit = bool(can_id & CAN_EFF_FLAG)
            if (msg.arbitration_id, bool(msg.is_extended_id)) == (can_id & ~CAN_EFF_FLAG, is_29bit):
                return byte is None or bytes(msg.data[:1]) == bytes((byte,))
        return False

    def get_content_str(self) -> str:
        """The address in words."""
        return str(self)


def _existing(direction: CanAddress | None) -> CanAddress:
    if direction is None:
        raise NotImplementedError("this address is the other half of a link: it does not have this direction")
    return direction
