"""What mypy --strict says of a program that uses the library."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import isotp

pytest.importorskip("mypy", reason="mypy is not installed (to do: pip install isotp[dev])")


def mypy(program: str, folder: Path) -> list[str]:
    """Run mypy on a program; its lines without the summary."""
    path = folder / "program.py"
    path.write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache"), str(path)]
    environment = {"MYPYPATH": str(Path(isotp.__file__).parents[1])}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    return [line.removeprefix(f"{path.name}:") for line in done.stdout.splitlines()[:-1]]


def test_a_misspelt_name_is_an_error_and_the_others_have_types(tmp_path: Path) -> None:
    program = """\
import isotp
s = isotp.socket(timeout=1.0)
isotp.nam
s.bnd
isotp.opts.nam
reveal_type(s.recv())
reveal_type(isotp.opts.general.read(s._socket).txpad)
reveal_type(isotp.Address.normal(rxid=1, txid=2))
"""
    told = mypy(program, tmp_path)
    assert [line.rpartition("  ")[2] for line in told[:3]] == ["[attr-defined]"] * 3
    assert [line.split(":")[0] for line in told] == ["3", "4", "5", "6", "7", "8"]
    assert [line.partition("is ")[2] for line in told[3:]] == ['"bytes"', '"int"', '"isotp.address.Address"']


CLIENT = Path(__file__).with_name("typed_client.py").read_text(encoding="utf-8")


def test_a_client_with_every_name(tmp_path: Path) -> None:
    assert mypy(CLIENT, tmp_path) == []


ROOMS = ("isotp", "opts", "engine", "bus", "capture", "gateway", "remote", "testing", "compat")


@pytest.mark.parametrize("room", ROOMS)
def test_the_client_has_every_name(room: str) -> None:
    module = importlib.import_module("isotp" if room == "isotp" else f"isotp.{room}")
    names = set(re.findall(rf"\b{room}\.(\w+)", CLIENT))
    if room == "isotp":  # imported by name
        names |= {"bus", "capture", "compat", "engine", "opts", "remote", "testing"}
    assert set(module.__all__) - names == set()
