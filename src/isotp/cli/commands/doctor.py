"""isotp doctor: does ISO-TP work on this machine, and what to do where it does not."""

import argparse
import json
from typing import TYPE_CHECKING

from . import terminal

if TYPE_CHECKING:
    from .main import Commands

_COLOURS = {"ok": terminal.GREEN, "not ok": terminal.RED, "note": terminal.YELLOW}


def add_parser(commands: "Commands") -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "doctor",
        help="say whether ISO-TP works on this machine, and what to do where it does not",
        description=terminal.wrapped(
            "Say whether ISO-TP works on this machine, and what to do where it does not. A message is sent and "
            "received on a vcan in a private network namespace, away from every real bus."
        ),
        epilog="example:\n  python -m isotp doctor\n  python -m isotp doctor --json\n\n"
        "exit status: 0 when ISO-TP works here, 1 when it does not",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help='print {"works": ..., "findings": [...]}')
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the report; 0 when ISO-TP works here."""
    from ..checkup.doctor import doctor

    report = doctor()
    if arguments.json:
        print(json.dumps(report.as_dict(), indent=2))
    else:
        *lines, verdict = report.table(terminal.width()).splitlines()
        is_remedy = False
        for line in lines:
            status, rest = line[:8], line[8:]
            if rest.lstrip().startswith("to do: "):
                is_remedy = True
            elif status.strip():
                is_remedy = False
            colour = _COLOURS.get(status.strip())
            head = terminal.paint(status, colour) if colour else status
            print(head + (terminal.paint(rest, terminal.CYAN) if is_remedy else rest))
        print(terminal.paint(verdict, terminal.GREEN if report.works else terminal.RED))
    return 0 if report.works else 1
