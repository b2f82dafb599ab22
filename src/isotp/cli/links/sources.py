"""What `dump` and `perf` have in common: where frames come from, and whose they are."""

import argparse
import os
from collections.abc import Callable

from ...capture.observer import Observer
from ...capture.recording import open_log
from ...linux.raw_can import ANY
from ..options.addresses import Way, make_address, one_direction
from ..options.groups import add_addresses, add_bus
from ..output import terminal
from ..parser import Parser, WrongUsage
from .buses import check_bitrate
from .interfaces import interface_names
from .listening import Adapter, Interface
from .watching import Source, Watch


def add_source(parser: Parser) -> None:
    """Add SOURCE, and the options of buses and addresses."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="SOURCE",
        help="a CAN interface, or any for all of them; or a log file: candump's (.log, .log.gz, - for standard "
        "input), and with python-can installed .asc, .blf, .trc, .csv and whatever else it reads",
    )
    add_bus(parser, "SOURCE", has_virtual=False).add_argument(
        "--fd", action="store_true", help="open the adapter of --bus for CAN FD"
    )
    add_addresses(parser, several=True)


def open_source(arguments: argparse.Namespace) -> Source:
    """The interface, adapter or log file that the command line names."""
    words, bus = arguments.words, arguments.bus
    if len(words) + (bus is not None) != 1:
        raise WrongUsage("needed is one of SOURCE (an interface such as can0, or a log file) and --bus")
    check_bitrate(bus, arguments.bitrate)
    if arguments.fd and bus is None:
        raise WrongUsage("--fd is for --bus: interfaces and log files have CAN FD frames anyway")
    if bus is not None:
        if bus.is_virtual:
            raise WrongUsage("--bus virtual is a bus in this process, and there is no traffic on it")
        return Adapter(bus, arguments.bitrate, arguments.fd)
    (target,) = words
    if target == ANY or target in interface_names():
        return Interface(target)
    is_file = target == "-" or os.path.exists(target) or "." in target or os.sep in target
    return open_log(target) if is_file else Interface(target)


def observer_maker(arguments: argparse.Namespace) -> Callable[[], Observer]:
    """What makes observers of the links that the options name, or of all links if they name none."""
    txids, rxids, fixed = arguments.txid or [], arguments.rxid or [], arguments.fixed or []
    extended, mixed, base = arguments.extended, arguments.mixed, arguments.base
    are_named = bool(txids or rxids or fixed)
    if extended is not None and extended.tx is None:
        if are_named or mixed is not None or base is not None:
            raise WrongUsage("-x any finds all links: leave out the identifiers, or name the addresses")
        return lambda: Observer(address_size=1)
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
    return lambda: Observer(*addresses)


def report(arguments: argparse.Namespace, source: Source, watch: Watch) -> None:
    """Say on standard error what else there is to know at the end."""
    if source.passed_over:
        what = "frames were lost, this output was too slow" if source.is_live else "lines were no CAN frames"
        terminal.to_stderr(f"{source.name}: {source.passed_over:,} {what}")
    if not watch.frames and not source.is_live:
        terminal.to_stderr(f"{source.name}: no CAN frames in it")
    elif not watch.shown:
        terminal.to_stderr(f"{source.name}: {_nothing_shown(arguments, f'{watch.frames:,} frames')}")
    elif watch.faults > watch.shown // 2 and arguments.extended is None:
        terminal.to_stderr(f"{source.name}: {watch.faults:,} faults; if this is extended addressing, say -x any")


def _nothing_shown(arguments: argparse.Namespace, frames: str) -> str:
    if arguments.txid or arguments.rxid or arguments.fixed:
        return f"none of these identifiers in {frames}; without -s, -d and --fixed links are found by their traffic"
    hint = "" if arguments.extended else ", or say -x any for extended addressing"
    return f"no ISO-TP link found in {frames}; if there are any, name their identifiers with -s and -d{hint}"
