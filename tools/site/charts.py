"""Charts of benchmarks/record.json, the figures that `make bench` measured."""

import json
import math
from typing import Any, Final

from tests.pages import ROOT

from .svg import CHARACTER, Drawing

_RECORD: Final = ROOT / "benchmarks" / "record.json"
_WIDTH, _ROW, _BAR = 720, 44, 560
_OTHERS: Final = ("can-isotp", "py-uds", "scapy", "automotive", "bare loop")
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 560, 20, 220  # of the lines


def figures(benchmark: str) -> list[dict[str, Any]]:
    """The figures of a benchmark: table, what, value, and unit or target."""
    found: list[dict[str, Any]] = json.loads(_RECORD.read_text(encoding="utf-8"))[benchmark]["figures"]
    return found


def times(benchmark: str, before: str) -> list[tuple[str, float]]:
    """What was measured, and milliseconds: the times whose name begins with `before`, or whose table has it.

    Raises:
        ValueError: there are none.
    """
    found = [
        (one["what"].removeprefix(before).lstrip(", "), one["value"] * 1e3)
        for one in figures(benchmark)
        if "unit" in one and (one["what"].startswith(before) or before in one["table"])
    ]
    if not found:
        raise ValueError(f"{_RECORD} has no times {before!r} of {benchmark}")
    return found


def bars(rows: list[tuple[str, float]], title: str) -> Drawing:
    """A bar for each time."""
    longest = max(ms for _, ms in rows)
    drawing = Drawing(_WIDTH, _ROW * len(rows) + 10, title)
    for number, (name, ms) in enumerate(rows):
        y, length = 10 + _ROW * number, max(_BAR * ms / longest, 3)
        drawing.text(10, y + 10, name)
        is_ours = not any(other in name for other in _OTHERS)
        drawing.box(10, y + 16, length, 16, "solid mark" if is_ours else "solid")
        drawing.text(18 + length, y + 29, f"{ms:,.0f} ms" if ms >= 100 else f"{ms:.3g} ms", "soft")
        assert len(name) * CHARACTER < _WIDTH
    return drawing


def in_a_process() -> Drawing:
    """A message of 4095 bytes, both ends."""
    engines = [(f"{name}, no bus" if name == "engine" else name, ms) for name, ms in times("core_engine", "4095 bytes")]
    sockets = [(f"two {name} with threads", ms) for name, ms in times("soft_socket", "4095 bytes")]
    return bars(engines + sockets, "milliseconds per message of 4095 bytes in a process")


def in_the_vm() -> Drawing:
    """Kernel and engine, each with the other."""
    return bars(times("soft_kernel", "4095 bytes"), "milliseconds per message of 4095 bytes in the VM")


def growth() -> Drawing:
    """How the time of a message grows with the number of sockets that are bound."""
    lines: dict[str, dict[int, float]] = {}
    for one in (*figures("growth"), *figures("growth_kernel")):
        number, _, how = one["what"].partition(" sockets, ")
        if how == "each over another link":
            lines.setdefault(one["table"].partition(":")[0], {2: 1.0})[int(number)] = one["value"]
    drawing = Drawing(_WIDTH + 120, _BOTTOM + 50, "time per message, compared with 2 sockets, by the number of sockets")
    most = max(2.0, *(ratio for line in lines.values() for ratio in line.values()))

    def at(number: int, ratio: float) -> tuple[float, float]:
        x = _LEFT + (_RIGHT - _LEFT) * math.log10(number / 2) / math.log10(5000)
        return x, _BOTTOM - (_BOTTOM - _TOP) * ratio / most

    for number in (2, 10, 100, 1000, 10_000):
        x, y = at(number, 0)
        drawing.text(x, y + 20, f"{number:,}", "middle soft")
        drawing.line((x, y), (x, y + 5))
    drawing.text((_LEFT + _RIGHT) / 2, _BOTTOM + 40, "sockets bound, each message over another link", "middle")
    for ratio in (0.0, 1.0, 2.0):
        drawing.text(_LEFT - 12, at(2, ratio)[1] + 4, f"{ratio:g}", "end soft")
        drawing.line(at(2, ratio), at(10_000, ratio), kind="dashed" if ratio else "")
    ends: list[float] = []
    for name, line in sorted(lines.items(), key=lambda one: -list(one[1].values())[-1]):
        drawing.line(*(at(number, ratio) for number, ratio in line.items()), kind="mark")
        x, y = at(*list(line.items())[-1])
        ends.append(max(y + 4, ends[-1] + 15 if ends else 0))
        drawing.text(x + 8, ends[-1], name, "soft")
    return drawing
