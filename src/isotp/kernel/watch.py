"""Where the tasks of an event loop wait for kernel sockets: in one epoll, which is a single reader for the loop.

The loop's own add_reader and add_writer would not do: they do not distinguish an error from readiness, and uvloop stops
watching a descriptor that shows an error, which is common here. With EPOLLONESHOT a wait costs one system call, and no
event is reported that no task waits for.
"""

import asyncio
import select
import threading
import weakref
from typing import Final

from ..deadline import Deadline
from ..linux.constants import POLLERR, POLLHUP, POLLIN
from ..task_lock import running_loop, settle, until

_watches: "weakref.WeakValueDictionary[int, Watch]" = weakref.WeakValueDictionary()
_watches_lock: Final = threading.Lock()
_BATCH: Final = 256
_BAD: Final = POLLERR | POLLHUP


def watch_of(loop: asyncio.AbstractEventLoop) -> "Watch":
    """The one watch of `loop`; sockets keep it, and it keeps the loop."""
    with _watches_lock:
        watch = _watches.get(id(loop))
        if watch is None:
            watch = _watches[id(loop)] = Watch(loop)
        return watch


class Watch:
    """The kernel sockets that tasks of one loop wait for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._epoll = select.epoll()
        self._sockets: weakref.WeakValueDictionary[int, Waits] = weakref.WeakValueDictionary()
        self.waiting: set[Waits] = set()
        """Sockets that a task waits in: a loop has weak references to its tasks, so the waiting ones are kept here."""
        loop.add_reader(self._epoll.fileno(), self._dispatch)

    def enter(self, fd: int, waits: "Waits") -> None:
        """Be ready to watch `fd`."""
        if self._epoll.closed:  # the last one has left
            self._epoll = select.epoll()
            self.loop.add_reader(self._epoll.fileno(), self._dispatch)
        self._epoll.register(fd, select.EPOLLONESHOT)
        self._sockets[fd] = waits

    def arm(self, fd: int, events: int) -> None:
        """Report the next of `events`, or an error, once; what was asked for before is forgotten."""
        self._epoll.modify(fd, events | select.EPOLLONESHOT)

    def leave(self, fd: int) -> None:
        """Forget `fd`; it must still be open."""
        self._sockets.pop(fd, None)
        self._epoll.unregister(fd)
        if not self._sockets:
            if not self.loop.is_closed():
                self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _dispatch(self) -> None:
        for fd, events in self._epoll.poll(0, _BATCH):
            waits = self._sockets.get(fd)
            if waits is not None:
                waits.take_events(events)


class Waits:
    """What tasks wait for in one socket: at most one to send, and one to receive.

    Args:
        fd: the native socket, which must stay open until `leave`.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._watch: Watch | None = None
        self._tx: asyncio.Future[None] | None = None
        self._rx: asyncio.Future[None] | None = None
        self._tx_mask = 0

    async def to_send(self, mask: int, deadline: Deadline) -> None:
        """Wait for `mask` or an error, to be woken, or for `deadline`."""
        watch = self._enter()
        self._tx = mine = watch.loop.create_future()
        self._tx_mask = mask
        watch.waiting.add(self)
        try:
            self._arm(watch)
            await until(deadline, mine, None)
        finally:
            if self._tx is mine:
                self._tx = None
                self._end_wait(watch)

    async def to_receive(self, deadline: Deadline) -> None:
        """Wait for a message or an error, to be woken, or for `deadline`."""
        watch = self._enter()
        self._rx = mine = watch.loop.create_future()
        watch.waiting.add(self)
        try:
            self._arm(watch)
            await until(deadline, mine, None)
        finally:
            if self._rx is mine:
                self._rx = None
                self._end_wait(watch)

    def _end_wait(self, watch: Watch) -> None:
        if self._tx is None and self._rx is None:
            watch.waiting.discard(self)

    def _enter(self) -> Watch:
        """The watch of the running loop; one loop after the other may use the socket."""
        watch, loop = self._watch, running_loop()
        if watch is None or watch.loop is not loop:
            if watch is not None and not watch.loop.is_closed() and (self._tx or self._rx):
                raise RuntimeError("tasks of two event loops wait in one socket; give each loop a socket of its own")
            self.leave()
            self._tx = self._rx = None  # of a loop that was closed
            watch = watch_of(loop)
            watch.enter(self._fd, self)
            self._watch = watch
        return watch

    def leave(self) -> None:
        """Wait no more; the socket must still be open."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.leave(self._fd)

    def _arm(self, watch: Watch) -> None:
        """Ask for all that is waited for: the watch reports once and then forgets."""
        tx, rx = self._tx, self._rx
        tx_mask = self._tx_mask if tx and not tx.done() else 0
        watch.arm(self._fd, tx_mask | (POLLIN if rx and not rx.done() else 0))

    def take_events(self, events: int) -> None:
        """Take what poll() shows of the socket; it is not watched any more."""
        tx, rx = self._tx, self._rx
        if tx and events & (self._tx_mask | _BAD):
            settle(tx, None)
        if rx and events & (POLLIN | _BAD):
            settle(rx, None)
        if self._watch and ((tx and not tx.done()) or (rx and not rx.done())):
            self._arm(self._watch)

    def wake_sender(self) -> None:
        """End the wait to send."""
        settle(self._tx, None)

    def wake_receiver(self) -> None:
        """End the wait to receive."""
        settle(self._rx, None)
