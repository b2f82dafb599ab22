"""N_AI, the address information of a link: CAN identifiers, and the address byte some modes add.

ISO 15765-2:2016, 10.3 (normal, normal fixed, extended, mixed) and 8.3.2.4 (N_TAtype: physical or functional).
The rest of the library uses only the two directions of an address, `tx` and `rx`, each a `CanAddress`.
"""

from dataclasses import dataclass, field, replace
from enum import Enum
from operator import attrgetter
from typing import Final

from .abstract_address import CAN_EFF_FLAG, AbstractAddress, CanAddress, TargetAddressType, format_can_id
from .errors import AddressError

__all__ = [
    "CAN_EFF_FLAG",
    "CAN_EFF_MASK",
    "CAN_SFF_MASK",
    "AbstractAddress",
    "Address",
    "AddressingMode",
    "AsymmetricAddress",
    "CanAddress",
    "TargetAddressType",
    "format_can_id",
    "is_29bit_id",
    "normal_address",
]

CAN_SFF_MASK: Final = 0x7FF
CAN_EFF_MASK: Final = 0x1FFFFFFF

_PHYSICAL = {"NormalFixed_29bits": 0x18DA0000, "Mixed_29bits": 0x18CE0000}
_FUNCTIONAL = {"NormalFixed_29bits": 0x18DB0000, "Mixed_29bits": 0x18CD0000}


class AddressingMode(Enum):
    """How N_AI is mapped to CAN frames; names and values are those of can-isotp 2."""

    Normal_11bits = 0
    Normal_29bits = 1
    NormalFixed_29bits = 2
    Extended_11bits = 3
    Extended_29bits = 4
    Mixed_11bits = 5
    Mixed_29bits = 6

    @property
    def is_29bit(self) -> bool:
        """Whether the CAN identifiers of this mode have 29 bits."""
        return self.name.endswith("29bits")

    @property
    def has_fixed_ids(self) -> bool:
        """Whether the CAN identifiers are made of N_TA and N_SA, and not given."""
        return self.name in _PHYSICAL


def _can_id(name: str, value: object, is_29bit: bool) -> int:
    """`value` as an identifier of that width, CAN_EFF_FLAG set accordingly, or AddressError."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise AddressError(f"{name} must be an integer, not {value!r}")
    if is_29bit:
        if 0 <= value & ~CAN_EFF_FLAG <= CAN_EFF_MASK:
            return value | CAN_EFF_FLAG
        raise AddressError(f"{name}={value:#x} is not a 29-bit identifier: allowed is 0 to 0x1FFFFFFF")
    if 0 <= value <= CAN_SFF_MASK:
        return value
    raise AddressError(
        f"{name}={value:#x} is not an 11-bit identifier: allowed is 0 to 0x7FF",
        remedy="use a 29-bit addressing mode for longer identifiers",
    )


def _byte(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0xFF:
        shown = hex(value) if type(value) is int else repr(value)
        raise AddressError(f"{name}={shown} is not a byte: allowed is 0 to 0xFF")
    return value


def is_29bit_id(name: str, value: object) -> bool:
    """Whether `value` means a 29-bit identifier: above 0x7FF, or CAN_EFF_FLAG set.

    Raises:
        AddressError: `value` is no CAN identifier at all.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise AddressError(f"{name} must be an integer, not {value!r}")
    if not 0 <= value & ~CAN_EFF_FLAG <= CAN_EFF_MASK:
        raise AddressError(
            f"{name}={value:#x} is not a CAN identifier: allowed is 0 to 0x7FF (11 bits), "
            "above it up to 0x1FFFFFFF (29 bits), or any of these with CAN_EFF_FLAG (29 bits)"
        )
    return value > CAN_SFF_MASK


