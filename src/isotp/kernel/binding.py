"""What `bind` makes sure of before the kernel binds: interface, address, and the options the address needs."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from .. import opts
from ..address import Address, AsymmetricAddress, CanAddress
from ..errors import AddressError, DuplicateBindingWarning, OptionError, warn
from ..linux.constants import CAN_ISOTP_OPTS, ISOTP_OPTIONS, SOL_CAN_ISOTP
from ..linux.interface import CanInterface, usable
from ..opts.optflags import flags

_BROADCAST: Final = flags.SF_BROADCAST | flags.CF_BROADCAST


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

    def __str__(self) -> str:
        return f"{self.interface} {self.address}"


def bind(native: socket.socket, name: str | None, address: Address | AsymmetricAddress) -> Binding:
    """Check, set the options that `address` needs, bind; nothing is changed if it fails.

    Raises:
        InterfaceError: no such interface, not CAN, down, or Classical CAN where CAN FD was asked for.
        AddressError: the kernel cannot do this address.
        OptionError: the options set before contradict it.
    """
    interface = _check_interface(native, name, opts.linklayer.read(native))
    before = native.getsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, ISOTP_OPTIONS.size)
    try:
        optflags = _set_options(native, address)
        rx, tx = _can_ids(address, optflags)
        if not optflags & (flags.LISTEN_MODE | flags.EXTEND_ADDR | _BROADCAST):
            _warn_of_others(interface.name, rx)  # an error under -W error: before anything is bound
        native.bind((interface.name, rx, tx))
    except BaseException:
        if not native.getsockname()[0]:
            native.setsockopt(SOL_CAN_ISOTP, CAN_ISOTP_OPTS, before)
        raise
    general, ll = opts.general.read(native), opts.linklayer.read(native)
    has_byte = bool(optflags & flags.EXTEND_ADDR)
    return Binding(
        interface.name,
        address,
        receives=not optflags & _BROADCAST,
        sends=address.tx is not None,
        segmentation=not optflags & flags.SF_BROADCAST,
        needs_flow_control=not optflags & _BROADCAST,
        single_frame_max=_single_frame_max(ll, optflags),
        rx=CanAddress(rx, general.rx_ext_address if has_byte else None),
        tx=CanAddress(tx, general.ext_address if has_byte else None),
        has_can_fd=ll.mtu == opts.LinkLayerProtocol.CAN_FD,
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


def _set_options(native: socket.socket, address: Address | AsymmetricAddress) -> flags:
    """Set what the address needs, on top of what was set before, and return the flags then in force."""
    old = opts.general.read(native)
    tx_byte = address.tx.address_byte if address.tx else None
    rx_byte = address.rx.address_byte if address.rx else None
    if address.tx and address.rx and (tx_byte is None) != (rx_byte is None):
        raise AddressError(
            f"{address}: the kernel puts an address byte into the frames of both directions or of neither",
            remedy="use two sockets, a sending half and a receiving half",
        )
    # WAIT_TX_DONE would make the kernel's send() deaf to timeouts and to close(); isotp.socket waits by itself.
    wanted = old.optflags & ~flags.WAIT_TX_DONE
    if (address.is_functional or address.rx is None) and address.tx and not wanted & flags.CF_BROADCAST:
        wanted |= flags.SF_BROADCAST
    if address.tx is None:
        wanted |= flags.LISTEN_MODE
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
        return opts.general.write(native, optflags=wanted, **changes).optflags
    return old.optflags


def _check_free(old: opts.GeneralOptions, flag: flags, name: str, value: int) -> None:
    chosen = getattr(old, name)
    if old.optflags & flag and chosen != value:
        raise AddressError(
            f"{name}={chosen:#04x} was set as an option and the address says {value:#04x}",
            remedy=f"leave {name} out of the options: bind sets it",
        )


def _can_ids(address: Address | AsymmetricAddress, optflags: flags) -> tuple[int, int]:
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


def _single_frame_max(ll: opts.LinkLayerOptions, optflags: flags) -> int:
    """ISO 15765-2:2016, 9.6.2: one byte of N_PCI up to 8 bytes of frame, two above."""
    pci = 1 if ll.tx_dl <= 8 else 2
    return ll.tx_dl - pci - bool(optflags & flags.EXTEND_ADDR)


def _warn_of_others(interface: str, rx_id: int) -> None:
    """Warn of other ISO-TP sockets that listen to `rx_id`: they would answer with flow control as well.

    Sockets with an address byte share identifiers by design and are not looked at.
    """
    others = sum(listener == (interface, rx_id) for listener in listeners(rx_id))
    if others:
        warn(
            f"{others} other ISO-TP socket(s) already listen to {CanAddress(rx_id)} on {interface}: all of them answer "
            "with flow control, and transfers will break; close the other one (python -m isotp doctor lists them), "
            "or exchange rxid and txid if they are swapped, or set LISTEN_MODE here to listen only",
            DuplicateBindingWarning,
        )


def listeners(can_id: int | None = None) -> Iterator[tuple[str, int]]:
    """Interface and CAN identifier of every ISO-TP socket of this network namespace that receives.

    With `can_id` most of the others are left out before they are parsed: each of a thousand sockets looks at all.
    """
    part = "" if can_id is None else f"{can_id:x}"
    for kind in ("sff", "eff", "fil"):
        for fields in _receive_list(Path("/proc/net/can", f"rcvlist_{kind}"), part):
            if fields[-1] == "isotp":  # "isotpe" are those that listen to their own echo
                yield fields[0], int(fields[1], 16)


def _receive_list(path: Path, part: str = "") -> list[list[str]]:
    """The entries of one of the kernel's receive lists that have `part` in them: interface, id, mask, ..., receiver."""
    try:
        text = path.read_text()
    except OSError:  # no procfs here
        return []
    if part not in text:
        return []
    rows = (line.split() for line in text.splitlines() if part in line)
    return [fields for fields in rows if len(fields) == 7 and fields[0] != "device"]
