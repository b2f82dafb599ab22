"""Links drawn at random: the addresses and options of both ends, and messages that suit them.

ISOTP_TEST_SEED=... repeats what a failure names. Everything drawn is something Linux 6.1 can do; what it cannot is left
out by the rules here: an address byte in one direction only, one identifier for both directions.
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import isotp
from isotp import Address, AddressingMode, AsymmetricAddress, STmin
from isotp.opts import CANFD_BRS, flags
from isotp.sockets import IsoTpSocket

SEED: Final = int(os.environ.get("ISOTP_TEST_SEED") or random.randrange(1 << 32))

TX_DLS: Final = (8, 12, 16, 20, 24, 32, 48, 64)
LONGEST: Final = 8300  # what every kernel takes without being told

T = TypeVar("T")
AnyAddress = Address | AsymmetricAddress


@dataclass(frozen=True)
class End:
    """The options of one end, by the names of the setters."""

    address: AnyAddress
    tx_dl: int | None
    """None for Classical CAN."""
    brs: bool
    bs: int
    stmin: STmin
    txpad: int | None
    rxpad: int | None
    checks: flags
    tx_stmin: int | None
    """Nanoseconds to send with, whatever the other end asks; None to obey."""

    def configure(self, sock: IsoTpSocket) -> None:
        """Set the options of `sock`, of whichever kind it is."""
        sock.set_fc_opts(bs=self.bs, stmin=self.stmin)
        sock.set_general_opts(self.checks, txpad=self.txpad, rxpad=self.rxpad, tx_stmin=self.tx_stmin)
        if self.tx_dl is not None:
            sock.set_ll_opts(mtu=72, tx_dl=self.tx_dl, tx_flags=CANFD_BRS if self.brs else 0)

    def consecutive_frames(self, size: int) -> int:
        """About how many frames follow the first one of a message from this end; never less than there are."""
        return max(0, size - 2) // ((self.tx_dl or 8) - 2)


@dataclass(frozen=True)
class RandomLink:
    """Two ends, and what each says to the other."""

    a: End
    b: End
    a_says: bytes
    b_says: bytes
    at_once: bool
    """Whether both messages travel at the same time."""

    def __str__(self) -> str:
        at_once = ", at once" if self.at_once else ""
        return f"a={self.a}\nb={self.b}\na says {len(self.a_says)} bytes, b says {len(self.b_says)}{at_once}"


def draw(chance: random.Random) -> RandomLink:
    """A link of any kind."""
    is_fd = chance.random() < 0.5
    addresses = draw_addresses(chance)
    tx_dls = [chance.choice(TX_DLS) if is_fd else None for _ in range(2)]
    txpads = [chance.choice((None, chance.randrange(256))) for _ in range(2)]
    sizes = [draw_size(chance, tx_dl or 8) for tx_dl in tx_dls]
    ends = []
    for own, other in ((0, 1), (1, 0)):
        rxpad, checks = _draw_checks(chance, txpads[other], is_fd)
        end = End(
            addresses[own],
            tx_dls[own],
            is_fd and chance.random() < 0.5,
            bs=chance.choice((0, 0, chance.randint(1, 8), chance.randrange(256))),
            stmin=STmin(0),
            txpad=txpads[own],
            rxpad=rxpad,
            checks=checks,
            tx_stmin=None,
        )
        ends.append(end)
    a, b = (_with_pauses(chance, ends[i], ends[1 - i].consecutive_frames(sizes[1 - i])) for i in (0, 1))
    forced = chance.choice((0, 1, 250_000, 1_000_000))
    if chance.random() < 0.1 and a.consecutive_frames(sizes[0]) * forced <= _PAUSES_NS:
        a = replace(a, tx_stmin=forced)
    a_says, b_says = map(chance.randbytes, sizes)
    return RandomLink(a, b, a_says, b_says, chance.random() < 0.2)


def draw_size(chance: random.Random, tx_dl: int) -> int:
    """1 to LONGEST: often where the form of the frames changes, seldom where it takes long."""
    edge = chance.choice((tx_dl, 2 * tx_dl, 16 * tx_dl, 100, 4095, LONGEST - 4)) + chance.randint(-4, 4)
    ranges: list[tuple[int, Callable[[], int]]] = [
        (2, lambda: chance.randint(1, tx_dl)),
        (4, lambda: max(1, edge)),
        (4, lambda: chance.randint(1, 200)),
        (4, lambda: chance.randint(200, 1000)),
        (2, lambda: chance.randint(1000, LONGEST)),
    ]
    (pick,) = chance.choices([pick for _, pick in ranges], [weight for weight, _ in ranges])
    return pick()


_STMINS: Final = tuple(map(STmin, range(256)))
_PAUSES_NS: Final = 20_000_000  # all the pauses within a message, most of the time


def _with_pauses(chance: random.Random, end: End, frames_to_come: int) -> End:
    """`end` with an STmin: any byte for short messages, for long ones what does not take too long."""
    longest_ns = 127_000_000 if chance.random() < 0.05 else _PAUSES_NS
    pauses = max(0, frames_to_come - 1)
    allowed = [stmin for stmin in _STMINS if stmin.ns * pauses <= longest_ns]
    return replace(end, stmin=chance.choice((STmin(0), chance.choice(allowed))))


def _draw_checks(chance: random.Random, padding: int | None, is_fd: bool) -> tuple[int | None, flags]:
    """What to check in frames padded with `padding`, and to find in order: rxpad and flags."""
    length, content = flags.CHK_PAD_LEN, flags.CHK_PAD_DATA
    ways: list[tuple[int | None, flags]]
    if padding is not None:
        ways = [(padding, length), (padding, content), (padding, length | content), (padding ^ 1, length)]
    else:  # CAN FD frames of more than 8 bytes are padded all the same, with 0xCC
        ways = [(None, length), (0xCC if is_fd else chance.randrange(256), content)]
    return chance.choice([(None, flags(0)), (chance.randrange(256), flags(0)), *ways])


# --- addresses


def draw_addresses(chance: random.Random) -> tuple[AnyAddress, AnyAddress]:
    """The two ends of a link of any mode, or of one mode each way."""
    modes = list(AddressingMode)
    there = chance.choice(modes)
    if chance.random() < 0.75:
        return _until(lambda: _both_ends(chance, there), lambda ends: _is_kernels(*ends))
    back = chance.choice([mode for mode in modes if _has_byte(mode) == _has_byte(there)])
    return _until(lambda: _one_mode_each_way(chance, there, back), lambda ends: _is_kernels(*ends))


def _has_byte(mode: AddressingMode) -> bool:
    return mode.name.startswith(("Extended", "Mixed"))


def _is_kernels(a: AnyAddress, b: AnyAddress) -> bool:
    """The kernel needs an identifier for each direction."""
    assert a.tx
    assert a.rx
    assert (a.tx, a.rx) == (b.rx, b.tx)
    return a.tx.can_id != a.rx.can_id


def _until(make: Callable[[], T], is_good: Callable[[T], bool]) -> T:
    while True:
        if is_good(made := make()):
            return made


def _both_ends(chance: random.Random, mode: AddressingMode) -> tuple[Address, Address]:
    one, other = chance.sample(range(256), 2)
    if mode.name.startswith("Extended") and chance.random() < 0.2:
        other = one
    a: dict[str, Any] = {}
    b: dict[str, Any] = {}
    if mode.has_fixed_ids or mode.name.startswith("Extended"):
        a |= {"target_address": one, "source_address": other}
        b |= {"target_address": other, "source_address": one}
    if mode.has_fixed_ids and chance.random() < 0.3:
        a["physical_id"] = b["physical_id"] = chance.randrange(1 << 29)
    if not mode.has_fixed_ids:
        widest = 1 << 29 if mode.is_29bit and chance.random() < 0.8 else 0x800
        low, high = chance.sample(range(widest), 2)
        a |= {"txid": low, "rxid": high}
        b |= {"txid": high, "rxid": low}
    if mode.name.startswith("Mixed"):
        a["address_extension"] = b["address_extension"] = chance.randrange(256)
    return Address(mode, **a), Address(mode, **b)


def _one_mode_each_way(
    chance: random.Random, there: AddressingMode, back: AddressingMode
) -> tuple[AsymmetricAddress, AsymmetricAddress]:
    a_there, b_there = _both_ends(chance, there)
    b_back, a_back = _both_ends(chance, back)
    return (
        AsymmetricAddress(replace(a_there, tx_only=True), replace(a_back, rx_only=True)),
        AsymmetricAddress(replace(b_back, tx_only=True), replace(b_there, rx_only=True)),
    )


# --- sockets of both kinds


class Kinds:
    """Opens sockets of either kind on one interface, configured and bound."""

    def __init__(self, open_kernel: Callable[[], isotp.socket], interface: str) -> None:
        self._open_kernel = open_kernel
        self._interface = interface
        self._bus = isotp.SocketCanBus(interface)

    def __call__(self, kind: str, end: End, timeout: float = 30.0) -> IsoTpSocket:
        """A socket that is `end`; `kind` is "kernel" or "soft"."""
        if kind == "kernel":
            native = self._open_kernel()
            end.configure(native)
            native.bind(self._interface, end.address)
            return native
        soft = isotp.SoftSocket(self._bus, timeout)
        try:
            end.configure(soft)
            soft.bind(end.address)
        except BaseException:
            soft.close()
            raise
        return soft
