"""The figures of a report: time line, gaps, response times, throughput."""

import html
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from ....capture.verdict import LinkVerdict
from ....errors import not_installed
from ..units import short_address
from .content import FAILED, KINDS, Content

_BUCKETS: Final = 200
_STROKES_MAX: Final = 20_000
_COLOURS: Final = ("#2f81f7", "#d29922", "#f0524d", "#a371f7")


def check_plotly() -> None:
    """Raise UnavailableError where plotly is not installed."""
    try:
        import plotly  # noqa: F401 - slow, and for reports alone
    except ImportError:
        raise not_installed("plotly") from None


def figures(
    content: Content, links: Iterable[LinkVerdict], bit_rate: int, p2_ns: int, p2_star_ns: int
) -> dict[str, Any]:
    """Each figure by the id of its place in the page; those without values are left out."""
    found = {
        "timeline": _time_line(content),
        "throughput": _throughput(content, bit_rate),
        "gaps": _gaps(content),
        "responses": _responses(links, p2_ns, p2_star_ns),
    }
    return {name: figure.to_plotly_json() for name, figure in found.items() if figure.data}


def _figure(x: str, y: str) -> Any:
    from plotly import graph_objects

    figure = graph_objects.Figure()
    figure.update_layout(
        template="none",
        margin={"l": 70, "r": 20, "t": 40, "b": 50},
        xaxis={"title": {"text": x}, "automargin": True},
        yaxis={"title": {"text": y}, "automargin": True},
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
        barmode="overlay",
    )
    return figure


def _name(content: Content, link: int) -> str:
    return html.escape(content.link_name(link))


def _time_line(content: Content) -> Any:
    """A stroke from the first frame of each message to its last, a row for each direction."""
    figure = _figure("seconds", "")
    end = max((row[0] + row[1] for row in content.rows), default=0)
    resolution = end / _BUCKETS / 10 if len(content.rows) > _STROKES_MAX else 0
    for kind, name in enumerate(KINDS):
        x: list[float | None] = []
        y: list[str | None] = []
        for link, strokes in _strokes(content, kind, resolution).items():
            for first, last in strokes:
                x += first / 1e6, last / 1e6, None
                y += *[_name(content, link)] * 2, None
        if x:
            line = {"color": _COLOURS[kind], "width": 6}
            style = {"mode": "lines+markers", "line": line, "marker": {"size": 5}, "hoverinfo": "x+y+name"}
            figure.add_trace({"type": "scatter", "x": x, "y": y, "name": name, **style})
    figure.update_layout(yaxis={"type": "category"})
    return figure


def _strokes(content: Content, kind: int, resolution: float) -> dict[int, list[list[int]]]:
    """Begin and end of the messages of a kind, by link; those that no eye can tell apart as one."""
    found: dict[int, list[list[int]]] = {}
    for row in content.rows:
        if row[6] == kind:
            begin, end = row[0], row[0] + row[1]
            strokes = found.setdefault(row[2], [])
            if strokes and begin - strokes[-1][1] < resolution:
                strokes[-1][1] = max(end, strokes[-1][1])
            else:
                strokes.append([begin, end])
    return found


def _throughput(content: Content, bit_rate: int) -> Any:
    """Bytes of complete messages per second, and what consecutive frames without a pause would carry."""
    figure = _figure("seconds", "bytes/s")
    good = [row for row in content.rows if row[6] < FAILED]
    end = max((row[0] + row[1] for row in good), default=0)
    if not end:
        return figure
    width = end / _BUCKETS
    sums: dict[int, list[float]] = {}
    for begin, duration, link, length, *_ in good:
        first, last = (min(_BUCKETS - 1, max(0, int(at / width))) for at in (begin, begin + duration))
        buckets = sums.setdefault(link, [0.0] * _BUCKETS)
        for bucket in range(first, last + 1):
            buckets[bucket] += length / (last - first + 1) * 1e6 / width
    x = [(bucket + 0.5) * width / 1e6 for bucket in range(_BUCKETS)]
    for link, buckets in sums.items():
        figure.add_trace(
            {"type": "scatter", "x": x, "y": buckets, "name": _name(content, link), "line": {"shape": "hvh"}}
        )
    limit = (content.frame_size - 1) * bit_rate / content.frame_bits
    line = {"dash": "dash", "color": _COLOURS[2]}
    name = f"limit of a bus of {bit_rate:,} bit/s"
    figure.add_trace(
        {"type": "scatter", "x": [0, end / 1e6], "y": [limit, limit], "name": name, "mode": "lines", "line": line}
    )
    return figure


def _gaps(content: Content) -> Any:
    figure = _figure("milliseconds from one consecutive frame to the next", "gaps")
    for link, gaps in content.gaps.items():
        if gaps:
            bins = {"histfunc": "sum", "nbinsx": 60, "opacity": 0.7}
            values = {"x": list(gaps), "y": list(gaps.values())}
            figure.add_trace({"type": "histogram", **values, "name": _name(content, link), **bins})
    if figure.data:
        for stmin in sorted(content.stmins - {0})[:10]:
            _limit(figure, stmin, stmin, f"STmin {stmin:g} ms")
    return figure


def _responses(links: Iterable[LinkVerdict], p2_ns: int, p2_star_ns: int) -> Any:
    """On a logarithmic axis, since P2* is a hundred times P2; ten bars for each power of ten."""
    figure = _figure("milliseconds to the response", "responses")
    figure.update_xaxes(type="log")
    for link in links:
        for name in ("P2", "P2*"):
            waits = [max(1000, wait) / 1e6 for rule, wait in link.response_times if rule == name]
            bars = Counter(round(10 * math.log10(wait)) for wait in waits)
            if bars:
                x = [10 ** (bar / 10) for bar in bars]
                width = [0.2 * at for at in x]
                label = html.escape(f"{short_address(link.source)}, {name}")
                bar = {"x": x, "y": list(bars.values()), "width": width, "opacity": 0.7}
                figure.add_trace({"type": "bar", **bar, "name": label})
    if figure.data:
        for name, limit_ns in (("P2", p2_ns), ("P2*", p2_star_ns)):
            limit_ms = max(1, limit_ns) / 1e6
            _limit(figure, limit_ms, math.log10(limit_ms), f"{name} {limit_ms:g} ms")
    return figure


def _limit(figure: Any, x: float, label_x: float, text: str) -> None:
    line = {"dash": "dash", "color": _COLOURS[2]}
    figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, yref="paper", line=line)
    figure.add_annotation(x=label_x, y=1, yref="paper", yanchor="bottom", text=text, showarrow=False)
