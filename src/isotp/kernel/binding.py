"""What `bind` makes sure of before the kernel binds: interface, address, and the options the address needs."""

import socket
from typing import Final, NamedTuple

from .. import opts
from ..address import Address, AsymmetricAddress, CanAddress
from ..errors import AddressError, OptionError
from ..linux.closing import finish
from ..linux.constants import CAN_ISOTP_OPTS, ISOTP_OPTIONS, SOL_CAN_ISOTP
from ..linux.interface import CanInterface, usable
from ..opts.optflags import flags
from .listeners import known, warn_of_others

# Numbers, since Python 3.11 takes microseconds for each operation on an enum.
_SF_BROADCAST: Final = int(flags.SF_BROADCAST)
_CF_BROADCAST: Final = int(flags.CF_BROADCAST)
_BROADCAST: Final = _SF_BROADCAST | _CF_BROADCAST
_LISTEN_MODE: Final = int(flags.LISTEN_MODE)
_EXTEND_ADDR: Final = int(flags.EXTEND_ADDR)
_WAIT_TX_DONE: Final = int(flags.WAIT_TX_DONE)


class Binding(NamedTuple):
    """A link as the kernel has it."""

    interface: str
    address: Address | AsymmetricAddress
    receives: bool
    sends: bool
    segmentation: bool
    """Whether messages longer than a single frame can be sent."""
    needs_flow_control: bool
    single_frame_max: int
    """Bytes of payload a single frame takes."""
    rx: CanAddress
    """What frames received carry; an address byte may come from the options."""
    tx: CanAddress
    """What frames sent carry, likewise."""
    has_can_fd: bool
    """Whether the frames are those of CAN FD; the kernel ignores all others then."""
    wait_tx_done: flags = flags(0)
    """WAIT_TX_DONE, if it was set before."""

    def __str__(self) -> str:
        return f"{self.interface} {self.address}"


def bind(native: socket.socket, name: str | None, address: Address | AsymmetricAddress) -> Binding:
    """Check, set the options that `address` needs, bind; nothing is changed if it fails.

    Raises:
        InterfaceError: no such interface, not CAN, down, or Classical CAN where CAN FD was asked for.
        AddressError: the kernel cannot do this address.
        OptionError: the options set before contradict it.
    """
    ll = opts.linklayer.read(native)
    interface = _check_interface(native, name, ll).name
    before = opts.general.read(native)
    packed = native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, ISOTP_OPTIONS.size)
    try:
        general = _set_options(native, before, address)
        optflags = int(general.optflags)
        rx, tx = _can_ids(address, optflags)
        finish((interface, rx))  # an AsyncSocket that was closed just now still receives
        answers = not optflags & (_LISTEN_MODE | _EXTEND_ADDR | _BROADCAST)
        if answers:
            warn_of_others(interface, rx)  # an error under -W error: before anything is bound
        native.bind((interface, rx, tx))
    except BaseException:
        if not native.getsockname()[0]:
            native.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, packed)
        raise
    if answers:
        known.add(interface, rx)
    has_byte = bool(optflags & _EXTEND_ADDR)
    return Binding(
        interface,
        address,
        receives=not optflags & _BROADCAST,
        sends=address.tx is not None,
        segmentation=not optflags & _SF_BROADCAST,
        needs_flow_control=not optflags & _BROADCAST,
        single_frame_max=_single_frame_max(ll, optflags),
        rx=CanAddress(rx, general.rx_ext_address if has_byte else None),
        tx=CanAddress(tx, general.ext_address if has_byte else None),
        has_can_fd=ll.mtu == opts.LinkLayerProtocol.CAN_FD,
        wait_tx_done=flags(int(before.optflags) & _WAIT_TX_DONE),
    )


def _check_interface(native: socket.socket, name: str | None, ll: opts.LinkLayerOptions) -> CanInterface:
    interface = usable(native, name)
    if ll.mtu > interface.mtu:
        raise OptionError(
            f"the socket is set to CAN FD (mtu={int(ll.mtu)}) and {name} is Classical CAN (mtu={interface.mtu})",
            remedy=f"virtual: sudo ip link set {name} down mtu 72 up; a real bus: type can ... dbitrate ... fd on; "
            "or set_ll_opts(mtu=LinkLayerProtocol.CAN, tx_dl=8, tx_flags=0)",
        )
    return interface


def _set_options(
    native: socket.socket, old: opts.GeneralOptions, address: Address | AsymmetricAddress
) -> opts.GeneralOptions:
    """Set what the address needs on top of `old`, and return the options then in force."""
    tx, rx = address.tx, address.rx
    tx_byte = tx.address_byte if tx else None
    rx_byte = rx.address_byte if rx else None
    if tx and rx and (tx_byte is None) != (rx_byte is None):
        raise AddressError(
            f"{address}: the kernel puts an address byte into the frames of both directions or of neither",
            remedy="use two sockets, a sending half and a receiving half",
        )
    # WAIT_TX_DONE would make the kernel's send() deaf to timeouts and to close(); isotp.socket waits by itself.
    wanted = int(old.optflags) & ~_WAIT_TX_DONE
    if (address.is_functional or rx is None) and tx and not wanted & _CF_BROADCAST:
        wanted |= _SF_BROADCAST
    if tx is None:
        wanted |= _LISTEN_MODE
    changes: dict[str, int] = {}
    first = rx_byte if tx_byte is None else tx_byte
    if first is not None:
        _check_free(old, flags.EXTEND_ADDR, "ext_address", first)
        changes["ext_address"] = first
    if rx_byte is not None:
        _check_free(old, flags.RX_EXT_ADDR, "rx_ext_address", rx_byte)
        if rx_byte != first:
            changes["rx_ext_address"] = rx_byte
    if wanted != old.optflags or changes:
        return opts.general.write(native, optflags=wanted, **changes)
    return old


def _check_free(old: opts.GeneralOptions, flag: flags, name: str, value: int) -> None:
    chosen = getattr(old, name)
    if old.optflags & flag and chosen != value:
        raise AddressError(
            f"{name}={chosen:#04x} was set as an option and the address says {value:#04x}",
            remedy=f"leave {name} out of the options: bind sets it",
        )


def _can_ids(address: Address | AsymmetricAddress, optflags: int) -> tuple[int, int]:
    """The identifiers to bind to, rx and tx; a missing half gets one that is never used."""
    rx, tx = address.rx, address.tx
    if rx is None:
        assert tx is not None
        rx = CanAddress(0)
    if tx is None:
        tx = CanAddress(1 if rx.can_id == 0 else 0)
    if rx.can_id == tx.can_id and not optflags & _BROADCAST:
        raise AddressError(
            f"{address}: the kernel needs different CAN identifiers for the two directions",
            remedy="the engine in user space can share one identifier",
        )
    return rx.can_id, tx.can_id


def _single_frame_max(ll: opts.LinkLayerOptions, optflags: int) -> int:
    """ISO 15765-2:2016, 9.6.2: one byte of N_PCI up to 8 bytes of frame, two above."""
    pci = 1 if ll.tx_dl <= 8 else 2
    return ll.tx_dl - pci - bool(optflags & _EXTEND_ADDR)
