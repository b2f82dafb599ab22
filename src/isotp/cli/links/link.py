"""The link of a command: which bus, which addresses, which options; written once for all commands."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Annotated, Any, Final

import typer

from ..address import Address, AsymmetricAddress
from ..errors import AddressError, InvalidCanDataError, OptionError
from ..opts.optflags import flags
from ..opts.records import CANFD_BRS, CANFD_ESI
from ..sockets import IsoTpSocket
from . import values
from .addresses import Way, make_address
from .buses import check_bitrate, in_use, open_bus, socketcan_bus
from .link_options import Bitrate, Bus, Extended, Fixed, Interface, Mixed, RxId, Soft, TxId

FRAMES: Final = "CAN frames"
FLOW: Final = "Flow control"
_CAN_FD: Final = values.LinkLayer(72, 64, 0)
PROGRESS_STEP: Final = 1000
BIGGEST: Final = 1 << 24
"""Bytes of the longest message that the engine takes here."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """One ISO-TP link, as the command line says it."""

    interface: Interface = None
    bus: Bus = None
    bitrate: Bitrate = None
    soft: Soft = False
    txid: TxId = None
    rxid: RxId = None
    extended: Extended = None
    mixed: Mixed = None
    fixed: Fixed = None
    fd: Annotated[bool, typer.Option("--fd", help="CAN FD, 64 bytes a frame", rich_help_panel=FRAMES)] = False
    brs: Annotated[bool, typer.Option("--brs", help="CAN FD with the second bit rate", rich_help_panel=FRAMES)] = False
    link_layer: Annotated[
        values.LinkLayer | None,
        typer.Option(
            "-L",
            metavar="MTU:DL:FLAGS",
            parser=values.link_layer,
            help="MTU, TX_DL and flags as in can-utils; 72:64:0 is --fd",
            rich_help_panel=FRAMES,
        ),
    ] = None
    padding: Annotated[
        values.Bytes2 | None,
        typer.Option(
            "-p",
            "--padding",
            metavar="[TX]:[RX]",
            parser=values.padding,
            help="pad what is sent with TX; in what is received -P checks for RX",
            rich_help_panel=FRAMES,
        ),
    ] = None
    check_padding: Annotated[
        str | None,
        typer.Option(
            "-P",
            "--check-padding",
            metavar="l|c|a",
            parser=values.pad_check,
            help="refuse frames of wrong (l)ength, (c)ontent, or (a)ny of them",
            rich_help_panel=FRAMES,
        ),
    ] = None
    bs: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=255, help="block size we ask for; 0: all at once", rich_help_panel=FLOW),
    ] = 0
    stmin: Annotated[
        int | None,
        typer.Option(
            metavar="TIME",
            parser=values.stmin,
            help="separation time we ask for: 5ms, 300us",
            rich_help_panel=FLOW,
        ),
    ] = None
    tx_stmin: Annotated[
        int | None,
        typer.Option(
            metavar="TIME",
            parser=values.tx_stmin,
            help="send with this separation time whatever the receiver asks for",
            rich_help_panel=FLOW,
        ),
    ] = None

    def words(self, words: list[str] | None) -> tuple["Link", list[str]]:
        """The link and the words that follow the interface; with --bus the first word is not an interface."""
        from dataclasses import replace

        given = words or []
        if self.bus is None or self.interface is None:
            return self, given
        return replace(self, interface=None), [self.interface, *given]

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
        """A bound socket.

        Args:
            timeout: of the socket, in seconds.
            way: whether it both sends and receives.
            peer_speaks: the peer on the virtual bus sends a message every second instead of echoing.
            rcvbuf: bytes of messages to keep until they are read.
            advance: called, in any thread, with the number of bytes sent since it was called last.
        """
        self._check(way)
        address = self.address(way)
        with ExitStack() as stack, self._in_its_words():
            if self.bus is None and not self.soft:
                _check_for_kernel(address)
                import isotp

                kernel = stack.enter_context(isotp.socket(timeout, rcvbuf=rcvbuf))
                self.configure(kernel)
                kernel.bind(self.interface or "", address)
                if advance is not None and address.tx is not None:
                    from .frame_counter import counting

                    stack.enter_context(counting(self.interface or "", address.tx, advance))
                with in_use():
                    yield kernel
                return
            from ..soft.socket import SoftSocket

            if self.bus is None:
                bus = socketcan_bus(self.interface or "")
            else:
                bus = open_bus(stack, self.bus, self.bitrate, self.is_fd)
            wake_peer: Callable[[], None] | None = None
            if self.bus and self.bus.is_virtual:
                from .virtual_peer import join

                wake_peer = join(stack, bus, self, address, BIGGEST, peer_speaks)
            on_event = None
            if advance is not None:
                from .progress import of_engine

                on_event = of_engine(advance)
            soft = stack.enter_context(SoftSocket(bus, timeout, rcvbuf=rcvbuf or BIGGEST, on_event=on_event))
            soft.set_engine_opts(max_pdu_size=BIGGEST, progress_step=PROGRESS_STEP if advance else 0)
            self.configure(soft)
            soft.bind(address)
            if wake_peer is not None:
                wake_peer()
            with in_use():
                yield soft

    def _check(self, way: Way) -> None:
        """Refuse what contradicts itself, and what would have no effect."""
        if self.bus is None and self.interface is None:
            raise typer.BadParameter("INTERFACE is missing: a CAN interface such as can0, or --bus virtual")
        if self.bus is not None and self.interface is not None:
            raise typer.BadParameter(f"--bus says where: the interface {self.interface!r} is too many")
        if self.bus is not None and self.soft:
            raise typer.BadParameter("--bus always takes the engine: leave out --soft")
        check_bitrate(self.bus, self.bitrate)
        if self.bus is not None or self.soft:
            self._check_engine()
        if self.check_padding in ("c", "a") and (self.padding is None or self.padding.rx is None):
            raise typer.BadParameter(f"-P {self.check_padding} needs the padding byte to expect, such as -p :AA")
        if way is not Way.BOTH and (self.bs or self.stmin is not None or self.tx_stmin is not None):
            why = "sends single frames only" if way is Way.SEND else "sends nothing, no flow control either"
            option = "--functional" if way is Way.SEND else "--listen"
            raise typer.BadParameter(f"{option} {why}: leave out --bs, --stmin and --tx-stmin")

    def _check_engine(self) -> None:
        """Refuse what the engine cannot do."""
        from ..engine.params import Params

        if self.frames and self.frames.tx_flags & CANFD_ESI:
            raise typer.BadParameter("-L: the engine sends no error state indicator (2): allowed are the flags 0 and 1")
        try:
            Params(forced_tx_stmin_ns=self.tx_stmin)
        except OptionError:
            text = "--tx-stmin: the engine takes less than 900ms, else receivers give up waiting"
            raise typer.BadParameter(text) from None

    @contextmanager
    def _in_its_words(self) -> Iterator[None]:
        """Where a remedy is in the words of Python, put the options in their place."""
        try:
            yield
        except InvalidCanDataError as e:
            e.remedy = "look at the frames (isotp dump)"
            if self.check_padding is not None:
                e.remedy += "; say with -p how they are padded, or leave out -P"
            raise
        except OptionError as e:
            if "set_ll_opts" in (e.remedy or ""):  # CAN FD on an interface that is Classical CAN
                e.remedy = "leave out --fd, --brs and -L; or make it CAN FD: "
                e.remedy += f"sudo ip link set {self.interface} down mtu 72 up, or a real one: ... dbitrate ... fd on"
            raise

    def address(self, way: Way = Way.BOTH) -> Address | AsymmetricAddress:
        """The address that the options make."""
        try:
            return make_address(way, self.txid, self.rxid, self.extended, self.mixed, self.fixed)
        except AddressError as e:
            raise typer.BadParameter(e.what) from None
        except ValueError as e:
            raise typer.BadParameter(str(e)) from None

    @property
    def frames(self) -> values.LinkLayer | None:
        """The link layer options, if any are given."""
        if self.link_layer is not None:
            if self.fd or self.brs:
                raise typer.BadParameter("-L says it all: leave out --fd and --brs")
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
        checks = {"l": flags.CHK_PAD_LEN, "c": flags.CHK_PAD_DATA, "a": flags.CHK_PAD_LEN | flags.CHK_PAD_DATA}
        tx, rx = self.padding or (None, None)
        sock.set_general_opts(
            checks[self.check_padding] if self.check_padding else None, txpad=tx, rxpad=rx, tx_stmin=self.tx_stmin
        )
        sock.set_fc_opts(bs=self.bs, stmin=self.stmin)
        if frames := self.frames:
            sock.set_ll_opts(*frames)


def _check_for_kernel(address: Address | AsymmetricAddress) -> None:
    tx, rx = address.tx, address.rx
    if tx and rx and tx.can_id == rx.can_id:
        raise typer.BadParameter("the kernel needs different identifiers, -s and -d; --soft can do with one")


def with_link(command: Callable[..., int]) -> Callable[..., int]:
    """Give `command(link, ...)` the options of `Link` beside its own: its INTERFACE first, the others last."""
    signature = inspect.signature(command)
    own = [parameter for name, parameter in signature.parameters.items() if name != "link"]
    names = [field.name for field in fields(Link)]

    def run(**given: Any) -> int:
        link = Link(**{name: given.pop(name) for name in names})
        return command(link, **given)

    interface, *others = inspect.signature(Link).parameters.values()
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (interface, *own, *others)]
    run.__signature__ = signature.replace(parameters=keyword)  # type: ignore[attr-defined]
    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    return run
