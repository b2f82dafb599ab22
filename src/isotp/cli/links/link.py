"""The link that the options of a command describe: which bus, which address, which options."""

import argparse
from dataclasses import dataclass, fields
from typing import Final

from ...errors import OptionError
from ...opts.optflags import flags
from ...opts.records import CANFD_BRS, CANFD_ESI
from ...sockets import AnySocket
from ..options.addresses import AnyAddress, Way, make_address
from ..options.values import Bytes2, LinkLayer, Where
from ..parser import WrongUsage
from .buses import check_bitrate

BIGGEST: Final = 1 << 24
"""Bytes of the longest message that the engine takes here."""

_CAN_FD: Final = LinkLayer(72, 64, 0)
_CHECKS: Final = {"l": flags.CHK_PAD_LEN, "c": flags.CHK_PAD_DATA, "a": flags.CHK_PAD_LEN | flags.CHK_PAD_DATA}


@dataclass(frozen=True, kw_only=True)
class Link:
    """One ISO-TP link, as the command line describes it; `options.groups` documents each option."""

    interface: str | None = None
    way: Way = Way.BOTH
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

    @property
    def address(self) -> AnyAddress:
        """The address that the options make."""
        return make_address(self.way, self.txid, self.rxid, self.extended, self.mixed, self.fixed, self.base)

    @property
    def frames(self) -> LinkLayer | None:
        """The link layer options, if any are given."""
        if self.fd or self.brs:
            return _CAN_FD._replace(tx_flags=CANFD_BRS if self.brs else 0)
        return self.link_layer

    @property
    def is_fd(self) -> bool:
        """Whether frames are CAN FD."""
        return self.frames is not None and self.frames.mtu > 16

    def configure(self, sock: AnySocket) -> None:
        """Set the options of `sock`."""
        checks = _CHECKS[self.check_padding] if self.check_padding else None
        tx, rx = self.padding or (None, None)
        sock.set_general_opts(checks, txpad=tx, rxpad=rx, tx_stmin=self.tx_stmin)
        sock.set_fc_opts(bs=self.bs or None, stmin=self.stmin)
        if frames := self.frames:
            sock.set_ll_opts(*frames)

    @property
    def is_shared(self) -> bool:
        """Whether an edge shares it: then it has an address there already, and options that its owner has set."""
        return self.bus is not None and self.bus.is_shared

    @property
    def has_address(self) -> bool:
        """Whether the options say an address."""
        return any(one is not None for one in (self.txid, self.rxid, self.extended, self.mixed, self.fixed))

    def check(self) -> None:
        """Raise WrongUsage for what contradicts itself, and what would have no effect."""
        if self.is_shared and not self.has_address:
            if self.soft or self.bitrate is not None:
                raise WrongUsage(f"--bus {self.bus}: its owner has set it up: leave out --soft and --bitrate")
            return
        address = self.address
        if self.bus is not None and self.soft:
            raise WrongUsage("--bus always takes the engine: leave out --soft")
        check_bitrate(self.bus, self.bitrate)
        if self.bus is not None or self.soft:
            self._check_engine()
        elif address.tx and address.rx and address.tx.can_id == address.rx.can_id:
            raise WrongUsage("the kernel needs different identifiers, -s and -d; --soft can do with one")
        if self.link_layer is not None and (self.fd or self.brs):
            raise WrongUsage("-L says it all: leave out --fd and --brs")
        if self.check_padding in ("c", "a") and (self.padding is None or self.padding.rx is None):
            raise WrongUsage(f"-P {self.check_padding} needs the padding byte to expect, such as -p :AA")
        if self.way is not Way.BOTH and (self.bs or self.stmin is not None or self.tx_stmin is not None):
            why = "sends single frames only" if self.way is Way.SEND else "sends nothing, no flow control either"
            option = "--functional" if self.way is Way.SEND else "--listen"
            raise WrongUsage(f"{option} {why}: leave out --bs, --stmin and --tx-stmin")

    def _check_engine(self) -> None:
        """Refuse what the engine cannot do."""
        from ...engine.params import Params  # not for the kernel's sockets

        if self.frames and self.frames.tx_flags & CANFD_ESI:
            raise WrongUsage("-L: the engine sends no error state indicator (2): allowed are the flags 0 and 1")
        try:
            Params(forced_tx_stmin_ns=self.tx_stmin)
        except OptionError:
            raise WrongUsage("--tx-stmin: the engine takes less than 900ms, else receivers give up waiting") from None


def link_of(arguments: argparse.Namespace, interface: str | None, way: Way = Way.BOTH) -> Link:
    """The link that the options of a command make."""
    given = vars(arguments) | {"interface": interface, "way": way}
    return Link(**{field.name: given[field.name] for field in fields(Link)})
