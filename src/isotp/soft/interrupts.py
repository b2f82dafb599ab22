"""Ctrl-C, put off while a bus is between two states.

A turn of the hub hands frames from one place to the next; an exception between any two lines of it would lose some.
The interpreter runs signal handlers in the main thread between any two instructions, and the handler of Ctrl-C
raises. Where a program has installed a handler of its own that raises, a turn is repeated as well as it can be.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C within the block at its end."""
    if threading.current_thread() is not threading.main_thread() or (
        signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    came = []
    try:
        signal.signal(signal.SIGINT, lambda *_: came.append(True))
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if came:
            raise KeyboardInterrupt
