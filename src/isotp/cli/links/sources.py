"""What `dump` and `perf` have in common: where frames come from, and whose they are."""

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator

from ...capture.capture import Capture, FrameSource
from ...capture.readers import MAX_UNPACKED
from ...linux.raw_can import ANY
from ..options import values
from ..options.addresses import AnyAddress, Way, make_address, one_direction
from ..options.groups import add_addresses, add_bus
from ..output import terminal, units
from ..parser import Parser, WrongUsage
from .buses import check_bitrate
from .interfaces import interface_names
from .listening import Adapter, Interface
from .memory import MAX_MEMORY
from .watching import Watch


def add_source(parser: Parser) -> None:
    """Add SOURCE, and the options of buses and addresses."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="SOURCE",
        help="a CAN interface, or any for all of them; or a recording (- for standard input), plain or gzip: candump, "
        "pcap, pcapng, .asc, .blf, .trc, .csv of SavvyCAN and python-can, BusMaster, and with python-can installed "
        ".db and .mf4",
    )
    add_bus(parser, "SOURCE", has_virtual=False).add_argument(
        "--fd", action="store_true", help="open the adapter of --bus for CAN FD"
    )
    add_addresses(parser, several=True)
    group = parser.group("Limits for recordings")
    group.add_argument(
        "--max-unpacked",
        metavar="SIZE",
        type=values.size,
        help="bytes that a packed one may unpack to, where that is more than 100 times its size "
        f"(default: {units.size_text(MAX_UNPACKED)})",
    )
    group.add_argument(
        "--max-memory",
        metavar="SIZE",
        type=values.size,
        help=f"memory that reading one may take, on Linux (default: {units.size_text(MAX_MEMORY)})",
    )


def open_capture(arguments: argparse.Namespace) -> Capture:
    """The capture of the interface, adapter or recording that the command line names, with the links that it names."""
    links, address_size = _links(arguments)
    most = MAX_UNPACKED if arguments.max_unpacked is None else arguments.max_unpacked
    return Capture(_source(arguments), *links, address_size=address_size, max_unpacked=most)


def _source(arguments: argparse.Namespace) -> str | FrameSource:
    words, bus = arguments.words, arguments.bus
    if len(words) + (bus is not None) != 1:
        raise WrongUsage("needed is one of SOURCE (an interface such as can0, or a recording) and --bus")
    check_bitrate(bus, arguments.bitrate)
    if arguments.fd and bus is None:
        raise WrongUsage("--fd is for --bus: interfaces and recordings have CAN FD frames anyway")
    if bus is not None:
        if bus.is_shared:
            raise WrongUsage(
                f"--bus {bus}: a shared link carries whole messages and no frames; to overhear them: "
                f"isotp recv --bus {bus} --listen --follow"
            )
        if bus.is_virtual:
            raise WrongUsage("--bus virtual is a bus in this process, and there is no traffic on it")
        return Adapter(bus, arguments.bitrate, arguments.fd)
    target: str = words[0]
    if target == ANY or target in interface_names():
        return Interface(target)
    is_file = target == "-" or os.path.exists(target) or "." in target or os.sep in target
    return target if is_file else Interface(target)


def _links(arguments: argparse.Namespace) -> tuple[list[AnyAddress], int]:
    """The links that the options name, none for all; and how many address bytes those have that are to be found."""
    txids, rxids, fixed = arguments.txid or [], arguments.rxid or [], arguments.fixed or []
    extended, mixed, base = arguments.extended, arguments.mixed, arguments.base
    are_named = bool(txids or rxids or fixed)
    if extended is not None and extended.tx is None:
        if are_named or mixed is not None or base is not None:
            raise WrongUsage("-x any finds all links: leave out the identifiers, or name the addresses")
        return [], 1
    if not are_named and (extended is not None or mixed is not None):
        raise WrongUsage("-x and --mixed need the identifiers -s and -d; or say -x any")
    if base is not None and not fixed:
        raise WrongUsage("--base is for the identifiers that --fixed makes: say --fixed, or leave it out")
    addresses = [make_address(Way.BOTH, None, None, extended, mixed, pair, base) for pair in fixed]
    if len(txids) == len(rxids):  # the first -s with the first -d, and so on
        addresses += [make_address(Way.BOTH, *pair, extended, mixed) for pair in zip(txids, rxids, strict=True)]
    elif len(txids) + len(rxids) == 1:
        tx, rx = next(iter(txids), None), next(iter(rxids), None)
        byte = mixed if extended is None else extended.tx if rx is None else extended.rx
        addresses.append(one_direction(tx, rx, byte))
    else:
        raise WrongUsage(f"-s is given {len(txids)} times and -d {len(rxids)} times: give a -d for each -s")
    return addresses, 0


def report(arguments: argparse.Namespace, capture: Capture, watch: Watch) -> None:
    """Say on standard error what else there is to know at the end."""
    for remark in _remarks(arguments, capture, watch):
        text = f"{capture.name}: {remark}"
        terminal.to_stderr(textwrap.fill(text, terminal.width()) if sys.stderr.isatty() else text)


def _remarks(arguments: argparse.Namespace, capture: Capture, watch: Watch) -> Iterator[str]:
    if capture.skipped:
        lost = "frames were lost, this output was too slow"
        yield f"{capture.skipped:,} {lost if capture.is_live else 'lines were no CAN frames'}"
    if not capture.frames and not capture.is_live:
        yield "no CAN frames in it"
        return
    are_named = arguments.txid or arguments.rxid or arguments.fixed
    frames = f"{capture.frames:,} frames"
    if capture.has_address_bytes:
        yield "links were found only with an address byte before each N_PCI (extended addressing): say -x any"
    if not watch.events and are_named:
        yield f"none of these identifiers in {frames}; without -s, -d and --fixed links are found by their traffic"
    elif not watch.events:
        is_said = arguments.extended or capture.has_address_bytes
        hint = "" if is_said else ", or say -x any for extended addressing"
        yield f"no ISO-TP link found in {frames}; if there are any, name their identifiers with -s and -d{hint}"
    elif watch.faults > watch.events // 2 and arguments.extended is None:
        yield f"{watch.faults:,} faults; if this is extended addressing, say -x any"
    elif capture.not_shown and watch.has_all and not are_named:
        missed = f", {capture.missed:,} of them before their link was found" if capture.missed else ""
        yield f"{capture.not_shown:,} of {frames} are of no link that was found{missed}; -s and -d name more"
