"""isotp check: verdicts, each with its clause, and the exit status."""

import json
from pathlib import Path

import pytest

from isotp.cli.main import main

GOOD = [
    "10 7E0#0322F190",
    "12 7E8#101462F190565657",
    "13 7E0#300005",
    "14 7E8#215A5A5A314A5A58",
    "19 7E8#2257303030303031",
]
EARLY = [*GOOD[:4], "17 7E8#2257303030303031"]


def write(path: Path, lines: list[str]) -> Path:
    """A candump log of `milliseconds frame`."""
    path.write_text("".join(f"({int(line.split()[0]) / 1000:.6f}) can0 {line.split()[1]}\n" for line in lines))
    return path


def test_nothing_against_the_standard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write(tmp_path / "bus.log", GOOD))]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "can0  7E0 > 7E8  1 message",
        "can0  7E8 > 7E0  1 message",
        "    2857 B/s  25% of a bus of 125,000 bit/s (guessed); time lost: STmin 59%, receiver 14%, sender 2%",
        "nothing is against the standard",
    ]
    assert err == ""


def test_what_is_against_the_standard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "bus.log", [*EARLY, "30 7E8#2901", "40 7E0#0322F187", "140 7E8#0462F18700"])
    assert main(["check", "--speed", "500000", str(path)]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:4] == [
        "       0.007000  ! consecutive frame 2 came 3.000 ms after the one before it, 2.000 ms too early "
        "(ISO 15765-2:2016, 9.6.5.4)",
        "       0.020000  ! consecutive frame without a first frame (ISO 15765-2:2016, 9.8.3)",
    ]
    assert "the response came 100.000 ms after the request (ISO 14229-2:2013, 7.2)" in lines[4]
    assert lines[-1] == "3 against the standard  1 x STmin, 1 x frame, 1 x P2"
    assert main(["check", "--p2", "200ms", str(write(path, [*GOOD, "40 7E0#0322F187", "140 7E8#0462F18700"]))]) == 0


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--json", str(write(tmp_path / "bus.log", EARLY))]) == 4
    request, response = map(json.loads, capsys.readouterr().out.splitlines())
    assert (request["source"], request["target"], request["against_standard"]) == ("7E0", "7E8", 0)
    assert (response["against_standard"], response["counts"]) == (1, {"STmin": 1})
    (finding,) = response["findings"]
    assert finding["rule"] == "STmin"
    assert finding["clause"] == "ISO 15765-2:2016, 9.6.5.4"
    assert finding["time"] == 0.017
    assert sum(response["spent"][name] for name in ("on_bus", "stmin", "receiver", "sender")) == pytest.approx(
        response["spent"]["total"]
    )


def test_only_the_first_findings_of_a_rule_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["0 7E8#1FFF010203040506", "1 7E0#30000A"]
    lines += [f"{n + 2} 7E8#2{n + 1 & 15:X}01020304050607" for n in range(585)]
    assert main(["check", str(write(tmp_path / "bus.log", lines))]) == 4
    out = capsys.readouterr().out
    assert out.count("too early") == 20
    assert "    and 564 more of STmin\n" in out
    assert "584 against the standard  584 x STmin" in out


@pytest.mark.parametrize(
    ("lines", "status", "text"),
    [([], 1, "no CAN frames in it"), (["1 123#0011223344556677"], 0, "no ISO-TP link found")],
)
def test_nothing_to_judge(
    tmp_path: Path, lines: list[str], status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(write(tmp_path / "bus.log", lines))]) == status
    out, err = capsys.readouterr()
    assert (out, text in err) == ("", True)


def test_the_status_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--help"]) == 0
    assert "Exit status: 4 if anything is against the standard" in " ".join(capsys.readouterr().out.split())
