"""The Python in README.md and the pages of docs/: each block runs by itself, in a process, as its readers run it.

An ECU answers it: on python-can's virtual channel "can0", or on a CAN interface. The line before a block may mark it:
`<!-- kernel -->` needs such an interface; `<!-- pytest -->` is a file of tests; `<!-- other -->` belongs to another
package and is not run. `<!-- before: CODE -->` and `<!-- pytest: CODE -->` run CODE before it.
"""

import logging
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import isotp
from isotp.testing import Car, Ecu, Request

ROOT = Path(__file__).parents[1]
GUIDES = ("docs/coming-from-can-isotp.md", "docs/coming-from-can-utils.md", "docs/coming-from-scapy.md")
RUN_ELSEWHERE = ("docs/faults.md", "docs/testing.md", "docs/use-with.md")
"""Pages with tests of their own, which also compare what the blocks do."""
ALL = (
    "README.md",
    *sorted(page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").rglob("*.md") if "_made" not in page.parts),
)
PAGES = tuple(page for page in ALL if page not in RUN_ELSEWHERE)
VIN = b"WVWZZZ1JZXW000001"
_BLOCK = re.compile(r"^(?:<!-- (\w+)(?:: ([^\n]*))? -->\n)?```([^`\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of a page."""

    page: str
    line: int
    language: str
    mark: str
    code: str
    before: str

    def __str__(self) -> str:
        return f"{Path(self.page).name}:{self.line}"

    def output(self, folder: Path, interface: str = "") -> str:
        """What the block prints; it runs in `folder`, must end well and complain of nothing."""
        command = [sys.executable, "-W", "error", "-X", "dev", __file__, self.page, str(self.line), interface]
        if self.mark == "pytest":
            folder.joinpath("test_page.py").write_text(self.before + "\n" + self.code, encoding="utf-8")
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio"]
        places = (Path(isotp.__file__).parents[1], ROOT / "examples" / "testing" / "src")
        env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, places))}
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=50)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


def blocks(page: str, language: str) -> list[Block]:
    """The blocks of `page` that are in `language`."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start(4)) + 1
        mark = (match[1] or "").replace("before", "")
        found.append(Block(page, line, match[3], mark, match[4], match[2] or ""))
    return [block for block in found if block.language == language]


def said(code: str) -> list[str]:
    """What the comments of a block say that it prints: `print(...)  # this`, in the order of the lines."""
    return re.findall(r"print\(.*\S  # (.*)$", code, re.M)


def table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table under `heading`, without its head."""
    text = (ROOT / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in re.findall(r"^\|.*\|$", text.partition("\n## ")[0], re.M)]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def _answer(request: Request) -> bytes:
    return bytes((request.service | 0x40, *request.data[1:3])) + VIN


def main(page: str, line: int, interface: str) -> None:
    """Run the block that begins in `line` of `page`."""
    (block,) = [block for block in blocks(page, "python") if block.line == line]
    code = block.code
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # no warnings of a slow machine
    ecu = Ecu(rxid=0x7E0, txid=0x7E8, rules={"*": _answer})
    with ExitStack() as end:
        if interface:
            end.enter_context(Car(interface, ecu))
            code = code.replace('"can0"', repr(interface)).replace('"vcan0"', repr(interface))
        else:
            import can

            bus = end.enter_context(can.Bus(interface="virtual", channel="can0"))
            end.enter_context(Car(isotp.PythonCanBus(bus), ecu))
        namespace: dict[str, Any] = {"__name__": "__main__"}
        exec(block.before, namespace)
        exec(compile("\n" * (line - 1) + code, page, "exec"), namespace)  # tracebacks show the line of the page
        for value in namespace.values():  # what it leaves open ends with its process
            if isinstance(value, isotp.IsoTpSocket):
                value.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
