"""The documents name files that exist."""

import re

import pytest

from .pages import ALL, ROOT

PLACES = (ROOT, ROOT / "src" / "isotp", ROOT / "examples" / "testing" / "tests")
NAMED = re.compile(r"`((?!/)(?:tools/[\w-]+|[\w./-]+/|[\w./-]+\.(?:py|md|toml|txt)))(?: --[^`]*)?`")


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md", *ALL])
def test_every_file_named_exists(document: str) -> None:
    named = set(NAMED.findall((ROOT / document).read_text(encoding="utf-8")))
    assert {name for name in named if not any((place / name).exists() for place in PLACES)} == set()
