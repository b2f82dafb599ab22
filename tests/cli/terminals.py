"""Programs on a terminal of their own."""

import fcntl
import os
import pty
import struct
import subprocess
import termios


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
