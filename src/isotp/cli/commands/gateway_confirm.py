"""The user of isotp gateway agrees to a tester, on standard input."""

import asyncio
import os
import sys
from collections.abc import Callable

from ...task_lock import settle


class Confirmation:
    """Asks about one tester after the other; where nobody can be asked, it refuses.

    Args:
        say: prints a line.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self._lock = asyncio.Lock()

    async def __call__(self, source: int, name: str) -> bool:
        """Whether the tester with this logical address, at this place, may have routing."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[bytes] = loop.create_future()
            try:
                fd = sys.stdin.fileno()
                loop.add_reader(fd, lambda: settle(answer, os.read(fd, 4096)))
            except (NotImplementedError, OSError, ValueError):  # Windows; a file; closed
                self._say(f"tester {source:#06x} at {name} asks for routing, and nobody can be asked: it is refused")
                return False
            try:
                self._say(f"tester {source:#06x} at {name} asks for routing: let it in with y and Enter")
                return (await answer).strip().lower() in (b"y", b"yes")
            finally:
                loop.remove_reader(fd)
