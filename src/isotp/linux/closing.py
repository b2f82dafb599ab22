"""Closing a native ISO-TP socket without waiting for the kernel, and one that is sending: its message is given up.

The kernel closes a bound socket in some 10 ms, in which it waits until none of its processors uses the socket (RCU);
that wait is shared by sockets that are closed at the same time. `close_later` leaves it to threads.

The kernel's close() waits until the message has ended, which is without limit while the receiver says WAIT; SO_LINGER
and shutdown() change nothing. Only a signal ends that wait, and the message with it (observed on 6.1 and 7.2).
So a thread closes the socket, and another one sends signals to that thread. The handler is the one of faulthandler:
it is C, any thread can install it, and Python's own handlers do not notice.
"""

import faulthandler
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from concurrent.futures import Future  # it loads logging

_BETWEEN_SIGNALS_S: Final = 0.005
_MOST_THREADS: Final = 16  # 500 sockets are closed in 0.4 s then

_lock = threading.Lock()  # of the signal; only threads of this file take it, where no signal handler of Python runs


class _Later:
    """A socket that is to be closed: the first call of `finish` closes it, another one waits until it is closed."""

    def __init__(self, key: Hashable, close: Callable[[], None], closed: "Future[None]") -> None:
        self.key = key
        self._close = close
        self._closed = closed
        self._closed.set_running_or_notify_cancel()  # it cannot be cancelled any more
        self._lock = threading.Lock()

    def finish(self) -> None:
        """Close it, if no other call has."""
        with self._lock:
            if self._closed.done():
                return
            try:
                self._close()
                self._closed.set_result(None)
            except BaseException as e:
                self._closed.set_exception(e)
            finally:
                _unfinished.discard(self)


_unfinished: set[_Later] = set()
_left: deque[_Later] = deque()  # of these, those that no thread has begun with
_threads = 0
_queue_lock = threading.RLock()  # of _left and _threads; a signal handler may close a socket, too


def close_later(key: Hashable, close: Callable[[], None], closed: "Future[None]") -> None:
    """Let a thread close a socket.

    Args:
        key: for `finish`.
        close: closes it, and may take milliseconds.
        closed: ends when it is closed.
    """
    global _threads
    later = _Later(key, close, closed)
    _unfinished.add(later)
    with _queue_lock:
        _left.append(later)
        if _threads >= _MOST_THREADS:
            return
        _threads += 1
    try:
        threading.Thread(target=_close_all, name="isotp closes", daemon=True).start()
    except RuntimeError:  # no more threads, or the interpreter ends
        _close_all()


def _close_all() -> None:
    global _threads
    while True:
        with _queue_lock:
            if not _left:
                _threads -= 1
                return
            later = _left.popleft()
        later.finish()


def finish(key: Hashable) -> None:
    """Wait until what `close_later` was given with `key` is closed."""
    for later in tuple(_unfinished):
        if later.key == key:
            later.finish()


def close_now(close: Callable[[], None]) -> None:
    """Call `close`, which closes a native socket, and let the kernel give up what it is sending; takes milliseconds.

    If a signal handler raises, the socket is closed all the same.
    """
    thread = threading.Thread(target=_close, args=(close,), name="isotp closes", daemon=True)
    thread.start()
    thread.join()


def _close(close: Callable[[], None]) -> None:
    with _lock, open(os.devnull, "w") as null:
        number = next(n for n in range(signal.SIGRTMAX, signal.SIGRTMIN, -1) if signal.getsignal(n) == signal.SIG_DFL)
        faulthandler.register(number, null, all_threads=False)
        closing = _Closing(close, number)
        closing.start()
        while not closing.is_done.wait(_BETWEEN_SIGNALS_S):
            assert closing.ident is not None
            signal.pthread_kill(closing.ident, number)
        closing.may_end.set()
        closing.join()
        faulthandler.unregister(number)


class _Closing(threading.Thread):
    """Closes a native socket. It lives until no signal is sent to it any more, and blocks one that comes late."""

    def __init__(self, close: Callable[[], None], number: int) -> None:
        super().__init__(name="isotp closes", daemon=True)
        self._close = close
        self._number = number
        self.is_done = threading.Event()
        self.may_end = threading.Event()

    def run(self) -> None:
        self._close()
        signal.pthread_sigmask(signal.SIG_BLOCK, {self._number})
        self.is_done.set()
        self.may_end.wait()


def _new_lock() -> None:
    """In a forked child: the threads are those of the parent, and may have held a lock."""
    global _lock, _queue_lock, _threads
    _lock, _queue_lock, _threads = threading.Lock(), threading.RLock(), 0
    _left.clear()
    _unfinished.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
