"""tools/test: what is read of tests in a VM whose time is up."""

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from ..waiting import until

PATH = Path(__file__).parents[2] / "tools/test"
TESTS = """
import time

def test_good():
    pass

def test_bad():
    assert 1 == 2

def test_endless():
    time.sleep(1000)
"""


@pytest.fixture
def tools_test() -> ModuleType:
    loader = SourceFileLoader("tools_test", str(PATH))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_a_killed_pytest_has_said_what_failed_and_what_was_running(tmp_path: Path, tools_test: ModuleType) -> None:
    """As in a VM that is ended: nothing is told afterwards."""
    (tmp_path / "test_some.py").write_text(TESTS)
    options = [*tools_test.KERNEL_OPTIONS[:1], "-p", "no:cacheprovider", "test_some.py"]
    command = [sys.executable, "-m", "pytest", *options]
    output = tmp_path / "output"
    with output.open("w") as file, subprocess.Popen(command, cwd=tmp_path, stdout=file) as process:
        try:
            until(lambda: "test_endless" in output.read_text())
        finally:
            process.kill()
    shown = [line for line in output.read_text().splitlines() if not tools_test.PASSED.search(line)]
    assert not any("test_good" in line for line in shown)
    assert any("::test_bad FAILED" in line for line in shown)
    assert shown[-1].startswith("test_some.py::test_endless")
