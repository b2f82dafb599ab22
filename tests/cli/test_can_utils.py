"""Options of can-utils: each works, or is answered with the option that does the same here."""

import pytest

from isotp.cli.main import main

IDS = ["-s", "7E0", "-d", "7E8"]


@pytest.mark.parametrize(
    ("command", "options", "told"),
    [
        ("send", ["-b"], "-b is an option of can-utils; leave it out: isotp send always waits"),
        ("send", ["-t", "1000"], "set_general_opts(frame_txtime=...)"),
        ("send", ["-f", "300000"], "--tx-stmin 300000ns"),
        ("send", ["-D", "100"], "head -c 100 /dev/zero | isotp send ... --file -"),
        ("send", ["-l", "5"], "--repeat 5"),
        ("send", ["-l", "i"], "--repeat 0"),
        ("send", ["-g", "500"], "--interval 500us"),
        ("send", ["-i", "x.bin"], "--file x.bin"),
        ("send", ["-S"], "--functional"),
        ("send", ["-C"], "not offered"),
        ("recv", ["-b", "10"], "--bs 16 here, in decimal"),
        ("recv", ["-b", "zz"], "--bs N"),
        ("recv", ["-m", "5"], "--stmin 5ms"),
        ("recv", ["-m", "F3"], "--stmin 300us"),
        ("recv", ["-m", "80"], "--stmin 127ms"),
        ("recv", ["-m", "100"], "--stmin TIME"),
        ("recv", ["-w", "3"], "never uses it"),
        ("recv", ["-f", "300000"], "-f is --follow here and has no value"),
        ("serve", ["-b", "10"], "--bs 16 here, in decimal"),
        ("serve", ["-m", "5"], "--stmin 5ms"),
        ("serve", ["-w", "3"], "never uses it"),
        ("serve", ["-t", "3"], "set_general_opts(frame_txtime=...)"),
        ("serve", ["-v"], "isotp dump"),
        ("dump", ["-c"], "wherever the output is a terminal"),
        ("dump", ["-u"], "--no-uds"),
        ("dump", ["-x", "12", "-X", "34"], "-x TA:34"),
        ("dump", ["-x", "any", "-X", "any"], "-x any"),
        ("dump", ["-f", "3"], "--ascii"),
        ("perf", ["-x", "12", "-X", "34"], "-x TA:34"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_what_is_spelt_differently_is_answered(
    command: str, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *IDS, *options, "vcan0"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, usage, hint = err.splitlines()
    assert told in first
    assert usage.startswith("usage: ")
    assert hint.endswith(f"{command} --help")


def test_l_of_isotprecv_is_follow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recv", *IDS, "-l", "-n", "1", "vcan0"]) == 2
    assert "--follow never does" in capsys.readouterr().err


def test_the_answers_are_not_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", "--help"]) == 0
    assert "-D" not in capsys.readouterr().out.partition("examples")[0]
