"""Faults: which frames they happen to, and what comes of it on each kind of socket; the rest is in tests/kernel."""

from contextlib import ExitStack

import pytest

from .faulty_links import HOST_KINDS, ROWS, Row, try_row


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("kind", HOST_KINDS)
def test_what_comes_of_it(request: pytest.FixtureRequest, kind: str, row: Row) -> None:
    if "python-can" in kind:
        pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    with ExitStack() as end:
        try_row(end, kind, row, request.node.nodeid)
