"""Options: those of a kernel socket, by the same names and units, and the `Params` that follow from them."""

from dataclasses import replace
from typing import Any, TypedDict, Unpack

from ..address import Address, AsymmetricAddress
from ..engine.params import Params
from ..errors import AddressError, OptionError, OptionIgnoredWarning, warn
from ..opts.optflags import flags
from ..opts.records import (
    CANFD_BRS,
    CANFD_ESI,
    FlowControlOptions,
    GeneralFields,
    GeneralOptions,
    LinkLayerOptions,
    LinkLayerProtocol,
)

_NOT_DONE = {
    flags.CF_BROADCAST: "the engine sends segmented messages with flow control only",
    flags.FORCE_RXSTMIN: "the engine takes every consecutive frame, however soon it comes",
}


class EngineFields(TypedDict, total=False):
    """The arguments of `set_engine_opts`; None or left out: unchanged."""

    n_as_ns: int | None
    """Longest time for a frame of a message to get onto the bus, in nanoseconds."""
    n_ar_ns: int | None
    """Longest time for a flow control to get onto the bus, in nanoseconds."""
    n_bs_ns: int | None
    """Longest wait for a flow control, in nanoseconds."""
    n_br_ns: int | None
    """Time to become ready before a WAIT is sent, and between WAITs, in nanoseconds."""
    n_cr_ns: int | None
    """Longest wait for a consecutive frame, in nanoseconds."""
    tx_max_pdu_size: int | None
    """Longest message sent, in bytes, if it is not `max_pdu_size`."""
    max_pdu_size: int | None
    """Longest message sent or received, in bytes, up to 2**32-1; 8300 unless set."""
    tx_min_dl: int | None
    """Length of the shortest frame sent, in bytes, at most `tx_dl`; shorter ones are padded. 0: none, even with
    TX_PADDING."""
    progress_step: int | None
    """Bytes between two Progress events; 0 for none."""


class Options:
    """The options of a socket in user space; they can be set until it is bound."""

    def __init__(self) -> None:
        self.general = GeneralOptions(frame_txtime=0)
        self.flow_control = FlowControlOptions()
        self.link_layer = LinkLayerOptions()
        self._engine_fields: dict[str, Any] = {}  # parameters of the engine that are no options of the kernel

    def set_general(self, optflags: int | None, **fields: Unpack[GeneralFields]) -> GeneralOptions:
        """Set general options.

        Raises:
            OptionError: a value out of range, flags that contradict each other, or that the engine does not support:
                CF_BROADCAST, FORCE_RXSTMIN. Nothing was changed.

        Warns:
            OptionIgnoredWarning: `frame_txtime` was given; the engine does not need it to keep STmin.
        """
        new = self.general.changed(optflags, **fields)
        for flag, why in _NOT_DONE.items():
            if new.optflags & flag:
                raise OptionError(f"{flag.name}: {why}", remedy="leave it out, or use isotp.socket")
        if frame_txtime := fields.get("frame_txtime"):
            warn(
                f"frame_txtime={frame_txtime}: stored and not used; the engine keeps STmin from when a frame was sent",
                OptionIgnoredWarning,
            )
        self.general = new
        return new

    def set_flow_control(self, bs: int | None, stmin: int | None, wftmax: int | None) -> FlowControlOptions:
        """Set flow control options; unlike the kernel, the engine uses `wftmax`."""
        self.flow_control = self.flow_control.changed(bs, stmin, wftmax)
        if wftmax is not None:
            self._engine_fields["wftmax"] = wftmax
        return self.flow_control

    def set_link_layer(self, mtu: int | None, tx_dl: int | None, tx_flags: int | None) -> LinkLayerOptions:
        """Set link layer options.

        Raises:
            OptionError: a value out of range, or CANFD_ESI, which only a controller sets. Nothing was changed.
        """
        new = self.link_layer.changed(mtu, tx_dl, tx_flags)
        if new.tx_flags & CANFD_ESI:
            raise OptionError("CANFD_ESI: the engine does not send error state indicators", remedy="leave it out")
        self.link_layer = new
        return new

    def set_engine(self, **fields: Unpack[EngineFields]) -> Params:
        """Set parameters that only the engine has.

        Raises:
            OptionError: a value out of range, or two that contradict each other. Nothing was changed.
        """
        if unknown := fields.keys() - EngineFields.__annotations__.keys():
            raise TypeError(f"no such option: {', '.join(sorted(unknown))}")
        new = self._engine_fields | {name: value for name, value in fields.items() if value is not None}
        params = self._params(new)
        self._engine_fields = new
        return params

    @property
    def params(self) -> Params:
        """All parameters as the engine has them; times in nanoseconds."""
        return self._params(self._engine_fields)

    def _params(self, engine_fields: dict[str, Any]) -> Params:
        general, ll = self.general, self.link_layer
        on = general.optflags
        return Params(
            can_fd=ll.mtu == LinkLayerProtocol.CAN_FD,
            tx_dl=ll.tx_dl,
            bitrate_switch=bool(ll.tx_flags & CANFD_BRS),
            tx_padding=general.txpad if on & flags.TX_PADDING else None,
            rx_padding=general.rxpad if on & flags.RX_PADDING else None,
            check_padding_length=bool(on & flags.CHK_PAD_LEN),
            check_padding_content=bool(on & flags.CHK_PAD_DATA),
            bs=self.flow_control.bs,
            stmin=self.flow_control.stmin,
            forced_tx_stmin_ns=general.tx_stmin if on & flags.FORCE_TXSTMIN else None,
            dynamic_flow_control=bool(on & flags.DYN_FC_PARMS),
            listen_only=bool(on & flags.LISTEN_MODE),
            half_duplex=bool(on & flags.HALF_DUPLEX),
            **engine_fields,
        )

    def link_address(self, address: Address | AsymmetricAddress) -> Address | AsymmetricAddress:
        """`address` with what the options add: address bytes; with SF_BROADCAST only its sending half."""
        general = self.general
        on = general.optflags
        if on & flags.EXTEND_ADDR:
            rx_byte = general.rx_ext_address if on & flags.RX_EXT_ADDR else general.ext_address
            address = _with_bytes(address, general.ext_address, rx_byte)
        if on & flags.SF_BROADCAST:
            if isinstance(address, AsymmetricAddress):
                return address.tx_addr
            if address.tx is not None:
                return replace(address, tx_only=True)
        return address


def _with_bytes(address: Address | AsymmetricAddress, tx_byte: int, rx_byte: int) -> Address | AsymmetricAddress:
    tx, rx = address.tx, address.rx
    for name, half, byte in (("ext_address", tx, tx_byte), ("rx_ext_address", rx, rx_byte)):
        if half is not None and half.address_byte not in (None, byte):
            raise AddressError(
                f"{name}={byte:#04x} was set as an option and the address says {half.address_byte:#04x}",
                remedy=f"leave {name} out of the options: the address says it",
            )
    if all(half is None or half.address_byte is not None for half in (tx, rx)):
        return address
    tx_half = tx and Address.extended(txid=tx.can_id, target_address=tx_byte, functional=address.is_functional)
    rx_half = rx and Address.extended(rxid=rx.can_id, source_address=rx_byte)
    if tx_half and rx_half:
        return AsymmetricAddress(tx_half, rx_half)
    half_address = tx_half or rx_half
    assert half_address is not None
    return half_address
