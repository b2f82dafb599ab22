"""What `make bench` says of figures that got worse."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("run")
    for name in ("run", "contest"):
        sys.modules.pop(name, None)


def figure(value: float, **more: object) -> dict[str, Any]:
    return {"table": "a table", "what": "a figure", "value": value, **more}


@pytest.mark.parametrize(
    ("was", "now", "more", "is_worse"),
    [
        (1.0, 1.2, {}, True),
        (1.0, 1.05, {}, False),
        (1.2, 1.0, {}, False),
        (1.2, 1.0, {"at_least": 0.5}, True),
        (1.0, 1.2, {"at_least": 0.5}, False),
        (0, 1, {"at_most": 0}, True),
        (1.0, 9.0, {"unit": "s"}, False),
    ],
)
def test_what_is_worse_by_more_than_a_tenth_is_told(
    run: Any, was: float, now: float, more: dict[str, object], is_worse: bool
) -> None:
    told = list(run.worse([figure(was, **more)], [figure(now, **more)]))
    assert [line.startswith("a table: a figure: ") for line in told] == [True] * is_worse


def test_a_new_figure_is_not_worse(run: Any) -> None:
    assert not list(run.worse([], [figure(9.0)]))


@pytest.mark.usefixtures("run")
def test_a_figure_is_printed_for_the_record_if_asked(monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    contest = importlib.import_module("contest")
    monkeypatch.setenv(contest.RECORDING, "1")
    contest.Report("t").figure("w", 2.0, at_most=1)
    (line,) = (line for line in capfd.readouterr().out.splitlines() if line.startswith(contest.MARK))
    assert json.loads(line.removeprefix(contest.MARK)) == {"table": "t", "what": "w", "value": 2.0, "at_most": 1}


def test_the_record_is_of_benchmarks_that_there_are(run: Any) -> None:
    record = json.loads(run.RECORD.read_text())
    assert record.keys() <= run.BENCHMARKS.keys()
    for one in record.values():
        assert one["figures"]
        assert one["machine"]
        assert one["commit"]
