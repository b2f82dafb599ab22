"""A check that a test leaves no thread running and no file descriptor open."""

import functools
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
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import pytest

from ..sockets import AnySocket

THREADS_MAY_END_S: Final = 2.0
_LISTS: Final = ("/proc/self/fd", "/dev/fd")
_OWN: Final = str(Path(__file__).parents[1])
T = TypeVar("T")
Places = WeakKeyDictionary[T, traceback.StackSummary]


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
        self._started: Places[threading.Thread] = WeakKeyDictionary()
        self._made: Places[AnySocket] = WeakKeyDictionary()
        self._sockets_before: WeakSet[AnySocket] = WeakSet()
        self._end = ExitStack()
        self._note(threading.Thread, "start", self._started)
        self._note(AnySocket, "__init__", self._made)

    def _note(self, kind: Any, method: str, places: "Places[T]") -> None:
        """From now on note for each object where this method of it is called."""
        real = getattr(kind, method)

        @functools.wraps(real)
        def noting(thing: T, *args: Any, **how: Any) -> Any:
            frames = traceback.walk_stack(sys._getframe(1))
            places[thing] = traceback.StackSummary.extract(frames, lookup_lines=False)
            return real(thing, *args, **how)

        setattr(kind, method, noting)
        self._end.callback(setattr, kind, method, real)

    def pytest_unconfigure(self) -> None:
        """Note no more."""
        self._end.close()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Note what is open before the test."""
        if self._every or item.get_closest_marker("isotp_leaks"):
            self._before = Open.now()
            self._sockets_before = WeakSet(self._made)
        return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, Any, Any]:
        """Note what fixtures open that live longer than the test."""
        if self._before is None or fixturedef.scope == "function":
            return (yield)
        before, sockets_before = Open.now(), WeakSet(self._made)
        try:
            return (yield)
        finally:
            self._before |= Open.now().without(before)
            self._sockets_before |= WeakSet(self._made) - sockets_before

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, Any, Any]:
        """Fail the test if something is left after it."""
        before, self._before = self._before, None
        result = yield
        if before is not None and (left := self._left(before)):
            pytest.fail("left after the test: " + "\n  ".join(left), pytrace=False)
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
        threads = (f"thread {thread.name!r}{self._at('started', self._started, thread)}" for thread in left.threads)
        return [*threads, *self._sockets(), *self._files(left)]

    def _sockets(self) -> Iterator[str]:
        """The sockets of this test that are not closed: a hint to which of them a thread or descriptor belongs."""
        by_place: dict[str, list[str]] = {}
        for sock in list(self._made):
            if sock not in self._sockets_before and not sock.closed:
                by_place.setdefault(self._at("made", self._made, sock), []).append(repr(sock))
        return (f"not closed: {', '.join(sockets)}{place}" for place, sockets in by_place.items())

    def _files(self, left: Open) -> Iterator[str]:
        """The descriptors: one line for each that says something, one for the rest."""
        owners = {_number(one): one for one in _objects(socket.socket, io.FileIO)}
        rest = []
        for number, what in sorted(left.files):
            owner = owners.get(number)
            made = self._made_in(owner)
            if made or isinstance(owner, io.FileIO) or (owner and owner.family != socket.AF_UNIX):
                yield f"descriptor {number} {what}, {owner!r}{made}"
            else:
                rest.append(f"{number} {what}")
        if rest:
            yield f"descriptors {', '.join(rest)}"

    def _made_in(self, thing: object) -> str:
        """Known with `python -X tracemalloc=25`, which is too slow to be the default."""
        trace = tracemalloc.get_object_traceback(thing) if thing and tracemalloc.is_tracing() else None
        return self._place("made", [(one.filename, one.lineno) for one in reversed(trace or ())])

    def _at(self, what: str, places: "Places[T]", thing: T) -> str:
        return self._place(what, [(one.filename, one.lineno or 0) for one in places.get(thing, ())])

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
