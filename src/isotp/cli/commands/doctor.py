"""isotp doctor: does ISO-TP work on this machine, and what to do if not."""

import argparse
from typing import Final

import isotp

from .. import status
from ..output import terminal, units
from ..parser import Parser

USAGE: Final = "[OPTIONS]"
DESCRIPTION: Final = """
Say whether ISO-TP works on this machine, and what to do if not. A message is sent and received on a vcan in a
private network namespace, away from every real bus.

Exit status: 0 if ISO-TP works here, 1 if not.
"""
EXAMPLES: Final = ("isotp doctor", "isotp doctor --json")

_COLOURS: Final = {"ok": terminal.GREEN, "not ok": terminal.RED, "note": terminal.YELLOW}


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("--json", action="store_true", help='print {"works": ..., "findings": [...]}')


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 0 when ISO-TP works here."""
    report = isotp.doctor()
    if arguments.json:
        print(units.json_text(report.as_dict(), indent=2))
    else:
        _print_coloured(report.table(terminal.width()), report.works)
    return status.DONE if report.works else status.FAILED


def _print_coloured(table: str, works: bool) -> None:
    *lines, verdict = map(terminal.visible, table.split("\n"))
    is_remedy = False
    for line in lines:
        state, rest = line[:8], line[8:]
        if rest.lstrip().startswith("to do: "):
            is_remedy = True
        elif state.strip():
            is_remedy = False
        colour = _COLOURS.get(state.strip())
        head = terminal.paint(state, colour) if colour else state
        print(head + (terminal.paint(rest, terminal.CYAN) if is_remedy else rest))
    print(terminal.paint(verdict, terminal.GREEN if works else terminal.RED))
