"""tools/site: what the documentation site takes from the code, and the site as a whole."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="Sphinx is not installed (to do: pip install isotp[docs])")

from isotp import Faults, errors
from isotp.cli.main import COMMANDS
from isotp.engine.states import RECEIVER, SENDER
from tools.site import links, made, sequence, tables

from ..browsers import chromium, complaints, wait_until
from ..pages import ROOT


def test_the_picture_of_the_readme_is_what_a_run_shows() -> None:
    for path, text in made.pictures().items():
        assert path.read_text(encoding="utf-8") == text, "run: make docs"


def test_a_run_shows_lost_frames_and_how_calls_end() -> None:
    run = sequence.run(Faults().lose("CF", 2), sequence.MESSAGE[:32])
    assert [frame.is_lost for frame in run.frames] == [False, False, False, True, False, False]
    assert (run.sent, run.received) == ("returns", "WrongSequenceNumberError")


def test_each_failure_has_a_picture_that_ends_with_its_error() -> None:
    for name, picture in sequence.failures():
        found = {
            e.__name__
            for e in vars(errors).values()
            if isinstance(e, type) and str(getattr(e, "n_result", "")).endswith(name)
        }
        assert any(f">{error}</text>" in picture.inline() for error in found), name


@pytest.mark.parametrize(("page", "table"), [("docs/architecture.md", SENDER), ("docs/architecture.md", RECEIVER)])
def test_drawings_have_every_state_and_every_input(page: str, table: dict[object, dict[object, object]]) -> None:
    source = [(ROOT / page).read_text(encoding="utf-8")]
    made.replace_drawings(None, page, source)
    assert "mermaid" not in source[0]
    words = set(re.findall(r"\w+", source[0]))
    for state, row in table.items():
        assert {state.name, *(one.name for one in row)} <= words  # type: ignore[attr-defined]


def test_tables_have_all_errors_and_all_commands() -> None:
    shown = tables.all_errors()
    assert "| `FlowControlTimeoutError` | `TransferError` | N_TIMEOUT_Bs | ECOMM |" in shown
    assert shown.count("\n") - 2 == len(tables._classes(errors.IsoTpError))
    commands = tables.commands()
    assert re.findall("^## isotp (.*)$", commands, re.M) == list(COMMANDS)
    assert "| `-w`, `--wait-reply` |" in commands
    assert "FORCE_TXSTMIN" in tables.all_flags()


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text('<p id="here"><a href="#here">1</a><a href="b.html#x">2</a><a href="c.html">3</a>')
    (tmp_path / "b.html").write_text('<p id="y"><a href="a.html#here">1</a><a href="https://example.org/none">2</a>')
    assert links.broken(tmp_path.resolve()) == ["a.html: b.html#x", "a.html: c.html"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    how: list[str | Path] = ["-q", "-E", "-W", "--keep-going", "-n", "-b", "html", "-d", folder / "kept"]
    command = [sys.executable, "-m", "sphinx", *how, "docs", folder / "site"]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (built.returncode, built.stderr) == (0, "")
    return folder / "site"


def test_links_of_the_site_lead_somewhere_and_it_loads_nothing(site: Path) -> None:
    assert links.broken(site) == []
    for page in site.rglob("*.html"):
        assert (
            re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(?:https?:)?//', page.read_text(encoding="utf-8")) == []
        )


def test_the_site_in_a_browser_that_is_as_narrow_as_a_telephone(site: Path, tmp_path: Path) -> None:
    with chromium(tmp_path) as browser:
        metrics = {"width": 390, "height": 900, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for name in ("index", "architecture", "reference/options", "reference/command-line", "explanation/errors"):
            browser.get((site / f"{name}.html").as_uri())
            assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, name
        assert complaints(browser) == []
        browser.get((site / "search.html").as_uri() + "?q=N_TIMEOUT_Bs")  # from disk; only summaries need a server
        wait_until(browser, "document.querySelectorAll('#search-results li').length > 3")
