"""isotp simulate: the ECUs of a car file answer on a bus."""

import argparse
from collections.abc import Sized
from contextlib import ExitStack
from functools import partial
from typing import Final

from ...address import CanAddress
from ...bus.base import Bus
from ...testing.ecu.car import Car
from ...testing.ecu.car_file import load_car
from ...testing.ecu.ecu import Ecu, Exchange
from .. import status
from ..links.buses import open_bus, place, socketcan_bus
from ..links.link import Link
from ..links.remedies import in_options, in_use
from ..options import values
from ..options.groups import add_flow_control, add_frames
from ..output import terminal, units
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] FILE --bus WHERE"
DESCRIPTION: Final = """
Let simulated ECUs answer on a bus until Ctrl-C: those that FILE describes, in TOML or YAML. Then show what they were
asked.

examples/car.toml shows everything that a file can say: identifiers, DIDs, trouble codes, security access, routines,
a download, whole replies to any request, response pending and delays.
"""
EXAMPLES: Final = (
    "isotp simulate examples/car.toml --check",
    "isotp simulate examples/car.toml --bus vcan0",
    "isotp simulate examples/car.toml --bus vcan0 --soft --fd --verbose",
    "isotp simulate examples/car.toml --bus pcan:PCAN_USBBUS1 --bitrate 500000",
)

_SHOWN: Final = 32  # bytes of a message
_FRAMES: Final = ("fd", "brs", "link_layer", "padding", "check_padding")
_FLOW_CONTROL: Final = ("bs", "stmin", "tx_stmin")


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("file", metavar="FILE", help="what describes the ECUs; YAML if it ends with .yaml or .yml")
    parser.add_argument("--check", action="store_true", help="only read FILE and show the ECUs")
    parser.add_argument("-v", "--verbose", action="store_true", help="show each request and its replies")
    parser.add_argument(
        "--duration",
        metavar="TIME",
        type=values.seconds,
        help="end after this time, with its unit: 10s (default: at Ctrl-C)",
    )
    group = parser.group("Bus")
    group.add_argument(
        "--bus",
        metavar="WHERE",
        type=place,
        help="a CAN interface, such as vcan0; an adapter of python-can, such as pcan:PCAN_USBBUS1; or 'virtual', a bus "
        "in this process, where nothing else is",
    )
    group.add_argument(
        "--bitrate",
        metavar="N",
        type=values.number(1),
        help="bit rate of the python-can adapter in bit/s (default: as the adapter is set)",
    )
    group.add_argument(
        "--soft", action="store_true", help="on a CAN interface use the protocol engine in Python, not the kernel's"
    )
    add_frames(parser)
    add_flow_control(parser)


def run(arguments: argparse.Namespace) -> int:
    """Simulate; 0 when the time is over, or the file was checked."""
    ecus = load_car(arguments.file)
    if arguments.bus is None and not arguments.check:
        raise WrongUsage("--bus is missing: a CAN interface such as vcan0, or --check to read the file only")
    interface = arguments.bus if isinstance(arguments.bus, str) else None
    bus = None if isinstance(arguments.bus, str) else arguments.bus
    given = {name: getattr(arguments, name) for name in ("bitrate", "soft", *_FRAMES, *_FLOW_CONTROL)}
    # Its addresses stand for those of the file: all options but these are the same for each ECU.
    link = Link(interface=interface, bus=bus, rxid=0x7E0, txid=0x7E8, **given)
    link.check()
    for ecu in ecus:
        print(_described(ecu), flush=True)
        if arguments.verbose:
            ecu.on_served = partial(_show, ecu)
    if arguments.check:
        return status.DONE
    with ExitStack() as stack:
        stack.enter_context(in_options(link))
        car = Car(_where(stack, link), *ecus, configure=link.configure)
        stack.enter_context(in_use())
        try:
            car.run(arguments.duration)
        finally:
            if car.has_begun:
                print("\n".join(map(_summary, ecus)), flush=True)
    return status.DONE


def _where(stack: ExitStack, link: Link) -> "Bus | str":
    if link.bus is not None:
        return open_bus(stack, link.bus, link.bitrate, link.is_fd)
    assert link.interface is not None
    return socketcan_bus(link.interface) if link.soft else link.interface


def _described(ecu: Ecu) -> str:
    """The identifiers of an ECU, and what it has."""
    links = f"{_ids(ecu.address.rx)} -> {_ids(ecu.address.tx)}"
    if ecu.functional:
        links += f", to all {' '.join(_ids(each.rx) for each in ecu.functional)}"
    parts: dict[str, Sized] = {"rules": ecu.rules, "DIDs": ecu.dids, "DTCs": ecu.dtcs}
    parts |= {"security": ecu.security, "routines": ecu.routines}
    has = [f"{name} {len(part)}" for name, part in parts.items() if part]
    has += ["download"] if ecu.download is not None else []
    return f"{terminal.paint(terminal.visible(ecu.name), terminal.GREEN)}  {links}  {', '.join(has)}".rstrip()


def _ids(address: CanAddress | None) -> str:
    return "" if address is None else units.short_address(address)


def _show(ecu: Ecu, exchange: Exchange) -> None:
    name = terminal.visible(ecu.name)
    print(f"{name} <- {_bytes(exchange.request.data)}{' (to all)' if exchange.request.is_functional else ''}")
    for after_s, reply in exchange.replies:
        print(f"{name} -> {_bytes(reply)}{f' after {after_s:g} s' if after_s else ''}")
    print(end="", flush=True)


def _bytes(data: bytes) -> str:
    return data[:_SHOWN].hex(" ").upper() + (f" ... ({len(data)} bytes)" if len(data) > _SHOWN else "")


def _summary(ecu: Ecu) -> str:
    counts = ecu.counts
    others = sorted((name, count) for name, count in counts.items() if name not in ("requests", "replies"))
    return f"{terminal.visible(ecu.name)}: {counts['requests']} requests, {counts['replies']} replies" + "".join(
        f", {name}: {count}" for name, count in others
    )
