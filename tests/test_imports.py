"""Dependencies point one way, and importing the library costs next to nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import isotp

SRC = Path(isotp.__file__).parents[1]

BASE = {"address", "can_frame", "errors", "stmin"}
FRONT = "isotp"  # the package itself: its lazy names lead everywhere
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    "linux": {*BASE, "linux"},
    "opts": {*BASE, "linux", "opts"},
    "deadline": set[str](),
    "sockets": {*BASE, "deadline", "opts"},
    "turns": {"deadline"},
    "functional": {*BASE, "sockets"},
    "engine": {*BASE, "engine"},
    "capture": {*BASE, "linux", "engine", "capture"},
    "bus": {*BASE, "linux", "bus"},
    "soft": {*BASE, "linux", "opts", "deadline", "sockets", "turns", "engine", "bus", "soft"},
    "kernel": {*BASE, "linux", "opts", "deadline", "sockets", "turns", "kernel"},
    "compat": {*BASE, "opts", "sockets", "engine", "bus", "soft", "compat"},
}
ABOVE_ALL = {"checkup", "cli", "remote", "testing", "__main__", FRONT}
SANS_IO = {"asyncio", "can", "select", "selectors", "socket", "threading", "time"}


def imports(source: str, module: str, is_package: bool) -> Iterator[str]:
    """The absolute dotted names that `source` imports, wherever in it, relative ones resolved."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in (
            "import_module",
            "__import__",
        ):
            name = node.args[0]
            yield name.value if isinstance(name, ast.Constant) and isinstance(name.value, str) else "isotp.?"


def room(dotted: str) -> str:
    """The part of the package that a dotted name of it belongs to."""
    rest = dotted.split(".")[1:]
    return rest[0] if rest and rest[0] in {*MAY_IMPORT, *ABOVE_ALL} else FRONT


def violations(source: str, module: str, is_package: bool = False) -> list[str]:
    """What in `source` breaks the rule of dependencies."""
    here = FRONT if module == "isotp" else module.split(".")[1]
    if here in ABOVE_ALL:
        return []
    if here not in MAY_IMPORT:
        return [f"{module}: say in MAY_IMPORT where {here} belongs"]
    found = []
    for name in imports(source, module, is_package):
        top = name.split(".")[0]
        if top == "isotp":
            if name != "isotp.__version__" and room(name) not in MAY_IMPORT[here]:
                found.append(f"{module} imports {name}")
        elif here == "engine" and top in SANS_IO:
            found.append(f"{module} imports {name}")
    return found


def modules() -> Iterator[tuple[Path, str, bool]]:
    for path in sorted(SRC.glob("isotp/**/*.py")):
        parts = path.relative_to(SRC).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        yield path, ".".join(parts[:-1] if is_package else parts), is_package


