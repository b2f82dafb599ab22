"""Standard error of a command that runs for long: it does not wait for a reader, and a flood is cut short."""

import contextlib
import io
import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

_LINES_AT_ONCE: Final = 50
_LINES_PER_S: Final = 10.0


@contextlib.contextmanager
def unblocked_stderr() -> Iterator[None]:
    """Within this block no text for standard error waits for its reader: what finds no room there is lost."""
    try:
        fd = sys.stderr.fileno()
    except (OSError, ValueError):  # it is no file: nobody can fail to read it
        fd = -1
    if fd < 0 or os.name != "posix":  # elsewhere select() takes sockets only
        yield
        return
    with contextlib.redirect_stderr(_Unblocked(fd)):
        yield


class _Unblocked(io.TextIOBase):
    """A text stream that writes what a descriptor takes at once. Its flags stay: other programs share it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun = ""

    def write(self, text: str) -> int:
        """Write whole lines; the rest waits for its end."""
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._put(f"{line}\n".encode(errors="backslashreplace"))
        return len(text)

    def _put(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # the reader has gone
            for begin in range(0, len(line), select.PIPE_BUF):  # a pipe with room takes so many bytes at once
                if select.select((), (self._fd,), (), 0)[1]:
                    os.write(self._fd, line[begin : begin + select.PIPE_BUF])


class Complaints:
    """Lines about what goes wrong again and again: some at once, then ten a second; the others are counted.

    Args:
        say: prints a line.
        clock: monotonic seconds.
    """

    def __init__(self, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._room = float(_LINES_AT_ONCE)
        self._at_s = clock()
        self._left_out = 0

    def say(self, line: str) -> None:
        """Print `line`, or count it."""
        now_s = self._clock()
        self._room = min(self._room + (now_s - self._at_s) * _LINES_PER_S, _LINES_AT_ONCE)
        self._at_s = now_s
        if self._room < 1:
            self._left_out += 1
            return
        self._room -= 1
        self.say_left_out()
        self._say(line)

    def say_left_out(self) -> None:
        """Print how many lines were left out since this was last said."""
        if self._left_out:
            self._say(f"{self._left_out} more lines were left out: above {_LINES_PER_S:.0f} a second they are counted")
            self._left_out = 0
