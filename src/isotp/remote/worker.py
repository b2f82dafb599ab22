"""Worker: the thread with an event loop in which all remote sockets of a process talk to their edges."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from ..deadline import LONGEST_WAIT_S

T = TypeVar("T")


class Worker:
    """Runs coroutines of sockets. The thread lives while a socket needs it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: list[threading.Thread] = []

    def enter(self) -> asyncio.AbstractEventLoop:
        """A socket needs it, until `leave`; returns its loop."""
        with self._lock:
            self._users += 1
            if self._loop is None:
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(loop,), name="isotp.remote", daemon=True)
                self._thread.start()
            return self._loop

    def leave(self) -> None:
        """A socket needs it no more."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
            assert loop is not None
            assert thread is not None
            self._ended.append(thread)
        loop.call_soon_threadsafe(loop.stop)

    def join(self) -> None:
        """Wait for threads that nobody needs any more; not for long, for they are about to end."""
        with self._lock:
            ended, self._ended = self._ended, []
        for thread in ended:
            thread.join()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def submit(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> "Future[T]":
    """Run `work` in the loop of the worker."""
    return asyncio.run_coroutine_threadsafe(work, loop)


def result_of(future: "Future[T]") -> T:
    """Wait for `future` and return its result."""
    while not future.done():
        wait((future,), LONGEST_WAIT_S)
    return future.result()


WORKER = Worker()
