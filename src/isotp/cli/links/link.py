"""The link of a command: which bus, which address, which options; and a socket on it."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Final

from ...errors import OptionError
from ...opts.optflags import flags
from ...opts.records import CANFD_BRS, CANFD_ESI
from ...sockets import IsoTpSocket
from ..options.addresses import AnyAddress, Way, make_address
from ..options.values import Bytes2, LinkLayer, Where
from ..parser import WrongUsage
from .buses import check_bitrate, open_bus, socketcan_bus
from .remedies import in_options, in_use

BIGGEST: Final = 1 << 24
"""Bytes of the longest message that the engine takes here."""

_CAN_FD: Final = LinkLayer(72, 64, 0)
_PROGRESS_STEP: Final = 1000  # bytes
_CHECKS: Final = {"l": flags.CHK_PAD_LEN, "c": flags.CHK_PAD_DATA, "a": flags.CHK_PAD_LEN | flags.CHK_PAD_DATA}


@dataclass(frozen=True, kw_only=True)
class Link:
    """One ISO-TP link, as the command line describes it; `options.groups` documents each option."""

    interface: str | None = None
    bus: Where | None = None
    bitrate: int | None = None
    soft: bool = False
    txid: int | None = None
    rxid: int | None = None
    extended: Bytes2 | None = None
    mixed: int | None = None
    fixed: Bytes2 | None = None
    base: int | None = None
    fd: bool = False
    brs: bool = False
    link_layer: LinkLayer | None = None
    padding: Bytes2 | None = None
    check_padding: str | None = None
    bs: int = 0
    stmin: int | None = None
    tx_stmin: int | None = None

    @contextmanager
    def open(
        self,
        timeout: float | None = None,
        *,
        way: Way = Way.BOTH,
        peer_speaks: bool = False,
        rcvbuf: int | None = None,
        advance: Callable[[int], None] | None = None,
    ) -> Iterator[IsoTpSocket]:
        """A bound socket, within a `with` block.

        Args:
            timeout: of the socket, in seconds.
            way: whether it both sends and receives.
            peer_speaks: the peer on the virtual bus sends a message every second instead of echoing.
            rcvbuf: bytes of messages to keep until they are read.
            advance: called, in any thread, with the number of bytes sent since it was called last.
        """
        self._check(way)
        address = self.address(way)
        with ExitStack() as stack:
            stack.enter_context(in_options(self))
            if self.bus is None and not self.soft:
                sock = self._kernel_socket(stack, address, timeout, rcvbuf, advance)
            else:
                sock = self._soft_socket(stack, address, timeout, rcvbuf, advance, peer_speaks)
            stack.enter_context(in_use())
            yield sock

    def _kernel_socket(
        self,
        stack: ExitStack,
        address: AnyAddress,
        timeout: float | None,
        rcvbuf: int | None,
        advance: Callable[[int], None] | None,
    ) -> IsoTpSocket:
        import isotp  # each kind of socket is imported only where it is used: both take time

        assert self.interface is not None
        sock = stack.enter_context(isotp.socket(timeout, rcvbuf=rcvbuf))
        self.configure(sock)
        sock.bind(self.interface, address)
        if advance is not None and address.tx is not None:
            from .sent_bytes import counting

            stack.enter_context(counting(self.interface, address.tx, advance))
        return sock

    def _soft_socket(
        self,
        stack: ExitStack,
        address: AnyAddress,
        timeout: float | None,
        rcvbuf: int | None,
        advance: Callable[[int], None] | None,
        peer_speaks: bool,
    ) -> IsoTpSocket:
        import isotp

        if self.bus is None:
            bus = socketcan_bus(self.interface or "")
        else:
            bus = open_bus(stack, self.bus, self.bitrate, self.is_fd)
        start_peer: Callable[[], None] | None = None
        if self.bus and self.bus.is_virtual:
            from .virtual_peer import join

            start_peer = join(stack, bus, self, address, BIGGEST, peer_speaks)
        on_event = None
        if advance is not None:
            from .sent_bytes import of_engine

            on_event = of_engine(advance)
        sock = stack.enter_context(isotp.SoftSocket(bus, timeout, rcvbuf=rcvbuf or BIGGEST, on_event=on_event))
        sock.set_engine_opts(max_pdu_size=BIGGEST, progress_step=_PROGRESS_STEP if advance else 0)
        self.configure(sock)
        sock.bind(address)
        if start_peer is not None:
            start_peer()
        return sock

    def _check(self, way: Way) -> None:
        """Refuse what contradicts itself, and what would have no effect."""
        if self.bus is not None and self.soft:
            raise WrongUsage("--bus always takes the engine: leave out --soft")
        check_bitrate(self.bus, self.bitrate)
        if self.bus is not None or self.soft:
            self._check_engine()
        else:
            self._check_kernel(way)
        if self.check_padding in ("c", "a") and (self.padding is None or self.padding.rx is None):
            raise WrongUsage(f"-P {self.check_padding} needs the padding byte to expect, such as -p :AA")
        if way is not Way.BOTH and (self.bs or self.stmin is not None or self.tx_stmin is not None):
            why = "sends single frames only" if way is Way.SEND else "sends nothing, no flow control either"
            option = "--functional" if way is Way.SEND else "--listen"
            raise WrongUsage(f"{option} {why}: leave out --bs, --stmin and --tx-stmin")

    def _check_engine(self) -> None:
        """Refuse what the engine cannot do."""
        from ...engine.params import Params

        if self.frames and self.frames.tx_flags & CANFD_ESI:
            raise WrongUsage("-L: the engine sends no error state indicator (2): allowed are the flags 0 and 1")
        try:
            Params(forced_tx_stmin_ns=self.tx_stmin)
        except OptionError:
            raise WrongUsage("--tx-stmin: the engine takes less than 900ms, else receivers give up waiting") from None

    def _check_kernel(self, way: Way) -> None:
        """Refuse what the kernel cannot do."""
        address = self.address(way)
        if address.tx and address.rx and address.tx.can_id == address.rx.can_id:
            raise WrongUsage("the kernel needs different identifiers, -s and -d; --soft can do with one")

    def address(self, way: Way = Way.BOTH) -> AnyAddress:
        """The address that the options make."""
        return make_address(way, self.txid, self.rxid, self.extended, self.mixed, self.fixed, self.base)

    @property
    def frames(self) -> LinkLayer | None:
        """The link layer options, if any are given."""
        if self.link_layer is not None:
            if self.fd or self.brs:
                raise WrongUsage("-L says it all: leave out --fd and --brs")
            return self.link_layer
        if self.fd or self.brs:
            return _CAN_FD._replace(tx_flags=CANFD_BRS if self.brs else 0)
        return None

    @property
    def is_fd(self) -> bool:
        """Whether frames are CAN FD."""
        return self.frames is not None and self.frames.mtu > 16

    def configure(self, sock: IsoTpSocket) -> None:
        """Set the options of `sock`."""
        checks = _CHECKS[self.check_padding] if self.check_padding else None
        tx, rx = self.padding or (None, None)
        sock.set_general_opts(checks, txpad=tx, rxpad=rx, tx_stmin=self.tx_stmin)
        sock.set_fc_opts(bs=self.bs, stmin=self.stmin)
        if frames := self.frames:
            sock.set_ll_opts(*frames)


def link_of(arguments: argparse.Namespace, interface: str | None) -> Link:
    """The link that the options of a command make."""
    given = vars(arguments) | {"interface": interface}
    return Link(**{field.name: given[field.name] for field in fields(Link)})
