"""The hub of a bus in an event loop: no thread, unless the bus brings one.

Theory of operation. A task that sends makes a turn right there; the loop makes one when the bus is readable (or calls
`wake`, from any thread) or when the timer is due. A turn that lasts too long stops, and goes on when the loop has
been round: so no message, however long, keeps other tasks from running.

The hub belongs to the loop that was running when it was opened or first used; when that has ended, to the next one.
"""

import asyncio
import contextlib
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from ..bus.base import Bus
from .hub import Hub
from .link import Link
from .timer import Timer, timer_for

_LONGEST_TURN_NS: Final = 5_000_000
_WINDOW: Final = 1024  # frames of one link at a time, about a millisecond, so that a turn can stop

_hubs: "weakref.WeakValueDictionary[int, LoopHub]" = weakref.WeakValueDictionary()
_hubs_lock: Final = threading.Lock()


def loop_hub_of(bus: Bus) -> "LoopHub":
    """The one hub of `bus` for event loops; sockets keep it, and it keeps the bus."""
    with _hubs_lock:
        hub = _hubs.get(id(bus))
        if hub is None:
            hub = _hubs[id(bus)] = LoopHub(bus)
        return hub


class LoopHub(Hub):
    """Serves the links of one bus from the thread of an event loop.

    Args:
        bus: nobody else may drive it.
        clock: monotonic nanoseconds.
    """

    def __init__(self, bus: Bus, clock: Callable[[], int] = time.monotonic_ns) -> None:
        super().__init__(bus, clock)
        self.lock = contextlib.nullcontext()
        self._longest_turn_ns = _LONGEST_TURN_NS
        self._window = min(bus.window, _WINDOW)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: Timer | None = None
        self._fd = -1  # of the bus, while the loop watches it
        self._is_woken = False
        self.waiting: set[object] = set()
        """Sockets that a task waits in: a loop keeps its tasks weakly, so that a task nobody has must be kept here."""

    def attach(self) -> None:
        """Be driven by the running loop.

        Raises:
            RuntimeError: another loop is running that drives it.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise RuntimeError(f"{self.bus.name} is driven by another event loop; give each loop a bus of its own")
        self._detach()
        self._loop = loop
        if self._is_open:
            try:
                self._watch(loop)
            except BaseException:  # no descriptor left; the next call tries again
                self._detach()
                raise
            self.turn()

    def _started(self) -> None:
        self._detach()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # the first call that waits attaches it
        self._watch(self._loop)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = timer_for(loop, self._make_turn)
        fd = self.bus.fileno()
        if fd >= 0:
            loop.add_reader(fd, self._make_turn)
            self._fd = fd

    def _stopped(self) -> None:
        self._detach()

    def _detach(self) -> None:
        timer, self._timer = self._timer, None
        fd, self._fd = self._fd, -1
        loop, self._loop = self._loop, None
        self._is_woken = False
        if timer is not None:
            timer.close()
        if fd >= 0 and loop is not None and not loop.is_closed():
            loop.remove_reader(fd)

    def wake(self) -> None:
        """See `Hub`."""
        loop = self._loop
        if loop is None or self._is_woken:
            return
        self._is_woken = True
        try:
            loop.call_soon_threadsafe(self._be_woken)
        except RuntimeError:  # it is closed: the next one looks when it attaches
            self._is_woken = False

    def _be_woken(self) -> None:
        self._is_woken = False
        self._make_turn()

    def call(self, callback: Callable[[], None]) -> None:
        """See `Hub`; the loop calls it."""
        if self._loop is None:
            callback()
        else:
            self._loop.call_soon(callback)

    def abandon(self, link: Link) -> None:
        """Remove `link` before long; from anywhere, a garbage collection included."""
        if self._loop is None or self._loop.is_closed():
            self.remove(link)
        else:
            self._abandoned.append(link)
            self.wake()

    def _make_turn(self) -> None:
        self.turn(readable=True)

    def turn(self, link: Link | None = None, *, readable: bool | None = None) -> None:
        """See `Hub`."""
        if readable is None:  # the loop tells of a bus with a descriptor; a timer goes off after what came before it
            readable = self._fd < 0 or self._deadlines.next_ns <= self.clock()
        super().turn(link, readable=readable)
        if self._timer is not None and not self._busy:
            self._timer.set(self.next_ns())
