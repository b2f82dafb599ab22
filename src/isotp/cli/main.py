"""The command line's frame: which commands there are, and how each ends."""

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib import import_module
from types import FrameType
from typing import Any, Final

from .. import __version__
from . import completion, status
from .output import terminal
from .parser import Parser, WrongUsage

COMMANDS: Final = {
    "doctor": "Say whether ISO-TP works on this machine, and what to do if not.",
    "demo": "Send a long message and explain the CAN frames.",
    "send": "Send messages, and wait until each is through.",
    "recv": "Receive messages and print them.",
    "dump": "Show the ISO-TP traffic of a bus or a log file.",
    "check": "Judge the traffic of a bus or a recording by ISO 15765-2.",
    "conform": "Try an ECU, the kernel or the engine by ISO 15765-2; this writes to the bus.",
    "report": "Make an HTML page of a recording.",
    "perf": "Show how fast the transfers on a bus or in a log file are.",
    "vcan": "Make, remove or list virtual CAN interfaces.",
    "serve": "Offer one ISO-TP link on a TCP port, as isotpserver does.",
    "gateway": "Let DoIP testers reach ECUs on ISO-TP links.",
    "share": "Offer links of this machine to others, over Eclipse Zenoh.",
    "remote": "List the links that others offer over Eclipse Zenoh.",
    "simulate": "Let simulated ECUs answer on a bus, as a file describes them.",
    "scan": "Find ISO-TP endpoints; this writes to the bus.",
}
"""Every command, in the order of the list in --help, and what it does.

A command is the module of that name in `isotp.cli.commands`, imported when it is asked for: USAGE, DESCRIPTION,
EXAMPLES (command lines that work as pasted), `add_arguments(parser)`, and `run(arguments)`, which returns the exit
status.
"""

_EXAMPLES: Final = ("isotp doctor", "isotp send --bus virtual -s 7E0 -d 7E8 -w 22 F1 90")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; `argv` is without the program's name."""
    _open_closed_streams()
    with warnings.catch_warnings(), _sigterm_raises():
        warnings.showwarning = _show_warning
        try:
            ended = _run(list(sys.argv[1:] if argv is None else argv))
            print(end="", flush=True)
        except (Exception, KeyboardInterrupt) as e:
            ended, text = status.of_error(e)
            if text:
                terminal.to_stderr(text)
        finally:
            _flush_or_discard()
    return ended


def _run(argv: list[str]) -> int:
    name = argv[0] if argv else ""
    module: Any = import_module(f"isotp.cli.commands.{name}") if name in COMMANDS else None
    parser = _all_commands() if module is None else _parser(name, module)
    try:
        if module is None:
            return _run_without_command(parser, argv)
        exit_status: int = module.run(parser.parse_intermixed_args(argv[1:]))
        return exit_status
    except SystemExit as e:  # argparse, after --help
        return int(e.code or 0)
    except WrongUsage as e:
        text = f"{parser.prog}: {e}\n{parser.format_usage()}help: {parser.prog} --help"
        raise WrongUsage(text) from None


def _program() -> str:
    """The words that the user types for this program."""
    return "isotp" if os.path.basename(sys.argv[0]) == "isotp" else "python -m isotp"


def _parser(name: str, module: Any) -> Parser:
    parser = Parser(f"{_program()} {name}", module.USAGE, module.DESCRIPTION, module.EXAMPLES)
    module.add_arguments(parser)
    return parser


def _all_commands(with_options: bool = False) -> Parser:
    """The parser of `isotp` itself: a list of the commands, and only for completion all their options."""
    parser = Parser(_program(), "[OPTIONS] COMMAND ...", "ISO-TP (ISO 15765-2) over CAN.", _EXAMPLES, status.TEXT)
    parser.add_argument("--version", action="store_true", help="print the version")
    parser.add_argument(
        "--print-completion",
        metavar="SHELL",
        choices=("bash", "zsh", "fish", "tcsh", "powershell"),
        help="print a script that completes commands and options in bash, zsh, fish, tcsh or powershell",
    )
    commands = parser.add_subparsers(title=terminal.paint("commands", terminal.YELLOW), metavar="COMMAND")
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what)
        if with_options:
            import_module(f"isotp.cli.commands.{name}").add_arguments(command)
    return parser


def _run_without_command(parser: Parser, argv: list[str]) -> int:
    if argv and not argv[0].startswith("-"):
        import difflib  # only for a mistake

        similar = difflib.get_close_matches(argv[0], COMMANDS, 1)
        raise WrongUsage(f"there is no command {argv[0]!r}" + "".join(f". Did you mean {one!r}?" for one in similar))
    arguments = parser.parse_args(argv)
    if arguments.version:
        print(f"isotp {__version__}")
        return status.DONE
    if arguments.print_completion is None:
        raise WrongUsage("COMMAND is missing")
    every = _all_commands(with_options=True)
    every.prog = "isotp"
    print(completion.script(every, arguments.print_completion))
    return status.DONE


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    from .links.remedies import reworded_warning  # not for all the commands that do not warn

    terminal.to_stderr(f"warning: {reworded_warning(str(message))}")


def _open_closed_streams() -> None:
    """Open those of stdin, stdout and stderr that the caller closed (`2>&-`): nothing comes from them or goes there.

    Python has None for them, and print(file=None) writes to another one; a socket would get their descriptors.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the process ends


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Within this block SIGTERM raises, as Ctrl-C does, so that sockets are closed and the terminal is as it was."""

    def handle(number: int, frame: FrameType | None) -> None:
        raise status.Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _flush_or_discard() -> None:
    """Write what can be written: the interpreter would end with status 120 for what is left in a buffer."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
