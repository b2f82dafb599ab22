"""The signals that end a command with an event loop."""

import asyncio
import signal


def catch_signals(loop: asyncio.AbstractEventLoop, signalled: "asyncio.Future[int]") -> None:
    """Put the number of the first SIGINT, SIGTERM or SIGHUP into `signalled`."""

    def end(number: int) -> None:
        if not signalled.done():
            signalled.set_result(number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it
            try:
                loop.add_signal_handler(number, end, number)
            except NotImplementedError:  # not on Windows: there Ctrl-C raises
                return
