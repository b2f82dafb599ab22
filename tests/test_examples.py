"""The examples work, as they are."""

import pytest

from .examples import EXAMPLES, THREE_ECUS, VINS, output_of


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"uds_three_ecus.py", "vins_of_a_recording.py"}


def test_three_ecus() -> None:
    pytest.importorskip("udsoncan", reason="udsoncan is not installed (to do: pip install isotp[dev])")
    assert output_of("uds_three_ecus.py") == THREE_ECUS


def test_vins_of_a_recording() -> None:
    assert output_of("vins_of_a_recording.py") == VINS
