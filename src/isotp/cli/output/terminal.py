"""The terminal: how wide it is, whether it wants colours, and text that fits it and does nothing to it."""

import contextlib
import os
import sys

RED, GREEN, YELLOW, CYAN = 31, 32, 33, 36


def visible(text: str) -> str:
    r"""Text that others chose, such as the name of a channel or a file, on one line and with nothing that acts.

    What does not print is shown as in Python's source: \x1b for control characters, \u202e for those that change the
    direction of writing. All that a command shows of names goes through here; --json through `units.json_text`.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def width() -> int:
    """Columns of the terminal, or COLUMNS, or 80."""
    import shutil  # together with textwrap 5 ms, and most commands print no text that has to fit

    return shutil.get_terminal_size().columns


def paint(text: str, colour: int) -> str:
    """`text` in `colour`, on a terminal that can show it and where NO_COLOR (no-color.org) is not set."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if not is_terminal or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def wrapped(text: str, indent: str = "") -> str:
    """A paragraph, wrapped to the terminal; `indent` goes before all lines but the first."""
    import textwrap

    columns = max(width(), 40)
    return textwrap.fill(text, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def print_wrapped(text: str, colour: int | None = None, indent: str = "") -> None:
    """Print a paragraph; `indent` goes before all lines but the first."""
    for line in wrapped(text, indent).splitlines():
        print(line if colour is None else paint(line, colour))


def to_stderr(text: str) -> None:
    """Print lines on standard error, from any thread. That they cannot be written is no error of the command."""
    with contextlib.suppress(OSError, ValueError):
        print("\n".join(map(visible, text.split("\n"))), file=sys.stderr, flush=True)
