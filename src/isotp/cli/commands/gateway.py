"""isotp gateway: a DoIP entity (ISO 13400-2) in front of ISO-TP links, as a file describes it."""

import argparse
import asyncio
from contextlib import AsyncExitStack, ExitStack
from signal import Signals
from typing import Final

import isotp

from ...gateway import Gateway, Limits, Setup, Timers, load_gateway, tls_context
from ...gateway.listening import is_loopback
from ...testing.ecu.async_car import AsyncCar
from ...testing.ecu.car_file import load_car
from .. import status
from ..links.link import Link
from ..options import values
from ..options.groups import add_flow_control, add_frames
from ..output.calm import Complaints, unblocked_stderr
from ..output.terminal import to_stderr
from ..parser import Parser, WrongUsage
from ..signals import catch_signals
from .gateway_confirm import Confirmation
from .gateway_links import Links, add_bus, check_buses, described

USAGE: Final = "[OPTIONS] FILE"
DESCRIPTION: Final = """
Let testers that speak DoIP (ISO 13400-2) reach ECUs on ISO-TP links: FILE, in TOML, says which ECUs, and which testers
may reach them.

examples/gateway.toml shows everything that a file can say. Without TLS there is no password: everyone who reaches the
port, and knows the address of a tester, reaches the ECUs.
"""
EXAMPLES: Final = (
    "isotp gateway examples/gateway.toml --check",
    "isotp gateway examples/gateway.toml --car examples/car.toml",
    "isotp gateway examples/gateway.toml --bus can0",
    "isotp gateway examples/gateway.toml --bus can0 --host 0.0.0.0 --insecure",
)

_LIMITS: Final = Limits()
_TIMERS: Final = Timers()
_FRAMES: Final = ("fd", "brs", "link_layer", "padding", "check_padding", "bs", "stmin", "tx_stmin")
_NUMBERS: Final = {
    "clients": "testers at a time (255 at most)",
    "waiting": "connections that are no tester's yet; above it the oldest is closed",
    "message": "bytes of one message",
    "held": "bytes of all messages that are not on the bus yet",
    "requests": "requests of one tester that are not on the bus yet",
    "unread": "bytes that wait until a tester reads; above it the tester is cut off",
}
_TIMES: Final = {
    "initial": "a connection has so long to become that of a tester",
    "general": "a tester that sends and gets nothing for so long is cut off",
    "alive": "a tester has so long to reply to an alive check",
    "announce_wait": "the longest random delay before announcements and identifications",
}


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("file", metavar="FILE", help="what describes the gateway, in TOML")
    parser.add_argument("--check", action="store_true", help="only read FILE and show the gateway")
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="IP address to listen on (default: "
                        "127.0.0.1; other machines: only with --insecure, or where FILE has tls.clients)")  # fmt: skip
    for name, what, default in (("port", "TCP and UDP", 13400), ("tls-port", "TLS", 3496)):
        parser.add_argument(
            f"--{name}",
            metavar="N",
            type=values.number(0, 65535),
            default=default,
            help=f"port for {what}; 0: any free one (default: {default})",
        )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="let testers in without TLS where FILE has it, and from other machines; 0.0.0.0 is all addresses of this",
    )
    parser.add_argument("--no-announcement", action="store_true", help="do not announce the vehicle at the start")
    add_bus(parser)
    add_frames(parser)
    add_flow_control(parser)
    _add_limits(parser)


def _add_limits(parser: Parser) -> None:
    group = parser.group("Limits")
    for name, what in _NUMBERS.items():
        default = getattr(_LIMITS, name)
        highest = 255 if name == "clients" else None
        group.add_argument(
            f"--max-{name}",
            metavar="N",
            type=values.number(1, highest),
            default=default,
            help=f"{what} (default: {default})",
        )
    for name, what in _TIMES.items():
        default = getattr(_TIMERS, name)
        group.add_argument(
            f"--{name.replace('_', '-')}-time",
            metavar="TIME",
            dest=f"{name}_time",
            type=values.seconds,
            default=default,
            help=f"{what} (default: {default:g}s)",
        )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT (Ctrl-C), SIGTERM or SIGHUP."""
    setup = load_gateway(arguments.file)
    link = _link(arguments)
    link.check()
    if arguments.check:
        print("\n".join(described(setup)))
        return status.DONE
    if arguments.car is None:
        check_buses(setup, link)
    _check_host(arguments.host, setup, arguments.insecure)
    with unblocked_stderr():
        try:
            return status.of_signal(asyncio.run(_serve(arguments, setup, link)))
        except OSError as e:
            ended, text = status.of_error(e)
            to_stderr(text)  # here, where that does not wait for a reader
            return ended


def _link(arguments: argparse.Namespace) -> Link:
    given = {name: getattr(arguments, name) for name in ("bitrate", "soft", *_FRAMES)}
    where = arguments.bus
    interface, bus = (where, None) if isinstance(where, str) else (None, where)
    # Its addresses stand for those of the file: all options but these are the same for each ECU.
    return Link(interface=interface, bus=bus, rxid=0x7E8, txid=0x7E0, **given)


def _check_host(host: str, setup: Setup, is_insecure: bool) -> None:
    asks_for_certificates = setup.tls is not None and setup.tls.clients is not None
    if not is_loopback(host) and not is_insecure and not asks_for_certificates:
        raise WrongUsage(
            f"--host {host} lets other machines send to the bus, and there is no password: add tls with clients to the "
            "file, so that they need a certificate; or say --insecure, too, if all of that network may"
        )


async def _serve(arguments: argparse.Namespace, setup: Setup, link: Link) -> int:
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[int] = loop.create_future()
    complaints = Complaints(to_stderr)
    timers = {name: getattr(arguments, f"{name}_time") for name in _TIMES}
    catch_signals(loop, signalled)
    with ExitStack() as buses:
        async with AsyncExitStack() as stack:
            where: isotp.VirtualBus | Links = Links(buses, link)
            if arguments.car is not None:
                where = isotp.VirtualBus()
                await stack.enter_async_context(AsyncCar(where, *load_car(arguments.car)))
            gateway = Gateway(
                setup,
                where,
                host=arguments.host,
                port=arguments.port,
                tls=None if setup.tls is None else tls_context(setup.tls),
                tls_port=arguments.tls_port,
                plain=True if arguments.insecure else None,
                announce_to=() if arguments.no_announcement else None,
                limits=Limits(**{name: getattr(arguments, f"max_{name}") for name in _NUMBERS}),
                timers=Timers(**timers),
                say=complaints.say,
                confirm=Confirmation(complaints.say),
            )
            await stack.enter_async_context(gateway)
            to_stderr("\n".join(described(setup)))
            to_stderr(f"on {arguments.host} port {gateway.port}, UDP port {gateway.udp_port}"
                      + (f", TLS port {gateway.tls_port}" if setup.tls else ""))  # fmt: skip
            await signalled
    complaints.say_left_out()
    to_stderr(f"ended by {Signals(signalled.result()).name}")
    return signalled.result()
