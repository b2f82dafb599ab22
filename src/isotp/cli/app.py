"""The commands that need the extra `isotp[cli]`, as one typer app that loads a command when it is asked for."""

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
import typer.core
import typer.main

from .. import __version__
from . import status, terminal
from .main import COMMANDS, PLAIN, run_plain
from .quick_values import quicken

_UsageError: Any = typer.BadParameter.__bases__[0]  # typer exports it under no name
_HELP_OPTIONS = {"help_option_names": ["-h", "--help"]}


def _without_types(params: list[Any]) -> list[Any]:
    """In --help <bool> beside a flag and <str> beside an argument say nothing (typer from 0.27 on shows them)."""
    for param in params:
        if getattr(param, "is_flag", param.param_type_name == "argument"):
            param.display_type_rich = lambda ctx: None
    return params


class _Command(typer.core.TyperCommand):
    """A command with examples below its help, each as it is to be pasted."""

    examples: Sequence[str] = ()

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(quicken(super().get_params(ctx)))

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        try:
            return super().parse_args(ctx, args)
        except _UsageError as e:
            e.ctx = e.ctx or ctx  # the parser does not say whose option lacks its value
            raise

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        if self.examples:
            print("examples:", *(f"  {line}" for line in self.examples), sep="\n", end="\n\n")


class _Commands(typer.core.TyperGroup):
    """All commands; one that is not asked for is not even imported."""

    def get_params(self, ctx: Any) -> list[Any]:
        return _without_types(quicken(super().get_params(ctx)))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        return _plain(cmd_name) if cmd_name in PLAIN else _load(cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        self.commands = dict.fromkeys(COMMANDS, self)  # only their names count: a typo is compared with them
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        super().format_help(ctx, formatter)
        print("examples:\n  isotp doctor\n  isotp send --bus virtual -s 7E0 -d 7E8 -w 22 F1 90\n")
        terminal.say(status.TEXT)


def _load(name: str) -> Any:
    module = import_module(f"isotp.cli.{name}")
    app = typer.Typer(add_completion=False)
    # As paragraphs, which the terminal wraps: typer keeps the ends of lines.
    text = "\n\n".join(" ".join(paragraph.split()) for paragraph in (module.command.__doc__ or "").split("\n\n"))
    settings: Any = {"short_help": COMMANDS[name], "context_settings": _HELP_OPTIONS}
    app.command(name, cls=_Command, help=text, **settings)(module.command)
    command = typer.main.get_command(app)
    assert isinstance(command, _Command)
    command.examples = module.EXAMPLES
    return command


def _plain(name: str) -> Any:
    """A command that is done by argparse, for the list and the completion of names."""
    app = typer.Typer(add_completion=False)
    passing_all_on = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}

    @app.command(name, help=COMMANDS[name], context_settings=passing_all_on)
    def run(context: typer.Context) -> int:
        return run_plain([name, *context.args])

    return typer.main.get_command(app)


def run(argv: Sequence[str], program: str) -> int:
    """Run a command; its exit status."""
    app = typer.Typer(
        name="isotp",
        cls=_Commands,
        help="ISO-TP (ISO 15765-2) over CAN.",
        context_settings=_HELP_OPTIONS,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def isotp(
        version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_show_version)] = False,
    ) -> None:
        pass

    group = typer.main.get_command(app)
    if any(name.endswith("ISOTP_COMPLETE") for name in os.environ):  # the shell asks
        group.main(list(argv), prog_name=program)
    try:
        # Not `group.main`: it would end the process by itself when the reader of the output goes away.
        with group.make_context(program, list(argv)) as context:
            outcome = group.invoke(context)
    except typer.Exit as e:
        return e.exit_code
    except _UsageError as e:
        _tell(e, program)
        return status.WRONG_USAGE
    return outcome if isinstance(outcome, int) else 0


def _tell(e: Any, program: str) -> None:
    context = e.ctx
    command = context.command_path if context else program
    # "Value error" is what pydantic calls a ValueError, "Invalid value" is typer's word for want of a parameter's name.
    message = e.format_message().replace("Value error, ", "", 1).removeprefix("Invalid value: ")
    terminal.tell(f"{command}: {message}")
    if context:
        terminal.tell(context.get_usage().replace("Usage: ", "usage: "))
    terminal.tell(f"help: {command} --help")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"isotp {__version__}")
        raise typer.Exit
