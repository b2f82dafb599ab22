"""What every kernel socket of this library is, however it waits: options, binding, and what it tells of itself."""

import socket
import struct
from typing import Final, NoReturn

from .. import opts
from ..address import Address, AsymmetricAddress, normal_address
from ..errors import (
    AlreadyBoundError,
    MessagesDroppedWarning,
    OneWayError,
    OptionError,
    OptionIgnoredWarning,
    SocketClosedError,
    warn,
)
from ..linux import support
from ..linux.constants import SK_MEMINFO_DROPS, SO_MEMINFO, SO_RCVBUFFORCE, SO_RXQ_OVFL, SO_TIMESTAMPNS
from ..opts.optflags import flags
from ..sockets import check_address
from . import binding
from .flight import Flight

_LARGEST_RCVBUF: Final = 0x3FFFFFFF  # the kernel doubles it, in an int


class Endpoint:
    """One end of a link, over a native socket that is never blocked in."""

    flags = flags
    LinkLayerProtocol = opts.LinkLayerProtocol

    def __init__(self, rcvbuf: int | None = None) -> None:
        self._closed = True  # until there is something to close
        _check_rcvbuf(rcvbuf)
        self._socket = native = support.open_native_socket()
        self._closed = False
        try:
            native.settimeout(None)  # its own timeout would make each of its calls poll first
            native.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            native.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
            if rcvbuf is not None:
                self._set_rcvbuf(rcvbuf)
        except BaseException:
            native.close()
            raise
        self._binding: binding.Binding | None = None
        self._max_pdu_size = 1  # until bound; Python does not even ask the kernel for 0 bytes
        self._taken_over = flags(0)  # what the socket does itself instead of the kernel
        self._flight = Flight(native)
        self._dropped = 0
        self._dropped_told = 0

    def _set_rcvbuf(self, size: int) -> None:
        native = self._socket
        try:
            native.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
        except PermissionError:
            native.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        granted = native.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it
        if granted < size:
            warn(
                f"rcvbuf={size}: the kernel granted {granted} bytes; more with sudo sysctl net.core.rmem_max={size}",
                OptionIgnoredWarning,
            )

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
    ) -> opts.GeneralOptions:
        """Set general options, as `isotp.opts.general.write`; what is left out keeps its value.

        Times (`frame_txtime`, `tx_stmin`, `rx_stmin`) are in nanoseconds.
        """
        return opts.general.write(
            self, optflags, frame_txtime, ext_address, txpad, rxpad, rx_ext_address, tx_stmin, rx_stmin
        )

    def set_opts(self, optflag: int | None = None, **others: int | None) -> opts.GeneralOptions:
        """Set general options, under the names can-isotp 2 has for them."""
        return self.set_general_opts(optflag, **others)

    def set_fc_opts(
        self, bs: int | None = None, stmin: int | None = None, wftmax: int | None = None
    ) -> opts.FlowControlOptions:
        """Set flow control options, as `isotp.opts.flowcontrol.write`; what is left out keeps its value."""
        return opts.flowcontrol.write(self, bs, stmin, wftmax)

    def set_ll_opts(
        self, mtu: int | None = None, tx_dl: int | None = None, tx_flags: int | None = None
    ) -> opts.LinkLayerOptions:
        """Set link layer options, as `isotp.opts.linklayer.write`; what is left out keeps its value."""
        return opts.linklayer.write(self, mtu, tx_dl, tx_flags)

    def get_general_opts(self) -> opts.GeneralOptions:
        """The general options in force; times in nanoseconds."""
        return opts.general.read(self)

    get_opts = get_general_opts

    def get_fc_opts(self) -> opts.FlowControlOptions:
        """The flow control options in force."""
        return opts.flowcontrol.read(self)

    def get_ll_opts(self) -> opts.LinkLayerOptions:
        """The link layer options in force."""
        return opts.linklayer.read(self)

    def bind(
        self,
        interface: str,
        address: Address | AsymmetricAddress | None = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
    ) -> None:
        """Bind to a CAN interface and an address; options can no longer be changed then.

        Args:
            interface: name of a CAN interface, such as "can0".
            address: the address of the link; or, for normal addressing, the two identifiers:
            rxid: CAN identifier of the frames received.
            txid: CAN identifier of the frames sent. Above 0x7FF, or with CAN_EFF_FLAG, it has 29 bits.

        Raises:
            InterfaceError: no such interface, not CAN, or down.
            AddressError: identifiers out of range, equal, or an address the kernel cannot do.
            OptionError: options that contradict the address or the interface.
            AlreadyBoundError: the socket is bound already.

        Warns:
            DuplicateBindingWarning: another ISO-TP socket of this machine listens to the same identifier.
        """
        if self._closed:
            raise self._closed_error()
        if self._binding is not None:
            raise AlreadyBoundError("the socket is bound already", link=self._link)
        check_address(address, rxid, txid)
        if address is None:
            address = normal_address(rxid, txid)
        taken_over = opts.general.read(self).optflags & flags.WAIT_TX_DONE
        bound = binding.bind(self._socket, interface, address)
        self._taken_over = taken_over
        self._max_pdu_size = support.max_pdu_size()
        self._binding = self._flight.bound = bound
        self._on_bound(bound)

    def _on_bound(self, bound: binding.Binding) -> None:
        """Get ready to send and receive."""

    @property
    def bound(self) -> bool:
        """Whether the socket has an address."""
        return self._binding is not None

    @property
    def interface(self) -> str | None:
        """The CAN interface, once bound."""
        return self._binding.interface if self._binding else None

    @property
    def address(self) -> Address | AsymmetricAddress | None:
        """The address, once bound."""
        return self._binding.address if self._binding else None

    @property
    def closed(self) -> bool:
        """Whether the socket was closed."""
        return self._closed

    @property
    def dropped(self) -> int:
        """How many complete messages the kernel dropped because the receive buffer was full."""
        if not self._closed:
            counters = self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * (SK_MEMINFO_DROPS + 1))
            (self._dropped,) = struct.unpack_from("=I", counters, 4 * SK_MEMINFO_DROPS)
        return self._dropped

    def fileno(self) -> int:
        """The file descriptor, for select and the like; -1 once closed. Writable: nothing is being sent."""
        return self._socket.fileno()

    def real_socket(self) -> socket.socket:
        """The native socket; it blocks, without a timeout of its own."""
        return self._socket

    def _tell_dropped(self) -> None:
        """Warn of messages dropped since last told."""
        dropped = self.dropped
        if dropped > self._dropped_told:
            lost, self._dropped_told = dropped - self._dropped_told, dropped
            warn(
                f"the kernel dropped {lost} message(s) on {self._link}: the receive buffer was full; "
                "read sooner, or give the socket a bigger one (rcvbuf=...)",
                MessagesDroppedWarning,
            )

    def _refuse_send(self, data: object, flags: int) -> NoReturn:
        raise OneWayError("this address only receives", link=self._link, remedy="bind with a txid to send")

    def _refuse_recv(self, size: int, flags: int) -> NoReturn:
        raise OneWayError(
            "this address only sends: the kernel does not receive on broadcast sockets",
            link=self._link,
            remedy="receive the answers on one socket for each receiver",
        )

    @property
    def _link(self) -> str:
        return str(self._binding) if self._binding else "an unbound socket"

    def _closed_error(self) -> SocketClosedError:
        return SocketClosedError("the socket is closed", link=str(self._binding) if self._binding else None)

    def __repr__(self) -> str:
        state = " closed" if self._closed else ""
        return f"<isotp.{type(self).__name__} {self._binding or 'unbound'}{state}>"


def _check_rcvbuf(size: int | None) -> None:
    if size is None:
        return
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= _LARGEST_RCVBUF:
        raise OptionError(f"rcvbuf={size!r}: allowed is a number of bytes from 1 to {_LARGEST_RCVBUF}")
