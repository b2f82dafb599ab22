"""LoopDriver: serves the links of a bus in an event loop, for the asyncio sockets. It has no thread.

A task that sends makes a turn right there; the loop makes one when the bus is readable, when the bus calls `wake`, or
when the timer is due. Turns that follow each other without a pause stop after some milliseconds and go on when the loop
has been round: no message, however long, keeps other tasks from running.

A driver belongs to the loop that was running when it was first used; when that has ended, to the next one. A signal
handler that raises is not for a program that runs an event loop: `loop.add_signal_handler` is.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final, TypeVar

from ..bus.base import Bus
from ..linux.timerfd import NEVER, TimerFd
from .hub import Hub
from .link import Link
from .thread_driver import bus_is_taken

T = TypeVar("T")

_LONGEST_NS: Final = 5_000_000
_LONGEST_S: Final = 3600.0
_CLOSING_S: Final = 1.0
_PAUSE_S: Final = 0.005


class LoopDriver:
    """Serves the links of one bus from the thread of an event loop.

    Args:
        bus: that no other driver has.
    """

    def __init__(self, bus: Bus) -> None:
        self.hub = Hub(bus, time.monotonic_ns, self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: _Timer | None = None
        self._watched_fd = -1  # of the bus, while the loop watches it
        self._is_woken = False
        self.waiting: set[object] = set()
        """Sockets that a task waits in: a loop keeps its tasks weakly, so a task without reference is kept here."""

    # --- for the sockets

    @classmethod
    def serving(cls, bus: Bus, link: Link) -> "LoopDriver":
        """The driver of `bus`; it serves `link` from now on.

        Raises:
            InterfaceError: the bus cannot be opened, or a thread drives it.
            OptionError: the link uses CAN FD and the bus is Classical CAN.
        """
        driver = bus.driver
        if not isinstance(driver, cls):
            if driver is not None and not driver.has_ended:
                raise bus_is_taken(bus)
            driver = bus.driver = cls(bus)
        driver.hub.add(link)
        return driver

    @property
    def has_ended(self) -> bool:
        """Whether it serves no link: sockets of another kind may have the bus."""
        return not self.hub.has_links

    def release(self, link: Link) -> None:
        """Serve `link` no more."""
        self.hub.remove(link)

    def post(self, function: Callable[[], object]) -> None:
        """Let the loop call `function` soon, and make a turn; from anywhere, a garbage collection included."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._run_posted, function)
        else:
            function()

    def call(self, function: Callable[[], T]) -> T:
        """Call `function`, and return what it returns."""
        return function()

    @property
    def is_current(self) -> bool:
        """False: no call of an asyncio socket blocks."""
        return False

    def attach(self) -> None:
        """Be driven by the running loop.

        Raises:
            RuntimeError: another loop is running that drives it.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return
        if self._loop is not None and self._loop.is_running():
            raise RuntimeError(f"{self.hub.bus.name} is driven by another event loop; give each loop a bus of its own")
        self._detach()
        self._loop = loop
        if self.hub.is_open:
            self._watch(loop)
            self.run()

    def run(self, readable: bool | None = None) -> None:
        """Make turns until nothing is left to do, or for some milliseconds; `readable`: frames may have arrived."""
        hub = self.hub
        stop_ns = hub.clock() + _LONGEST_NS
        hub.turn(hub.must_read() if readable is None else readable)
        while hub.has_work_left and hub.clock() < stop_ns:
            hub.turn()
        if self._timer is not None:
            self._timer.set(hub.next_ns())

    async def wait_for_bus(self) -> None:
        """Wait until a bus that was closed is gone; for a second at most."""
        deadline = time.monotonic() + _CLOSING_S
        while self.has_ended and self.hub.bus.is_closing and time.monotonic() < deadline:
            await asyncio.sleep(_PAUSE_S)

    # --- for the hub

    def start(self) -> None:
        """See `Driver`."""
        self._detach()
        with contextlib.suppress(RuntimeError):  # no loop is running: the first call that waits attaches it
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
        except RuntimeError:  # it is closed: the next one looks when it attaches
            self._is_woken = False

    def call_later(self, callback: Callable[[], None]) -> None:
        """See `Driver`; the loop calls it."""
        if self._loop is None:
            callback()
        else:
            self._loop.call_soon(callback)

    # --- the loop

    def _run_woken(self) -> None:
        self._is_woken = False
        self.run(readable=True)

    def _run_posted(self, function: Callable[[], object]) -> None:
        function()
        self.run()

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
    """Calls back at a time that can be moved earlier, to the microsecond where there is a timerfd.

    Loops round: asyncio waits in epoll, in whole milliseconds, and uvloop counts in them; STmin goes down to 100 us.
    Elsewhere it is the loop's own timer: exact in kqueue (macOS), late by up to a tick in Windows. The engine looks at
    its clock again in any case, so nothing is ever sent too early.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._armed_ns = NEVER  # of the handle
        self._handle: asyncio.TimerHandle | None = None
        try:
            self._timerfd: TimerFd | None = TimerFd()
        except OSError as e:
            if e.errno is not None:  # no descriptor left
                raise
            self._timerfd = None  # not on this system
        else:
            loop.add_reader(self._timerfd.fd, self._ring)

    def set(self, due_ns: int) -> None:
        """Call back at `due_ns` (monotonic nanoseconds) or before; NEVER: there is no need to."""
        if self._timerfd is not None:
            self._timerfd.set(due_ns)
        elif due_ns < self._armed_ns and not self._loop.is_closed():
            if self._handle is not None:
                self._handle.cancel()
            self._armed_ns = due_ns
            delay_s = min(max(0.0, (due_ns - time.monotonic_ns()) / 1e9), _LONGEST_S)
            self._handle = self._loop.call_later(delay_s, self._ring)

    def _ring(self) -> None:
        self._armed_ns, self._handle = NEVER, None
        if self._timerfd is not None:
            self._timerfd.clear()
        self._callback()

    def close(self) -> None:
        """Never call back again."""
        if self._handle is not None:
            self._handle.cancel()
        if self._timerfd is not None:
            if not self._loop.is_closed():
                self._loop.remove_reader(self._timerfd.fd)
            self._timerfd.close()
