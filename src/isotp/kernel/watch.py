"""Where an event loop waits for kernel sockets: one epoll for all of them, in which the loop sees a single reader.

A loop's own add_reader and add_writer do not tell an error from readiness, and uvloop stops watching a descriptor
that shows one: here POLLERR is daily business. And a wait costs one system call (EPOLLONESHOT: whoever was told
is told no more until it asks again), so nothing is ever ready that nobody waits for.
"""

import asyncio
import select
import threading
import weakref
from typing import Final, Protocol

_watches: "weakref.WeakValueDictionary[int, Watch]" = weakref.WeakValueDictionary()
_watches_lock: Final = threading.Lock()
_BATCH: Final = 256


class Watched(Protocol):
    """A socket in a watch."""

    def _take_events(self, events: int) -> None:
        """Take what poll() shows of the socket; it is not watched any more."""


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
        self._sockets: weakref.WeakValueDictionary[int, Watched] = weakref.WeakValueDictionary()
        loop.add_reader(self._epoll.fileno(), self._tell)

    def enter(self, fd: int, watched: Watched) -> None:
        """Be ready to watch `fd`."""
        if self._epoll.closed:  # the last one has left
            self._epoll = select.epoll()
            self.loop.add_reader(self._epoll.fileno(), self._tell)
        self._epoll.register(fd, select.EPOLLONESHOT)
        self._sockets[fd] = watched

    def arm(self, fd: int, events: int) -> None:
        """Tell of the next of `events`, or of an error, once; what was asked for before is forgotten."""
        self._epoll.modify(fd, events | select.EPOLLONESHOT)

    def leave(self, fd: int) -> None:
        """Forget `fd`; it must still be open."""
        self._sockets.pop(fd, None)
        self._epoll.unregister(fd)
        if not self._sockets:
            if not self.loop.is_closed():
                self.loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _tell(self) -> None:
        for fd, events in self._epoll.poll(0, _BATCH):
            watched = self._sockets.get(fd)
            if watched is not None:
                watched._take_events(events)
