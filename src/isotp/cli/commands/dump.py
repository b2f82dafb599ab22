"""isotp dump: ISO-TP as it goes over a bus, or as a log file has it; nothing is ever sent."""

import argparse
from importlib.util import find_spec
from typing import Final

from ...errors import not_installed
from .. import status
from ..links.sources import add_source, open_capture, report
from ..links.watching import Watch
from ..options import values
from ..options.can_utils import add_answers
from ..output.display import Display, Writer
from ..output.frame_lines import FrameLines
from ..output.json_lines import JsonLines
from ..output.look import Look, Times
from ..output.message_lines import MessageLines
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] SOURCE"
DESCRIPTION: Final = """
Show the ISO-TP traffic of a bus or a log file, frame by frame or as messages. Nothing is sent.

Without addresses the links are found: flow control that answers a first frame, responses that fit a request.
"""
EXAMPLES: Final = (
    "isotp dump vcan0",
    "isotp dump --messages drive.log",
    "isotp dump vcan0 -s 7E0 -d 7E8 --messages --ascii",
    "isotp dump drive.log -s 7E0 -d 7E8 -s 7E1 -d 7E9",
    "candump -L vcan0 | isotp dump --messages --json -",
)

_HEAD: Final = 256


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    add_source(parser)
    parser.add_argument(
        "-m", "--messages", action="store_true", help="show whole messages with their timing, not single frames"
    )
    parser.add_argument("-a", "--ascii", action="store_true", help="show bytes as characters, too")
    parser.add_argument(
        "-t",
        "--time",
        metavar="z|a|d|A",
        choices=tuple(map(str, Times)),
        help="time stamps: z since the first frame, a absolute, d since the last line, in seconds; "
        "A date and time (default: z)",
    )
    parser.add_argument(
        "--uds",
        action=argparse.BooleanOptionalAction,
        help="show names of UDS services (default: where udsoncan is installed)",
    )
    parser.add_argument(
        "--head",
        metavar="N",
        type=values.number(0),
        help=f"with --messages: bytes to show of each; 0: all (default: {_HEAD})",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object a line, with all bytes of each message"
    )
    parser.add_argument(
        "-n", "--count", metavar="N", type=values.number(0), default=0, help="lines to show (default: 0, no limit)"
    )
    add_answers(parser, "dump")


def run(arguments: argparse.Namespace) -> int:
    """Show the traffic; 0 when there was any, or when it was live."""
    if arguments.json and (arguments.ascii or arguments.time is not None or arguments.head is not None):
        raise WrongUsage("--json has all bytes and absolute times: leave out --ascii, --time and --head")
    if arguments.head is not None and not arguments.messages:
        raise WrongUsage("--head is for messages, and these are frames: say --messages, or leave it out")
    display = _display(arguments)
    capture = open_capture(arguments)
    watch = Watch(capture, display, arguments.max_memory)
    try:
        watch.run()
    finally:
        report(arguments, capture, watch)
    return status.DONE if capture.frames or capture.is_live else status.FAILED


def _display(arguments: argparse.Namespace) -> Display:
    is_installed = find_spec("udsoncan") is not None
    if arguments.uds and not is_installed:
        raise not_installed("udsoncan", otherwise=", or leave out --uds")
    names = is_installed if arguments.uds is None else arguments.uds
    out = Writer(arguments.count)
    if arguments.json:
        return JsonLines(not arguments.messages, names, out)
    look = Look(Times(arguments.time or Times.ZERO), arguments.ascii)
    if arguments.messages:
        return MessageLines(look, names, _HEAD if arguments.head is None else arguments.head, out)
    return FrameLines(look, names, out)
