"""docs/testing.md: its Python works as it is, and prints what it says; its command lines are right."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from isotp.cli.main import main

from ..pages import ROOT, Block, blocks

PAGE = "docs/testing.md"
PYTHON = blocks(PAGE, "python")
SAID = re.compile(r"print\(.*  # (.*?)(?:: the seconds.*)?$", re.M)


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_the_python_works(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block.code, str(block), "exec"), {"__name__": "__main__"})
    printed = capsys.readouterr().out.splitlines()
    assert printed
    said = SAID.findall(block.code)
    assert said == printed[: len(said)]


def test_what_it_prints_is_compared() -> None:
    assert sum(len(SAID.findall(block.code)) for block in PYTHON) == 6


def test_its_command_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    shell, between_processes = blocks(PAGE, "")
    check, serve = shell.code.splitlines()
    assert main(shlex.split(check)[1:]) == 0
    assert main([*shlex.split(serve)[1:-3], "--bus", "virtual", "--duration", "1ms"]) == 0
    simulate, send = (shlex.split(line)[1:] for line in between_processes.code.splitlines())
    monkeypatch.setitem(sys.modules, "can", None)  # their options are right: nothing else is missing
    capsys.readouterr()
    assert main(simulate) == main(send) == 1
    assert capsys.readouterr().err.count("python-can is not installed") == 2
