"""The documents name files that exist."""

import re
from pathlib import Path

import pytest

from .pages import ALL, ROOT

PLACES = (ROOT, ROOT / "src" / "isotp", ROOT / "examples" / "testing" / "tests")
NAMED = re.compile(r"`((?!/)(?:tools/[\w-]+|[\w./-]+/|[\w./-]+\.(?:py|md|toml|txt)))(?: --[^`]*)?`")


@pytest.mark.parametrize("document", ["CONTRIBUTING.md", "SECURITY.md", *ALL])
def test_every_file_named_exists(document: str) -> None:
    named = set(NAMED.findall((ROOT / document).read_text(encoding="utf-8")))
    assert {name for name in named if not any((place / name).exists() for place in PLACES)} == set()


@pytest.mark.parametrize("workflow", sorted((ROOT / ".github" / "workflows").glob("*.yml")), ids=lambda path: path.name)
def test_actions_of_others_are_pinned(workflow: Path) -> None:
    """By the hash of a commit, which nobody can move, with its version beside it."""
    used = re.findall(r"uses: (?!\./)(.*)", workflow.read_text(encoding="utf-8"))
    assert used
    assert [line for line in used if not re.match(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+\b", line)] == []
