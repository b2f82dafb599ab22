"""isotp report: one page with nothing from elsewhere, that a browser shows, filters and expands."""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from isotp.cli.main import main

from ..browsers import chromium, complaints, wait_until

pytest.importorskip("plotly", reason="plotly is not installed (to do: pip install 'isotp[report]')")

VIN = b"WVWZZZ1JZXW000001"
EVIL = "</script><script>throw 'x'//"
# (milliseconds, frame): a VIN, a refusal, a message that breaks off within a VIN, a piece of one out of place
TALK = [
    (0, "7E0#0322F190CCCCCCCC"),
    (10, f"7E8#101462F190{VIN[:3].hex()}"),
    (11, "7E0#300005"),
    (17, f"7E8#21{VIN[3:10].hex()}"),
    (23, f"7E8#22{VIN[10:].hex()}"),
    (30, f"7E0#0227015A{VIN[3:7].hex()}"),
    (40, "7E8#037F2735"),
    (50, f"7E8#101462F190{VIN[:3].hex()}"),
    (51, f"7E0#300005{VIN[:5].hex()}"),
    (57, f"7E8#21{VIN[3:10].hex()}"),
    (63, f"7E8#23{VIN[10:].hex()}"),
    (64, f"7E8#24{VIN[10:].hex()}"),
    (65, "7E8#023E00"),
    (66, f"7E8#24{VIN[10:].hex()}"),
]


def write(path: Path, channel: str = "can0") -> Path:
    path.write_text("".join(f"({ms / 1000:.6f}) {channel} {frame.upper()}\n" for ms, frame in TALK))
    return path


def report(tmp_path: Path, *options: str, log: Path | None = None) -> Path:
    page = tmp_path / "report.html"
    assert main(["report", str(log or write(tmp_path / "bus.log")), "-o", str(page), *options]) == 0
    return page


