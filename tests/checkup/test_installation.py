"""Several distributions with a package `isotp` in one environment: by hand, and as pip leaves it."""

import email.message  # noqa: F401 - importlib.metadata needs it, where `sys.path` has only a site
import json
import os
import shutil
import subprocess
import sys
import venv
from base64 import urlsafe_b64encode
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

import isotp
from isotp.checkup.installation import Installed, clash, installed

ROOT = Path(__file__).parents[2]
SOURCE = Path(isotp.__file__).parent


class Site:
    """A folder that packages are installed in, first on `sys.path`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "isotp"

    def install(self, name: str, files: dict[str, str]) -> None:
        """Install a distribution; `files` go into the package."""
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = ["isotp/__pycache__/errors.cpython-311.pyc,,", f"{info.name}/RECORD,,"]
        for file, text in files.items():
            path = self.package / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            digest = urlsafe_b64encode(sha256(path.read_bytes()).digest()).rstrip(b"=").decode()
            lines.append(f"isotp/{file},sha256={digest},{path.stat().st_size}")
        (info / "RECORD").write_text("\n".join(lines))

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run Python with it."""
        environment = os.environ | {"PYTHONPATH": str(self.folder)}
        return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, cwd="/")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return Site(tmp_path)


@pytest.fixture
def ours(site: Site) -> Site:
    """This package is installed there."""
    files = sorted(SOURCE.rglob("*.py"))
    site.install("isotp", {str(path.relative_to(SOURCE)): path.read_text(encoding="utf-8") for path in files})
    return site


def test_one_that_is_complete(site: Site) -> None:
    assert installed() == []
    assert clash() is None
    site.install("isotp", {"__init__.py": "", "cli/main.py": "main"})
    assert installed() == [Installed("isotp", "1.0", site.package)]
    assert clash() is None


def test_another_over_it(site: Site) -> None:
    site.install("isotp", {"__init__.py": "", "py.typed": "", "cli/main.py": "main", "cli/start.py": "start"})
    site.install("can-isotp", {"__init__.py": "theirs", "py.typed": "", "protocol.py": ""})
    (site.package / "cli" / "start.py").unlink()
    assert installed() == [
        Installed("can-isotp", "1.0", site.package),
        Installed("isotp", "1.0", site.package, ("__init__.py",), ("cli/start.py",)),
    ]
    found = clash()
    assert found is not None
    assert found[0] == (
        f"{site.package} was installed by can-isotp 1.0 (complete) "
        "and by isotp 1.0 (overwritten: __init__.py; missing: cli/start.py)"
    )
    python = f"{sys.executable} -m pip"
    assert found[1] == f"keep one of them: {python} uninstall can-isotp isotp; {python} install -e {ROOT}"


