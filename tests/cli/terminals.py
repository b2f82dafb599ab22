"""Programs on a terminal of their own."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

ERASED = re.compile(r"[^\n]*\r\x1b\[2K")
"""A progress bar that is gone."""


def on_terminal(command: list[str], columns: int, environment: dict[str, str]) -> str:
    """What a command writes to a terminal of that width."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, columns, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**clean, "TERM": "xterm", **environment})
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 65536):
            pieces.append(piece)
    except OSError:  # EIO: the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return b"".join(pieces).decode()


def bars(shown: str, unit: str) -> list[tuple[int, int]]:
    """Per cent and count of each state of a progress bar."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    found = re.findall(rf"[━╸╺ ]+ +(\d+)% ([\d,]+) {unit}, [\d,]+/s", plain)
    return [(int(percent), int(count.replace(",", ""))) for percent, count in found]
