"""The examples, and the blocks of the guides that need the kernel, work over it."""

from pathlib import Path

import pytest

from ..examples import THREE_ECUS, output_of
from ..pages import GUIDES, PAGES, VIN, Block, blocks, said
from .conftest import Link


def test_three_ecus(vcan: Link) -> None:
    pytest.importorskip("udsoncan", reason="udsoncan is not installed (to do: pip install isotp[dev])")
    assert output_of("uds_three_ecus.py", "--interface", vcan) == THREE_ECUS


@pytest.mark.parametrize(
    "block", [block for page in PAGES for block in blocks(page, "python") if block.mark == "kernel"], ids=str
)
def test_the_python_of_the_pages(block: Block, vcan: Link, tmp_path: Path) -> None:
    printed = block.output(tmp_path, vcan)
    assert VIN.decode() in printed or block.page not in GUIDES
    assert [line for line in said(block.code) if line not in printed.splitlines()] == []
    assert printed
