"""ThreadDriver: the thread that calls the hub of a bus, for the sockets that block.

Only this thread calls the hub. A call of a socket posts a function to it and waits for the outcome. So the call ends at
its deadline however busy the bus is; and if a signal handler raises (Ctrl-C does), that interrupts only the wait, never
the protocol.
"""

import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from ..bus.base import Bus, monotonic_ns
from .driver import bus_is_taken, warn_if_closing
from .hub import Hub
from .link import Link
from .request import Wakeup
from .timers import new_timer

T = TypeVar("T")

_CLOSING_S: Final = 1.0  # how long to wait until nothing of a closed bus runs any more
_PAUSE_S: Final = 0.005

_lock = threading.RLock()  # held while a bus gets its driver; a signal handler may bind a socket, too
_drivers: "weakref.WeakSet[ThreadDriver]" = weakref.WeakSet()


class _Call:
    """A function for the driver's thread to call, and its result."""

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
        while not self._wakeup.wait(None):
            pass
        if self._error is not None:
            raise self._error
        return self._result


class _HasEndedError(Exception):
    """The driver has ended; the bus needs a new one."""


class WakeSockets:
    """Two connected sockets, to wake a selector from any thread.

    They are closed when the last reference to this object is gone, so no thread writes to a closed descriptor.
    """

    def __init__(self) -> None:
        self.receiver, self._sender = socket.socketpair()
        for end in (self.receiver, self._sender):
            end.setblocking(False)

    def write(self) -> None:
        """Make the receiver readable."""
        try:  # noqa: SIM105 - contextlib may be gone: a socket is forgotten until the interpreter ends
            self._sender.send(b"\0")
        except BlockingIOError:  # its buffer is full: it is readable
            pass

    def __del__(self) -> None:
        self.receiver.close()
        self._sender.close()


