"""The page: text, data and scripts in one file."""

import html
import json
from importlib.resources import files
from typing import Any, Final

from ....capture.verdict import LinkVerdict
from ..terminal import visible
from ..units import rate, short_address
from .content import KINDS, Content
from .masking import masked_text

# Nothing is loaded from anywhere.
_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "form-action 'none'; base-uri 'none'"
)
_FIGURES: Final = {
    "timeline": "Time line",
    "throughput": "Throughput and what the bus could carry",
    "gaps": "Gaps between consecutive frames, and STmin",
    "responses": "Response times, and P2",
}


def embedded(value: Any) -> str:
    """JSON for a script element: nothing in it can end the element."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")


def page(
    title: str, facts: list[tuple[str, str]], content: Content, links: list[LinkVerdict], figures: dict[str, Any]
) -> str:
    """The HTML of a report."""
    from plotly.offline import get_plotlyjs

    here = files(__package__)
    style, script = ((here / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    data = {
        "links": content.links(),
        "nodes": content.nodes(),
        "kinds": KINDS,
        "rows": content.rows,
        "figures": figures,
    }
    places = "".join(
        f'<section><h2>{text}</h2><div class="figure" id="{name}"></div></section>'
        for name, text in _FIGURES.items()
        if name in figures
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<link rel="icon" href="data:,">
<title>{html.escape(title)}</title>
<style>{style}</style>
</head>
<body>
<h1>{html.escape(title)}</h1>
{_verdict(links)}
<section><h2>What was recorded</h2><dl>{_facts(facts)}</dl></section>
<section><h2>Links</h2>{_links(links, content)}</section>
<section><h2>Messages</h2>
<p class="controls"><input id="filter" type="search" placeholder="filter: identifier, bytes, service, fault"
aria-label="filter messages"><select id="kind" aria-label="kind of message"><option value="">all kinds</option></select>
<span id="count" role="status"></span></p>
<div id="head" class="row" role="row"></div><div id="table" class="list" role="table" tabindex="0"></div></section>
<section><h2>Sequence</h2><p>The same messages, in their order in time.</p>
<div id="sequence" class="list" tabindex="0"></div></section>
{places}
<script type="application/json" id="data">{embedded(data)}</script>
<script>{get_plotlyjs()}</script>
<script>{script}</script>
</body>
</html>
"""


def _verdict(links: list[LinkVerdict]) -> str:
    faults = sum(sum(link.faults.values()) for link in links)
    word = f"{faults or 'nothing is'} against the standard"
    css = "bad" if faults else "good"
    lines = []
    for link in links:
        for finding in link.findings:
            css_line = "bad" if finding.is_fault else "note"
            text = html.escape(f"{short_address(link.source)}: {finding.text}")
            clause = f'<span class="clause">{html.escape(finding.clause)}</span>'
            lines.append(f'<li class="{css_line}">{text} {clause}</li>')
        for rule, count in link.counts.items():
            more = count - sum(finding.rule == rule for finding in link.findings)
            if more:
                lines.append(f"<li>{short_address(link.source)}: {more:,} more of {html.escape(rule)}</li>")
    is_open = " open" if len(lines) <= 10 else ""
    details = f"<details{is_open}><summary>findings</summary><ul>{''.join(lines)}</ul></details>"
    return f'<section class="verdict"><h2 class="{css}">{word}</h2>{details if lines else ""}</section>'


def _facts(facts: list[tuple[str, str]]) -> str:
    return "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)


def _links(links: list[LinkVerdict], content: Content) -> str:
    heads = ("channel", "source", "target", "messages", "failed", "against the standard", "throughput", "of the bus")
    lines = []
    for link in links:
        speed, share = link.rate, link.share_of_bus
        cells = (
            masked_text(visible(link.channel)) if content.is_masked else visible(link.channel),
            short_address(link.source),
            short_address(link.target) if link.target else "",
            f"{link.messages:,}",
            f"{link.failed:,}",
            f"{sum(link.faults.values()):,}",
            rate(speed) if speed is not None else "",
            f"{share:.0%}" if share is not None else "",
        )
        lines.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{each}</th>" for each in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
