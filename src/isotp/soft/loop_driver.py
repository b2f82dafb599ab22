"""LoopDriver: calls the hub of a bus in an event loop, for the asyncio sockets. It has no thread.

A task that sends makes a turn itself. The loop makes one when the bus is readable, when the bus calls `wake`, or when
the timer is due. After some milliseconds of turns without a pause other tasks run before the next turn: no message,
however long, blocks the loop.

A driver belongs to the loop in which it was first used; when that has ended, to the next one. A program that runs an
event loop handles signals with `loop.add_signal_handler`, not with a handler that raises.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from ..bus.base import Bus, monotonic_ns
from ..task_lock import running_loop
from .driver import ThreadlessDriver, warn_if_closing
from .hub import Hub
from .link import Link
from .timers import new_timer

_LONGEST_NS: Final = 5_000_000
_CLOSING_S: Final = 1.0
_PAUSE_S: Final = 0.005


class LoopDriver(ThreadlessDriver):
    """Serves the links of one bus from the thread of an event loop.

    Args:
        bus: a bus that has no other driver.
    """

    def __init__(self, bus: Bus) -> None:
        self.hub = Hub(bus, monotonic_ns, self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: _Timer | None = None
        self._watched_fd = -1  # of the bus, while the loop watches it
        self._is_woken = False
        self.waiting: set[object] = set()
        """What tasks wait in. A loop has only weak references to its tasks; through these they are kept."""

    # --- for the sockets

    def abandon(self, link: Link) -> None:
        """Stop serving `link` soon; from any thread, and from a garbage collection."""
        if (loop := self._open_loop()) is not None:
            loop.call_soon_threadsafe(self.hub.remove, link)
        else:
            self.hub.remove(link)

    def post(self, function: Callable[[], object]) -> None:
        """Call `function` now, and make a turn."""
        function()
        if self._open_loop() is not None:
            self.run()

    @property
    def is_current(self) -> bool:
        """False: no call of an asyncio socket blocks."""
        return False

    def attach(self) -> None:
        """Run in the event loop that is running now.

        Raises:
            RuntimeError: it runs in another event loop.
        """
        loop = running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise RuntimeError(f"{self.hub.bus.name} is driven by another event loop; give each loop a bus of its own")
        if self._loop is not None and self._loop.is_closed():
            self.waiting.clear()
        self._detach()
        self._loop = loop
        if self.hub.is_open:
            self._watch(loop)
            self.run()

    def run(self, readable: bool | None = None) -> None:
        """Make turns until nothing is due, for some milliseconds at most; `readable`: frames may have arrived."""
        hub = self.hub
        stop_ns = hub.clock() + _LONGEST_NS
        hub.turn(hub.must_read() if readable is None else readable)
        while hub.has_work_left and hub.clock() < stop_ns:
            hub.turn()
        if self._timer is not None:
            self._timer.set(hub.next_ns())

    async def wait_for_bus(self) -> None:
        """Wait until nothing of a closed bus runs any more; for a second at most."""
        deadline = time.monotonic() + _CLOSING_S
        while self.has_ended and self.hub.bus.is_closing and time.monotonic() < deadline:
            await asyncio.sleep(_PAUSE_S)
        if self.has_ended:
            warn_if_closing(self.hub.bus)

    # --- for the hub

    def start(self) -> None:
        """See `Driver`."""
        self._detach()
        with contextlib.suppress(RuntimeError):  # no loop is running: the first call that waits calls `attach`
            self._loop = asyncio.get_running_loop()
            self._watch(self._loop)

    def stop(self) -> None:
        """See `Driver`."""
        self._detach()

    def wake(self) -> None:
        """See `Driver`."""
        loop = self._loop
        if loop is None or self._is_woken:
            return
        self._is_woken = True
        try:
            loop.call_soon_threadsafe(self._run_woken)
        except RuntimeError:  # the loop is closed: `attach` makes a turn in the next one
            self._is_woken = False

    def call_later(self, callback: Callable[[], None]) -> None:
        """See `Driver`; the loop calls it."""
        if (loop := self._open_loop()) is not None:
            loop.call_soon(callback)
        else:
            callback()

    def _open_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop, unless it has been closed."""
        return None if self._loop is None or self._loop.is_closed() else self._loop

    # --- the loop

    def _run_woken(self) -> None:
        self._is_woken = False
        self.run(readable=True)

    def _run_readable(self) -> None:
        self.run(readable=True)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            self._timer = _Timer(loop, self._run_readable)
            fd = self.hub.bus.fileno()
            if fd >= 0:
                loop.add_reader(fd, self._run_readable)
                self._watched_fd = fd
        except BaseException:  # no descriptor left; the next call tries again
            self._detach()
            raise

    def _detach(self) -> None:
        timer, self._timer = self._timer, None
        fd, self._watched_fd = self._watched_fd, -1
        loop, self._loop = self._loop, None
        self._is_woken = False
        if timer is not None:
            timer.close()
        if fd >= 0 and loop is not None and not loop.is_closed():
            loop.remove_reader(fd)


class _Timer:
    """Calls `callback` at a time that can be moved to an earlier one, to the microsecond if there is a timerfd.

    The timers of the loops are too coarse for an STmin of 100 us: asyncio waits in epoll for whole milliseconds, uvloop
    counts in milliseconds, and on Windows they tick every 16 ms. No frame is ever sent too early, since the engine
    compares the time itself.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._is_closed = False
        self._timer = new_timer(self._fire)
        if self._timer.fd >= 0:
            loop.add_reader(self._timer.fd, self._expire)

    def set(self, due_ns: int) -> None:
        """Call at `due_ns` (monotonic nanoseconds) or earlier; NEVER: no call is needed."""
        self._timer.set(due_ns)

    def _fire(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._expire)

    def _expire(self) -> None:
        if not self._is_closed:
            self._timer.clear()
            self._callback()

    def close(self) -> None:
        """Make no more calls."""
        self._is_closed = True
        if self._timer.fd >= 0 and not self._loop.is_closed():
            self._loop.remove_reader(self._timer.fd)
        self._timer.close()