@dataclass(frozen=True, slots=True)
class Address(AbstractAddress):
    """The address of a link, or of one direction of it (`tx_only`, `rx_only`).

    Prefer the constructors by mode, `Address.normal(...)` and so on; this one takes the arguments of can-isotp 2.

    Args:
        addressing_mode: which mode; it decides which of the others are needed.
        txid: CAN identifier of the frames sent.
        rxid: CAN identifier of the frames received.
        target_address: N_TA, the peer's address, 0 to 0xFF.
        source_address: N_SA, our own address, 0 to 0xFF.
        physical_id: replaces 0x18DA0000 (normal fixed) or 0x18CE0000 (mixed) as base of physical identifiers.
        functional_id: likewise 0x18DB0000 or 0x18CD0000 of functional ones.
        address_extension: N_AE, 0 to 0xFF.
        rx_only: a receiving half: arguments that only sending needs are left out.
        tx_only: a sending half.
        target_address_type: functional has one direction: single frames to many receivers, or their reception.

    Raises:
        AddressError: a value is out of range, missing, or not used in this mode.
    """

    addressing_mode: AddressingMode = AddressingMode.Normal_11bits
    txid: int | None = None
    rxid: int | None = None
    target_address: int | None = None
    source_address: int | None = None
    physical_id: int | None = None
    functional_id: int | None = None
    address_extension: int | None = None
    rx_only: bool = False
    tx_only: bool = False
    target_address_type: TargetAddressType = TargetAddressType.Physical
    tx: CanAddress | None = field(init=False, repr=False, compare=False, default=None)
    """The sending direction; None in a receiving half."""
    rx: CanAddress | None = field(init=False, repr=False, compare=False, default=None)
    """The receiving direction; None in a sending half."""

    def __post_init__(self) -> None:
        if not isinstance(self.addressing_mode, AddressingMode):
            raise AddressError(
                f"addressing_mode must be an AddressingMode, not {self.addressing_mode!r}",
                remedy="name the identifiers: Address.normal(rxid=..., txid=...)",
            )
        if not isinstance(self.target_address_type, TargetAddressType):
            raise AddressError(f"target_address_type must be a TargetAddressType, not {self.target_address_type!r}")
        if self.rx_only and self.tx_only:
            raise AddressError("an address cannot be both rx_only and tx_only")
        if self.is_functional and not self.rx_only:
            object.__setattr__(self, "tx_only", True)  # a group does not answer
        self._check_parameters()
        tx, rx = self._sending(), self._receiving()  # computing them checks the ranges
        if tx is not None and tx == rx:
            raise AddressError(f"the two directions are the same: rx and tx are both {tx}")
        object.__setattr__(self, "tx", tx)
        object.__setattr__(self, "rx", rx)

    @classmethod
    def normal(
        cls,
        *,
        rxid: int | None = None,
        txid: int | None = None,
        is_extended_id: bool | None = None,
        functional: bool = False,
    ) -> "Address":
        """Normal addressing: a CAN identifier for each direction; with only one it is a half.

        Identifiers above 0x7FF, or with CAN_EFF_FLAG, have 29 bits; `is_extended_id=True` sets that for small ones.
        """
        is_29bit = _is_29bit(rxid, txid, is_extended_id)
        mode = AddressingMode.Normal_29bits if is_29bit else AddressingMode.Normal_11bits
        return cls(mode, txid, rxid, **_halves(rxid is None, txid is None), target_address_type=_tatype(functional))

    @classmethod
    def normal_fixed(cls, *, target_address: int, source_address: int, functional: bool = False) -> "Address":
        """Normal fixed addressing: 29-bit identifiers 0x18DA<N_TA><N_SA>, functional 0x18DB<N_TA><N_SA>."""
        return cls(
            AddressingMode.NormalFixed_29bits,
            target_address=target_address,
            source_address=source_address,
            target_address_type=_tatype(functional),
        )

    @classmethod
    def extended(
        cls,
        *,
        rxid: int | None = None,
        txid: int | None = None,
        target_address: int | None = None,
        source_address: int | None = None,
        is_extended_id: bool | None = None,
        functional: bool = False,
    ) -> "Address":
        """Extended addressing: frames sent begin with N_TA, those received with our N_SA."""
        is_29bit = _is_29bit(rxid, txid, is_extended_id)
        return cls(
            AddressingMode.Extended_29bits if is_29bit else AddressingMode.Extended_11bits,
            txid,
            rxid,
            target_address,
            source_address,
            **_halves(rxid is None, txid is None),
            target_address_type=_tatype(functional),
        )

    @classmethod
    def mixed_11bits(
        cls,
        *,
        rxid: int | None = None,
        txid: int | None = None,
        address_extension: int,
        functional: bool = False,
    ) -> "Address":
        """Mixed addressing, 11-bit identifiers: frames of both directions begin with `address_extension`."""
        return cls(
            AddressingMode.Mixed_11bits,
            txid,
            rxid,
            address_extension=address_extension,
            **_halves(rxid is None, txid is None),
            target_address_type=_tatype(functional),
        )

    @classmethod
    def mixed_29bits(
        cls,
        *,
        target_address: int,
        source_address: int,
        address_extension: int,
        functional: bool = False,
    ) -> "Address":
        """Mixed addressing with 29-bit identifiers 0x18CE<N_TA><N_SA>, functional 0x18CD<N_TA><N_SA>."""
        return cls(
            AddressingMode.Mixed_29bits,
            target_address=target_address,
            source_address=source_address,
            address_extension=address_extension,
            target_address_type=_tatype(functional),
        )

    def is_tx_only(self) -> bool:
        """Whether it is a sending half."""
        return self.tx_only

    def is_rx_only(self) -> bool:
        """Whether it is a receiving half."""
        return self.rx_only

    # Private names of can-isotp 2 that other packages read (jumpstarter-driver-can does).
    _addressing_mode = property(attrgetter("addressing_mode"))
    _txid = property(attrgetter("txid"))
    _rxid = property(attrgetter("rxid"))
    _target_address = property(attrgetter("target_address"))
    _source_address = property(attrgetter("source_address"))
    _address_extension = property(attrgetter("address_extension"))
    _rx_only = property(attrgetter("rx_only"))
    _tx_only = property(attrgetter("tx_only"))

    @property
    def is_functional(self) -> bool:
        """Whether this is a 1-to-N address."""
        return self.target_address_type is TargetAddressType.Functional

    def halves(self, target_address_type: TargetAddressType) -> tuple[CanAddress | None, CanAddress | None]:
        """The sending and the receiving direction of physical or functional addressing; None in the other half."""
        t = target_address_type
        tx = None if self.rx_only else replace(self, target_address_type=t, tx_only=True).tx
        rx = None if self.tx_only else replace(self, target_address_type=t, rx_only=True).rx
        return tx, rx

    def _sending(self) -> CanAddress | None:
        if self.rx_only:
            return None
        return CanAddress(
            self._id("txid", self.txid, self.target_address, self.source_address),
            self._address_byte("target_address", self.target_address),
        )

    def _receiving(self) -> CanAddress | None:
        if self.tx_only:
            return None
        return CanAddress(
            self._id("rxid", self.rxid, self.source_address, self.target_address),
            self._address_byte("source_address", self.source_address),
        )

    def _id(self, name: str, chosen: int | None, to: int | None, sender: int | None) -> int:
        mode = self.addressing_mode
        if not mode.has_fixed_ids:
            return _can_id(name, chosen, mode.is_29bit)
        if self.is_functional:
            base_name, base, default = "functional_id", self.functional_id, _FUNCTIONAL[mode.name]
        else:
            base_name, base, default = "physical_id", self.physical_id, _PHYSICAL[mode.name]
        high = _can_id(base_name, default if base is None else base, True) & ~0xFFFF
        return high | _byte("target_address", to) << 8 | _byte("source_address", sender)

    def _address_byte(self, name: str, value: int | None) -> int | None:
        mode = self.addressing_mode.name
        if mode.startswith("Extended"):
            return _byte(name, value)
        if mode.startswith("Mixed"):
            return _byte("address_extension", self.address_extension)
        return None

    def _check_parameters(self) -> None:
        """Raise AddressError unless the arguments given are those that this mode needs."""
        mode = self.addressing_mode
        needed: set[str] = set()
        if mode.has_fixed_ids:
            needed |= {"target_address", "source_address"}
        if not self.rx_only:
            needed |= set() if mode.has_fixed_ids else {"txid"}
            needed |= {"target_address"} if mode.name.startswith("Extended") else set()
        if not self.tx_only:
            needed |= set() if mode.has_fixed_ids else {"rxid"}
            needed |= {"source_address"} if mode.name.startswith("Extended") else set()
        if mode.name.startswith("Mixed"):
            needed.add("address_extension")
        # In a half the arguments of the other direction may be given, and are not used.
        allowed = needed | (set() if mode.has_fixed_ids else {"rxid", "txid"})
        allowed |= {"target_address", "source_address"} if mode.name.startswith("Extended") else set()
        allowed |= {"physical_id", "functional_id"} if mode.has_fixed_ids else set()
        every = ("txid", "rxid", "target_address", "source_address", "address_extension")
        given = {n for n in (*every, "physical_id", "functional_id") if getattr(self, n) is not None}
        half = " (receiving half)" if self.rx_only else " (sending half)" if self.tx_only else ""
        takes = f"{mode.name}{half} takes {', '.join(n for n in every if n in needed)}"
        if missing := sorted(needed - given):
            raise AddressError(f"{' and '.join(missing)} missing: {takes}")
        if extra := sorted(given - allowed):
            raise AddressError(f"{' and '.join(extra)} means nothing here: {takes}")

    def __str__(self) -> str:
        return _describe(self.rx, self.tx)