class ThreadDriver:
    """Serves the links of one bus, from the first `bind` to the last `close`.

    Args:
        bus: a bus that has no other driver.
    """

    def __init__(self, bus: Bus) -> None:
        self.hub = Hub(bus, monotonic_ns, self)
        self.has_ended = False
        """Whether its thread calls no more functions; see `_post`."""
        self._posted: deque[Callable[[], object]] = deque()
        self._callbacks: deque[Callable[[], None]] = deque()
        self._is_woken = self._is_asleep = False
        self._wake_sockets: WakeSockets | None = WakeSockets()
        self._timer = new_timer(self.wake)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_sockets.receiver, selectors.EVENT_READ)
        if self._timer.fd >= 0:
            self._selector.register(self._timer.fd, selectors.EVENT_READ)
        self._watched_fd = -1  # of the bus
        self._is_lost = False
        self._thread = threading.Thread(target=self._serve, name=f"isotp {bus.name}", daemon=True)

    def _start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError:  # no thread can be had
            self.has_ended = True
            self._close_descriptors()
            raise

    # --- for the sockets, from any thread

    @classmethod
    def serving(cls, bus: Bus, link: Link) -> "ThreadDriver":
        """The driver of `bus`, a new one if there is none; it serves `link` from now on.

        Raises:
            InterfaceError: the bus cannot be opened, or an event loop drives it.
            OptionError: the link uses CAN FD and the bus is Classical CAN.
        """
        while True:
            driver = _driver_of(bus)
            try:
                driver.call(lambda: driver._change(driver.hub.add, link))  # noqa: B023 - called in this round
            except _HasEndedError:
                continue
            except BaseException:
                driver.release(link)
                raise
            return driver

    def release(self, link: Link, before: Callable[[], object] = bool) -> None:
        """Call `before` and stop serving `link`, both in the thread; after the last one wait for its end.

        An exception of a signal handler ends the wait and nothing else.
        """

        def remove() -> bool:
            before()
            return self._change(self.hub.remove, link)

        if self.call(remove) and not self.is_current:
            self._thread.join(2 * _CLOSING_S)
            warn_if_closing(self.hub.bus)

    def abandon(self, link: Link) -> None:
        """Stop serving `link` soon; from any thread, and from a garbage collection."""
        self._post(lambda: self._change(self.hub.remove, link))

    def post(self, function: Callable[[], object]) -> None:
        """Let the driver's thread call `function` soon; its result is ignored."""
        if self.is_current:
            function()
        else:
            self._post(function)

    def call(self, function: Callable[[], T]) -> T:
        """Let the driver's thread call `function`, and return what it returns or raise what it raises."""
        if self.is_current:
            return function()
        call = _Call(function)
        if not self._post(call):
            return function()
        result: T = call.wait()
        return result

    def _post(self, function: Callable[[], object]) -> bool:
        """Queue `function` for the thread; False: the thread has ended and will not call it.

        The thread sets `has_ended` and then empties the queue. This appends to the queue and then reads `has_ended`. So
        a function is either called by the thread, or still in the queue here.
        """
        self._posted.append(function)
        if self.has_ended:
            try:
                self._posted.remove(function)
            except ValueError:
                return True
            return False
        self.wake()
        return True

    @property
    def is_current(self) -> bool:
        """Whether the caller runs in the driver's thread, so in a callback: it cannot wait for the driver."""
        return threading.current_thread() is self._thread

    @property
    def is_lost(self) -> bool:
        """Whether this is a child process, which does not have this thread and bus."""
        return self._is_lost

    def forked(self) -> None:
        """Become unusable, in a child process: the thread and the bus stay with the parent."""
        self._is_lost = self.has_ended = True
        self._watched_fd = -1
        self._close_descriptors()
        self.hub.bus.forked()
        self.hub.forked()

    # --- for the hub

    def wake(self) -> None:
        """See `Driver`."""
        self._is_woken = True
        sockets = self._wake_sockets
        if self._is_asleep and sockets is not None:
            self._is_asleep = False  # written once
            sockets.write()

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

    def _serve(self) -> None:
        readable = True
        while not self.has_ended:
            try:
                readable = self._do_all(readable) or self._sleep()
            except BaseException as e:
                self.hub.fail(e)
        self._call_posted()
        self._wait_for_bus()
        self._close_descriptors()

    def _do_all(self, readable: bool) -> bool:
        """Call what was posted, make a turn, and the callbacks; returns whether there is more to do."""
        self._is_woken = False
        self._call_posted()
        self.hub.turn(readable)
        while self._callbacks:
            self._callbacks.popleft()()
        return self.hub.has_work_left or self.has_ended

    def _call_posted(self) -> None:
        while self._posted:
            self._posted.popleft()()

    def _change(self, change: Callable[[Link], None], link: Link) -> bool:
        """Call `change`, which adds or removes `link`; returns whether the driver has ended: no link is left."""
        if self.has_ended and change == self.hub.add:
            raise _HasEndedError
        try:
            change(link)
        finally:
            self.has_ended = self.has_ended or not self.hub.has_links
        return self.has_ended

    def _sleep(self) -> bool:
        """Wait until a turn is due; returns whether frames may have arrived."""
        assert self._wake_sockets is not None
        due_ns = self.hub.next_ns()
        self._is_asleep = True
        is_woken = self._is_woken or self._posted  # read after `_is_asleep` is set: so `wake` is never missed
        if not is_woken:
            self._timer.set(due_ns)
        ready = {key.fd for key, _ in self._selector.select(0 if is_woken else None)}
        self._is_asleep = False
        receiver = self._wake_sockets.receiver
        if receiver.fileno() in ready:
            receiver.recv(4096)
        if self._timer.fd in ready:
            self._timer.clear()
        return self._watched_fd in ready or self.hub.must_read()

    def _wait_for_bus(self) -> None:
        deadline = time.monotonic() + _CLOSING_S
        while self.hub.bus.is_closing and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)

    def _close_descriptors(self) -> None:
        self._selector.close()
        self._wake_sockets = None
        self._timer.close()


def _driver_of(bus: Bus) -> ThreadDriver:
    """The driver of `bus`, a new one if there is none."""
    with _lock:
        driver = bus.driver
        if driver is None or driver.has_ended:
            driver = ThreadDriver(bus)
            driver._start()
            _drivers.add(driver)
            bus.driver = driver
        elif not isinstance(driver, ThreadDriver):
            raise bus_is_taken(bus)
        return driver


def _forget_drivers() -> None:
    """In a forked child: the threads are gone, and the buses belong to the parent."""
    global _lock
    _lock = threading.RLock()
    for driver in list(_drivers):
        if not driver.has_ended:
            driver.forked()
    _drivers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_drivers)
