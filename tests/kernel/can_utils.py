"""Debian's can-utils, as peers of ours."""

import shutil
from typing import NamedTuple

import isotp
from isotp import CAN_EFF_FLAG
from isotp.opts import CANFD_BRS, flags
from isotp.sockets import IsoTpSocket

from .conftest import segment, skip_or_fail

SIZES = (1, 6, 7, 8, 61, 62, 100, 4095)


def need(*tools: str) -> None:
    """Skip the test where a tool is missing; fail it if can-utils has to be there (ISOTP_REQUIRE_CAN_UTILS=1)."""
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        skip_or_fail(f"no {', '.join(missing)} (to do: apt install can-utils)", "ISOTP_REQUIRE_CAN_UTILS")


def hexadecimal(data: bytes) -> str:
    """A message as they read and write it."""
    return data.hex(" ").upper()


class Peer(NamedTuple):
    """How a tool is told to be the other end of a socket of ours. Pairs are of our end and of the tool's."""

    arguments: tuple[str, ...] = ()
    ids: tuple[int, int] = (0x7E0, 0x7E8)
    prefixes: tuple[bytes, bytes] = (b"", b"")
    tx_dl: int = 8
    tx_flags: int = 0
    txpads: tuple[int | None, int | None] = (None, None)

    def other_end(self) -> "Peer":
        """The same link from the tool's end."""
        return self._replace(ids=self.ids[::-1], prefixes=self.prefixes[::-1], txpads=self.txpads[::-1])

    def configured(self, sock: IsoTpSocket) -> None:
        """Set the options of our end."""
        ours, theirs = self.txpads
        if ours is not None:
            sock.set_general_opts(flags.CHK_PAD_LEN | flags.CHK_PAD_DATA, txpad=ours, rxpad=theirs)
        if self.prefixes[0]:
            sock.set_general_opts(ext_address=self.prefixes[0][0], rx_ext_address=self.prefixes[1][0])
        if self.tx_dl > 8:
            sock.set_ll_opts(mtu=72, tx_dl=self.tx_dl, tx_flags=self.tx_flags)

    def command(self, tool: str, interface: str) -> list[str]:
        ours, theirs = (f"{i & ~CAN_EFF_FLAG:0{8 if i & CAN_EFF_FLAG else 3}X}" for i in self.ids)
        return [tool, "-s", theirs, "-d", ours, *self.arguments, interface]

    def bind(self, sock: isotp.socket, interface: str) -> None:
        self.configured(sock)
        sock.bind(interface, rxid=self.ids[1], txid=self.ids[0])

    def frames(self, data: bytes, ours: bool) -> list[bytes]:
        end = 0 if ours else 1
        return segment(data, self.tx_dl, self.prefixes[end], self.txpads[end])


PEERS = {
    "Classical": Peer(),
    "29 bits": Peer(ids=(0x18DAF110 | CAN_EFF_FLAG, 0x18DA10F1 | CAN_EFF_FLAG)),
    "29 bits, small": Peer(ids=(0x10 | CAN_EFF_FLAG, 0x11 | CAN_EFF_FLAG)),
    "CAN FD": Peer(("-L", "72:64:0"), tx_dl=64),
    "CAN FD, BRS": Peer(("-L", "72:24:1"), tx_dl=24, tx_flags=CANFD_BRS),
    "extended": Peer(("-x", "12"), prefixes=(b"\x12", b"\x12")),
    "extended, both": Peer(("-x", "12:34"), prefixes=(b"\x34", b"\x12")),
    "padding": Peer(("-p", "AA:BB", "-P", "a"), txpads=(0xBB, 0xAA)),
    "CAN FD, extended": Peer(("-L", "72:32:0", "-x", "12:34"), prefixes=(b"\x34", b"\x12"), tx_dl=32),
}
