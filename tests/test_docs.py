"""The documents name files that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACES = (ROOT, ROOT / "src" / "isotp")
NAMED = re.compile(r"`((?:tools/[\w-]+|[\w./-]+/|[\w./-]+\.(?:py|md|toml|txt)))(?: --[^`]*)?`")


@pytest.mark.parametrize(
    "document",
    [
        *("docs/architecture.md", "docs/conformance.md", "docs/security.md", "docs/testing.md", "docs/use-with.md"),
        *("CONTRIBUTING.md", "README.md"),
    ],
)
def test_every_file_named_exists(document: str) -> None:
    named = set(NAMED.findall((ROOT / document).read_text(encoding="utf-8")))
    assert len(named) > 1
    assert {name for name in named if not any((place / name).exists() for place in PLACES)} == set()