@dataclass(frozen=True, slots=True)
class AsymmetricAddress(AbstractAddress):
    """A link whose two directions are addressed in different ways.

    Args:
        tx_addr: the sending half, an `Address` with `tx_only`.
        rx_addr: the receiving half, an `Address` with `rx_only`.
    """

    tx_addr: Address
    rx_addr: Address

    def __post_init__(self) -> None:
        if not (isinstance(self.tx_addr, Address) and isinstance(self.rx_addr, Address)):
            raise AddressError("AsymmetricAddress takes two Address halves: tx_addr and rx_addr")
        if not self.tx_addr.tx_only or not self.rx_addr.rx_only:
            raise AddressError("tx_addr must be a tx_only half and rx_addr an rx_only half")
        if self.tx == self.rx:
            raise AddressError(f"the two directions are the same: rx and tx are both {self.tx}")

    @property
    def is_functional(self) -> bool:
        """Whether it sends to many receivers."""
        return self.tx_addr.is_functional

    @property
    def tx(self) -> CanAddress | None:
        """The sending direction."""
        return self.tx_addr.tx

    @property
    def rx(self) -> CanAddress | None:
        """The receiving direction."""
        return self.rx_addr.rx

    def halves(self, target_address_type: TargetAddressType) -> tuple[CanAddress | None, CanAddress | None]:
        """The sending and the receiving direction of physical or functional addressing."""
        return self.tx_addr.halves(target_address_type)[0], self.rx_addr.halves(target_address_type)[1]

    def __str__(self) -> str:
        return _describe(self.rx, self.tx)


