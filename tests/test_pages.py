"""README.md and docs/: their Python works, their command lines are right, their tables agree with the code."""

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

import isotp
from isotp import errors
from isotp.cli.main import COMMANDS, main
from isotp.cli.options.can_utils import _ANSWERS
from isotp.cli.parser import Parser
from isotp.compat.params import KEYS

from .pages import ALL, GUIDES, PAGES, ROOT, RUN_ELSEWHERE, VIN, Block, blocks, said, table

CAN_ISOTP, CAN_UTILS, SCAPY = GUIDES
PYTHON = [block for page in PAGES for block in blocks(page, "python")]
COMMAND = re.compile(rf"(?<![-\w])isotp ({'|'.join(COMMANDS)})\b")
SHELL = sorted(
    {
        line.split("  #")[0]
        for page in ALL
        for block in blocks(page, "")
        for line in block.code.splitlines()
        if COMMAND.search(line) and "..." not in line
    }
)
NEEDS_NOTHING = [line for line in SHELL if "--bus virtual " in line]


def test_every_guide_is_checked_here() -> None:
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("coming-from-*.md")} == set(GUIDES)


def test_every_block_is_found() -> None:
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in PAGES)
    assert len(PYTHON) == text.count("```python\n")
    assert {block.mark for block in PYTHON} == {"", "kernel", "other", "pytest"}
    assert set(RUN_ELSEWHERE) < set(ALL)


@pytest.mark.parametrize("block", [block for block in PYTHON if block.mark in ("", "pytest")], ids=str)
def test_the_python_works(block: Block, tmp_path: Path) -> None:
    pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    printed = block.output(tmp_path)
    assert printed or "print(" not in block.code
    assert [line for line in said(block.code) if line not in printed.splitlines()] == []
    if block.page in GUIDES:
        assert VIN.decode() in printed or VIN.hex() in printed


def command_line(line: str) -> list[str]:
    """The arguments of the isotp command in a line of shell."""
    (command,) = [part for part in re.split(r"\|\|?|;|&", line) if re.search(r"\bisotp ", part)]
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


def anchors(page: Path) -> set[str]:
    """The places in a page that links may lead to."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", ALL)
def test_the_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        name, _, place = target.partition("#")
        path = (ROOT / page).parent / name if name else ROOT / page
        assert "://" in target or path.exists(), target
        assert not place or place in anchors(path), target


def test_the_readme_is_one_screen_and_has_the_example() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 150
    first = next(block for block in PYTHON if block.page == "README.md")
    assert first.code.startswith("import isotp\ns, s2 = isotp.socket(), isotp.socket()\ns.set_fc_opts(stmin=5, bs=10)")
    assert "print(s._socket.getsockname())" in first.code


# --- the tables


def test_every_public_name_is_in_the_reference() -> None:
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "reference").glob("*.md"))
    shown = set(re.findall(r"^\.\. auto(?:class|data|function):: isotp\.(\w+)$", text, re.M))
    shown |= set(re.findall(r"^\.\. data:: isotp\.(\w+)$", text, re.M))
    for module in re.findall(r"^\.\. automodule:: (.*)$", text, re.M):
        found = import_module(module)
        shown |= set(getattr(found, "__all__", vars(found)))
        shown.add(module.removeprefix("isotp."))
    old = {"address", "can_message", "protocol", "tools", "tpsock"}  # modules of can-isotp 2, see its guide
    assert set(isotp.__all__) - shown - old == {"OverflowError"} - shown


def json_keys() -> set[str]:
    """The keys of --json, as the code has them."""
    cli = ROOT / "src" / "isotp" / "cli"
    files = ("output/json_lines.py", "output/units.py", *(f"commands/{name}.py" for name in ("check", "recv", "scan")))
    trees = [ast.parse((cli / name).read_text(encoding="utf-8")) for name in files]
    dicts = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    keys = [key.value for node in dicts for key in node.keys if isinstance(key, ast.Constant)]
    return {str(key) for key in keys}


def test_every_key_of_json_is_in_its_table() -> None:
    text = (ROOT / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
    assert len(json_keys()) > 20
    assert {key for key in json_keys() if f"`{key}`" not in text} == set()


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
