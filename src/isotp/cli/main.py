"""The command line's frame: arguments, exit status, and a sentence instead of a traceback."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from .. import __version__
from ..errors import IsoTpError
from . import demo, doctor

_EXIT_STATUS = """\
exit status: 0 done; 1 it failed, stderr says why; 2 wrong usage; 130 interrupted;
141 the reader of the output went away"""


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; `argv` is without the program's name."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
        try:
            status = _run(argv)
            print(end="", flush=True)
            return status
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            return 141
        except IsoTpError as e:
            print(e, file=sys.stderr)
        except OSError as e:
            print(f"{e.strerror or e}{f': {e.filename}' if e.filename else ''}", file=sys.stderr)
        finally:
            _flush_or_discard()
    return 1


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as e:  # --help, --version, wrong usage
        return e.code if isinstance(e.code, int) else 0
    status: int = arguments.run(arguments)
    return status


def _parser() -> argparse.ArgumentParser:
    called = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(
        prog="isotp" if called == "isotp" else "python -m isotp",
        description="ISO-TP (ISO 15765-2) over CAN.",
        epilog=f"example:\n  python -m isotp doctor\n\n{_EXIT_STATUS}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"isotp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (doctor, demo):
        command.add_parser(commands)
    return parser


def _flush_or_discard() -> None:
    """Write out what can be written, so that the interpreter has nothing to complain about at its end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
