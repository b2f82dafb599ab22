"""The program `isotp-kernel`, which is `python -m isotp.testing.kernel`, too."""

from __future__ import annotations

import sys

from . import NOT_RUN, say


def main() -> int:
    """Run the command line; returns its exit status."""
    if sys.platform != "linux":
        say(f"needs Linux, and this is {sys.platform}; tests on a VirtualBus run here: see docs/ci.md")
        return NOT_RUN
    from .cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
