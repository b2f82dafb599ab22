"""isotp check: what is against the standard on a bus or in a recording; nothing is ever sent."""

import argparse
from collections.abc import Iterator
from typing import Any, Final

from ...capture.rules import Finding
from ...capture.verdict import P2_NS, P2_STAR_NS, LinkVerdict
from .. import status
from ..links.judging import Collector, Judge
from ..links.sources import add_source, open_capture, report
from ..links.watching import Watch
from ..options import values
from ..options.can_utils import add_answers
from ..output import terminal
from ..output.display import Writer
from ..output.look import DIM, INDENT, Look, Times
from ..output.units import json_link, json_seconds, json_text, rate
from ..parser import Parser

USAGE: Final = "[OPTIONS] SOURCE"
DESCRIPTION: Final = f"""
Judge the ISO-TP traffic of a recording, or of a bus until Ctrl-C, by ISO 15765-2. Nothing is sent.

For each direction of a link: what is against the standard (!), and what is worth knowing, each with its clause; how
fast its messages of several frames were, and where their time went.

Exit status: {status.AGAINST_STANDARD} if anything is against the standard, 0 if nothing is.
"""
EXAMPLES: Final = (
    "isotp check drive.log",
    "isotp check drive.blf -s 7E0 -d 7E8 --p2 100ms",
    "isotp check --json vcan0",
)


def add_judging(parser: Parser) -> None:
    """Add the options that say what is judged by."""
    group = parser.group("Limits")
    group.add_argument(
        "--speed",
        metavar="N",
        type=values.number(1),
        help="bit rate of the bus in bit/s, to say how much of it was used (default: guessed from the traffic)",
    )
    for option, default_ns, what in (
        ("--p2", P2_NS, "from the end of a request to its response"),
        ("--p2-star", P2_STAR_NS, "from a response pending to the next response"),
    ):
        group.add_argument(
            option,
            metavar="TIME",
            type=values.time_ns,
            default=default_ns,
            help=f"longest time of UDS {what}, with its unit (default: {default_ns // 1_000_000}ms)",
        )


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    add_source(parser)
    add_judging(parser)
    parser.add_argument("--json", action="store_true", help="print a JSON object a line, one for each direction")
    add_answers(parser, "perf")


def run(arguments: argparse.Namespace) -> int:
    """Show the verdicts."""
    look, out = Look(Times.ZERO, False), Writer()
    judge = Judge(arguments.speed, arguments.p2, arguments.p2_star)
    capture = open_capture(arguments)
    watch = Watch(capture, Collector(judge, look.begin), arguments.max_memory)
    try:
        watch.run()
    finally:
        verdicts = judge.verdicts()
        for link in verdicts.links():
            for line in [json_text(_json(link, judge))] if arguments.json else _lines(link, judge, look):
                out.line(line)
        if verdicts.links() and not arguments.json:
            out.line(_sum(verdicts.links(), look))
        out.flush()
        report(arguments, capture, watch)
    if verdicts.has_faults:
        return status.AGAINST_STANDARD
    return status.DONE if capture.frames or capture.is_live else status.FAILED


def _lines(link: LinkVerdict, judge: Judge, look: Look) -> Iterator[str]:
    text = f"{link.messages:,} message{'s' if link.messages != 1 else ''}"
    if link.failed:
        text += f", {link.failed:,} failed"
    yield look.fit(look.link(link.channel, link.source, link.target), text)
    for finding in link.findings:
        mark, colour = ("!", terminal.RED) if finding.is_fault else ("-", DIM)
        what = look.paint(f"{mark} {finding.text} ({finding.clause})", colour)
        yield look.fit(f"{INDENT}{look.time(finding.time_ns)}", what)
    for rule, count in link.counts.items():
        shown = sum(finding.rule == rule for finding in link.findings)
        if count > shown:
            yield f"{INDENT}and {count - shown:,} more of {rule}"
    if (speed := link.rate) is not None:
        share = f"{link.share_of_bus or 0:.0%} of a bus of {judge.bit_rate or 0:,} bit/s ({judge.how})"
        yield look.fit(f"{INDENT}{rate(speed)}", f"{share}; time lost: {_lost(link)}")


def _lost(link: LinkVerdict) -> str:
    spent = link.spent
    parts = (("STmin", spent.stmin_ns), ("receiver", spent.receiver_ns), ("sender", spent.sender_ns))
    return ", ".join(f"{name} {part / spent.total_ns:.0%}" for name, part in parts)


def _sum(links: list[LinkVerdict], look: Look) -> str:
    faults = sum(sum(link.faults.values()) for link in links)
    if not faults:
        return look.paint("nothing is against the standard", terminal.GREEN)
    kinds: dict[str, int] = {}
    for link in links:
        for rule, count in link.faults.items():
            kinds[rule] = kinds.get(rule, 0) + count
    text = ", ".join(f"{count:,} x {rule}" for rule, count in kinds.items() if count)
    return look.fit(look.paint(f"{faults:,} against the standard", terminal.RED), text)


def _json(link: LinkVerdict, judge: Judge) -> dict[str, Any]:
    known: dict[str, Any] = {
        **json_link(link.channel, link.source, link.target),
        "messages": link.messages,
        "failed": link.failed,
        "against_standard": sum(link.faults.values()),
        "counts": dict(link.counts),
        "findings": [_json_finding(finding) for finding in link.findings],
        "padding": {"other" if byte is None else f"{byte:02X}": count for byte, count in link.paddings.items()},
    }
    if link.rate is not None:
        known |= {
            "bytes_per_s": round(link.rate, 1),
            "bit_rate": judge.bit_rate,
            "share_of_bus": round(link.share_of_bus or 0, 4),
            "spent": {name.removesuffix("_ns"): json_seconds(ns) for name, ns in link.spent._asdict().items()},
        }
    return known


def _json_finding(finding: Finding) -> dict[str, Any]:
    return {
        "time": json_seconds(finding.time_ns),
        "rule": finding.rule,
        "clause": finding.clause,
        "against_standard": finding.is_fault,
        "text": finding.text,
    }
