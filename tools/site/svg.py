"""Drawings as SVG. In a page of the site their colours are the theme's; as a file they have colours of their own."""

from html import escape
from typing import Final

LIGHT: Final = {"ink": "#1f2328", "soft": "#59636e", "line": "#818b98", "fill": "#f0f3f6", "mark": "#0969da"}
DARK: Final = {"ink": "#f0f6fc", "soft": "#9198a1", "line": "#6e7681", "fill": "#21262d", "mark": "#58a6ff"}

_STYLE: Final = (
    "text{fill:var(--ink);font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}"
    "text.soft{fill:var(--soft)}text.strong{font-weight:600}text.mark{fill:var(--mark)}"
    ".middle{text-anchor:middle}.end{text-anchor:end}"
    "rect{fill:var(--fill);stroke:var(--line)}rect.plain{fill:none}rect.mark{stroke:var(--mark)}"
    "rect.solid{fill:var(--line)}rect.solid.mark{fill:var(--mark)}"
    "path{fill:none;stroke:var(--line)}path.mark{stroke:var(--mark)}path.tip{fill:var(--line);stroke:none}"
    "path.tip.mark{fill:var(--mark)}path.dashed{stroke-dasharray:4 4}"
)
CHARACTER: Final = 7.85
"""The width of a character, in pixels."""


class Drawing:
    """A drawing to which lines, boxes and texts are added; (0, 0) is at the upper left, in pixels.

    Args:
        width: of the drawing.
        height: of the drawing.
        title: what it shows, for those who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self._title = width, height, title
        self._parts: list[str] = []

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Write `text` on the line `y`; `kind`: middle, end, soft, strong, mark."""
        self._parts.append(f'<text x="{x:g}" y="{y:g}"{_class(kind)}>{escape(text)}</text>')

    def box(self, x: float, y: float, width: float, height: float, kind: str = "") -> None:
        """Draw a box; `kind`: plain, mark, solid."""
        self._parts.append(f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5"{_class(kind)}/>')

    def line(self, *points: tuple[float, float], kind: str = "") -> None:
        """Draw a line through `points`; `kind`: mark, dashed."""
        path = " L".join(f"{x:g} {y:g}" for x, y in points)
        self._parts.append(f'<path d="M{path}"{_class(kind)}/>')

    def arrow(self, *points: tuple[float, float], kind: str = "") -> None:
        """Draw a line with a tip at its last point; `kind`: mark, dashed."""
        self.line(*points, kind=kind)
        (x0, y0), (x, y) = points[-2:]
        length = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
        dx, dy = (x - x0) / length, (y - y0) / length
        left, right = (x - 8 * dx - 4 * dy, y - 8 * dy + 4 * dx), (x - 8 * dx + 4 * dy, y - 8 * dy - 4 * dx)
        tip = " L".join(f"{px:g} {py:g}" for px, py in ((x, y), left, right))
        self._parts.append(f'<path d="M{tip}Z"{_class(f"tip {kind}")}/>')

    def inline(self) -> str:
        """The drawing for a page of the site."""
        return f'<div class="drawing">{self._svg("")}</div>\n'

    def file(self, colours: dict[str, str]) -> str:
        """The drawing as a file with these colours."""
        variables = "".join(f"--{name}:{colour};" for name, colour in colours.items())
        return self._svg(f"<style>svg{{{variables}}}{_STYLE}</style>") + "\n"

    def _svg(self, style: str) -> str:
        head = f'viewBox="0 0 {self.width:g} {self.height:g}" width="{self.width:g}" height="{self.height:g}"'
        title = f"<title>{escape(self._title)}</title>"
        parts = "\n".join(self._parts)
        return f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {head}>{title}{style}\n{parts}\n</svg>'


def style_sheet() -> str:
    """The style of all drawings in the pages of the site."""
    return "".join(f".drawing {rule}}}\n" for rule in _STYLE.split("}") if rule)


def _class(kind: str) -> str:
    return f' class="{kind.strip()}"' if kind.strip() else ""
