"""The drawings of docs/architecture.md as SVG: they are text there, which `tools/draw` makes."""

import re
import textwrap
from collections.abc import Iterable
from typing import Final, NamedTuple

from .svg import CHARACTER, Drawing

_STATE: Final = re.compile(r'state "(\w+): (.*)" as \w+')
_NODE: Final = re.compile(r'(\w+)\["(.*)"\]')
_ARROW: Final = re.compile(r"(\S+) --> (\S+)(?: : (.*))?")

_WIDTH, _LINE, _GAP, _LANE, _COLUMNS = 330, 18, 34, 16, 40


class Arrow(NamedTuple):
    """An arrow, and what is written on it."""

    source: str
    target: str
    label: str


def draw(lines: Iterable[str]) -> Drawing:
    """The drawing of a diagram in Mermaid's words, those of them that `tools/draw` uses."""
    kind, *rest = [line.strip() for line in lines]
    arrows = [Arrow(found[1], found[2], found[3] or "") for line in rest if (found := _ARROW.fullmatch(line))]
    if kind == "stateDiagram-v2":
        return machine({found[1]: found[2] for line in rest if (found := _STATE.fullmatch(line))}, arrows)
    return layers({found[1]: found[2] for line in rest if (found := _NODE.fullmatch(line))}, arrows)


# --- states: a column of boxes; arrows down at their right, arrows up at their left


class _Box:
    """A state with its texts, and the arrows at its sides."""

    def __init__(self, name: str, meaning: str, arrows: list[Arrow], first: str) -> None:
        self.texts = [(line, "soft") for line in textwrap.wrap(meaning, _COLUMNS)]
        for what, target in (("again", name), (f"to {first}", first)):
            for arrow in arrows:
                if arrow.source == name and arrow.target == target and name != first:
                    text = f"{what}: {arrow.label}"
                    self.texts += [(line, "") for line in textwrap.wrap(text, _COLUMNS, subsequent_indent="  ")]
        self.height = _LINE * (len(self.texts) + 1) + 14
        self.top = 0.0
        self._ports = {-1: 0, 1: 0}

    def port(self, side: int) -> float:
        """The height at which the next arrow of this side begins or ends."""
        self._ports[side] += 1
        return self.top + 6 + 15 * self._ports[side]


def machine(states: dict[str, str], arrows: list[Arrow]) -> Drawing:
    """A state machine; what leads back to the first state, or to the same one, is written into the box."""
    order = list(states)
    first = order[0]
    boxes = {name: _Box(name, meaning, arrows, first) for name, meaning in states.items()}
    shown = [arrow for arrow in arrows if arrow.source in states and arrow.target not in (first, arrow.source)]
    sides = {arrow: 1 if order.index(arrow.target) > order.index(arrow.source) else -1 for arrow in shown}
    at_side = {side: [arrow for arrow in shown if sides[arrow] == side] for side in (-1, 1)}
    for ends in at_side.values():
        for name, box in boxes.items():
            count = sum((arrow.source == name) + (arrow.target == name) for arrow in ends)
            box.height = max(box.height, 15 * count + 16)
    room = {side: max([len(arrow.label) * CHARACTER for arrow in ends], default=0.0) for side, ends in at_side.items()}
    left = 20 + room[-1] + _LANE * (len(at_side[-1]) + 1)
    top = 10.0
    for box in boxes.values():
        box.top = top
        top += box.height + _GAP
    width = left + _WIDTH + room[1] + _LANE * (len(at_side[1]) + 1) + 20
    drawing = Drawing(width, top - _GAP + 10, f"state machine: {', '.join(order)}")
    for name, box in boxes.items():
        drawing.box(left, box.top, _WIDTH, box.height, "mark" if name == first else "")
        drawing.text(left + 12, box.top + 20, name, "strong")
        for number, (text, kind) in enumerate(box.texts):
            drawing.text(left + 12, box.top + 20 + _LINE * (number + 1), text, kind)
    for side, ends in at_side.items():
        edge = left + _WIDTH if side > 0 else left
        _side(drawing, boxes, order, ends, side, edge, edge + side * (room[side] + _LANE))
    return drawing


