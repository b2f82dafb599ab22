"""The Python on the page docs/use-with.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "use-with.md"
ADAPTER = 'interface="pcan", channel="PCAN_USBBUS1"'
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
ON_ADAPTER = [snippet for snippet in SNIPPETS if ADAPTER in snippet]
ON_INTERFACE = [snippet for snippet in SNIPPETS if '"can0"' in snippet]


def run(snippet: str, replaced: str, by: str) -> None:
    """Run a snippet on the bus of a test."""
    exec(compile(snippet.replace(replaced, by), str(PAGE), "exec"), {"__name__": "snippet"})
