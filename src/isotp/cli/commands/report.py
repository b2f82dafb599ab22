"""isotp report: a recording as one page for a colleague or a ticket."""

import argparse
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from ...capture.capture import Capture
from .. import status
from ..links.judging import Collector, Judge
from ..links.sources import add_source, open_capture, report
from ..links.watching import Watch
from ..options import values
from ..options.can_utils import add_answers
from ..output.report.content import Content
from ..output.report.figures import check_plotly, figures
from ..output.report.masking import masked_text
from ..output.report.page import page
from ..parser import Parser, WrongUsage
from .check import add_judging

USAGE: Final = "[OPTIONS] SOURCE -o FILE"
DESCRIPTION: Final = """
Make one HTML page of a recording, or of a bus until Ctrl-C: verdicts, links, messages with their frames, a sequence
chart and figures. Nothing is sent.

The page opens from disk in any browser. It loads nothing and sends nothing: all it shows is in it. With --mask
vehicle identification numbers are hidden in it.
"""
EXAMPLES: Final = ("isotp report drive.log -o report.html", "isotp report drive.blf -o report.html --mask")
_LIMIT: Final = 100_000


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    add_source(parser)
    add_judging(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="the page to write")
    parser.add_argument(
        "--mask",
        action="store_true",
        help="hide vehicle identification numbers: 17 characters that can be one, and data identifier F190",
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=values.number(1),
        default=_LIMIT,
        help=f"messages in the page, the first ones; verdicts are on all (default: {_LIMIT})",
    )
    add_answers(parser, "perf")


def run(arguments: argparse.Namespace) -> int:
    """Write the page; 0 when there was any traffic, or when it was live."""
    if arguments.output is None:
        raise WrongUsage("-o is missing: the page to write, such as -o report.html")
    if not (folder := Path(arguments.output).parent).is_dir():
        raise WrongUsage(f"-o {arguments.output}: there is no folder {folder}")
    check_plotly()
    content = Content(find_spec("udsoncan") is not None, arguments.mask, arguments.limit)
    judge = Judge(arguments.speed, arguments.p2, arguments.p2_star, content.take)
    capture = open_capture(arguments)
    watch = Watch(capture, Collector(judge, content.begin), arguments.max_memory)
    try:
        watch.run()
    finally:
        if capture.frames:
            Path(arguments.output).write_text(_page(arguments, capture, judge, content), encoding="utf-8")
        report(arguments, capture, watch)
    return status.DONE if capture.frames or capture.is_live else status.FAILED


def _page(arguments: argparse.Namespace, capture: Capture, judge: Judge, content: Content) -> str:
    links = judge.verdicts().links()
    bit_rate = judge.bit_rate or 0
    name = Path(capture.name).name
    if arguments.mask:
        name = masked_text(name)
    facts = [
        ("source", name),
        ("begin", _date(content.begin_ns)),
        ("frames", f"{capture.frames:,}, {capture.not_shown:,} of them of no link"),
        ("lines that were no frames", f"{capture.skipped:,}"),
        ("messages and frames out of place", f"{len(content.rows) + content.left_out:,}"),
        ("bit rate", f"{bit_rate:,} bit/s ({judge.how})"),
        ("limits", f"P2 {arguments.p2 / 1e6:g} ms, P2* {arguments.p2_star / 1e6:g} ms"),
    ]
    if content.left_out:
        facts.append(("in this page", f"the first {len(content.rows):,}; verdicts are on all"))
    if arguments.mask:
        facts.append(("masked", "vehicle identification numbers are XX"))
    shown = figures(content, links, bit_rate, arguments.p2, arguments.p2_star)
    return page(f"ISO-TP in {name}", facts, content, links, shown)


def _date(time_ns: int) -> str:
    try:
        return f"{datetime.fromtimestamp(time_ns / 1e9):%Y-%m-%d %H:%M:%S}"
    except (ValueError, OverflowError, OSError):  # a recording may say anything
        return f"{time_ns / 1e9:.6f}"
