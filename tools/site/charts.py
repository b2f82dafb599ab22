"""Charts of benchmarks/figures.md."""

import re
from typing import Final

from tests.pages import ROOT

from .svg import CHARACTER, Drawing

_RECORD: Final = ROOT / "benchmarks" / "figures.md"
_TIME: Final = re.compile(r"([0-9.]+) (us|ms)")
_UNITS: Final = {"us": 1e-3, "ms": 1.0}
_WIDTH, _ROW, _BAR = 720, 44, 560


def times(head: str) -> list[tuple[str, float]]:
    """The rows of the table whose head begins so: what was measured, and milliseconds.

    Raises:
        ValueError: there is no such table.
    """
    lines = iter(_RECORD.read_text(encoding="utf-8").splitlines())
    if not any(line.startswith(f"| {head}") for line in lines):
        raise ValueError(f"{_RECORD} has no table {head!r}")
    found = []
    for line in lines:
        if not line.startswith("|"):
            break
        name, time, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        if match := _TIME.match(time):
            found.append((name.replace("`", ""), float(match[1]) * _UNITS[match[2]]))
    return found


def bars(rows: list[tuple[str, float]], title: str) -> Drawing:
    """A bar for each time."""
    longest = max(ms for _, ms in rows)
    drawing = Drawing(_WIDTH, _ROW * len(rows) + 10, title)
    for number, (name, ms) in enumerate(rows):
        y, length = 10 + _ROW * number, max(_BAR * ms / longest, 3)
        drawing.text(10, y + 10, name)
        is_ours = "can-isotp" not in name and "loop" not in name
        drawing.box(10, y + 16, length, 16, "solid mark" if is_ours else "solid")
        drawing.text(18 + length, y + 29, f"{ms:.3g} ms", "soft")
        assert len(name) * CHARACTER < _WIDTH
    return drawing


def in_a_process() -> Drawing:
    """A message of 4095 bytes, both ends."""
    return bars(times("Per message, both ends"), "milliseconds per message of 4095 bytes in a process")


def in_the_vm() -> Drawing:
    """Kernel and engine, each with the other."""
    return bars(times("In the VM, 4095 bytes"), "milliseconds per message of 4095 bytes in the VM")
