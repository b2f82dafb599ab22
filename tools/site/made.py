"""Writes what the pages include, and puts drawings in the place of their texts."""

import re
from pathlib import Path
from typing import Any, Final

from . import charts, machines, sequence, tables, timing
from .svg import DARK, LIGHT, style_sheet

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_DRAWING: Final = re.compile(r"<!-- drawn: (\w+) -->\n```mermaid\n(.*?)```\n<!-- end -->", re.DOTALL)
_PICTURES: Final = {
    "transfer": sequence.transfer,
    "limits": timing.limits,
    "n_pdus": timing.n_pdus,
    "speed_process": charts.in_a_process,
    "speed_vm": charts.in_the_vm,
    "speed_growth": charts.growth,
}
_TABLES: Final = {
    "errors": tables.all_errors,
    "warnings": tables.all_warnings,
    "results": tables.results,
    "flags": tables.all_flags,
    "commands": tables.commands,
}


def write(folder: Path) -> None:
    """Write all of it into `folder`, and the style of the drawings."""
    folder.mkdir(exist_ok=True)
    _update(folder / "drawings.css", style_sheet())
    for name, draw in _PICTURES.items():
        _update(folder / f"{name}.html", draw().inline())
    for name, picture in sequence.failures():
        _update(folder / f"{name}.html", picture.inline())
    for name, made in _TABLES.items():
        _update(folder / f"{name}.md", made())


def pictures() -> dict[Path, str]:
    """The picture of the README, as files for a light and a dark page."""
    picture = sequence.transfer()
    return {DOCS / "transfer-light.svg": picture.file(LIGHT), DOCS / "transfer-dark.svg": picture.file(DARK)}


def replace_drawings(app: Any, page: str, source: list[str]) -> None:
    """Sphinx's `source-read`: the drawings of a page that are texts in it become pictures."""

    def draw(found: re.Match[str]) -> str:
        return f"```{{raw}} html\n{machines.draw(found[2].splitlines()).inline()}```"

    source[0] = _DRAWING.sub(draw, source[0])


def _update(path: Path, text: str) -> None:
    """Write `text` unless it is there, so that only pages that changed are built again."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for path, text in pictures().items():
        _update(path, text)