def embedded(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def without_plotly(page: Path) -> str:
    """What is ours in the page: the longest script is plotly's."""
    text = page.read_text()
    scripts = re.findall(r"<script>.*?</script>", text, re.DOTALL)
    return text.replace(max(scripts, key=len), "")


def test_what_is_in_it(tmp_path: Path) -> None:
    data = embedded(report(tmp_path))
    assert data["nodes"] == ["tester", "7E8"]
    assert [(link[1], link[2], link[3], link[4]) for link in data["links"]] == [
        ("7E0", "7E8", 0, 1),
        ("7E8", "7E0", 1, 0),
    ]
    vin = data["rows"][1]
    assert vin[4] == ("62F190" + VIN.hex()).upper()
    assert [frame[1] for frame in vin[8]] == [0, 1, 0, 0]
    assert [row[6] for row in data["rows"]] == [0, 0, 0, 1, 2, 0, 3]
    assert set(data["figures"]) == {"timeline", "throughput", "gaps", "responses"}


@pytest.mark.parametrize("is_masked", [False, True])
def test_masked_in_all_places(tmp_path: Path, is_masked: bool) -> None:
    log = write(tmp_path / f"{VIN.decode()}.log", VIN.decode())
    ours = without_plotly(report(tmp_path, *(["--mask"] if is_masked else []), log=log))
    digits = VIN.hex().upper()
    pieces = [VIN.decode(), digits[:6], digits[6:20], digits[20:]]
    assert [piece in ours for piece in pieces] == [not is_masked] * len(pieces)
    assert "62F190" in ours


@pytest.mark.parametrize("options", ["", "-x any", "-s 7E0 -d 7E8", "-s 7E0 -d 7E8 -x 2"])
def test_malformed_traffic_never_stops_it(tmp_path: Path, options: str) -> None:
    chance = random.Random(options)
    lines = []
    for _ in range(3000):
        head = chance.choice(["", "02", "03", "000A", "100A", "1000", "21", "22", "30", "32", "F0", "0210", "0221"])
        data = (head + chance.randbytes(chance.choice([0, 3, 7, 60])).hex())[: chance.choice([8, 16, 16, 128])]
        can_id = chance.choice(["7E0", "7E8", "7DF", "300", "18DA10F1", "18DAF110"])
        lines.append(f"({chance.random() * 100:.6f}) can0 {can_id}{'##1' if len(data) > 16 else '#'}{data.upper()}\n")
    log = tmp_path / "bus.log"
    log.write_text("".join(lines))
    for more in ([], ["--mask"]):
        assert embedded(report(tmp_path, *options.split(), *more, log=log))["rows"]


def test_names_from_a_recording_cannot_leave_their_place(tmp_path: Path) -> None:
    from isotp.cli.output.report.page import embedded as escaped

    assert "<" not in escaped([EVIL])
    assert json.loads(escaped([EVIL])) == [EVIL]
    log = write(tmp_path / "bus.log", "<script>alert(1)</script>")
    ours = without_plotly(report(tmp_path, log=log))
    assert "<script>alert" not in ours
    assert "&lt;script&gt;alert(1)" in ours


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    ours = without_plotly(report(tmp_path))
    assert re.findall(r"(?:src|href)=\"(?!data:)[^\"]*", ours) == []
    assert "default-src 'none'" in ours


def test_the_first_messages_of_many(tmp_path: Path) -> None:
    page = report(tmp_path, "--limit", "2")
    assert len(embedded(page)["rows"]) == 2
    assert "the first 2; verdicts are on all" in page.read_text()


def test_what_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    log = str(write(tmp_path / "bus.log"))
    assert main(["report", log]) == 2
    assert "-o is missing" in capsys.readouterr().err
    assert main(["report", log, "-o", str(tmp_path / "nowhere" / "none.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    empty = tmp_path / "empty.log"
    empty.touch()
    assert main(["report", str(empty), "-o", str(tmp_path / "none.html")]) == 1
    assert "no CAN frames in it" in capsys.readouterr().err
    assert not (tmp_path / "none.html").exists()
    monkeypatch.setitem(__import__("sys").modules, "plotly", None)
    assert main(["report", log, "-o", str(tmp_path / "none.html")]) == 1
    assert "-m pip install plotly" in capsys.readouterr().err


# --- in a browser


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """Chromium without a window."""
    with chromium(tmp_path) as browser:
        yield browser


@pytest.mark.timeout(180)
def test_in_a_browser(tmp_path: Path, browser: Any) -> None:
    browser.get(report(tmp_path, log=write(tmp_path / "bus.log", "<b>can0")).as_uri())
    wait_until(browser, "document.querySelectorAll('.figure .main-svg').length >= 4")
    lines = "#table .message"
    assert len(browser.find_elements("css selector", lines)) == len(TALK) // 2
    assert len(browser.find_elements("css selector", "#sequence svg")) == len(TALK) // 2
    assert len(browser.find_elements("css selector", "#sequence path.kind1")) == 1
    browser.find_element("id", "filter").send_keys("62 f1 90 57 56")
    wait_until(browser, f"document.querySelectorAll('{lines}').length === 2")
    assert browser.find_element("id", "count").text == "2 of 7 messages"
    assert browser.find_elements("css selector", ".frames") == []
    browser.find_element("css selector", f"{lines} .row").click()
    frames = browser.find_element("css selector", ".frames").text.splitlines()
    assert [line.split()[1] for line in frames] == ["7E8", "7E0", "7E8", "7E8"]
    browser.find_element("css selector", "#head button:nth-child(1)").click()
    assert browser.find_element("css selector", f"{lines} .number").text in ("0.010000", "0.050000")
    assert browser.find_elements("css selector", ".modebar-btn")
    assert browser.find_elements("css selector", ".modebar-btn[data-title^=Share]") == []
    assert complaints(browser) == []


@pytest.mark.timeout(300)
def test_100000_messages_in_a_browser(tmp_path: Path, browser: Any) -> None:
    """Only those in sight exist."""
    log = tmp_path / "bus.log"
    lines = [
        f"({n / 100:.6f}) can0 {'7E8#0462F187' if n % 2 else '7E0#0322F187'}{'%02X' % (n % 251) if n % 2 else ''}\n"
        for n in range(100_000)
    ]
    log.write_text("".join(lines))
    page = report(tmp_path, log=log)
    assert page.stat().st_size < 40_000_000
    browser.get(page.as_uri())
    wait_until(browser, "document.getElementById('count').textContent === '100,000 of 100,000 messages'")
    assert len(browser.find_elements("css selector", "#table .message")) < 100
    browser.execute_script("document.getElementById('table').scrollTop = 1e9")
    wait_until(browser, "document.getElementById('table').textContent.includes('999.990000')")
    assert len(browser.find_elements("css selector", "#table .message")) < 100
    wait_until(browser, "document.querySelectorAll('.figure .main-svg').length >= 3")
    assert complaints(browser) == []
