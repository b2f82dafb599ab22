"""Options read from and written to a native socket."""

import struct
from typing import Final, Protocol, cast

from ..errors import EISCONN, OptionError, OptionIgnoredWarning, SocketClosedError, warn
from ..stmin import STmin
from . import records
from .optflags import check_flags, flags
from .records import DEFAULT_FRAME_TXTIME, GeneralFields, LinkLayerProtocol, options_are_fixed

SOL_CAN_ISOTP: Final = 106
CAN_ISOTP_OPTS: Final = 1
CAN_ISOTP_RECV_FC: Final = 2
CAN_ISOTP_TX_STMIN: Final = 3
CAN_ISOTP_RX_STMIN: Final = 4
CAN_ISOTP_LL_OPTS: Final = 5

GENERAL: Final = struct.Struct("=IIBBBB")
_THREE_BYTES: Final = struct.Struct("=BBB")
_U32: Final = struct.Struct("=I")
_AF_CAN: Final = 29  # numbers, so that this module imports where Python has no AF_CAN
_CAN_ISOTP: Final = 6
_FRAME_TXTIME_ZERO: Final = 0xFFFFFFFF  # a plain 0 means "unchanged" to the kernel


class _NativeSocket(Protocol):
    """What is needed of a `socket.socket`."""

    family: int
    proto: int

    def setsockopt(self, level: int, optname: int, value: bytes, /) -> None: ...
    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes: ...
    def getsockname(self) -> tuple[str, int, int]: ...
    def fileno(self) -> int: ...


class GeneralOptions(records.GeneralOptions):
    """CAN_ISOTP_OPTS, CAN_ISOTP_TX_STMIN and CAN_ISOTP_RX_STMIN."""

    __slots__ = ()

    @classmethod
    def read(cls, sock: object) -> "GeneralOptions":
        """The options of `sock`."""
        native = native_socket(sock)
        optflags, txtime, ext, txpad, rxpad, rx_ext = GENERAL.unpack(
            native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, GENERAL.size)
        )
        (tx_stmin,) = _U32.unpack(native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_TX_STMIN, _U32.size))
        (rx_stmin,) = _U32.unpack(native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_RX_STMIN, _U32.size))
        # A 0 was written past us and means "unchanged": what is in force then is most likely the default.
        txtime = {_FRAME_TXTIME_ZERO: 0, 0: DEFAULT_FRAME_TXTIME}.get(txtime, txtime)
        taken_over = getattr(sock, "_taken_over", 0)
        return cls(flags(optflags) | taken_over, txtime, ext, txpad, rxpad, rx_ext, tx_stmin, rx_stmin)

    @classmethod
    def write(
        cls,
        sock: object,
        optflags: int | None = None,
        frame_txtime: int | None = None,
        ext_address: int | None = None,
        txpad: int | None = None,
        rxpad: int | None = None,
        rx_ext_address: int | None = None,
        tx_stmin: int | None = None,
        rx_stmin: int | None = None,
    ) -> "GeneralOptions":
        """Set what is given, keep the rest, and return the result.

        A value that a flag puts to use sets that flag too: `txpad` TX_PADDING, `rxpad` RX_PADDING,
        `ext_address` EXTEND_ADDR, `rx_ext_address` RX_EXT_ADDR, `tx_stmin` FORCE_TXSTMIN, `rx_stmin`
        FORCE_RXSTMIN.

        Args:
            sock: a native ISO-TP socket or an `isotp.socket`, not yet bound.
            optflags: all the flags; those left out of it are cleared.
            frame_txtime: nanoseconds added to STmin between frames, 0 to 0xFFFFFFFE.
            ext_address: byte before the N_PCI of frames sent, and received unless `rx_ext_address` is set.
            txpad: padding byte of frames sent.
            rxpad: padding byte expected in frames received.
            rx_ext_address: byte before the N_PCI of frames received.
            tx_stmin: separation time to send with, in nanoseconds, instead of what the receiver asks for.
            rx_stmin: nanoseconds below which a consecutive frame is ignored.

        Raises:
            OptionError: a value out of range, a flag that does not exist or that this kernel does not honour,
                or flags that contradict each other. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        native = _writable(sock)
        given: GeneralFields = {
            "frame_txtime": frame_txtime,
            "ext_address": ext_address,
            "txpad": txpad,
            "rxpad": rxpad,
            "rx_ext_address": rx_ext_address,
            "tx_stmin": tx_stmin,
            "rx_stmin": rx_stmin,
        }
        new = cls.read(native).changed(optflags, check=check_flags, **given)
        if frame_txtime is None:  # as it stands, which the value read need not tell
            _, txtime, *_ = GENERAL.unpack(native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, GENERAL.size))
        else:
            txtime = frame_txtime or _FRAME_TXTIME_ZERO
        packed = GENERAL.pack(new.optflags, txtime, new.ext_address, new.txpad, new.rxpad, new.rx_ext_address)
        _setsockopt(native, CAN_ISOTP_OPTS, packed)
        if tx_stmin is not None:
            _setsockopt(native, CAN_ISOTP_TX_STMIN, _U32.pack(tx_stmin))
        if rx_stmin is not None:
            _setsockopt(native, CAN_ISOTP_RX_STMIN, _U32.pack(rx_stmin))
        return cls.read(native)


class FlowControlOptions(records.FlowControlOptions):
    """CAN_ISOTP_RECV_FC: what our own flow control frames ask of the sender.

    `wftmax` is stored by the kernel and never used.
    """

    __slots__ = ()

    @classmethod
    def read(cls, sock: object) -> "FlowControlOptions":
        """The options of `sock`."""
        raw = native_socket(sock).getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_RECV_FC, _THREE_BYTES.size)
        bs, stmin, wftmax = _THREE_BYTES.unpack(raw)
        return cls(bs, STmin(stmin), wftmax)

    @classmethod
    def write(
        cls, sock: object, bs: int | None = None, stmin: int | None = None, wftmax: int | None = None
    ) -> "FlowControlOptions":
        """Set what is given, keep the rest, and return the result.

        Args:
            sock: a native ISO-TP socket or an `isotp.socket`, not yet bound.
            bs: block size, 0 to 255.
            stmin: the raw byte, 0 to 0x7F (ms) or 0xF1 to 0xF9 (100 us each); `STmin.from_ms` and
                `STmin.from_us` make one. A reserved byte must be said as `STmin(byte)`.
            wftmax: 0 to 255; no kernel uses it.

        Raises:
            OptionError: a value out of range. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        native = _writable(sock)
        new = cls.read(native).changed(bs, stmin, wftmax)
        if wftmax:
            message = f"wftmax={wftmax}: the kernel stores it and never uses it"
            warn(message, OptionIgnoredWarning)
        _setsockopt(native, CAN_ISOTP_RECV_FC, _THREE_BYTES.pack(new.bs, new.stmin, new.wftmax))
        return new


