"""Programs that tests start, and what they listen to."""

import faulthandler
import gc
import os
import signal
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from isotp.cli.main import main

from ..waiting import until

ISOTP: Final = (sys.executable, "-m", "isotp")


def starting(command: Sequence[str], **environment: str) -> dict[str, Any]:
    """What Popen and subprocess.run need to start a program that Ctrl-C ends.

    A new Python takes seconds in an emulated machine. So `ISOTP ...` is not executed: it runs in Popen's own fork,
    where its command is imported. tests/cli starts the commands as users do.
    """
    is_ours = tuple(command[: len(ISOTP)]) == ISOTP
    if is_ours:
        import_module(f"isotp.cli.commands.{command[len(ISOTP)]}")

    def ready() -> None:
        os.environ.update(environment)
        if is_ours:
            _become_isotp(command[len(ISOTP) :])

    return {"args": command, "preexec_fn": ready}


class Programs:
    """Starts programs, and kills at the end those that still run."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[Any]] = []

    def start(self, command: Sequence[str], ready: Callable[[], object], **how: Any) -> subprocess.Popen[Any]:
        """Start a program and wait until `ready()`; `how`: as for Popen."""
        process = subprocess.Popen(**starting(command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)
        self._started.append(process)
        try:
            until(lambda: ready() or process.poll() is not None)
        except AssertionError:
            process.send_signal(signal.SIGABRT)  # one of ours says where it is
            raise AssertionError(process.communicate()) from None
        assert process.poll() is None, process.communicate()
        return process

    def close(self) -> None:
        for process in self._started:
            with process:
                process.kill()


Start = Callable[..., subprocess.Popen[Any]]


def listeners(interface: str, who: str) -> int:
    """How many receivers of a kind the kernel has for the interface."""
    lists = Path("/proc/net/can").glob("rcvlist_*")
    lines = [line.split() for path in lists for line in path.read_text().splitlines()]
    return sum(fields[:1] == [interface] and fields[-1] == who for fields in lines)


def _become_isotp(arguments: Sequence[str]) -> None:
    """Be a process that has just started, run the command, and end."""
    status = 1
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # Popen sees that as the success of exec
        gc.freeze()  # what had those descriptors must not close ours
        gc.enable()
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        sys.argv = ["isotp", *arguments]
        sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 - until the end
        sys.stderr = open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
        faulthandler.enable()
        status = main(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
