"""A parser for each command: its own options, help that fits the terminal, errors as exceptions."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from .output import terminal


class WrongUsage(Exception):  # noqa: N818 - reads as what it is
    """A command line that makes no sense; the text says what to write instead."""


class Parser(argparse.ArgumentParser):
    """The parser of one command, or of `isotp` itself.

    Args:
        prog: the words that the user types for it.
        usage: what follows them.
        description: paragraphs, separated by empty lines.
        examples: command lines that work as pasted.
        epilog: a paragraph below the examples.
    """

    def __init__(
        self, prog: str, usage: str = "", description: str = "", examples: Sequence[str] = (), epilog: str = ""
    ) -> None:
        super().__init__(
            prog=prog,
            usage=f"%(prog)s {usage}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.color = False  # from Python 3.14 on argparse has colours of its own
        self._paragraphs = [" ".join(paragraph.split()) for paragraph in description.split("\n\n")]
        self._examples = examples
        self._below = epilog

    def group(self, title: str) -> Any:
        """A group of options with a heading of its own in --help."""
        return self.add_argument_group(terminal.paint(title, terminal.YELLOW))

    def error(self, message: str) -> NoReturn:
        """Raise WrongUsage, where argparse would print and end the process."""
        raise WrongUsage(message)

    def format_help(self) -> str:
        """The help, wrapped to the terminal."""
        heading = terminal.paint("examples:", terminal.YELLOW)
        below = [heading, *(f"  {line}" for line in self._examples)] if self._examples else []
        self.description = "\n\n".join(map(terminal.wrapped, self._paragraphs))
        self.epilog = "\n".join([*below, *(["", terminal.wrapped(self._below)] if self._below else [])])
        return super().format_help()

    def print_help(self, file: Any = None) -> None:
        """Print the help; that it cannot be written is an error, as with all other output."""
        print(self.format_help(), end="", file=file)