class LinkLayerOptions(records.LinkLayerOptions):
    """CAN_ISOTP_LL_OPTS: Classical CAN or CAN FD."""

    __slots__ = ()

    @classmethod
    def read(cls, sock: object) -> "LinkLayerOptions":
        """The options of `sock`."""
        raw = native_socket(sock).getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_LL_OPTS, _THREE_BYTES.size)
        mtu, tx_dl, tx_flags = _THREE_BYTES.unpack(raw)
        return cls(LinkLayerProtocol(mtu), tx_dl, tx_flags)

    @classmethod
    def write(
        cls, sock: object, mtu: int | None = None, tx_dl: int | None = None, tx_flags: int | None = None
    ) -> "LinkLayerOptions":
        """Set what is given, keep the rest, and return the result.

        Args:
            sock: a native ISO-TP socket or an `isotp.socket`, not yet bound.
            mtu: `LinkLayerProtocol.CAN` or `LinkLayerProtocol.CAN_FD`.
            tx_dl: 8, 12, 16, 20, 24, 32, 48 or 64; above 8 for CAN FD only.
            tx_flags: `CANFD_BRS`, `CANFD_ESI` or both; for CAN FD only.

        Raises:
            OptionError: a value out of range, or one that the other values do not allow. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        native = _writable(sock)
        new = cls.read(native).changed(mtu, tx_dl, tx_flags)
        _setsockopt(native, CAN_ISOTP_LL_OPTS, _THREE_BYTES.pack(new.mtu, new.tx_dl, new.tx_flags))
        return new


general = GeneralOptions
flowcontrol = FlowControlOptions
linklayer = LinkLayerOptions


def native_socket(sock: object) -> _NativeSocket:
    """The native ISO-TP socket that `sock` is or holds; TypeError if there is none."""
    native = getattr(sock, "_socket", sock)
    if getattr(native, "family", None) != _AF_CAN or getattr(native, "proto", None) != _CAN_ISOTP:
        raise TypeError(
            f"not an ISO-TP socket: {sock!r}; isotp.socket() makes one, "
            "and so does socket.socket(AF_CAN, SOCK_DGRAM, CAN_ISOTP)"
        )
    native = cast(_NativeSocket, native)
    if native.fileno() < 0:
        raise SocketClosedError("the socket is closed")
    return native


def _writable(sock: object) -> _NativeSocket:
    native = native_socket(sock)
    # Out-of-tree modules ignore options after bind without a word; once the interface is gone Linux takes them again.
    if getattr(sock, "bound", False) or native.getsockname()[0]:
        raise options_are_fixed()
    return native


def _setsockopt(native: _NativeSocket, option: int, value: bytes) -> None:
    try:
        native.setsockopt(SOL_CAN_ISOTP, option, value)
    except OSError as e:
        if e.errno == EISCONN:
            raise options_are_fixed() from None
        raise OptionError(f"the kernel refused option {option} = {value.hex()}: {e.strerror}", errno=e.errno) from e
