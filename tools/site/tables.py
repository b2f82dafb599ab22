"""Tables of the reference, made from the code: errors, flags, commands."""

import argparse
import errno
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, TypeVar

from sphinx.pycode import ModuleAnalyzer

from isotp import errors
from isotp.cli import status
from isotp.cli.main import COMMANDS
from isotp.cli.parser import Parser
from isotp.errors import IsoTpError, IsoTpWarning, N_Result
from isotp.linux.traits import FLAGS
from isotp.opts import flags

_T = TypeVar("_T")


def table(head: str, rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; `head` has its columns, separated by `|`."""
    lines = [f"| {head} |", "|" + " --- |" * (head.count("|") + 1)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# --- errors


def _classes(base: type[_T]) -> list[type[_T]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, base)]
    return list(dict.fromkeys(found))  # `OverflowError` is another name of a class


def _errno(error: type[IsoTpError]) -> str:
    number = error.default_errno
    return "" if number is None else errors._NAMES.get(number) or errno.errorcode[number]


def _first_line(value: Any) -> str:
    return " ".join((value.__doc__ or "").partition("\n\n")[0].split())


def all_errors() -> str:
    """Every exception: its base, N_Result, errno, and what it means."""
    rows = []
    for error in _classes(IsoTpError):
        result = error.n_result.name if error.n_result else ""
        bases = ", ".join(f"`{base.__name__}`" for base in error.__bases__)
        rows.append((f"`{error.__name__}`", bases, result, _errno(error), _first_line(error)))
    return table("Exception | Derived from | N_Result | errno | Meaning", rows)


def all_warnings() -> str:
    """Every warning, and what it means."""
    return table("Warning | Meaning", [(f"`{one.__name__}`", _first_line(one)) for one in _classes(IsoTpWarning)])


def results() -> str:
    """From each N_Result to the exceptions, the errno and the exit status."""
    rows = []
    for result in N_Result:
        found = [error for error in _classes(IsoTpError) if error.n_result is result]
        names = ", ".join(f"`{error.__name__}`" for error in found)
        numbers = ", ".join(dict.fromkeys(_errno(error) for error in found))
        code = status.DONE if result is N_Result.N_OK else status.of_transfer(result)
        rows.append((result.name, result.value, names, numbers, str(code)))
    return table("N_Result | Meaning | Exceptions | errno | Exit status", rows)


# --- options


def all_flags() -> str:
    """Every flag of `isotp.opts.flags`, its value, the kernels that have it, and what it does."""
    docs = ModuleAnalyzer.for_module(flags.__module__).find_attr_docs()
    rows = []
    for flag in flags:
        name = str(flag.name)
        text = " ".join(" ".join(docs["flags", name]).split())
        since = str(FLAGS.get(name, ""))
        rows.append((f"`{name}`", f"{flag.value:#06x}", text, since))
    return table("Flag | Value | Meaning | Kernels", rows)


# --- commands


def commands() -> str:
    """Every command: what it does, its options, examples that work as pasted."""
    return "\n".join(_command(name) for name in COMMANDS)


def _command(name: str) -> str:
    module = import_module(f"isotp.cli.commands.{name}")
    parser = Parser(f"isotp {name}", module.USAGE, module.DESCRIPTION, module.EXAMPLES)
    module.add_arguments(parser)
    paragraphs = "\n\n".join(_as_text(" ".join(part.split())) for part in module.DESCRIPTION.split("\n\n"))
    parts = [f"## isotp {name}\n", f"```\nisotp {name} {module.USAGE}\n```\n", paragraphs + "\n"]
    for group in parser._action_groups:
        if rows := list(_options(parser, group._group_actions)):
            title = "Arguments" if group.title == "positional arguments" else str(group.title).capitalize()
            parts.append(table(f"{title} | ", rows))
    examples = "\n".join(module.EXAMPLES)
    parts.append(f"```\n{examples}\n```\n")
    return "\n".join(parts)


def _options(parser: Parser, actions: Iterable[argparse.Action]) -> Iterator[tuple[str, str]]:
    formatter = parser._get_formatter()
    for action in actions:
        if action.help in (None, argparse.SUPPRESS) or action.dest == "help":
            continue
        value = "" if action.nargs == 0 else " " + formatter._format_args(action, (action.dest).upper())
        names = ", ".join(f"`{option}{value}`" for option in action.option_strings) or f"`{value.strip(' []')}`"
        yield names, _as_text(formatter._expand_help(action))


def _as_text(text: str) -> str:
    """`text` without a meaning for Markdown."""
    for character in "\\*_<>[]":
        text = text.replace(character, f"\\{character}")
    return text
