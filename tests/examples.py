"""Runs the examples as their readers do, with warnings as errors and everything Python's development mode checks."""

import os
import subprocess
import sys
from pathlib import Path

import isotp

EXAMPLES = Path(__file__).parents[1] / "examples"
SRC = Path(isotp.__file__).parents[1]


def output_of(name: str, *arguments: str) -> str:
    """What an example prints; it must end well and complain of nothing."""
    command = [sys.executable, "-W", "error", "-X", "dev", str(EXAMPLES / name), *arguments]
    env = os.environ | {"PYTHONPATH": str(SRC)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=50)
    complaints = [
        line for line in done.stderr.splitlines() if " took " not in line
    ]  # slow is the machine, in emulation
    assert (done.returncode, complaints) == (0, [])
    return done.stdout


THREE_ECUS = """\
0x7e8 engine is there: PositiveResponse
0x7e9 gearbox is there: PositiveResponse
0x7ea airbag is there: PositiveResponse
0xf190 of engine: 17 bytes
0xf190 of gearbox: 17 bytes
0xf190 of airbag: 17 bytes
0xf195 of engine: 520 bytes
0xf195 of gearbox: 3600 bytes
0xf195 of airbag: RequestOutOfRange
"""

VINS = """\
can1 0x6A9: the recording ends after 6 of 20 bytes
14 frames, 1 of other traffic, 0 lines were no frames
can0 0x7E8: WVWZZZ1JZXW000001
can0 0x6A9: WVWZZZ1JZXW000001
"""
