"""Dependencies point one way, and importing the library costs next to nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import isotp

SRC = Path(isotp.__file__).parents[1]

BASE = {"abstract_address", "address", "can_frame", "errors", "stmin"}
FRONT = "isotp"  # the package itself: its lazy names lead everywhere
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    "linux": {*BASE, "linux"},
    "opts": {*BASE, "linux", "opts"},
    "deadline": set[str](),
    "sockets": {*BASE, "deadline", "opts"},
    "task_lock": {"deadline"},
    "functional": {*BASE, "sockets"},
    "engine": {*BASE, "engine"},
    "capture": {*BASE, "linux", "engine", "capture"},
    "bus": {*BASE, "linux", "bus"},
    "soft": {*BASE, "linux", "opts", "deadline", "sockets", "task_lock", "engine", "bus", "soft"},
    "kernel": {*BASE, "linux", "opts", "deadline", "sockets", "task_lock", "kernel"},
    "clients": {*BASE, "deadline", "sockets", "functional", "clients"},
    "compat": {*BASE, "engine", "bus", "soft", "compat"},
    "can_message": {"compat"},
    "protocol": {"compat"},
    "tools": {"compat"},
    "tpsock": {"linux", "opts", "kernel", "tpsock"},
}
ABOVE_ALL = {"checkup", "cli", "gateway", "remote", "testing", "__main__", FRONT}
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
        ("isotp.opts.records", "from ..kernel.listeners import listeners"),
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


# --- no circles, and few imports inside functions


def on_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported; what is for type checkers alone is left out."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from on_import(node.orelse)
            continue
        yield node
        for part in ("body", "orelse", "finalbody"):
            yield from on_import(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from on_import(handler.body)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle, the first one again at the end; empty if there is none."""
    done: set[str] = set()

    def walk(path: list[str]) -> list[str]:
        for module in sorted(graph[path[-1]] - done):
            if module in path:
                return [*path[path.index(module) :], module]
            if found := walk([*path, module]):
                return found
        done.add(path[-1])
        return []

    return next(filter(None, map(walk, ([module] for module in sorted(graph)))), [])


def graph_of(sources: dict[str, tuple[str, bool]]) -> dict[str, set[str]]:
    """Which modules each module imports when it is imported itself; `sources`: text, and whether it is a package.

    The package that a module is in, which Python imports first, is left out.
    """
    graph = {}
    for module, (source, is_package) in sources.items():
        statements = [n for n in on_import(ast.parse(source).body) if isinstance(n, (ast.Import, ast.ImportFrom))]
        names = imports("\n".join(map(ast.unparse, statements)), module, is_package)
        graph[module] = {name if name in sources else name.rpartition(".")[0] for name in names} & set(sources)
    return graph


def all_sources() -> dict[str, tuple[str, bool]]:
    return {module: (path.read_text(encoding="utf-8"), is_package) for path, module, is_package in modules()}


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert circle(graph_of(all_sources())) == []


@pytest.mark.parametrize(
    ("b", "has_circle"),
    [
        ("from .a import x", True),
        ("from . import a", True),
        ("import isotp.a", True),
        ("try:\n    import isotp.a\nexcept ImportError: ...", True),
        ("class B:\n    from .a import x", True),
        ("from .c import x", True),
        ("from .d import x", False),
        ("def f():\n    from .a import x", False),
        ("if TYPE_CHECKING:\n    from .a import x", False),
    ],
)
def test_the_check_finds_circles(b: str, has_circle: bool) -> None:
    sources = {"a": "from .b import y", "b": b, "c": "from .a import z", "d": ""}
    graph = graph_of({f"isotp.{name}": (source, False) for name, source in sources.items()})
    assert bool(circle(graph)) == has_circle


