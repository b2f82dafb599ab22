"""Run a command inside a real Linux kernel with ISO-TP: see ``isotp-kernel --help``.

``cli`` reads the options, ``netns`` runs the command on this machine's kernel, ``vm`` starts QEMU, ``guest`` has the
scripts that run in it, ``kernels`` and ``apt`` get the kernel, ``needs`` the programs.
"""

from __future__ import annotations

import sys

NOT_RUN = 125
TIMED_OUT = 124


class NotRunError(Exception):
    """The command could not be run; the message says why and what to do."""


class StoppedError(Exception):
    """isotp-kernel itself received the signal ``signum``."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def say(text: str) -> None:
    """Print a line on stderr that says it is from isotp-kernel."""
    print(f"isotp-kernel: {text}", file=sys.stderr, flush=True)
