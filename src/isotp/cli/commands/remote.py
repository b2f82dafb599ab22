"""isotp remote: which links others offer, and who holds them."""

import argparse
from typing import Final

from ...remote import find
from ...remote.sessions import client_config, open_session
from .. import status
from ..output import terminal, units
from ..parser import Parser

USAGE: Final = "[OPTIONS] list [PATTERN]"
DESCRIPTION: Final = """
List the links that others offer over Eclipse Zenoh (isotp share), their addresses, and who holds them.

Where to ask is in the file that ZENOH_CONFIG names; without it, on this machine. Exit status: 1 if there is none.
"""
EXAMPLES: Final = ("isotp remote list", "isotp remote list 'garage/**' --json")


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("action", metavar="list", choices=("list",), help="list: show what is offered")
    parser.add_argument(
        "pattern", nargs="?", default="**", metavar="PATTERN", help="names of links: * is any part, ** any parts"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line: link, address, holders")


def run(arguments: argparse.Namespace) -> int:
    """List; 0 if there is any."""
    session = open_session(client_config(None))
    try:
        found = find(session, arguments.pattern)
    finally:
        session.close()
    width = max((len(one.link) for one in found), default=0)
    for one in found:
        if arguments.json:
            print(units.json_text({"link": one.link, "address": one.what, "holders": list(one.holders)}))
        else:
            held = f"  held by {', '.join(one.holders)}" if one.holders else ""
            print(terminal.visible(f"{one.link:{width}}  {one.what}{held}"))
    if not found:
        terminal.to_stderr("no such link is offered")
    return status.DONE if found else status.FAILED
