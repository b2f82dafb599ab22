"""Other people's packages, which use isotp, in programs of their own: `tools/test` installs them, apart from ours."""

import os
import subprocess
import sys
from pathlib import Path

import isotp

from ...kernel.conftest import skip_or_fail

SRC = Path(isotp.__file__).parents[1]
ROOT = Path(__file__).parents[3]
INSTALLED = Path(sys.prefix) / "clients"


def folder_of(group: str) -> Path:
    """Where the packages of `group` are: those of the list `<group>.txt` here; skips the test if they are not."""
    folder = INSTALLED / group
    if not folder.exists():
        skip_or_fail("the packages that use isotp are not installed (to do: make test)", "ISOTP_REQUIRE_CLIENTS")
    return folder


def run(*command: str, groups: tuple[str, ...] = ("packages",)) -> str:
    """Run Python with these arguments, our isotp and packages of `groups`; it must end well. Returns its output."""
    path = os.pathsep.join(map(str, (SRC, ROOT, *map(folder_of, groups))))
    done = subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    print(done.stdout)
    assert done.returncode == 0
    return done.stdout


def run_tests_of(package: str, file: str, *options: str) -> str:
    """Run a file of tests that a package brings along, as it is."""
    tests = folder_of("packages") / package / file
    as_they_are = ("-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-o", "addopts=", "--rootdir", str(tests.parent))
    return run("-m", "pytest", *as_they_are, str(tests), *options)
