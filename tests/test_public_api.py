"""The names of `isotp` itself."""

import ast
import importlib
import inspect
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest

import isotp
from isotp import opts

INIT = Path(isotp.__file__)


def typed_names() -> dict[str, str]:
    """The public names as type checkers see them, and the module each comes from."""
    tree = ast.parse(INIT.read_text(encoding="utf-8"))
    blocks = [n for n in tree.body if isinstance(n, ast.If) and getattr(n.test, "id", "") == "TYPE_CHECKING"]
    assert len(blocks) == 1
    return {
        alias.asname or alias.name: node.module or ""
        for node in blocks[0].body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }


def test_all_has_no_name_twice_and_nothing_private() -> None:
    assert len(isotp.__all__) == len(set(isotp.__all__))
    assert all(not name.startswith("_") for name in isotp.__all__)


def test_type_checkers_see_the_same_names_from_the_same_places() -> None:
    assert set(typed_names()) == set(isotp.__all__)
    homes = {name: isotp._HOME.get(name, "" if name in isotp._MODULES else "errors") for name in isotp.__all__}
    assert typed_names() == homes
    assert set(isotp._HOME) <= set(isotp.__all__)
    assert set(isotp._MODULES) <= set(isotp.__all__)


@pytest.mark.parametrize("name", isotp.__all__)
def test_every_name_is_there_and_says_what_it_is(name: str) -> None:
    value = getattr(isotp, name)
    home = typed_names()[name]
    if isinstance(value, ModuleType):
        assert value is importlib.import_module(f"isotp.{name}")
    else:
        assert value is getattr(importlib.import_module(f"isotp.{home}"), name)
        assert vars(isotp)[name] is value  # so that the second use is as quick as any other
    if not isinstance(value, int):
        own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
        assert own
        assert own.splitlines()[0].rstrip().endswith(".")


def public_parts(owner: type) -> list[str]:
    return [n for n, v in vars(owner).items() if not n.startswith("_") and (callable(v) or isinstance(v, property))]


@pytest.mark.parametrize("name", [n for n in isotp.__all__ if isinstance(getattr(isotp, n), type)])
def test_every_public_method_says_what_it_does(name: str) -> None:
    cls = getattr(isotp, name)
    for base in cls.__mro__:
        if base.__module__.startswith("isotp"):
            silent = [n for n in public_parts(base) if not getattr(base, n).__doc__]
            assert silent == []


ROOMS = ["opts", "engine", "bus", "capture", "gateway", "testing", "compat", "clients.udsoncan"]


def public(room: str) -> list[tuple[str, Any]]:
    """The public names of a room and what they are; "" is `isotp` itself."""
    if room == "clients.udsoncan":
        pytest.importorskip("udsoncan", reason="udsoncan is not installed (to do: pip install isotp[dev])")
    module = importlib.import_module(f"isotp.{room}".rstrip("."))
    return [(name, getattr(module, name)) for name in module.__all__]


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that classes of ours give to `owner`."""
    for base in owner.__mro__:
        if base.__module__.startswith("isotp"):
            for name, part in vars(base).items():
                if not name.startswith("_") and (callable(part) or isinstance(part, property | classmethod)):
                    yield f"{base.__qualname__}.{name}", getattr(owner, name, None)


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_of_the_rooms_says_what_it_is(room: str) -> None:
    silent = []
    for name, value in public(room):
        if not isinstance(value, type | FunctionType | ModuleType):
            continue
        own = value.__dict__.get("__doc__") if isinstance(value, type) else value.__doc__
        if not own or own.startswith(f"{name}("):  # as dataclasses write it
            silent.append(name)
        if isinstance(value, type):
            silent += [f"{name}: {where}" for where, part in members(value) if not getattr(part, "__doc__", None)]
    assert silent == []


def raised(function: FunctionType) -> set[str]:
    """The exceptions that the function itself raises by name; TypeError needs no word."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)} - {"NotImplementedError", "TypeError"}


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_what_a_public_function_raises_stands_in_its_docstring(room: str) -> None:
    silent = []
    for name, value in public(room):
        parts = members(value) if isinstance(value, type) else [(name, value)]
        for where, part in parts:
            function = part.fget if isinstance(part, property) else inspect.unwrap(getattr(part, "__func__", part))
            if isinstance(function, FunctionType):
                text = function.__doc__ or ""
                silent += [f"{where}: {e}" for e in raised(function) if e not in text and "aises" not in text]
    assert silent == []


TIME = re.compile(r"(timeout|within|linger|interval|wait_fc)$")
UNIT = re.compile(r"\b(seconds?|milliseconds|nanoseconds|ms|ns)\b|\d s\b")


def described(owner: Any, name: str) -> list[str]:
    """The sentences about a parameter of a class or function, or of the method that it belongs to, in all bases."""
    text = "\n\n".join(inspect.getdoc(base) or "" for base in getattr(owner, "__mro__", [owner]) if base is not object)
    return [part for part in re.split(r"\n\n|\.\s|\n(?=\s*\w+: )", text) if re.search(rf"\b{name}\b", part)]


@pytest.mark.parametrize("room", ["", *ROOMS])
def test_every_time_has_its_unit(room: str) -> None:
    """In the name of the parameter, or in a sentence about it in the docstring of the call or of its class."""
    silent = set()
    for name, value in public(room):
        parts = [*members(value), (name, vars(value).get("__init__"))] if isinstance(value, type) else [(name, value)]
        for where, part in parts:
            if isinstance(part, FunctionType):
                for parameter in filter(TIME.search, inspect.signature(part).parameters):
                    bases = [vars(base).get(part.__name__) for base in getattr(value, "__mro__", ())]
                    about = [sentence for owner in (value, part, *bases) for sentence in described(owner, parameter)]
                    if not any(UNIT.search(sentence) for sentence in about):
                        silent.add(f"{where}: {parameter}")
    assert silent == set()


def test_all_of_opts() -> None:
    for name in opts.__all__:
        assert getattr(opts, name) is not None
    assert opts.general is opts.GeneralOptions
    assert opts.flowcontrol is opts.FlowControlOptions
    assert opts.linklayer is opts.LinkLayerOptions


def test_star_import_brings_all() -> None:
    namespace: dict[str, object] = {}
    exec("from isotp import *", namespace)
    assert set(isotp.__all__) <= set(namespace)


def test_dir_shows_all_before_first_use() -> None:
    names = dir(isotp)
    assert names == sorted(names)
    assert {*isotp.__all__, "__version__", "__all__"} <= set(names)


@pytest.mark.parametrize("name", ["sokcet", "Sock", "_Address", "__path_of_it__", "ECOMM"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(AttributeError, match=f"^module 'isotp' has no attribute '{name}'$"):
        getattr(isotp, name)
    assert not hasattr(isotp, name)


def test_unknown_imports() -> None:
    with pytest.raises(ImportError, match="cannot import name 'sokcet' from 'isotp'"):
        exec("from isotp import sokcet")


def test_the_version_stands_in_one_place() -> None:
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    settings = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    project = settings["project"]
    assert "version" not in project
    assert project["dynamic"] == ["version"]
    assert settings["tool"]["hatch"]["version"]["path"] == "src/isotp/__init__.py"
    assert re.fullmatch(r"\d+\.\d+\.\d+", isotp.__version__)
    assert project["dependencies"] == []


def test_typed() -> None:
    assert INIT.with_name("py.typed").exists()
