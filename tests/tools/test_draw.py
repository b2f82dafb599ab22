import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ARCHITECTURE = ROOT / "docs" / "architecture.md"
DRAWN = ARCHITECTURE.read_text(encoding="utf-8")


def draw(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "tools" / "draw", *arguments], capture_output=True, text=True)


def test_the_drawings_are_what_the_tables_say() -> None:
    assert DRAWN.count("<!-- drawn: ") == DRAWN.count("```mermaid") == 4
    assert draw("--check").returncode == 0


@pytest.mark.parametrize("arrow", ["kernel --> sockets", "WAIT_FC --> BLOCK_DUE : FC_CTS", "FAILED --> IDLE : END"])
def test_a_drawing_that_is_out_of_date_is_found_and_made_anew(tmp_path: Path, arrow: str) -> None:
    copy = tmp_path / "copy.md"
    copy.write_text(DRAWN.replace(f"    {arrow}\n", ""), encoding="utf-8")
    assert copy.read_text(encoding="utf-8") != DRAWN
    checked = draw("--check", str(copy))
    assert (checked.returncode, checked.stderr) == (
        1,
        f"{copy}: a drawing is not what its table says; run: make docs\n",
    )
    assert draw(str(copy)).returncode == 0
    assert copy.read_text(encoding="utf-8") == DRAWN