def _side(
    drawing: Drawing, boxes: dict[str, _Box], order: list[str], arrows: list[Arrow], side: int, edge: float, lane: float
) -> None:
    """Draw the arrows of one side: out of a box, along a lane of their own, into another box."""
    place = {name: number for number, name in enumerate(order)}
    arrows = sorted(arrows, key=lambda arrow: abs(place[arrow.target] - place[arrow.source]))
    points: dict[tuple[Arrow, bool], float] = {}
    for name in order:
        # arrows from above end above those that begin here, so that they cross less
        ends = [(arrow, True) for arrow in arrows if arrow.target == name]
        begins = [(arrow, False) for arrow in reversed(arrows) if arrow.source == name]
        for point in (*ends, *begins) if side > 0 else (*begins, *ends):
            points[point] = boxes[name].port(side)
    for number, arrow in enumerate(arrows):
        x, start, end = lane + side * _LANE * number, points[arrow, False], points[arrow, True]
        drawing.arrow((edge, start), (x, start), (x, end), (edge, end))
        drawing.text(edge + side * 6, start - 3, arrow.label, "mark" if side > 0 else "mark end")


# --- layers: each box above all that its arrows lead to


def layers(names: dict[str, str], arrows: list[Arrow]) -> Drawing:
    """A graph without circles."""
    below: dict[str, list[str]] = {}
    for arrow in arrows:
        below.setdefault(arrow.source, []).append(arrow.target)
        below.setdefault(arrow.target, [])
    rank: dict[str, int] = {}

    def rank_of(node: str) -> int:
        if node not in rank:
            rank[node] = max([rank_of(other) + 1 for other in below[node]], default=0)
        return rank[node]

    rows: list[list[str]] = [[] for _ in range(max(map(rank_of, below)) + 1)]
    for node in below:
        rows[rank[node]].append(node)
    edges = _with_bends(rows, rank, arrows)
    _order(rows, edges)
    return _draw_layers(rows, edges, names)


def _with_bends(rows: list[list[str]], rank: dict[str, int], arrows: list[Arrow]) -> list[tuple[str, str, bool]]:
    """Arrows from row to row: a long one gets a bend in each row between; the flag says whether it ends in a box."""
    edges = []
    for arrow in arrows:
        last = arrow.source
        for row in range(rank[arrow.source] - 1, rank[arrow.target], -1):
            bend = f"|{arrow.source} {arrow.target} {row}"
            rows[row].append(bend)
            edges.append((last, bend, False))
            last = bend
        edges.append((last, arrow.target, True))
    return edges


def _order(rows: list[list[str]], edges: list[tuple[str, str, bool]]) -> None:
    """Order each row by the middle of what it is joined to, up and down in turn."""
    for turn in range(12):
        place = {node: number / max(len(row) - 1, 1) for row in rows for number, node in enumerate(row)}
        for row in rows[1:] if turn % 2 else rows[-2::-1]:
            near = {
                node: [place[b if turn % 2 else a] for a, b, _ in edges if (a if turn % 2 else b) == node]
                for node in row
            }
            row.sort(key=lambda node: sum(near[node]) / len(near[node]) if near[node] else place[node])
            place |= {node: number / max(len(row) - 1, 1) for number, node in enumerate(row)}


def _draw_layers(rows: list[list[str]], edges: list[tuple[str, str, bool]], names: dict[str, str]) -> Drawing:
    def width(node: str) -> float:
        return 12 if node[0] == "|" else len(names.get(node, node)) * CHARACTER + 24

    space = 22
    widest = max(sum(width(node) + space for node in row) for row in rows)
    drawing = Drawing(widest + 20, 62 * len(rows) - 14, "which room may import which")
    centre: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(reversed(rows)):
        rest = (widest - sum(width(node) for node in row)) / len(row)
        x = 10 + rest / 2
        for node in row:
            centre[node] = (x + width(node) / 2, 10 + 62 * number)
            x += width(node) + rest
    for a, b, is_end in edges:
        (x0, y0), (x1, y1) = centre[a], centre[b]
        start = (x0, y0 + (15 if a[0] == "|" else 28))
        if is_end:
            drawing.arrow(start, (x1, y1))
        else:
            drawing.line(start, (x1, y1 + 15))
    for node, (x, y) in centre.items():
        if node[0] != "|":
            drawing.box(x - width(node) / 2, y, width(node), 28, "mark" if node in names else "")
            drawing.text(x, y + 19, names.get(node, node), "middle")
    return drawing
