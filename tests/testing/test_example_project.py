"""The example project and the files for CI: what is in them is run, in a copy, with an installed wheel."""

import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
import yaml

from isotp.testing.kernel import store

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples/ci"
NEEDS_NETWORK_AND_ROOT = re.compile(r"apt-get")

pytestmark = pytest.mark.timeout(600)


class Project(NamedTuple):
    """A copy of the example project, with a virtual environment of its own that has nothing yet."""

    folder: Path
    env: dict[str, str]

    def run(self, script: str) -> None:
        """Run a step of a job."""
        subprocess.run(["sh", "-e", "-c", script], cwd=self.folder, env=self.env, check=True)

    def results(self, report: str) -> tuple[int, int]:
        """How many tests of a report passed, and how many were skipped."""
        suite = ElementTree.parse(self.folder / "reports" / report).getroot()[0]
        total, skipped, *bad = (int(suite.get(key, "0")) for key in ("tests", "skipped", "failures", "errors"))
        assert bad == [0, 0]
        return total - skipped, skipped


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it is published."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no wheel can be built: {done.stderr}")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def project(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(ROOT / "examples/testing", folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    programs = folder.parent / "venv"
    venv.create(programs, with_pip=True)
    dropped = ("PYTEST_", "PYTHON", "VIRTUAL_ENV", "COVERAGE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    env |= {"PATH": f"{programs}/bin:{env['PATH']}", "ISOTP": f"isotp[testing] @ {wheel.as_uri()}"}
    return Project(folder, env)


def read(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


def steps(job: str) -> dict[str, list[str]]:
    """The steps of a job that can be run here, in each of the files."""
    github = [step["run"] for step in read("github-actions.yml")["jobs"][job]["steps"] if "run" in step]
    gitlab = read("gitlab-ci.yml")[job]["script"]
    return {
        name: [step for step in found if not NEEDS_NETWORK_AND_ROOT.search(step)]
        for name, found in {"github-actions.yml": github, "gitlab-ci.yml": gitlab}.items()
    }


def test_both_files_do_the_same() -> None:
    for job in ("virtual-bus", "kernel"):
        assert len(set(map(tuple, steps(job).values()))) == 1
    assert read("github-actions.yml")["env"] == {"ISOTP": "isotp[testing]"}
    assert read("gitlab-ci.yml")["variables"] == {"ISOTP": "isotp[testing]"}
    artifacts = [read("gitlab-ci.yml")[job]["artifacts"]["reports"]["junit"] for job in ("virtual-bus", "kernel")]
    assert artifacts == ["reports/tests.xml", "reports/kernel.xml"]


def test_the_cache_is_where_it_is_kept() -> None:
    """By GitHub the folder that isotp-kernel uses, by GitLab one in the project, for it keeps no other."""
    github = read("github-actions.yml")["jobs"]["kernel"]["steps"]
    kept = next(step["with"]["path"] for step in github if step.get("uses", "").startswith("actions/cache@"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CACHE_HOME", store.VARIABLE):
            patch.delenv(name, raising=False)
        assert Path(kept).expanduser() == store.path()
    kernel = read("gitlab-ci.yml")["kernel"]
    assert kernel["variables"] == {store.VARIABLE: f"$CI_PROJECT_DIR/{kernel['cache']['paths'][0]}"}


def test_the_jobs_on_a_virtual_bus(project: Project) -> None:
    for step in steps("virtual-bus")["github-actions.yml"]:
        began = time.monotonic()
        project.run(step)
    took_s = time.monotonic() - began
    passed, skipped = project.results("tests.xml")
    assert passed >= 20
    assert skipped <= 1  # that on the kernel, where this one has no ISO-TP
    assert took_s < 60  # the ECUs of these tests take 6 minutes for their answers


@pytest.mark.vm
def test_the_jobs_on_a_kernel(project: Project) -> None:
    for step in steps("kernel")["gitlab-ci.yml"]:
        project.run(step)
    passed, skipped = project.results("kernel.xml")
    assert passed >= 20
    assert skipped == 0


def test_the_program_of_an_installed_package(project: Project, tmp_path: Path) -> None:
    """It needs nothing of this repository."""
    project.run('python -m pip install --quiet "$ISOTP"')
    here = project._replace(folder=tmp_path, env=project.env | {store.VARIABLE: str(tmp_path / "cache")})
    here.run("isotp-kernel --help | grep -q 'only if you run it as root' && python -m isotp.testing.kernel --list")
    assert (tmp_path / "cache/lock").exists()


def test_the_image_has_what_a_vm_needs() -> None:
    """It is not built here: podman and docker need not be there."""
    lines = (CI / "Containerfile").read_text().splitlines()
    assert [line.split()[0] for line in lines if line and line[0] != "#"] == ["FROM", "ARG", "ENV", "RUN", "RUN", "RUN"]
    github = [step.get("run", "") for step in read("github-actions.yml")["jobs"]["kernel"]["steps"]]
    installs = next(step for step in github if "apt-get" in step)
    assert f"RUN {installs.replace('sudo ', '')}" in lines
    assert f"ENV {store.VARIABLE}=/opt/isotp-kernel-run" in lines
    assert "RUN isotp-kernel --prepare" in lines
