"""tools/audit and the lists of packages."""

import importlib.util
import re
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
LISTS = [
    "constraints.txt",
    "tools/audit.txt",
    *(f"benchmarks/{name}.txt" for name in ("can-isotp", "automotive", "py-uds", "scapy")),
]
LISTS += [f"tests/clients/others/{name}.txt" for name in ("packages", "odxtools")]


@pytest.fixture
def audit() -> ModuleType:
    loader = SourceFileLoader("tools_audit", str(ROOT / "tools/audit"))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


GOOD = {"name": "good", "version": "1", "vulns": []}
BAD = {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"], "aliases": []}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


def test_a_vulnerability_fails(audit: ModuleType) -> None:
    status, lines = audit.verdict({"dependencies": [GOOD, BAD, UNKNOWN]})
    assert status == 1
    assert lines == ["bad 2: PYSEC-1, mended in 3", "vulnerabilities: 1 in 2 of 3 packages"]


def test_none_known(audit: ModuleType) -> None:
    assert audit.verdict({"dependencies": [GOOD, UNKNOWN]}) == (0, ["vulnerabilities: 0 in 1 of 2 packages"])


def test_a_registry_without_data_is_told(audit: ModuleType) -> None:
    status, (line,) = audit.verdict({"dependencies": [UNKNOWN]})
    assert status == 0
    assert "NOT CHECKED" in line


@pytest.mark.parametrize("name", LISTS)
def test_each_package_has_a_version_and_hashes(name: str) -> None:
    lines = (ROOT / name).read_text().replace("\\\n", " ").splitlines()
    packages = [line for line in lines if line.strip() and not line.startswith("#")]
    assert packages
    for line in packages:
        assert re.match(r"[\w.-]+==\S+ ", line), line
        assert "--hash=sha256:" in line, line
        assert "://" not in line, line


def test_the_build_back_end_is_the_one_with_hashes() -> None:
    (pinned,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert re.fullmatch(r"hatchling==[\d.]+", pinned)
    assert f"\n{pinned} \\\n" in (ROOT / "constraints.txt").read_text()
