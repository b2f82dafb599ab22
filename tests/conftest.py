"""What all tests need."""

import signal


def pytest_configure() -> None:
    """Take Ctrl-C, and let programs that tests start take it: a background job of a shell ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
