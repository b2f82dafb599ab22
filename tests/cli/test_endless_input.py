"""Input without an end: its size is checked while it is read."""

import io
import itertools
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from isotp.cli.links import link
from isotp.cli.main import main
from isotp.cli.options import values

LINK = ["--bus", "virtual", "-s", "7E0", "-d", "7E8"]


class Endless(io.RawIOBase):
    """The same bytes again and again; `taken` counts them."""

    def __init__(self, pattern: bytes) -> None:
        self._bytes = itertools.cycle(pattern)
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = len(buffer)
        buffer[:] = bytes(itertools.islice(self._bytes, size))
        self.taken += size
        return size


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """A longest message that takes no time."""
    monkeypatch.setattr("isotp.cli.commands.send.BIGGEST", 1000)
    return 1000


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero on this system")
def test_file_without_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", *LINK, "--file", "/dev/zero"]) == 1
    assert f"longer than {link.BIGGEST} bytes, the longest message: /dev/zero" in capsys.readouterr().err


def test_file_of_the_longest_message(limit: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "message"
    path.write_bytes(bytes(limit))
    assert main(["send", *LINK, "--file", str(path)]) == 0
    path.write_bytes(bytes(limit + 1))
    assert main(["send", *LINK, "--file", str(path)]) == 1
    assert "longer than 1000 bytes" in capsys.readouterr().err


@pytest.mark.parametrize("pattern", [b"22 ", b"\0", b" ", b"zz"])
def test_line_without_an_end(
    pattern: bytes, limit: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = Endless(pattern)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(endless)))
    assert main(["send", *LINK]) == 1
    assert "line 1 of standard input is longer than 5000 characters" in capsys.readouterr().err
    assert endless.taken < 100_000


def test_bytes_without_an_end(limit: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    endless = Endless(b"\0")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(endless)))
    assert main(["send", *LINK, "--file", "-"]) == 1
    assert "longer than 1000 bytes, the longest message: standard input" in capsys.readouterr().err
    assert endless.taken < 100_000


def test_longest_line_is_sent(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"0x22 " * limit + b"\n")))
    assert main(["send", *LINK]) == 0


def test_what_is_wrong_is_shown_in_short() -> None:
    with pytest.raises(values.WrongValue) as caught:
        values.hex_data("z" * 1_000_000)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["22 " * 100_000, "0x22 " * 100_000, "zz " * 100_000])
def test_bytes_in_hexadecimal_take_little_memory(text: str) -> None:
    tracemalloc.start()
    try:
        if text[0] == "z":
            with pytest.raises(values.WrongValue):
                values.hex_data(text)
        else:
            assert values.hex_data(text) == b"\x22" * 100_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero on this system")
def test_car_file_without_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--bus", "virtual", "/dev/zero"]) == 1
    assert "longer than" in capsys.readouterr().err
