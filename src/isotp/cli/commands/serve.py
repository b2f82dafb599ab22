"""isotp serve: one ISO-TP link on a TCP port or a Unix socket, in the protocol of isotpserver."""

import argparse
import asyncio
from typing import Final

from .. import status
from ..links.link import BIGGEST, Link, link_of
from ..links.opening_in_loop import opened_in_loop
from ..options import values
from ..options.can_utils import add_answers
from ..options.groups import INTERFACE, add_link, interface_of
from ..output.calm import unblocked_stderr
from ..output.terminal import to_stderr
from ..parser import Parser, WrongUsage
from .serve_client import Limits
from .serve_listening import Place, TcpPlace, UnixPlace
from .serve_server import Server

USAGE: Final = "[OPTIONS] INTERFACE"
DESCRIPTION: Final = """
Offer one ISO-TP link on a TCP port, in the protocol of isotpserver: messages in hexadecimal, <22F190>.

Every client gets every message received, and may send. There is no password: everyone who reaches the port, which is
every program on this machine, reaches the bus. A Unix socket (--unix) is for your own programs only.
"""
EXAMPLES: Final = (
    "isotp serve --bus virtual -s 7E0 -d 7E8 --port 28700",
    "isotp serve can0 -s 7E0 -d 7E8",
    "isotp serve can0 -s 7E0 -d 7E8 --unix /run/user/1000/ecu",
    "isotp serve can0 -s 7E0 -d 7E8 --host 0.0.0.0 --insecure --port 3000",
)

_HOST: Final = "127.0.0.1"
_PORT: Final = 28700
_LIMITS: Final = Limits(clients=256, message=1 << 20, held=1 << 26, unread=1 << 22, linger_s=5.0)


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("words", nargs="*", metavar="INTERFACE", help=INTERFACE)
    parser.add_argument(
        "-l",
        "--port",
        metavar="N",
        type=values.number(0, 65535),
        help=f"TCP port; 0: any free one (default: {_PORT})",
    )
    parser.add_argument("--host", metavar="ADDRESS", help=f"address to listen on (default: {_HOST})")
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="with --host: let other machines reach the bus; 0.0.0.0 and :: are all addresses of this one",
    )
    parser.add_argument(
        "--unix",
        metavar="PATH",
        help="listen on a Unix socket that only you (and root) may use, and on no TCP port",
    )
    _add_limits(parser)
    add_link(parser, takes_shared=True)
    add_answers(parser, "serve")


def _add_limits(parser: Parser) -> None:
    group = parser.group("Limits")
    for name, what in (
        ("clients", "clients at a time"),
        ("message", "bytes of one message to send"),
        ("held", "bytes that all clients together have sent and that are not on the bus; above it the client that "
         "holds most is cut off"),
        ("unread", "bytes of messages that wait until a client reads those before; above it the client is cut off"),
    ):  # fmt: skip
        default = getattr(_LIMITS, name)
        number = values.number(1, BIGGEST if name == "message" else None)
        group.add_argument(
            f"--max-{name}", metavar="N", type=number, default=default, help=f"{what} (default: {default})"
        )
    group.add_argument(
        "--linger",
        metavar="TIME",
        type=values.seconds,
        default=_LIMITS.linger_s,
        help="a client that has closed its direction (nc -N) goes when no message came for so long "
        f"(default: {_LIMITS.linger_s:g}s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until the link fails, or until SIGINT (Ctrl-C), SIGTERM or SIGHUP."""
    link = link_of(arguments, interface_of(arguments.words, arguments.bus))
    link.check()
    place = _place(arguments)
    limits = Limits(
        arguments.max_clients, arguments.max_message, arguments.max_held, arguments.max_unread, arguments.linger
    )
    with unblocked_stderr():
        try:
            return status.of_signal(asyncio.run(_serve(link, limits, place)))
        except OSError as e:
            ended, text = status.of_error(e)
            to_stderr(text)  # here, where that does not wait for a reader
            return ended


def _place(arguments: argparse.Namespace) -> Place:
    if arguments.unix is None:
        return TcpPlace(
            _HOST if arguments.host is None else arguments.host,
            _PORT if arguments.port is None else arguments.port,
            arguments.insecure,
        )
    if not arguments.unix:
        raise WrongUsage("--unix is empty: needed is a path, such as /run/user/1000/ecu")
    if arguments.port is not None or arguments.host is not None or arguments.insecure:
        raise WrongUsage("--unix is no TCP port: leave out --port, --host and --insecure")
    return UnixPlace(arguments.unix)


async def _serve(link: Link, limits: Limits, place: Place) -> int:
    with opened_in_loop(link) as sock:
        return await Server(sock, limits, to_stderr).run(place)
