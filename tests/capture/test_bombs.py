"""Recordings that unpack to far more than they are: reading them takes little memory, and ends at a limit."""

import gzip
import sqlite3
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from isotp.capture import Capture
from isotp.capture.readers import UnreadableError, open_recording
from isotp.cli.main import main

MB = 1 << 20
LINE = b"(1.000000) can0 7E0#0122\n"
FRAME = struct.pack("<4sHHLLL4xQHBBL8s", b"LOBJ", 32, 1, 48, 1, 2, 1000, 1, 0, 8, 0x123, b"12345678")
HEADER = struct.pack("<4sL32x8H", b"LOGG", 144, *[0] * 8).ljust(144, b"\0")


def container(content: bytes, repeat: int, claimed: int | None = None) -> bytes:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(content) for _ in range(repeat)) + packer.flush()
    body = struct.pack("<H6xL4x", 2, len(content) * repeat if claimed is None else claimed) + packed
    size = 16 + len(body)
    return struct.pack("<4sHHLL", b"LOBJ", 16, 1, size, 10) + body + bytes(size % 4)


def whole_object(size: int, kind: int = 10) -> bytes:
    """The header of an object with so many bytes."""
    return struct.pack("<4sHHLL", b"LOBJ", 16, 1, size + 16, kind)


@pytest.fixture
def packed(tmp_path: Path) -> Callable[[bytes, int, bytes], Path]:
    def write(content: bytes, repeat: int, begin: bytes = b"") -> Path:
        path = tmp_path / "packed.gz"
        with gzip.open(path, "wb", 9) as file:
            file.write(begin)
            for _ in range(repeat):
                file.write(content)
        return path

    return write


def peak(path: Path) -> tuple[int, int]:
    """The most memory that reading takes, and how many frames there are."""
    reader = open_recording(path)
    tracemalloc.start()
    try:
        count = sum(map(len, reader.batches()))
        return tracemalloc.get_traced_memory()[1], count
    finally:
        tracemalloc.stop()
        reader.close()


@pytest.mark.parametrize(("content", "frames"), [(bytes(MB), 0), (FRAME * 1000, 64_000)])
def test_container_of_a_blf(content: bytes, frames: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.blf"
    path.write_bytes(HEADER + container(content, 64))
    memory, count = peak(path)
    assert count == frames
    assert memory < 4 * MB


def test_blf_that_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bomb.blf"
    path.write_bytes(HEADER + container(bytes(MB), 64, claimed=0))
    assert peak(path)[0] < 4 * MB


def test_object_of_a_blf_in_a_gzip(packed: Callable[..., Path]) -> None:
    path = packed(bytes(MB), 64, HEADER + whole_object(64 * MB))
    assert peak(path)[0] < 4 * MB


def test_frames_across_pieces_of_a_container(tmp_path: Path) -> None:
    """Frames of 48 bytes fit no piece; none is lost where one ends."""
    path = tmp_path / "long.blf"
    path.write_bytes(HEADER + container(FRAME, 100_001) + container(b"\0\0\0" + FRAME, 50_001))
    reader = open_recording(path)
    assert sum(map(len, reader.batches())) == 150_002
    reader.close()


@pytest.mark.parametrize("begin", [LINE, HEADER + whole_object(16 * MB, 1), b"SQLite format 3\0"])
def test_gzip_ends_at_the_limit(begin: bytes, packed: Callable[..., Path]) -> None:
    if begin.startswith(b"SQLite"):
        pytest.importorskip("can")
    path = packed(bytes(MB), 16, begin)
    with pytest.raises(UnreadableError, match=r"unpacks to more than .*max_unpacked"):
        list(Capture(path, max_unpacked=4 * MB))


def test_blf_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "bomb.blf"
    path.write_bytes(HEADER + container(bytes(MB), 16))
    with pytest.raises(UnreadableError, match="unpacks to more than"):
        list(Capture(path, max_unpacked=4 * MB))


def test_limit_is_for_what_is_packed_too_well(packed: Callable[..., Path]) -> None:
    """Lines that are not all the same unpack to less than 100 times their size, and may be of any length."""
    lines = b"".join(b"(%d.000000) can0 7E0#%014X\n" % (second, second * 7919**3) for second in range(20_000))
    with Capture(packed(lines, 1), max_unpacked=1000) as capture:
        for _ in capture:
            pass
        assert capture.frames == 20_000


def test_limit_of_the_command_line(packed: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    path = packed(bytes(MB), 16, LINE)
    assert main(["dump", str(path), "--max-unpacked", "4M"]) == 1
    assert "--max-unpacked" in capsys.readouterr().err
    assert main(["dump", str(path), "--max-unpacked", "1G"]) == 0


def test_gzip_from_a_pipe(packed: Callable[..., Path]) -> None:
    path = packed(bytes(MB), 16, LINE)
    command = [sys.executable, "-m", "isotp", "dump", "-m", "-", "--max-unpacked", "4M"]
    done = subprocess.run(command, input=path.read_bytes(), capture_output=True)
    assert done.returncode == 1
    assert b"unpacks to more than" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process can be limited on Linux only")
@pytest.mark.parametrize("command", ["dump", "check", "perf"])
def test_memory_has_a_limit(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A database of 8 kB whose rows are made when they are read."""
    pytest.importorskip("can")
    path = tmp_path / "bomb.db"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "create view messages as select 1.0 as ts, 1 as arbitration_id, 0 as extended, 0 as remote, 0 as error, "
            "8 as dlc, zeroblob(400000000) as data"
        )
    connection.close()
    assert main([command, str(path), "--max-memory", "100M"]) == 1
    err = capsys.readouterr().err
    assert "takes more than 100M of memory" in err
    assert "--max-memory" in err
    bytes(200 * MB)  # the limit is gone


def test_sizes() -> None:
    from isotp.cli.options.values import WrongValue, size

    assert (size("1000"), size("4K"), size("4M"), size("2g")) == (1000, 4096, 4 * MB, 2 << 30)
    for wrong in ("", "M", "-1", "1.5G", "4 T", "9" * 30):
        with pytest.raises(WrongValue, match="a number of bytes"):
            size(wrong)
