"""ThreadDriver: the thread that serves the links of a bus for the sockets that block.

This thread alone calls the hub. A call of a socket posts what it wants done and waits for the outcome, so it ends at
its own deadline however busy the bus is; and an exception that a signal handler raises (Ctrl-C included) falls into
that wait, never between two lines of the protocol.
"""

import contextlib
import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..bus.base import Bus
from ..errors import InterfaceError
from ..linux.timerfd import TimerFd
from .hub import Hub
from .link import Link
from .request import Wakeup

T = TypeVar("T")

_CLOSING_S: Final = 1.0  # how long the end of a bus is waited for
_PAUSE_S: Final = 0.005
_LONGEST_S: Final = 3600.0

_lock = threading.RLock()  # which driver a bus has; an RLock, since a signal handler may close a socket at any point
_drivers: "weakref.WeakSet[ThreadDriver]" = weakref.WeakSet()


class _Call:
    """A function that the driver's thread is to call, and what came of it."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._wakeup = Wakeup()
        self._result: Any = None
        self._error: BaseException | None = None

    def __call__(self) -> None:
        try:
            self._result = self._function()
        except BaseException as e:
            self._error = e
        self._wakeup.wake()

    def wait(self) -> Any:
        self._wakeup.wait(None)
        if self._error is not None:
            raise self._error
        return self._result


class ThreadDriver:
    """Serves the links of one bus, from the first one that is bound to the last one that is closed.

    Args:
        bus: that no other driver has.
    """

    def __init__(self, bus: Bus) -> None:
        self.hub = Hub(bus, time.monotonic_ns, self)
        self.has_ended = False
        """Whether it takes no more calls; guarded by `_lock`."""
        self._posted: deque[Callable[[], object]] = deque()
        self._callbacks: deque[Callable[[], None]] = deque()
        self._is_woken = self._is_asleep = False
        self._wake_lock = threading.RLock()  # held to write and to close: nothing is written to a closed descriptor
        self._selector = selectors.DefaultSelector()
        self._wake_receiver, self._wake_sender = socket.socketpair()
        for end in (self._wake_receiver, self._wake_sender):
            end.setblocking(False)
        self._selector.register(self._wake_receiver, selectors.EVENT_READ)
        self._timer = _timer()
        if self._timer is not None:
            self._selector.register(self._timer.fd, selectors.EVENT_READ)
        self._watched_fd = -1  # of the bus
        self._thread = threading.Thread(target=self._serve, args=(bus.driver,), name=f"isotp {bus.name}", daemon=True)

    # --- for the sockets, from any thread

    @classmethod
    def serving(cls, bus: Bus, link: Link) -> "ThreadDriver":
        """The driver of `bus`, started if there is none; it serves `link` from now on.

        Raises:
            InterfaceError: the bus cannot be opened, or an event loop drives it.
            OptionError: the link uses CAN FD and the bus is Classical CAN.
        """
        with _lock:
            driver = bus.driver
            if driver is None or driver.has_ended:
                driver = cls(bus)
                driver._thread.start()
                bus.driver = driver
                _drivers.add(driver)
            elif not isinstance(driver, cls):
                raise bus_is_taken(bus)
            call = _Call(lambda: driver._change(driver.hub.add, link))
            driver._posted.append(call)
        driver.wake()
        try:
            call.wait()
        except BaseException:
            driver.release(link)
            raise
        return driver

    def release(self, link: Link) -> None:
        """Serve `link` no more; with the last one the thread ends, which is waited for."""
        if self.call(lambda: self._change(self.hub.remove, link)) and not self.is_current:
            self._thread.join(2 * _CLOSING_S)

    def post(self, function: Callable[[], object]) -> None:
        """Let the driver's thread call `function` soon; what it returns is ignored."""
        if self.is_current:
            function()
            return
        with _lock:
            if not self.has_ended:
                self._posted.append(function)
        self.wake()

    def call(self, function: Callable[[], T]) -> T:
        """Let the driver's thread call `function`, and return what it returns or raise what it raises."""
        if self.is_current or self.has_ended:
            return function()
        call = _Call(function)
        self.post(call)
        result: T = call.wait()
        return result

    @property
    def is_current(self) -> bool:
        """Whether this is the driver's thread: in a callback, which cannot wait for it."""
        return threading.current_thread() is self._thread

    def forked(self) -> None:
        """Become unusable, in a child process: the thread and the bus stay with the parent."""
        self.has_ended, self._watched_fd = True, -1
        self._wake_lock = threading.RLock()
        self._close_descriptors()
        self.hub.is_open = False
        self.hub.bus.forked()
        self.hub.fail(InterfaceError("a fork does not take the sockets of a bus along"))

    # --- for the hub

    def wake(self) -> None:
        """See `Driver`."""
        with self._wake_lock:
            self._is_woken = True
            if self._is_asleep:
                with contextlib.suppress(BlockingIOError):  # full of wake-ups
                    self._wake_sender.send(b"\0")

    def start(self) -> None:
        """See `Driver`."""
        fd = self.hub.bus.fileno()
        if fd >= 0:
            self._selector.register(fd, selectors.EVENT_READ)
            self._watched_fd = fd

    def stop(self) -> None:
        """See `Driver`."""
        fd, self._watched_fd = self._watched_fd, -1
        if fd >= 0:
            self._selector.unregister(fd)

    def call_later(self, callback: Callable[[], None]) -> None:
        """See `Driver`; this thread calls it."""
        self._callbacks.append(callback)

    # --- the thread

    def _serve(self, previous: object) -> None:
        if isinstance(previous, ThreadDriver):  # it may still be closing the bus
            previous._thread.join()
        readable = True
        while not self.has_ended:
            self._is_woken = False
            while self._posted and not self.has_ended:
                self._posted.popleft()()
            self.hub.turn(readable)
            while self._callbacks:
                self._callbacks.popleft()()
            readable = self.hub.has_work_left or self._sleep()
        self._wait_for_bus()
        self._close_descriptors()

    def _change(self, change: Callable[[Link], None], link: Link) -> bool:
        """Add or remove `link`; returns whether the driver has ended, since no link is left."""
        try:
            change(link)
        finally:
            with _lock:
                self.has_ended = not self.hub.has_links and not self._posted
        return self.has_ended

    def _sleep(self) -> bool:
        """Wait until there is something to do; returns whether frames may have arrived."""
        due_ns = self.hub.next_ns()
        seconds = None
        self._is_asleep = True
        if self._is_woken or self._posted:  # looked at last: nothing posted is missed
            seconds = 0.0
        elif self._timer is not None:
            self._timer.set(due_ns)
        else:
            seconds = min(max(0, due_ns - time.monotonic_ns()) / 1e9, _LONGEST_S)
        ready = {key.fd for key, _ in self._selector.select(seconds)}
        self._is_asleep = False
        if self._wake_receiver.fileno() in ready:
            self._wake_receiver.recv(4096)
        if self._timer is not None and self._timer.fd in ready:
            self._timer.clear()
        return self._watched_fd in ready or self.hub.must_read()

    def _wait_for_bus(self) -> None:
        deadline = time.monotonic() + _CLOSING_S
        while self.hub.bus.is_closing and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)

    def _close_descriptors(self) -> None:
        with self._wake_lock:
            self._is_asleep = False
            self._selector.close()
            self._wake_receiver.close()
            self._wake_sender.close()
            if self._timer is not None:
                self._timer.close()


def _timer() -> TimerFd | None:
    try:
        return TimerFd()
    except OSError:  # not on this system
        return None


def bus_is_taken(bus: Bus) -> InterfaceError:
    """The error of a bus that the other kind of driver has."""
    return InterfaceError(
        f"{bus.name} is in use by sockets of another kind: those that block and those of asyncio",
        remedy="use one kind on a bus, or give each kind its own (SocketCanBus twice for one interface)",
    )


def _forget_drivers() -> None:
    """In a forked child: the threads are gone, and the buses belong to the parent."""
    global _lock
    _lock = threading.RLock()
    for driver in list(_drivers):
        driver.forked()
    _drivers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_drivers)
