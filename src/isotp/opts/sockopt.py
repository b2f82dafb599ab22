"""Options read from and written to a native socket."""

from typing import Protocol, Unpack, cast

from ..errors import EISCONN, OptionError, OptionIgnoredWarning, SocketClosedError, warn
from ..linux.constants import (
    AF_CAN,
    CAN_ISOTP,
    CAN_ISOTP_LL_OPTS,
    CAN_ISOTP_OPTS,
    CAN_ISOTP_RECV_FC,
    CAN_ISOTP_RX_STMIN,
    CAN_ISOTP_TX_STMIN,
    ISOTP_FC_OPTIONS,
    ISOTP_FRAME_TXTIME_ZERO,
    ISOTP_LL_OPTIONS,
    ISOTP_OPTIONS,
    SOL_CAN_ISOTP,
    U32,
)
from ..stmin import STmin
from . import records
from .optflags import check_flags, flags
from .records import DEFAULT_FRAME_TXTIME, GeneralFields, LinkLayerProtocol, options_are_fixed


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
        optflags, txtime, ext, txpad, rxpad, rx_ext = ISOTP_OPTIONS.unpack(
            native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, ISOTP_OPTIONS.size)
        )
        (tx_stmin,) = U32.unpack(native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_TX_STMIN, U32.size))
        (rx_stmin,) = U32.unpack(native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_RX_STMIN, U32.size))
        # A plain setsockopt of 0 leaves the time as it was, which is most likely the default.
        txtime = {ISOTP_FRAME_TXTIME_ZERO: 0, 0: DEFAULT_FRAME_TXTIME}.get(txtime, txtime)
        wait_tx_done = int(getattr(_end(sock), "wait_tx_done", 0))
        return cls(flags(optflags | wait_tx_done), txtime, ext, txpad, rxpad, rx_ext, tx_stmin, rx_stmin)

    @classmethod
    def write(cls, sock: object, optflags: int | None = None, **fields: Unpack[GeneralFields]) -> "GeneralOptions":
        """Set what is given, keep the rest, and return the result.

        Args:
            sock: a native ISO-TP socket or an `isotp.socket`, not yet bound.
            optflags: all the flags; those left out of it are cleared.
            fields: see `GeneralFields`; a value that a flag puts to use sets that flag, too.

        Raises:
            OptionError: a value out of range, a flag that does not exist or that this kernel does not honour,
                or flags that contradict each other. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        native = _writable(sock)
        new = cls.read(native).changed(optflags, check=check_flags, **fields)
        frame_txtime, tx_stmin, rx_stmin = (fields.get(name) for name in ("frame_txtime", "tx_stmin", "rx_stmin"))
        if frame_txtime is None:  # as the kernel has it: `read` returns a value in place of some
            _, txtime, *_ = ISOTP_OPTIONS.unpack(native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, ISOTP_OPTIONS.size))
        else:
            txtime = frame_txtime or ISOTP_FRAME_TXTIME_ZERO
        packed = ISOTP_OPTIONS.pack(new.optflags, txtime, new.ext_address, new.txpad, new.rxpad, new.rx_ext_address)
        _setsockopt(native, CAN_ISOTP_OPTS, packed)
        if tx_stmin is not None:
            _setsockopt(native, CAN_ISOTP_TX_STMIN, U32.pack(tx_stmin))
        if rx_stmin is not None:
            _setsockopt(native, CAN_ISOTP_RX_STMIN, U32.pack(rx_stmin))
        return cls.read(native)


class FlowControlOptions(records.FlowControlOptions):
    """CAN_ISOTP_RECV_FC: what our own flow control frames ask of the sender.

    `wftmax` is stored by the kernel and never used.
    """

    __slots__ = ()

    @classmethod
    def read(cls, sock: object) -> "FlowControlOptions":
        """The options of `sock`."""
        raw = native_socket(sock).getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_RECV_FC, ISOTP_FC_OPTIONS.size)
        bs, stmin, wftmax = ISOTP_FC_OPTIONS.unpack(raw)
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
                `STmin.from_us` make one. A reserved byte has to be given as `STmin(byte)`.
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
        _setsockopt(native, CAN_ISOTP_RECV_FC, ISOTP_FC_OPTIONS.pack(new.bs, new.stmin, new.wftmax))
        return new


class LinkLayerOptions(records.LinkLayerOptions):
    """CAN_ISOTP_LL_OPTS: Classical CAN or CAN FD."""

    __slots__ = ()

    @classmethod
    def read(cls, sock: object) -> "LinkLayerOptions":
        """The options of `sock`."""
        raw = native_socket(sock).getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_LL_OPTS, ISOTP_LL_OPTIONS.size)
        mtu, tx_dl, tx_flags = ISOTP_LL_OPTIONS.unpack(raw)
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
        _setsockopt(native, CAN_ISOTP_LL_OPTS, ISOTP_LL_OPTIONS.pack(new.mtu, new.tx_dl, new.tx_flags))
        return new


general = GeneralOptions
flowcontrol = FlowControlOptions
linklayer = LinkLayerOptions


def _end(sock: object) -> object:
    """The part of an `isotp.socket` that talks to the kernel; any other object as it is."""
    return getattr(sock, "_end", sock)


def native_socket(sock: object) -> _NativeSocket:
    """The native ISO-TP socket that `sock` is or holds; TypeError if there is none."""
    native = getattr(_end(sock), "native", sock)
    if getattr(native, "family", None) != AF_CAN or getattr(native, "proto", None) != CAN_ISOTP:
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
    # Out-of-tree modules ignore options after bind silently; once the interface is gone Linux takes them again.
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
