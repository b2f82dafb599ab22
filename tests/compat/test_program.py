"""The same program for can-isotp 2 and for this package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import isotp

PROGRAM = Path(__file__).parent / "program.py"
OURS = Path(isotp.__file__).parents[1]
CAN_ISOTP = Path(sys.prefix) / "clients" / "can-isotp"


def output(package: Path, *arguments: str) -> list[str]:
    """What the program prints with `package`, without its figures."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), *arguments],
        env=os.environ | {"PYTHONPATH": str(package)},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line.startswith("#")]


def test_it_does_the_same_with_both() -> None:
    ours = output(OURS)
    assert ours == [
        "stacks: 40 messages, 0 errors",
        "notified: 40 messages, 0 errors",
        "functions: 40 messages, 0 errors",
        "logic: ['1014000102030405', '21060708090a0b0c', '220d0e0f10111213'] ['InvalidCanDataError']",
    ]
    if not (CAN_ISOTP / "isotp").exists():
        if os.environ.get("ISOTP_REQUIRE_CLIENTS") == "1":
            pytest.fail(f"can-isotp is not in {CAN_ISOTP}")
        pytest.skip(f"the same with can-isotp: it is not in {CAN_ISOTP}; `make test` installs it")
    assert output(CAN_ISOTP) == ours