LATE_IMPORTS = {
    "ctypes takes milliseconds, and does not load where os.uname is missing": {
        "isotp.linux.raw_can: isotp.linux.batches.Inlet",
        "isotp.linux.raw_can: isotp.linux.batches.Outlet",
    },
    "public names are loaded on first use": {"isotp: importlib.import_module"},
    "an extra: it need not be installed": {
        "isotp.bus.pythoncan: isotp.bus.pythoncan_readers.NotifierListener",
        "isotp.bus.pythoncan: isotp.bus.pythoncan_readers.ReadingThread",
        "isotp.capture.readers.python_can: can",
        "isotp.remote.sessions: zenoh",
        "isotp.remote.sessions: zenoh.handlers.Callback",
        "isotp.remote.share: zenoh",
        "isotp.remote.share: zenoh.handlers.Callback",
        "isotp.capture.uds: udsoncan.services",
        "isotp.capture.uds: udsoncan.BaseService.BaseService",
        "isotp.capture.uds: udsoncan.Response.Response",
        "isotp.capture.uds: udsoncan.DataIdentifier",
        "isotp.capture.uds: udsoncan.Routine",
        "isotp.capture.uds: udsoncan.BaseService.BaseSubfunction",
        "isotp.cli.links.buses: can",
        "isotp.testing.ecu.car_file: yaml",
        "isotp.cli.links.listening: can",
        "isotp.cli.completion: shtab",
        "isotp.cli.output.report.figures: plotly",
        "isotp.cli.output.report.figures: plotly.graph_objects",
        "isotp.cli.output.report.page: plotly.offline.get_plotlyjs",
    },
    "not on every system, and doctor runs on all": {
        "isotp.checkup.doctor: isotp.linux.interface.CanInterface",
        "isotp.checkup.doctor: isotp.linux.interface.can_interfaces",
        "isotp.checkup.doctor: isotp.linux.rtnetlink.query_link",
        "isotp.checkup.doctor: isotp.kernel.listeners.listeners",
        "isotp.checkup.live: isotp.kernel.socket.socket",
        "isotp.cli.commands.conform: isotp.testing.conformance.socket_subject.KernelSubject",
        "isotp.cli.links.memory: resource",
        "isotp.linux.interface: fcntl",
        "isotp.testing.kernel.__main__: isotp.testing.kernel.cli.main",
    },
    "where the package is damaged, and nothing of it is sure to be there": {
        "isotp: isotp.checkup.installation.clash",
        "isotp.cli.start: isotp.checkup.installation.clash",
        "isotp.cli.start: isotp.cli.main.main",
    },
    "start-up time: pytest loads the plugin in every project": {
        "isotp.testing.plugin: isotp",
        "isotp.testing.plugin: isotp.testing.buses.Link",
        "isotp.testing.plugin: isotp.testing.buses.bound",
        "isotp.testing.plugin: isotp.testing.buses.check",
        "isotp.testing.plugin: isotp.testing.buses.open_bus",
        "isotp.testing.plugin: isotp.testing.buses.opposite",
        "isotp.testing.plugin: isotp.testing.buses.simulated_bus",
        "isotp.testing.plugin: isotp.testing.clock.FakeClock",
        "isotp.testing.plugin: isotp.testing.ecu.car.Car",
        "isotp.testing.plugin: isotp.testing.ecu.ecu.Ecu",
        "isotp.testing.plugin: isotp.testing.frames.Frames",
        "isotp.testing.plugin: isotp.testing.leaks.LeakCheck",
        "isotp.testing.plugin: isotp.testing.namespace",
        "isotp.testing.plugin: isotp.testing.simulated.clock_of",
    },
    "start-up time: few calls need it": {
        "isotp.checkup.doctor: isotp.bus.virtual.VirtualBus",
        "isotp.checkup.doctor: isotp.soft.socket.SoftSocket",
        "isotp.checkup.live: ctypes",
        "isotp.cli.commands.perf: isotp.cli.commands.perf_self.measure",
        "isotp.cli.links.link: isotp.engine.params.Params",
        "isotp.cli.links.opening: isotp.cli.links.sent_bytes.counting",
        "isotp.cli.links.opening: isotp.cli.links.sent_bytes.of_engine",
        "isotp.cli.main: difflib",
        "isotp.cli.main: isotp.cli.links.remedies.reworded_warning",
        "isotp.cli.output.terminal: shutil",
        "isotp.cli.output.terminal: textwrap",
    },
}


def late_imports(source: str, module: str, is_package: bool) -> set[str]:
    """The imports inside functions."""
    functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    statements = [n for each in functions for n in ast.walk(each) if isinstance(n, (ast.Import, ast.ImportFrom))]
    return {f"{module}: {name}" for name in imports("\n".join(map(ast.unparse, statements)), module, is_package)}


def test_each_import_inside_a_function_has_a_reason() -> None:
    """One that is new belongs to the top of its module; where that is not possible, its reason belongs here."""
    late = set().union(*(late_imports(source, name, package) for name, (source, package) in all_sources().items()))
    allowed = set().union(*LATE_IMPORTS.values())
    assert late - allowed == set()
    assert allowed - late == set(), "no longer there: remove them from the list"


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