@pytest.mark.parametrize(
    ("origin", "shown"),
    [
        ({"url": "file:///home/a/isotp", "dir_info": {"editable": True}}, "-e file:///home/a/isotp"),
        (
            {"url": "file:///tmp/isotp-1.0-py3-none-any.whl", "archive_info": {}},
            "file:///tmp/isotp-1.0-py3-none-any.whl",
        ),
        ({"url": "https://example.com/isotp", "vcs_info": {"vcs": "git"}}, "git+https://example.com/isotp"),
    ],
)
def test_the_remedy_installs_what_was_installed(site: Site, origin: dict[str, object], shown: str) -> None:
    site.install("isotp", {"__init__.py": "", "cli/main.py": "main"})
    (site.folder / "isotp-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    (site.package / "cli" / "main.py").unlink()
    found = clash()
    assert found is not None
    assert found[1].endswith(f" -m pip install {shown}")


def test_the_other_alone(site: Site) -> None:
    """This package comes from elsewhere then, such as a checkout."""
    site.install("can-isotp", {"__init__.py": ""})
    assert clash() is not None


# --- what a name of the package says


def test_a_module_that_is_gone(ours: Site) -> None:
    (ours.package / "sockets.py").unlink()
    done = ours.run("-c", "import isotp; print(isotp.Address); isotp.socket")
    assert "isotp.address.Address" in done.stdout, "what is still there can be used"
    assert done.stderr.splitlines()[-1] == (
        f"ImportError: {ours.package} was installed by isotp 1.0 (missing: sockets.py): another distribution with this "
        "package was installed over it, or uninstalled; to do: "
        f"{sys.executable} -m pip uninstall isotp; {sys.executable} -m pip install isotp"
    )


@pytest.mark.parametrize("name", ["InterfaceError", "socket", "opts"])
def test_a_module_that_is_theirs(ours: Site, name: str) -> None:
    (ours.package / "errors.py").write_text("class IsoTpError(Exception): pass")
    done = ours.run("-c", f"import isotp; isotp.{name}")
    assert "ImportError: " in done.stderr.splitlines()[-1]
    assert "isotp 1.0 (overwritten: errors.py)" in done.stderr.splitlines()[-1]


def test_another_import_error_stays(ours: Site) -> None:
    done = ours.run("-c", "import sys; sys.modules['selectors'] = None; import isotp; isotp.SoftSocket")
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of selectors halted")


def test_nothing_is_looked_at_where_all_is_well(ours: Site) -> None:
    done = ours.run("-c", "import sys, isotp; isotp.socket; isotp.VirtualBus; print(*sys.modules)")
    assert "isotp.bus.virtual" in done.stdout
    assert "isotp.checkup.installation" not in done.stdout
    assert "importlib.metadata" not in done.stdout


@pytest.mark.parametrize("damaged", ["errors.py", "cli/commands/doctor.py", "cli/main.py"])
def test_the_command_says_it_too(ours: Site, damaged: str) -> None:
    (ours.package / damaged).unlink()
    done = ours.run("-m", "isotp", "doctor")
    assert done.returncode == 1
    what, remedy = done.stderr.splitlines()
    assert what.startswith(f"isotp: {ours.package} was installed by isotp 1.0 (missing: {damaged})")
    assert remedy.startswith(f"  to do: {sys.executable} -m pip ")


def test_the_command_hides_no_other_import_error(ours: Site) -> None:
    done = ours.run("-c", "import sys; sys.modules['argparse'] = None; from isotp.cli.start import main; main()")
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of argparse halted")


# --- as pip leaves it, with the real can-isotp

PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
OVERWRITTEN = (
    "__init__.py, address.py, can_message.py, errors.py, protocol.py, tools.py, tpsock/__init__.py, tpsock/opts.py"
)
MISSING = OVERWRITTEN.replace("tools.py", "py.typed, tools.py")  # the same in both


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels of both distributions."""
    folder = tmp_path_factory.mktemp("wheels")
    pip_wheel = [*PIP, "wheel", "--no-deps", "--wheel-dir", str(folder)]
    theirs = subprocess.run([*pip_wheel, "-r", ROOT / "benchmarks" / "can-isotp.txt"], capture_output=True, text=True)
    if theirs.returncode and os.environ.get("CI") != "true":
        pytest.skip(f"can-isotp cannot be had from the package index: {theirs.stderr.strip().splitlines()[-1]}")
    assert theirs.returncode == 0, theirs.stderr
    source = folder / "source"  # a copy: building leaves the checkout alone
    shutil.copytree(SOURCE, source / "src" / "isotp", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    subprocess.run([*pip_wheel, source], check=True)
    return _by_name(folder)


@pytest.fixture(scope="session")
def wheel_of_sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that pip makes of the source distribution, as where somebody has `--no-binary`."""
    pytest.importorskip("hatchling", reason="hatchling is not installed (to do: pip install isotp[dev])")
    folder = tmp_path_factory.mktemp("sdist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    no_index = ["--no-index", "--no-build-isolation"]
    subprocess.run([*PIP, "wheel", "--no-deps", *no_index, "--wheel-dir", str(folder), str(sdist)], check=True)
    return _by_name(folder)["isotp"]


def _by_name(folder: Path) -> dict[str, Path]:
    return {path.name.partition("-")[0].replace("_", "-"): path for path in folder.glob("*.whl")}


class Environment:
    """A virtual environment."""

    def __init__(self, folder: Path, wheels: dict[str, Path]) -> None:
        venv.create(folder, with_pip=False)
        self._folder, self._wheels = folder, wheels
        self.wheel = wheels["isotp"]
        self.python = folder / "bin" / "python"

    def pip(self, step: str) -> None:
        """`+isotp` installs it, `-isotp` uninstalls it."""
        how = ["install", "--no-deps", "--no-index", str(self._wheels[step[1:]])]
        how = how if step[0] == "+" else ["uninstall", "--yes", step[1:]]
        subprocess.run([*PIP, "--python", str(self._folder), *how], check=True)

    def run(self, program: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of its."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
        command = [str(self._folder / "bin" / program), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")

    def package(self, **variables: str) -> tuple[bool, str, str]:
        """What the doctor says about the package, which works for the rest."""
        done = self.run("python", "-m", "isotp", "doctor", "--json", **variables)
        (found,) = (one for one in json.loads(done.stdout)["findings"] if one["name"] == "package")
        return found["ok"], found["what"], str(found["remedy"])


@pytest.fixture
def environment(request: pytest.FixtureRequest, tmp_path: Path, wheels: dict[str, Path]) -> Environment:
    new = Environment(tmp_path / "venv", wheels)
    for step in request.param:
        new.pip(step)
    return new


needs_bin = pytest.mark.skipif(sys.platform == "win32", reason="programs are elsewhere on Windows")


def says(program: "subprocess.CompletedProcess[str]", what: str, uninstall: str) -> None:
    assert program.returncode == 1
    first, second = program.stderr.splitlines()
    assert first.startswith("isotp: ")
    assert what in first
    assert f"pip uninstall {uninstall}; " in second
    assert second.endswith(".whl"), "the wheel that was installed, not what an index has"


@needs_bin
@pytest.mark.parametrize("environment", [["+can-isotp", "+isotp"]], indirect=True)
def test_can_isotp_then_this(environment: Environment) -> None:
    ok, what, remedy = environment.package()
    assert not ok
    assert f"by can-isotp 2.0.7 (overwritten: {OVERWRITTEN}) and by isotp {isotp.__version__} (complete)" in what
    pip = f"{environment.python} -m pip"
    assert remedy == f"keep one of them: {pip} uninstall can-isotp isotp; {pip} install {environment.wheel.as_uri()}"
    assert environment.run("python", "-c", "import isotp; isotp.socket; isotp.SoftSocket").returncode == 0
    for step in ("-can-isotp", "-isotp", "+isotp"):
        environment.pip(step)
    assert environment.package()[0], "the remedy is one"


@needs_bin
@pytest.mark.parametrize("environment", [["+isotp", "+can-isotp"]], indirect=True)
def test_this_then_can_isotp(environment: Environment) -> None:
    what = f"by can-isotp 2.0.7 (complete) and by isotp {isotp.__version__} (overwritten: {OVERWRITTEN})"
    says(environment.run("isotp", "doctor"), what, "can-isotp isotp")
    says(environment.run("python", "-m", "isotp", "demo"), what, "can-isotp isotp")


@needs_bin
@pytest.mark.parametrize("environment", [["+can-isotp", "+isotp", "-can-isotp"]], indirect=True)
def test_can_isotp_takes_files_along(environment: Environment) -> None:
    what = f"was installed by isotp {isotp.__version__} (missing: {MISSING}): another distribution"
    says(environment.run("isotp", "doctor"), what, "isotp")
    says(environment.run("python", "-m", "isotp", "doctor"), what, "isotp")
    environment.pip("-isotp")
    environment.pip("+isotp")
    assert environment.package()[0], "the remedy is one"


@needs_bin
@pytest.mark.parametrize("environment", [["+isotp", "+can-isotp", "-isotp"]], indirect=True)
def test_this_takes_files_of_can_isotp_along(environment: Environment) -> None:
    """Nothing of this package is left to say so; it does where it comes from elsewhere, or again."""
    ok, what, remedy = environment.package(PYTHONPATH=str(SOURCE.parent))
    assert not ok
    assert f"was installed by can-isotp 2.0.7 (missing: {MISSING}): another distribution" in what
    pip = f"{environment.python} -m pip"
    assert remedy == f"{pip} uninstall can-isotp; {pip} install -e {ROOT}"
    environment.pip("+isotp")
    assert "by can-isotp 2.0.7 (overwritten" in environment.package()[1]


# --- what a release has

EVERY_NAME = """
import importlib
for room in ("isotp", "isotp.opts", "isotp.engine", "isotp.bus", "isotp.capture", "isotp.compat"):  # testing has pytest
    module = importlib.import_module(room)
    for name in module.__all__:
        getattr(module, name)
"""


@needs_bin
@pytest.mark.parametrize("source", ["wheel", "sdist"])
def test_a_fresh_environment(source: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """It has nothing but this package; each warning is an error."""
    found = request.getfixturevalue("wheels" if source == "wheel" else "wheel_of_sdist")
    new = Environment(tmp_path / "venv", found if source == "wheel" else {"isotp": found})
    new.pip("+isotp")
    done = new.run("python", "-W", "error", "-c", EVERY_NAME)
    assert (done.stdout, done.stderr) == ("", "")
    assert new.run("isotp", "--version").stdout == f"isotp {isotp.__version__}\n"
    assert new.run("python", "-W", "error", "-m", "isotp", "demo", "--soft").returncode == 0
    assert new.run("isotp-kernel", "--help").returncode == 0
    assert new.package()[0]


def test_the_wheel_of_the_source_distribution_is_that_of_the_checkout(
    wheels: dict[str, Path], wheel_of_sdist: Path
) -> None:
    contents = [set(ZipFile(path).namelist()) for path in (wheels["isotp"], wheel_of_sdist)]
    assert contents[0] == contents[1]
    ours = {path.relative_to(SOURCE.parent).as_posix() for path in SOURCE.rglob("*") if path.is_file()}
    ours = {name for name in ours if "__pycache__" not in name}
    assert {name for name in contents[0] if not name.startswith("isotp-")} == ours
