"""What make says where it cannot begin."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("target", ["demo", "demo-kernel", ".venv/ready"])
def test_a_python_that_is_too_old(target: str, tmp_path: Path) -> None:
    """A sentence and no traceback; `-W` makes make want a new .venv, which it then does not touch."""
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\ncase $2 in *version_info*) exit 1;; esac\necho used\n")
    old.chmod(0o755)
    command = ["make", "-W", "constraints.txt", target, f"PYTHON={old}"]
    # The tests may run under a make, which makes this one print the folders that it enters.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines()[0] == (
        f"make: {old} is missing or older than 3.11; name another one: make PYTHON=python3.12 ..."
    )
