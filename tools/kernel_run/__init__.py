"""Run a command inside a real Linux kernel with ISO-TP: see ``tools/kernel-run --help``.

``cli`` reads the options, ``netns`` tries this machine's own kernel, ``vm`` starts QEMU,
``guest`` is what runs in it, ``kernels`` and ``apt`` get the kernel, ``needs`` the programs.
"""

from __future__ import annotations

import sys

NOT_RUN = 125
TIMED_OUT = 124


class NotRunError(Exception):
    """The command could not be run; the message says why and what mends it."""


class StoppedError(Exception):
    """kernel-run itself was told to stop by the signal ``signum``."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def say(text: str) -> None:
    """One line on stderr, told apart from the command's own."""
    print(f"kernel-run: {text}", file=sys.stderr, flush=True)
