"""The options of an ISO-TP socket as values: what each means, what it may be, and how a change is checked.

Both worlds share them: `opts` writes them to kernel sockets, `SoftSocket` runs its engine by them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final, Self, TypedDict, Unpack

from ..errors import AlreadyBoundError, OptionError
from ..linux.constants import CANFD_BRS as CANFD_BRS
from ..linux.constants import CANFD_ESI as CANFD_ESI
from ..stmin import STmin
from .optflags import check_combination, flags

DEFAULT_FRAME_TXTIME: Final = 50_000  # nanoseconds; the kernel's
_NO_FLAGS: Final = flags(0)
_NO_PAUSE: Final = STmin(0)
_TX_DL: Final = (8, 12, 16, 20, 24, 32, 48, 64)


class LinkLayerProtocol(IntEnum):
    """The kind of CAN frame a socket uses, as `mtu`; the two kinds never mix on one socket."""

    CAN = 16
    CAN_FD = 72


class GeneralFields(TypedDict, total=False):
    """What `set_general_opts` and `opts.general.write` take beside `optflags`; None or left out: unchanged.

    Setting `ext_address`, `txpad`, `rxpad`, `rx_ext_address`, `tx_stmin` or `rx_stmin` sets its flag, too: EXTEND_ADDR,
    TX_PADDING, RX_PADDING, RX_EXT_ADDR, FORCE_TXSTMIN, FORCE_RXSTMIN.
    """

    frame_txtime: int | None
    """Nanoseconds added to STmin between frames, 0 to 0xFFFFFFFE."""
    ext_address: int | None
    """Byte before the N_PCI of frames sent, and of those received unless `rx_ext_address` is set."""
    txpad: int | None
    """Padding byte of frames sent."""
    rxpad: int | None
    """Padding byte expected in frames received."""
    rx_ext_address: int | None
    """Byte before the N_PCI of frames received."""
    tx_stmin: int | None
    """Separation time to send with, in nanoseconds, instead of what the receiver asks for."""
    rx_stmin: int | None
    """Nanoseconds below which a consecutive frame is ignored."""


@dataclass(frozen=True, slots=True)
class GeneralOptions:
    """Flags, padding, address bytes and times."""

    optflags: flags = _NO_FLAGS
    frame_txtime: int = DEFAULT_FRAME_TXTIME
    """Transmission time of a frame that is added to STmin, in nanoseconds."""
    ext_address: int = 0
    txpad: int = 0xCC
    rxpad: int = 0xCC
    rx_ext_address: int = 0
    tx_stmin: int = 0
    """Separation time to send with under FORCE_TXSTMIN, in nanoseconds."""
    rx_stmin: int = 0
    """Shortest separation accepted under FORCE_RXSTMIN, in nanoseconds."""

    @property
    def optflag(self) -> flags:
        """`optflags`, under the name can-isotp 2 has for it."""
        return self.optflags

    def changed(
        self,
        optflags: int | None = None,
        *,
        check: Callable[[flags], None] = check_combination,
        **fields: Unpack[GeneralFields],
    ) -> Self:
        """These options with what is given in place of what was; see `GeneralFields`.

        `check` refuses flags.

        Raises:
            OptionError: a value out of range, or flags that cannot be.
            TypeError: an unknown name.
        """
        if unknown := fields.keys() - _FIELDS.keys():
            raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
        if optflags is not None:
            _check("optflags", optflags, 0, 0xFFFFFFFF)
        bits = self.optflags if optflags is None else flags(optflags)
        given: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
        for name, value in given.items():
            highest, flag = _FIELDS[name]
            _check(name, value, 0, highest)
            bits |= flag
        check(bits)
        new = replace(self, optflags=bits, **given)
        _check_times(bits & ~self.optflags, given, new)
        return new


@dataclass(frozen=True, slots=True)
class FlowControlOptions:
    """What our own flow control frames ask of the sender."""

    bs: int = 0
    """Consecutive frames between two flow controls; 0: all in one block."""
    stmin: STmin = _NO_PAUSE
    """Separation time, the raw byte of the standard."""
    wftmax: int = 0
    """WAIT frames allowed in a row."""

    def changed(self, bs: int | None = None, stmin: int | None = None, wftmax: int | None = None) -> Self:
        """These options with what is given in place of what was, as `opts.flowcontrol.write` documents it.

        Raises:
            OptionError: a value out of range.
        """
        new = self
        if bs is not None:
            new = replace(new, bs=_check("bs", bs, 0, 0xFF))
        if stmin is not None:
            byte = STmin(_check("stmin", stmin, 0, 0xFF))
            if byte.is_reserved and not isinstance(stmin, STmin):
                raise OptionError(
                    f"stmin={stmin:#x} is reserved: allowed is 0 to 0x7F (milliseconds) and 0xF1 to 0xF9 "
                    "(100 to 900 microseconds)",
                    remedy=f"STmin.from_ms() or STmin.from_us() make one; STmin({stmin:#x}) if you mean it",
                )
            new = replace(new, stmin=byte)
        if wftmax is not None:
            new = replace(new, wftmax=_check("wftmax", wftmax, 0, 0xFF))
        return new


@dataclass(frozen=True, slots=True)
class LinkLayerOptions:
    """Classical CAN or CAN FD."""

    mtu: LinkLayerProtocol = LinkLayerProtocol.CAN
    tx_dl: int = 8
    """TX_DL, the longest frame sent, in bytes of payload."""
    tx_flags: int = 0
    """CANFD_BRS, CANFD_ESI."""

    def changed(self, mtu: int | None = None, tx_dl: int | None = None, tx_flags: int | None = None) -> Self:
        """These options with what is given in place of what was, as `opts.linklayer.write` documents it.

        Raises:
            OptionError: a value out of range, or one that the other values do not allow.
        """
        new = self
        if mtu is not None:
            if mtu not in (16, 72):
                raise OptionError(f"mtu={mtu!r}: allowed is LinkLayerProtocol.CAN (16) or CAN_FD (72)")
            new = replace(new, mtu=LinkLayerProtocol(mtu))
        if tx_dl is not None:
            if tx_dl not in _TX_DL:
                raise OptionError(f"tx_dl={tx_dl!r}: allowed is {', '.join(map(str, _TX_DL))}")
            new = replace(new, tx_dl=tx_dl)
        if tx_flags is not None:
            new = replace(new, tx_flags=_check("tx_flags", tx_flags, 0, CANFD_BRS | CANFD_ESI))
        if new.mtu == LinkLayerProtocol.CAN and (new.tx_dl > 8 or new.tx_flags):
            raise OptionError(
                f"tx_dl={new.tx_dl}, tx_flags={new.tx_flags}: Classical CAN (mtu=16) has 8 bytes and no flags",
                remedy="CAN FD: mtu=LinkLayerProtocol.CAN_FD; Classical CAN: tx_dl=8, tx_flags=0",
            )
        return new


def _check(name: str, value: int, lowest: int, highest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(f"{name} must be an integer, not {value!r}")
    if not lowest <= value <= highest:
        raise OptionError(f"{name}={value} ({value:#x}): allowed is {lowest} to {highest} ({highest:#x})")
    return value


def _check_times(new_flags: flags, given: dict[str, Any], new: GeneralOptions) -> None:
    """Raise OptionError if a flag needs a time that was not set."""
    if new_flags & flags.FORCE_TXSTMIN and "tx_stmin" not in given and not new.tx_stmin:
        raise OptionError("FORCE_TXSTMIN needs a time: tx_stmin, in nanoseconds (0 sends without any pause)")
    if new_flags & flags.FORCE_RXSTMIN and "rx_stmin" not in given and not new.rx_stmin:
        raise OptionError("FORCE_RXSTMIN needs a time: rx_stmin, in nanoseconds")


# The highest value of each field of GeneralOptions, and the flag that puts it to use.
_FIELDS: Final[dict[str, tuple[int, flags]]] = {
    "frame_txtime": (0xFFFFFFFE, _NO_FLAGS),
    "ext_address": (0xFF, flags.EXTEND_ADDR),
    "txpad": (0xFF, flags.TX_PADDING),
    "rxpad": (0xFF, flags.RX_PADDING),
    "rx_ext_address": (0xFF, flags.RX_EXT_ADDR),
    "tx_stmin": (0xFFFFFFFF, flags.FORCE_TXSTMIN),
    "rx_stmin": (0xFFFFFFFF, flags.FORCE_RXSTMIN),
}


def options_are_fixed() -> AlreadyBoundError:
    """The error of options that come too late."""
    return AlreadyBoundError(
        "options cannot change once the socket is bound",
        remedy="set options first, then bind; to change one, close the socket and bind a new one",
    )
