"""Names and recordings that carry escape sequences: what reaches the terminal shows them and does not do them."""

import io
import json
import os
import struct
import sys
from pathlib import Path

import pytest

from isotp.address import CAN_EFF_FLAG
from isotp.cli.main import main
from isotp.cli.output.terminal import to_stderr, visible
from isotp.cli.output.units import json_text

from ..capture.writers import pcapng
from .terminals import on_terminal

HOSTILE = "can\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2066\u200bü\nforged  line"
SHOWN = "can\\x1b]0;owned\\x07\\x1b[2J\\x9b31m\\x7f\\u202e\\u2066\\u200bü\\nforged  line"
FRAMES = [
    (1_700_000_000_000_000_000 + ms * 1_000_000, "0", can_id, bytes.fromhex(data), False)
    for ms, can_id, data in [
        (0, 0x7E0, "0322F19055555555"),
        (2, 0x7E8, "101462F190010203"),
        (4, 0x7E0, "3000005555555555"),
        (5, 0x7E8, "2101020304050607"),
        (6, 0x7E8, "2501020304050607"),
        (9, 0x18DA10F1 | CAN_EFF_FLAG, "9901"),
    ]
]
ADDRESSES = ["-s", "7E0", "-d", "7E8"]
COMMANDS = [
    ["dump"],
    ["dump", "--messages", "--ascii"],
    ["perf"],
    ["check"],
    ["dump", "--json"],
    ["dump", "--messages", "--json"],
    ["check", "--json"],
]


@pytest.fixture
def recording(tmp_path: Path) -> str:
    """A pcapng whose interface has a hostile name."""
    data = pcapng(FRAMES)
    name = HOSTILE.encode()
    body = struct.pack("<HxxI", 227, 0) + struct.pack("<HH", 2, len(name)) + name + bytes(-len(name) % 4)
    block = struct.pack("<II", 1, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    first = struct.unpack_from("<I", data, 4)[0]
    old = struct.unpack_from("<I", data, first + 4)[0]
    path = tmp_path / "hostile.pcapng"
    path.write_bytes(data[:first] + block + data[first + old :])
    return str(path)


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def test_visible() -> None:
    assert visible(HOSTILE) == SHOWN
    assert visible("vcan0 ü 車") == "vcan0 ü 車"
    assert visible("\udcff\t\r\x00") == "\\udcff\\t\\r\\x00"  # what Python makes of a name that is not UTF-8, too
    assert all(visible(chr(code)).isprintable() for code in range(0x3000))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_channel(command: list[str], recording: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([*command, recording, *ADDRESSES])
    out, err = capsys.readouterr()
    assert is_harmless(out)
    assert is_harmless(err)
    if "--json" in command:
        lines = [json.loads(line) for line in out.splitlines()]
        assert out.isascii()
        assert {line["channel"] for line in lines} == {HOSTILE}
    else:
        assert SHOWN in out
        assert "\nforged" not in out


def test_report(recording: str, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    page = tmp_path / "page.html"
    assert main(["report", recording, "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "\\x1b]0;owned" in text
    for hostile in ("\u202e", "\u2066", "\x9b31m", "owned\x07"):
        assert hostile not in text


@pytest.mark.parametrize("content", [None, b"no recording\n", b"\n\r\r\n\x01", b"", b"(1.0) can0 7E0#0122\nrubbish\n"])
@pytest.mark.parametrize("command", ["dump", "check", "perf", "report"])
def test_file_name(content: bytes | None, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / HOSTILE
    if content is not None:
        path.write_bytes(content)
    main([command, str(path), *(["-o", str(tmp_path / "page.html")] if command == "report" else [])])
    out, err = capsys.readouterr()
    assert is_harmless(out)
    assert is_harmless(err)
    assert "\nforged" not in err
    assert "\\x1b]0;owned\\x07" in err


def test_name_that_is_not_utf_8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.log")
    assert main(["dump", name]) == 1
    assert "\\udcff.log" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["\x1b[2J"], ["dump", "--\x1b[2J", "x"], ["send", "--bus", "virtual", "-s", "\x9b1", "22"]]
)
def test_words_of_the_command_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert is_harmless(capsys.readouterr().err)


def test_lines_of_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("22 \x1b[2J\x9b\n".encode())))
    assert main(["send", "--bus", "virtual", *ADDRESSES]) == 1
    err = capsys.readouterr().err
    assert is_harmless(err)
    assert "\\x1b" in err


def test_stderr_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    to_stderr("what \x1b[2J\n  to do: this")
    assert capsys.readouterr().err == "what \\x1b[2J\n  to do: this\n"


def test_json_has_no_del() -> None:
    assert json_text({"name": "\x7f\x9b\u202e"}) == '{"name": "\\u007f\\u009b\\u202e"}'
    assert json.loads(json_text({"name": HOSTILE})) == {"name": HOSTILE}


def test_colours_are_ours(recording: str) -> None:
    """On a terminal the only sequences are those of `paint`."""
    out = on_terminal([sys.executable, "-m", "isotp", "dump", recording, *ADDRESSES], 200, {})
    assert "\x1b[36m" in out
    assert "\\x1b]0;owned" in out.replace("\r\n", "")
    assert "\x1b[2J" not in out
    assert "\x1b]" not in out
