"""Closing a native ISO-TP socket that is sending: the kernel gives up the message.

The kernel's close() waits until the message has ended, which is without limit while the receiver says WAIT; SO_LINGER
and shutdown() change nothing. Only a signal ends that wait, and the message with it (observed on 6.1 and 7.2).
So a thread closes the socket, and another one sends signals to that thread. The handler is the one of faulthandler:
it is C, any thread can install it, and Python's own handlers do not notice.
"""

import faulthandler
import os
import signal
import socket
import threading
from typing import Final

_BETWEEN_SIGNALS_S: Final = 0.005

_lock = threading.Lock()  # of the signal; only threads of this file take it, where no signal handler of Python runs


def close_now(native: socket.socket) -> None:
    """Close `native`, and let the kernel give up what it is sending; takes some milliseconds.

    If a signal handler raises, the socket is closed all the same.
    """
    thread = threading.Thread(target=_close, args=(native,), name="isotp closes", daemon=True)
    thread.start()
    thread.join()


def _close(native: socket.socket) -> None:
    with _lock, open(os.devnull, "w") as null:
        number = next(n for n in range(signal.SIGRTMAX, signal.SIGRTMIN, -1) if signal.getsignal(n) == signal.SIG_DFL)
        faulthandler.register(number, null, all_threads=False)
        closing = _Closing(native, number)
        closing.start()
        while not closing.is_done.wait(_BETWEEN_SIGNALS_S):
            assert closing.ident is not None
            signal.pthread_kill(closing.ident, number)
        closing.may_end.set()
        closing.join()
        faulthandler.unregister(number)


class _Closing(threading.Thread):
    """Closes `native`. It lives until no signal is sent to it any more, and blocks one that comes late."""

    def __init__(self, native: socket.socket, number: int) -> None:
        super().__init__(name="isotp closes", daemon=True)
        self._native = native
        self._number = number
        self.is_done = threading.Event()
        self.may_end = threading.Event()

    def run(self) -> None:
        self._native.close()
        signal.pthread_sigmask(signal.SIG_BLOCK, {self._number})
        self.is_done.set()
        self.may_end.wait()


def _new_lock() -> None:
    """In a forked child: a thread of the parent may have held it."""
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)
