"""The command line's frame: which commands there are, exit statuses, and a sentence instead of a traceback."""

import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, TypeAlias

from .. import __version__
from ..errors import IsoTpError, TransferError
from . import status, terminal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

PLAIN: Final = ("doctor", "demo")
"""Commands that need Python alone: the module of that name here has `add_parser(commands)`."""

COMMANDS: Final = {
    "doctor": "Say whether ISO-TP works on this machine, and what to do where it does not.",
    "demo": "Send a long message and explain the CAN frames.",
    "send": "Send messages, and wait until each is through.",
    "recv": "Receive messages and print them.",
    "dump": "Show the ISO-TP traffic of a bus or a log file.",
    "perf": "Show how fast the transfers on a bus or in a log file are.",
    "vcan": "Make, remove or list virtual CAN interfaces.",
    "serve": "Offer one ISO-TP link on a TCP port, as isotpserver does.",
    "scan": "Find ISO-TP endpoints; this writes to the bus.",
}
"""Every command, in the order of the list in --help, and what it does.

Those not in PLAIN need the extra. Such a command is the module of its name in this package: `command`, a function
with typer's annotations whose docstring is its help and that returns the exit status, and `EXAMPLES`, command lines
that work as pasted. The module is imported when the command is asked for; typer may be imported in it, and whatever
takes long is imported in functions. `link.with_link` adds the options of a link.
"""

_EXTRA: Final = "pip install 'isotp[cli]'"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; `argv` is without the program's name."""
    _open_what_is_closed()
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_: terminal.tell(f"warning: {message}")
        try:
            ended = _run(sys.argv[1:] if argv is None else argv)
            print(end="", flush=True)
            return ended
        except KeyboardInterrupt:
            return status.INTERRUPTED
        except BrokenPipeError:
            return status.READER_GONE
        except TransferError as e:
            terminal.tell(str(e))
            return status.of_transfer(e.n_result)
        except IsoTpError as e:
            terminal.tell(str(e))
        except (TimeoutError, BlockingIOError) as e:  # the latter with a time of 0
            terminal.tell(str(e.strerror or e))
            return status.NOTHING_CAME
        except OSError as e:
            terminal.tell(f"{e.strerror or e}{f': {e.filename}' if e.filename else ''}")
        finally:
            _flush_or_discard()
    return status.FAILED


def _open_what_is_closed() -> None:
    """Streams the caller closed (`2>&-`): nothing comes from them, and what goes there goes nowhere.

    Python has None for them, and print(file=None) would write to another one; a socket would get their descriptors.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the process ends


def _run(argv: Sequence[str]) -> int:
    if argv and argv[0] in PLAIN:
        return run_plain(argv)
    if find_spec("typer") is not None:
        from .app import run

        return run(argv, program())
    if argv and argv[0] in COMMANDS:
        terminal.tell(f"isotp {argv[0]} needs typer and rich, which are not installed; to do: {_EXTRA}")
        return status.FAILED
    return run_plain(argv)


def program() -> str:
    """What the user calls us."""
    return "isotp" if os.path.basename(sys.argv[0]) == "isotp" else "python -m isotp"


def run_plain(argv: Sequence[str]) -> int:
    """Run a command that needs no extra."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as e:  # --help, --version, wrong usage
        return e.code if isinstance(e.code, int) else 0
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _parser() -> "argparse.ArgumentParser":
    import argparse  # not for all the other commands

    more = ", ".join(name for name in COMMANDS if name not in PLAIN)
    parser = argparse.ArgumentParser(
        prog=program(),
        description="ISO-TP (ISO 15765-2) over CAN.",
        epilog=f"{f'more commands with {_EXTRA}: {more}' if more else ''}\n\n"
        f"example:\n  python -m isotp doctor\n\n{status.TEXT}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"isotp {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in PLAIN:
        import_module(f"isotp.cli.{name}").add_parser(commands)
    return parser


def _flush_or_discard() -> None:
    """Write out what can be written, so that the interpreter has nothing to complain about at its end."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
