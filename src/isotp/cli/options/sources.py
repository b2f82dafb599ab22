"""What `dump` and `perf` have in common: where frames come from, whose they are, and the options that say so."""

import os
from collections.abc import Callable
from typing import Annotated, Final

import typer

from ..address import Address, AsymmetricAddress
from ..capture.observer import Observer
from ..capture.recording import open_log
from ..linux.interface import names as interface_names
from . import terminal, values
from .buses import check_bitrate
from .link import Link
from .link_options import ADDRESSES, BUS
from .listening import ANY, Adapter, Interface
from .values import Where
from .watching import Source, Watch

Target = Annotated[
    str | None,
    typer.Argument(
        metavar="SOURCE",
        help="CAN interface, or any for all; or a log file: candump's (.log, .log.gz, - for standard input), "
        ".asc, .blf, .trc, .csv and whatever else python-can reads",
    ),
]
Adapters = Annotated[
    Where | None,
    typer.Option(
        "--bus",
        metavar="WHERE",
        parser=values.where,
        help="in place of SOURCE: an adapter of python-can, INTERFACE:CHANNEL",
        rich_help_panel=BUS,
    ),
]
AnyExtended = Annotated[
    values.Bytes2 | None,
    typer.Option(
        "-x",
        "--extended",
        metavar="TA[:SA]|any",
        parser=lambda text: values.Bytes2(None, None) if text == "any" else values.address_bytes(text),
        help="extended addressing; any: find the links of it, with whatever addresses",
        rich_help_panel=ADDRESSES,
    ),
]
CanFd = Annotated[bool, typer.Option("--fd", help="open the adapter of --bus for CAN FD", rich_help_panel=BUS)]


def open_source(target: str | None, bus: Where | None, bitrate: int | None, can_fd: bool) -> Source:
    """The interface, adapter or log file that the command line names."""
    if (target is None) == (bus is None):
        raise typer.BadParameter("needed is one of SOURCE (an interface such as can0, or a log file) and --bus")
    check_bitrate(bus, bitrate)
    if can_fd and bus is None:
        raise typer.BadParameter("--fd is for --bus: interfaces and log files have CAN FD frames by themselves")
    if bus is not None:
        if bus.is_virtual:
            raise typer.BadParameter("--bus virtual is a bus in this process, and nobody sends on it")
        return Adapter(bus, bitrate, can_fd)
    assert target is not None
    if target == ANY or target in _interfaces():
        return Interface(target)
    is_file = target == "-" or os.path.exists(target) or "." in target or os.sep in target
    return open_log(target) if is_file else Interface(target)


def _interfaces() -> list[str]:
    try:
        return interface_names()
    except (AttributeError, OSError):  # a system without
        return []


def observer_maker(
    txid: int | None, rxid: int | None, extended: values.Bytes2 | None, mixed: int | None, fixed: values.Bytes2 | None
) -> Callable[[], Observer]:
    """What makes observers of the link that the options name, or of all links if they name none."""
    if extended is not None and extended.tx is None:
        if txid is not None or rxid is not None or fixed is not None or mixed is not None:
            raise typer.BadParameter("-x any finds all links: leave out the identifiers, or name the addresses")
        return lambda: Observer(address_size=1)
    if txid is None and rxid is None and fixed is None:
        if extended is not None or mixed is not None:
            raise typer.BadParameter("-x and --mixed need the identifiers -s and -d; or say -x any")
        return Observer
    address = _address(txid, rxid, extended, mixed, fixed)
    return lambda: Observer(address)


def _address(
    txid: int | None, rxid: int | None, extended: values.Bytes2 | None, mixed: int | None, fixed: values.Bytes2 | None
) -> Address | AsymmetricAddress:
    if fixed is not None or (txid is not None and rxid is not None):
        return Link(txid=txid, rxid=rxid, extended=extended, mixed=mixed, fixed=fixed).address()
    # One identifier alone: that direction.
    both = extended or (values.Bytes2(mixed, mixed) if mixed is not None else None)
    if both is None:
        return Address.normal(rxid=rxid, txid=txid)
    if rxid is None:
        return Address.extended(txid=txid, target_address=both.tx)
    return Address.extended(rxid=rxid, source_address=both.rx)


_HINT: Final = "if there are any, name their identifiers: -s and -d, or -x any for extended addressing"


def report(source: Source, watch: Watch) -> None:
    """What is to be said at the end, on standard error."""
    if source.passed_over:
        what = "frames were lost, this output was too slow" if source.is_live else "lines were no CAN frames"
        terminal.tell(f"{source.name}: {source.passed_over:,} {what}")
    if not watch.frames and not source.is_live:
        terminal.tell(f"{source.name}: no CAN frames in it")
    elif not watch.streams:
        terminal.tell(f"{source.name}: no ISO-TP link found in {watch.frames:,} frames; {_HINT}")
