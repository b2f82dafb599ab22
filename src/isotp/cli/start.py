"""The program `isotp`: it says what is wrong where files of this package are missing or of another distribution."""

import sys


def main() -> int:
    """Run the command line; returns its exit status."""
    try:
        from .main import main as run

        return run()
    except ImportError:
        from ..checkup.installation import clash

        if (found := clash()) is None:
            raise
        print(f"isotp: {found[0]}\n  to do: {found[1]}", file=sys.stderr)
        return 1
