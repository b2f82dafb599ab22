"""isotp perf --self: what this machine's own ISO-TP paths can do, both ends in one process."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median, quantiles
from typing import Final, NamedTuple

import isotp

from ...bus.base import Bus
from ...errors import IsoTpError, UnavailableError
from ...sockets import IsoTpSocket
from .. import status
from ..links.interfaces import can_interfaces, check_virtual
from ..output import terminal
from ..output.progress import Bar

# Not the identifiers of diagnostics (0x7E0 and so on): a simulated ECU may be on the same vcan.
_TX, _RX = 0x6A0, 0x6A8
_SIZES: Final = (7, 4095)
_SECONDS: Final = 1.0  # for each measurement
_WIDE: Final = 72  # columns for the whole table
_WARM_UP: Final = 3
_RUNS_MIN, _RUNS_MAX = 10, 10_000

Pair = tuple[IsoTpSocket, IsoTpSocket]


class Path(NamedTuple):
    """A way from one socket to another, and how to open it."""

    name: str
    opened: Callable[[ExitStack], Pair]


class Speed(NamedTuple):
    """Times of messages, sent and received one after the other, in seconds."""

    middle: float
    slow: float
    """95 of 100 messages are faster."""
    messages: int


def measure(interface: str | None, size: int | None) -> int:
    """Measure every path there is, print a table; `interface` is a vcan (None: the first one that is up)."""
    paths = _paths(_vcan(interface))
    print(_row("path", "bytes", "median", "95 %", "bytes/s", "messages"))
    for path in paths:
        try:
            with ExitStack() as stack:
                pair = path.opened(stack)
                for length in _SIZES if size is None else (size,):
                    _print(path.name, length, _speed(pair, length))
        except UnavailableError as e:
            terminal.print_wrapped(f"{path.name:22} not here: {e.what}", indent=" " * 23)
    return status.DONE


def _row(path: str, *numbers: str) -> str:
    """A line of the table, 60 columns; the last column only where there is room for it."""
    widths = (6, 9, 9, 11, 8)
    shown = len(widths) if terminal.width() >= _WIDE else len(widths) - 1
    cells = [f"{number:>{width}}" for number, width in zip(numbers, widths, strict=True)]
    return f"{path:22}" + " ".join(cells[:shown])


def _print(name: str, size: int, speed: Speed) -> None:
    times = (_time(speed.middle), _time(speed.slow))
    print(_row(name, str(size), *times, f"{size / speed.middle:,.0f}", str(speed.messages)), flush=True)


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms" if seconds >= 0.001 else f"{seconds * 1e6:.1f} us"


def _paths(name: str | None) -> Iterator[Path]:
    if name is None:
        more = "; for all: sudo isotp vcan up vcan0" if sys.platform == "linux" else ""
        terminal.to_stderr(terminal.wrapped(f"no vcan is up, so only the engine is measured{more}"))
    else:
        yield Path(f"kernel on {name}", lambda stack: _kernel(stack, name))
        yield Path(f"engine on {name}", lambda stack: _socketcan(stack, name))
    yield Path("engine on VirtualBus", _virtual)


def _vcan(wanted: str | None) -> str | None:
    """The vcan to use: nothing here may reach a real bus."""
    if wanted is not None:
        check_virtual(wanted)
        return wanted
    return next((found.name for found in can_interfaces() if found.is_up and found.kind == "vcan"), None)


def _kernel(stack: ExitStack, name: str) -> Pair:
    a, b = (stack.enter_context(isotp.socket(10.0)) for _ in range(2))
    a.bind(name, rxid=_RX, txid=_TX)
    b.bind(name, rxid=_TX, txid=_RX)
    return a, b


def _socketcan(stack: ExitStack, name: str) -> Pair:
    return _engine(stack, isotp.SocketCanBus(name))


def _virtual(stack: ExitStack) -> Pair:
    return _engine(stack, isotp.VirtualBus())


def _engine(stack: ExitStack, bus: Bus) -> Pair:
    a, b = (stack.enter_context(isotp.SoftSocket(bus, 10.0)) for _ in range(2))
    a.bind(rxid=_RX, txid=_TX)
    b.bind(rxid=_TX, txid=_RX)
    return a, b


def _speed(pair: Pair, size: int) -> Speed:
    sender, receiver = pair
    message = (bytes(range(256)) * (size // 256 + 1))[:size]
    times: list[float] = []
    with Bar("messages") as bar:
        end = time.perf_counter() + _SECONDS
        while len(times) < _WARM_UP + _RUNS_MIN or (time.perf_counter() < end and len(times) < _RUNS_MAX):
            begin = time.perf_counter()
            sender.send(message)
            received = receiver.recv()
            times.append(time.perf_counter() - begin)
            if received != message:
                raise IsoTpError("the message received is not the one that was sent")
            bar.show(len(times), min(1.0, 1 - (end - time.perf_counter()) / _SECONDS))
    times = times[_WARM_UP:]
    return Speed(median(times), quantiles(times, n=20)[-1], len(times))
