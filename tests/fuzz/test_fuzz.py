"""The corpus, and some inputs made of it."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from .inputs import inputs
from .targets import CORPUS, TARGETS, corpus

pytest.importorskip("can")
CASES = [(target, path) for target in TARGETS for path in corpus(target)]
EXAMPLES = {"dump": 10, "command_line": 10, "car_file": 20, "gateway_file": 20, "doip": 20}


@pytest.mark.parametrize(("target", "path"), CASES, ids=[f"{target}-{path.name}" for target, path in CASES])
def test_corpus(target: str, path: Path) -> None:
    TARGETS[target](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_changed_inputs(target: str) -> None:
    @settings(
        max_examples=EXAMPLES.get(target, 50),
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs(target))
    def run(data: bytes) -> None:
        TARGETS[target](data)

    run()


def test_each_folder_is_of_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} <= TARGETS.keys()
