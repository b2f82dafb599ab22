"""isotp share: links of this machine for others, over Eclipse Zenoh."""

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from ...remote import Access, Offer, Share
from ...remote.edge_file import Edge, load_edge
from ...remote.listening import Listening
from ...remote.sessions import load_zenoh, open_session
from .. import status
from ..links.link import link_of
from ..links.sharing import Makers, offer_of
from ..options.groups import INTERFACE, add_link, interface_of
from ..output.calm import unblocked_stderr
from ..output.terminal import to_stderr, visible
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] FILE|INTERFACE"
DESCRIPTION: Final = """
Offer links of this machine to others, over Eclipse Zenoh: one that the options describe, or all of an edge file.

ISO-TP is done here, next to the bus; whole messages travel. Programs use isotp.RemoteSocket, the command line
--bus zenoh:NAME. Each use is told on stderr, with the name of the client.

Without an edge file only programs of this machine come in. An edge file has certificates, and says who may do what.
"""
EXAMPLES: Final = (
    "isotp share --bus virtual -s 7E0 -d 7E8 --as garage/car7/engine",
    "isotp share can0 -s 7E0 -d 7E8 --as garage/car7/engine",
    "isotp share edge.toml",
    "isotp share edge.toml --router-config",
)


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "words", nargs="*", metavar="FILE|INTERFACE", help=f"an edge file, its name ends with .toml; or {INTERFACE}"
    )
    parser.add_argument("--as", dest="name", metavar="NAME", help="name of the link, such as garage/car7/engine")
    parser.add_argument(
        "--many", action="store_true", help="let several clients send at a time (default: one, others listen)"
    )
    parser.add_argument(
        "--listen",
        metavar="ENDPOINT",
        action="append",
        help="where to listen, as Zenoh says it: tcp/127.0.0.1:7447 (the default); may be repeated",
    )
    parser.add_argument(
        "--connect", metavar="ENDPOINT", action="append", help="a router of Zenoh to connect to; may be repeated"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="let everybody in who reaches the endpoint, without a certificate"
    )
    parser.add_argument(
        "--router-config",
        action="store_true",
        help="print the access control that the router needs to which this edge connects, and end",
    )
    add_link(parser)


def run(arguments: argparse.Namespace) -> int:
    """Share until SIGINT (Ctrl-C), SIGTERM or SIGHUP."""
    load_zenoh()
    with unblocked_stderr():
        try:
            return asyncio.run(_share(arguments))
        except OSError as e:
            ended, text = status.of_error(e)
            to_stderr(text)  # here, where that does not wait for a reader
            return ended


async def _share(arguments: argparse.Namespace) -> int:
    with ExitStack() as stack:
        edge = _edge(stack, arguments)
        if arguments.router_config:
            print(json.dumps({"access_control": edge.listening.router_control(edge.access)}, indent=2))
            return status.DONE
        session = open_session(edge.listening.config(edge.access))
        stack.callback(session.close)
        stack.enter_context(_told())
        async with Share(session, edge.offers, edge.access):
            for offer in edge.offers:
                to_stderr(f"offered: {offer.link}  {offer.words}")
            to_stderr(f"reached at: {', '.join((*edge.listening.endpoints, *edge.listening.connect))}")
            return status.of_signal(await _signal())


def _edge(stack: ExitStack, arguments: argparse.Namespace) -> Edge:
    words = arguments.words
    if len(words) == 1 and words[0].endswith(".toml"):
        if arguments.name or arguments.bus or arguments.txid is not None or arguments.listen or arguments.connect:
            raise WrongUsage("an edge file says it all: leave out --as, --bus, addresses, --listen and --connect")
        return load_edge(words[0], Makers(stack).offer, arguments.insecure)
    link = link_of(arguments, interface_of(words, arguments.bus))
    if not arguments.name:
        raise WrongUsage("--as is missing: the name of the link, such as --as garage/car7/engine")
    listening = Listening(tuple(arguments.listen or ()), tuple(arguments.connect or ()), insecure=arguments.insecure)
    listening.settings(Access())  # refused before anything is opened
    offers: tuple[Offer, ...] = (offer_of(stack, link, arguments.name, not arguments.many),)
    return Edge(listening, offers, Access())


class _ToStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        now = time.strftime("%H:%M:%S", time.localtime(record.created))
        to_stderr(visible(f"{now} {record.getMessage()}"))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    log, handler = logging.getLogger("isotp.remote"), _ToStderr()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = True


async def _signal() -> int:
    """Wait for a signal that ends us, and return its number."""
    loop, came = asyncio.get_running_loop(), asyncio.Queue[int]()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
        for number in numbers:
            loop.add_signal_handler(number, came.put_nowait, number)
    return await came.get()
