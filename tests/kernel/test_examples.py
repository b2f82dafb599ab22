"""The examples work over the kernel."""

import pytest

from ..examples import THREE_ECUS, output_of
from .conftest import Link


def test_three_ecus(vcan: Link) -> None:
    pytest.importorskip("udsoncan", reason="udsoncan is not installed (to do: pip install isotp[dev])")
    assert output_of("uds_three_ecus.py", "--interface", vcan) == THREE_ECUS
