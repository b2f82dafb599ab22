"""The options of a SoftSocket, by the names and units of the kernel's, and what the engine makes of them."""

from dataclasses import replace
from typing import Any

from ..address import Address, AsymmetricAddress
from ..engine.params import Params
from ..errors import AddressError, OptionError, OptionIgnoredWarning, warn
from ..opts.optflags import flags
from ..opts.records import (
    CANFD_BRS,
    CANFD_ESI,
    FlowControlOptions,
    GeneralOptions,
    LinkLayerOptions,
    LinkLayerProtocol,
    options_are_fixed,
)

_NOT_DONE = {
    flags.CF_BROADCAST: "the engine sends segmented messages with flow control only",
    flags.FORCE_RXSTMIN: "the engine takes every consecutive frame, however soon it comes",
}


class Options:
    """Options of a socket; they can be set until it is bound."""

    flags = flags
    LinkLayerProtocol = LinkLayerProtocol

    def __init__(self) -> None:
        self._general = GeneralOptions(frame_txtime=0)
        self._flow_control = FlowControlOptions()
        self._link_layer = LinkLayerOptions()
        self._engine_options: dict[str, Any] = {}  # what only an engine can do, by the names of Params
        self._fixed = False

    def _check_open(self) -> None:
        """Raise SocketClosedError if the socket is closed."""

    def _check_writable(self) -> None:
        self._check_open()
        if self._fixed:
            raise options_are_fixed()

    def set_general_opts(
        self,
        optflags: int | None = None,
        frame_txtime: int | None = None,
        ext_address: int | None = None,
        txpad: int | None = None,
        rxpad: int | None = None,
        rx_ext_address: int | None = None,
        tx_stmin: int | None = None,
        rx_stmin: int | None = None,
    ) -> GeneralOptions:
        """Set general options, as `isotp.opts.general.write`; what is left out keeps its value.

        Times (`frame_txtime`, `tx_stmin`, `rx_stmin`) are in nanoseconds.

        Raises:
            OptionError: a value out of range, flags that contradict each other, or that the engine does not do:
                CF_BROADCAST, FORCE_RXSTMIN. Nothing was changed.
            AlreadyBoundError: the socket is bound.

        Warns:
            OptionIgnoredWarning: `frame_txtime` was given, and STmin runs from when a frame was sent anyway.
        """
        self._check_writable()
        new = self._general.changed(
            optflags, frame_txtime, ext_address, txpad, rxpad, rx_ext_address, tx_stmin, rx_stmin
        )
        for flag, why in _NOT_DONE.items():
            if new.optflags & flag:
                raise OptionError(f"{flag.name}: {why}", remedy="leave it out, or use isotp.socket")
        if frame_txtime:
            warn(
                f"frame_txtime={frame_txtime}: stored and not used; the engine keeps STmin from when a frame was sent",
                OptionIgnoredWarning,
            )
        self._general = new
        return new

    def set_opts(self, optflag: int | None = None, **others: int | None) -> GeneralOptions:
        """Set general options, under the names can-isotp 2 has for them."""
        return self.set_general_opts(optflag, **others)

    def set_fc_opts(
        self, bs: int | None = None, stmin: int | None = None, wftmax: int | None = None
    ) -> FlowControlOptions:
        """Set flow control options, as `isotp.opts.flowcontrol.write`; what is left out keeps its value.

        Other than in the kernel, `wftmax` is used: so many WAITs in a row are sent, and accepted. Until it is set
        there is no limit.

        Raises:
            OptionError: a value out of range. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        self._check_writable()
        self._flow_control = self._flow_control.changed(bs, stmin, wftmax)
        if wftmax is not None:
            self._engine_options["wftmax"] = wftmax
        return self._flow_control

    def set_ll_opts(
        self, mtu: int | None = None, tx_dl: int | None = None, tx_flags: int | None = None
    ) -> LinkLayerOptions:
        """Set link layer options, as `isotp.opts.linklayer.write`; what is left out keeps its value.

        Raises:
            OptionError: a value out of range, or CANFD_ESI, which is the controller's to say. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        self._check_writable()
        new = self._link_layer.changed(mtu, tx_dl, tx_flags)
        if new.tx_flags & CANFD_ESI:
            raise OptionError("CANFD_ESI: the engine does not send error state indicators", remedy="leave it out")
        self._link_layer = new
        return new

    def set_engine_opts(
        self,
        *,
        n_as_ns: int | None = None,
        n_ar_ns: int | None = None,
        n_bs_ns: int | None = None,
        n_br_ns: int | None = None,
        n_cr_ns: int | None = None,
        max_pdu_size: int | None = None,
        progress_step: int | None = None,
    ) -> Params:
        """Set what only an engine lets you set; what is left out keeps its value.

        Args:
            n_as_ns: longest time for a frame of a message to get onto the bus, in nanoseconds.
            n_ar_ns: the same for a flow control.
            n_bs_ns: longest wait for a flow control.
            n_br_ns: time to become ready before a WAIT is sent, and between WAITs.
            n_cr_ns: longest wait for a consecutive frame.
            max_pdu_size: longest message sent or received, in bytes, up to 2**32-1; 8300 unless set.
            progress_step: bytes between two Progress events; 0 for none.

        Raises:
            OptionError: a value out of range, or times that contradict each other. Nothing was changed.
            AlreadyBoundError: the socket is bound.
        """
        self._check_writable()
        given = {
            "n_as_ns": n_as_ns,
            "n_ar_ns": n_ar_ns,
            "n_bs_ns": n_bs_ns,
            "n_br_ns": n_br_ns,
            "n_cr_ns": n_cr_ns,
            "max_pdu_size": max_pdu_size,
            "progress_step": progress_step,
        }
        new = self._engine_options | {name: value for name, value in given.items() if value is not None}
        params = self._params(new)
        self._engine_options = new
        return params

    def get_general_opts(self) -> GeneralOptions:
        """The general options; times in nanoseconds."""
        self._check_open()
        return self._general

    get_opts = get_general_opts

    def get_fc_opts(self) -> FlowControlOptions:
        """The flow control options."""
        self._check_open()
        return self._flow_control

    def get_ll_opts(self) -> LinkLayerOptions:
        """The link layer options."""
        self._check_open()
        return self._link_layer

    def get_engine_opts(self) -> Params:
        """All parameters as the engine has them; times in nanoseconds."""
        self._check_open()
        return self._params(self._engine_options)

    def _params(self, engine_options: dict[str, Any]) -> Params:
        general, ll = self._general, self._link_layer
        on = general.optflags
        return Params(
            can_fd=ll.mtu == LinkLayerProtocol.CAN_FD,
            tx_dl=ll.tx_dl,
            bitrate_switch=bool(ll.tx_flags & CANFD_BRS),
            tx_padding=general.txpad if on & flags.TX_PADDING else None,
            rx_padding=general.rxpad if on & flags.RX_PADDING else None,
            check_padding_length=bool(on & flags.CHK_PAD_LEN),
            check_padding_content=bool(on & flags.CHK_PAD_DATA),
            bs=self._flow_control.bs,
            stmin=self._flow_control.stmin,
            forced_tx_stmin_ns=general.tx_stmin if on & flags.FORCE_TXSTMIN else None,
            dynamic_flow_control=bool(on & flags.DYN_FC_PARMS),
            listen_only=bool(on & flags.LISTEN_MODE),
            half_duplex=bool(on & flags.HALF_DUPLEX),
            **engine_options,
        )

    def _link_address(self, address: Address | AsymmetricAddress) -> Address | AsymmetricAddress:
        """`address` with what the options add: address bytes, and one way only for SF_BROADCAST."""
        general = self._general
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
