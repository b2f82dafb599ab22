"""What all tests need."""

import signal

from hypothesis import HealthCheck, settings


def pytest_configure() -> None:
    """Take Ctrl-C, and let programs that tests start take it: a background job of a shell ignores it.

    No example of hypothesis fails for being slow, on a machine that does other things as well.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("isotp", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("isotp")