def test_dependencies_point_one_way() -> None:
    walked = list(modules())
    assert {"isotp", "isotp.errors", "isotp.opts", "isotp.kernel.socket"} <= {name for _, name, _ in walked}
    broken = []
    for path, module, is_package in walked:
        broken += violations(path.read_text(encoding="utf-8"), module, is_package)
    assert broken == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("isotp.engine.engine", "import time"),
        ("isotp.engine.engine", "import asyncio.events"),
        ("isotp.engine.engine", "from threading import Lock"),
        ("isotp.engine.engine", "def f():\n    import socket"),
        ("isotp.engine.engine", "import importlib\nimportlib.import_module('socket')"),
        ("isotp.engine.engine", "from ..kernel import end"),
        ("isotp.engine.engine", "from .. import kernel"),
        ("isotp.engine.engine", "from ..opts import CANFD_BRS"),
        ("isotp.engine.engine", "if TYPE_CHECKING:\n    from isotp.kernel.socket import socket"),
        ("isotp.engine.engine", "from isotp import socket"),
        ("isotp.engine.engine", "import isotp"),
        ("isotp.kernel.socket", "from ..engine.engine import Engine"),
        ("isotp.kernel.socket", "import isotp.engine.engine as engine"),
        ("isotp.kernel.socket", "from .. import engine"),
        ("isotp.kernel.socket", "from .. import Address"),
        ("isotp.kernel.socket", "from importlib import import_module\nimport_module(name)"),
        ("isotp.kernel.socket", "__import__('isotp.soft.socket')"),
        ("isotp.kernel.socket", "from ..cli import terminal"),
        ("isotp.address", "from .opts import flags"),
        ("isotp.errors", "from .kernel import socket"),
        ("isotp.opts.records", "from ..kernel.binding import listeners"),
        ("isotp.opts.records", "from .. import engine"),
        ("isotp.bus.base", "from ..soft import reactor"),
        ("isotp.soft.socket", "from ..compat import TransportLayer"),
        ("isotp.compat.stack", "from ..kernel import socket"),
        ("isotp.helpers", "import sys"),
    ],
)
def test_the_check_finds(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


def test_the_check_finds_it_in_packages() -> None:
    assert violations("from . import sender", "isotp.engine", is_package=True) == []
    assert violations("from .. import kernel", "isotp.engine", is_package=True) == ["isotp.engine imports isotp.kernel"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "isotp.engine.engine",
            "import struct\nfrom . import events\nfrom ..stmin import STmin\nfrom .. import errors",
        ),
        (
            "isotp.checkup.doctor",
            "from .. import __version__, opts\nimport sys\nfrom ..linux.modules import MODULE",
        ),
        ("isotp.soft.socket", "import socket, time\nfrom ..engine.engine import Engine\nfrom ..bus import base"),
        ("isotp.address", "from .errors import AddressError"),
        ("isotp.cli.demo", "import isotp\nfrom ..kernel import socket\nfrom ..engine import engine"),
    ],
)
def test_the_check_allows(module: str, source: str) -> None:
    assert violations(source, module) == []


# --- what an import loads


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


HEAVY = {"asyncio", "threading", "logging", "can", "socket", "isotp.engine", "isotp.kernel", "isotp.soft", "isotp.bus"}


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import isotp", HEAVY | {"typing", "dataclasses", "isotp.errors"}),
        ("from isotp import Address, IsoTpError, STmin, N_Result", HEAVY | {"isotp.opts"}),
        ("from isotp import opts", HEAVY),
        ("import isotp; dir(isotp)", HEAVY | {"isotp.errors"}),
        (
            "from isotp import socket",
            {"asyncio", "logging", "can", "isotp.engine", "isotp.checkup.doctor", "isotp.cli"},
        ),
    ],
)
def test_an_import_loads_no_more_than_needed(statement: str, heavy: set[str]) -> None:
    loaded = run(f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*set(sys.modules) - before)").split()
    assert "isotp" in loaded
    assert not heavy & set(loaded)


def test_options_without_can_in_the_socket_module() -> None:
    """As where Python was built without linux/can.h, and on any other system."""
    out = run("""
import socket
gone = [name for name in dir(socket) if "CAN" in name]
for name in gone:
    delattr(socket, name)
from isotp import opts
assert opts.flags.TX_PADDING == 4
assert opts.LinkLayerOptions(mtu=opts.LinkLayerProtocol.CAN_FD, tx_dl=64).mtu == 72
try:
    opts.general.read(socket.socket())
except TypeError as e:
    print(e)
""")
    assert out.startswith("not an ISO-TP socket: ")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_what_both_worlds_share_works_on_any_platform(platform: str) -> None:
    out = run(f"""
import ast, dataclasses, enum, errno, os, sys, typing, warnings
for name in ("uname", "eventfd"):
    delattr(os, name)
for name in ("ECOMM", "EBADMSG", "EILSEQ"):
    delattr(errno, name)
sys.modules["fcntl"] = None
sys.platform = {platform!r}
from isotp import Address, WrongSequenceNumberError, address, errors, opts, stmin
from isotp.opts import optflags
assert optflags.kernel_release() is None
print(Address.normal(rxid=0x7E8, txid=0x7E0), WrongSequenceNumberError("x").errno, errors.ECOMM)
""")
    assert out == "rxid=0x7E8 txid=0x7E0 84 70\n"