def normal_address(rxid: int | None, txid: int | None) -> Address | AsymmetricAddress:
    """Normal addressing from bare identifiers, each of its own width.

    Raises:
        AddressError: an identifier is out of range or missing, or both are equal.
    """
    if rxid is None or txid is None:
        missing = [name for name, value in (("rxid", rxid), ("txid", txid)) if value is None]
        raise AddressError(
            f"{' and '.join(missing)} missing",
            remedy='name both: bind("vcan0", rxid=0x123, txid=0x456); a one-way socket is bound to a half, '
            "such as Address.normal(txid=0x7DF, functional=True)",
        )
    if is_29bit_id("rxid", rxid) != is_29bit_id("txid", txid):
        return AsymmetricAddress(Address.normal(txid=txid), Address.normal(rxid=rxid))
    return Address.normal(rxid=rxid, txid=txid)


def _is_29bit(rxid: int | None, txid: int | None, is_extended_id: bool | None) -> bool:
    """Whether the identifiers have 29 bits; without `is_extended_id` both must have the same width."""
    widths = {is_29bit_id(name, value) for name, value in (("rxid", rxid), ("txid", txid)) if value is not None}
    if is_extended_id is not None:
        return is_extended_id
    if len(widths) == 2:
        raise AddressError(
            f"rxid={rxid:#x} and txid={txid:#x} differ in width",
            remedy="both 29 bits: is_extended_id=True; one of each: AsymmetricAddress of two halves",
        )
    return True in widths


def _halves(tx_only: bool, rx_only: bool) -> dict[str, bool]:
    """With one identifier it is a half; that both are missing is found by the check of arguments."""
    return {"tx_only": tx_only and not rx_only, "rx_only": rx_only and not tx_only}


def _tatype(functional: bool) -> TargetAddressType:
    return TargetAddressType.Functional if functional else TargetAddressType.Physical


def _describe(rx: CanAddress | None, tx: CanAddress | None) -> str:
    return " ".join(f"{name}={half}" for name, half in (("rxid", rx), ("txid", tx)) if half is not None)
