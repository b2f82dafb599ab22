"""A check that a test leaves no thread running and no file descriptor open."""

import gc
import io
import linecache
import os
import socket
import sys
import threading
import time
import traceback
import tracemalloc
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import pytest

from ..sockets import AnySocket

THREADS_MAY_END_S: Final = 2.0
_LISTS: Final = ("/proc/self/fd", "/dev/fd")
_OWN: Final = str(Path(__file__).parents[1])


class Open(NamedTuple):
    """What is open in this process."""

    threads: frozenset[threading.Thread]
    files: frozenset[tuple[int, str]]
    """Number of a descriptor, and what it is."""

    @classmethod
    def now(cls) -> "Open":
        """At this moment; of threads those that `threading` started, since of others it does not learn the end."""
        threads = (one for one in threading.enumerate() if not isinstance(one, threading._DummyThread))
        return cls(frozenset(threads), frozenset(_files()))

    def __or__(self, other: "Open") -> "Open":
        return Open(self.threads | other.threads, self.files | other.files)

    def without(self, other: "Open") -> "Open":
        """What is in this one alone."""
        return Open(self.threads - other.threads, self.files - other.files)


def _files() -> Iterator[tuple[int, str]]:
    folder = next(filter(os.path.isdir, _LISTS), None)
    for name in os.listdir(folder) if folder else ():
        with suppress(OSError):  # that of this very listing
            os.fstat(int(name))
            yield int(name), os.readlink(f"{folder}/{name}") if folder == _LISTS[0] else ""


class LeakCheck:
    """The hooks of the check.

    What fixtures of a class, module or session open is theirs, and no leak of the test that uses them first.

    Args:
        every: check all tests, not only those with the mark.
        root: the folder of the user's project.
    """

    def __init__(self, every: bool, root: Path) -> None:
        self._every = every
        self._root = str(root)
        self._before: Open | None = None
        self._started: WeakKeyDictionary[threading.Thread, traceback.StackSummary] = WeakKeyDictionary()
        self._real_start = threading.Thread.start
        self._note_starts()

    def _note_starts(self) -> None:
        """From now on note for each thread where it is started."""
        real_start, started = self._real_start, self._started

        def start(thread: threading.Thread) -> None:
            frames = traceback.walk_stack(sys._getframe(1))
            started[thread] = traceback.StackSummary.extract(frames, lookup_lines=False)
            real_start(thread)

        threading.Thread.start = start  # type: ignore[assignment, method-assign]

    def pytest_unconfigure(self) -> None:
        """Note no more."""
        threading.Thread.start = self._real_start  # type: ignore[method-assign]

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note what is open before the test."""
        if self._every or item.get_closest_marker("isotp_leaks"):
            self._before = Open.now()
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Note what fixtures open that live longer than the test."""
        if self._before is None or fixturedef.scope == "function":
            return (yield)
        before = Open.now()
        try:
            return (yield)
        finally:
            self._before |= Open.now().without(before)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        """Fail the test if something is left after it."""
        before, self._before = self._before, None
        result = yield
        if before is not None and (left := self._left(before)):
            pytest.fail("left after the test:\n  " + "\n  ".join(left), pytrace=False)
        return result

    def _left(self, before: Open) -> list[str]:
        """What is left, in words."""
        left = Open.now().without(before)
        if not any(left):
            return []
        until = time.monotonic() + THREADS_MAY_END_S
        for thread in left.threads:
            thread.join(max(0.0, until - time.monotonic()))
        gc.collect()
        left = Open.now().without(before)
        if not any(left):
            return []
        lines = [f"thread {thread.name!r}{self._started_in(thread)}" for thread in left.threads]
        owners = {_number(one): one for one in _objects(socket.socket, io.FileIO)}
        for number, what in sorted(left.files):
            owner = owners.get(number)
            lines.append(f"descriptor {number} {what}" + (f", {owner!r}{self._made_in(owner)}" if owner else ""))
        # A hint, to which socket a thread belongs; those of fixtures that live longer are among them.
        lines += [f"open now: {one!r}{self._made_in(one)}" for one in _objects(AnySocket) if not one.closed]
        return lines

    def _started_in(self, thread: threading.Thread) -> str:
        return self._place("started", [(one.filename, one.lineno or 0) for one in self._started.get(thread, ())])

    def _made_in(self, thing: object) -> str:
        """Known with `python -X tracemalloc=25`, which is too slow to be the default."""
        trace = tracemalloc.get_object_traceback(thing) if tracemalloc.is_tracing() else None
        return self._place("made", [(one.filename, one.lineno) for one in reversed(trace or ())])

    def _place(self, what: str, lines: list[tuple[str, int]]) -> str:
        """The line of the user's own code that comes first in `lines`, innermost first."""
        if not lines:
            return ""
        name, number = next((one for one in lines if self._is_users(one[0])), lines[0])
        return f", {what} in {os.path.relpath(name, self._root)}:{number}: {linecache.getline(name, number).strip()}"

    def _is_users(self, filename: str) -> bool:
        return filename.startswith(self._root) and not filename.startswith((_OWN, sys.prefix))


def _objects(*kinds: type) -> list[Any]:
    return [one for one in gc.get_objects() if isinstance(one, kinds)]


def _number(file: Any) -> int:
    try:
        return int(file.fileno())
    except (OSError, ValueError):
        return -1
