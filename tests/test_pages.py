"""The guides in docs/: their Python works, their command lines are right, their tables agree with the code."""

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from isotp import errors
from isotp.cli.main import COMMANDS, main
from isotp.cli.options.can_utils import _ANSWERS
from isotp.cli.parser import Parser
from isotp.compat.params import KEYS

from .pages import PAGES, ROOT, VIN, Block, blocks, table

CAN_ISOTP, CAN_UTILS, SCAPY = PAGES
PYTHON = [block for page in PAGES for block in blocks(page, "python")]
SHELL = [
    line.split("  #")[0]
    for page in PAGES
    for block in blocks(page, "")
    for line in block.code.splitlines()
    if "isotp " in line and "pip" not in line
]
NEEDS_NOTHING = [line for line in SHELL if "--bus virtual" in line]


def test_every_guide_is_checked_here() -> None:
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("coming-from-*.md")} == set(PAGES)


def test_every_block_is_found() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert len(PYTHON) == text.count("```python\n")
    assert {block.mark for block in PYTHON} == {"", "kernel", "other"}


@pytest.mark.parametrize("block", [block for block in PYTHON if not block.mark], ids=str)
def test_the_python_works(block: Block, tmp_path: Path) -> None:
    pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    printed = block.output(tmp_path)
    assert VIN.decode() in printed or VIN.hex() in printed


def command_line(line: str) -> list[str]:
    """The arguments of the isotp command in a line of shell."""
    (command,) = [part for part in re.split(r"\|\|?|;", line) if re.search(r"\bisotp ", part)]
    return shlex.split(command.strip().removeprefix("python -m "))[1:]


@pytest.mark.parametrize("line", SHELL)
def test_the_command_lines_are_right(line: str) -> None:
    name, *arguments = command_line(line)
    assert name in COMMANDS
    parser = Parser(prog="isotp")
    import_module(f"isotp.cli.commands.{name}").add_arguments(parser)
    parser.parse_intermixed_args(arguments)


@pytest.mark.parametrize("line", NEEDS_NOTHING)
def test_those_that_need_nothing_work(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command_line(line)) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("page", [*PAGES, "README.md"])
def test_the_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    headings = [re.sub(r"[^\w -]", "", heading.lower()) for heading in re.findall(r"^#+ (.*)", text, re.M)]
    anchors = {heading.replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), target


# --- the tables


def test_every_parameter_of_a_layer_is_in_its_table() -> None:
    shown = {row[0].strip("`"): row[1].strip("`") for row in table(CAN_ISOTP, "Parameters")}
    assert shown == {
        name: {"default_target_address_type": "Physical", "wait_func": "time.sleep"}.get(name, repr(key.default))
        for name, key in KEYS.items()
    }


def test_the_table_of_errors_is_right() -> None:
    for name, n_result, *_ in table(CAN_ISOTP, "Errors"):
        found = getattr(errors, name.strip("`")).n_result
        assert n_result == ("" if found is None else found.name), name


def test_every_letter_of_can_utils_is_in_its_table() -> None:
    shown: dict[str, str] = {}
    last = ""
    for tool, letters, _ in table(CAN_UTILS, "Letters"):
        last = tool.strip("`") or last
        shown[last] = shown.get(last, "") + letters
    tools = {"send": "isotpsend", "recv": "isotprecv", "dump": "isotpdump", "perf": "isotpperf", "serve": "isotpserver"}
    for command, tool in tools.items():
        text = shown[tool] + (shown["isotpsniffer"] if tool == "isotpdump" else "")
        assert [letter for letter in _ANSWERS[command] if f"`{letter}" not in text] == []
