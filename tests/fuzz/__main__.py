"""Random input for so many minutes, with seeds that are printed; what fails is kept in the corpus."""

import argparse
import hashlib
import random
import signal
import sys
import time
import traceback
from typing import Final, NoReturn

from hypothesis import HealthCheck, Phase, given, seed, settings

from .inputs import inputs
from .targets import CORPUS, TARGETS

_EXAMPLES: Final = 300  # of a target, with one seed
_LONGEST_S: Final = 30  # for one input; more is a fault


class TooLongError(Exception):
    """An input took too long."""


def _too_long(*_: object) -> NoReturn:
    raise TooLongError(f"no end after {_LONGEST_S} s")


def run(target: str, number: int) -> bytes | None:
    """Feed a target with what this seed makes; returns the shortest input that fails."""
    failed: bytes | None = None

    @seed(number)
    @settings(
        max_examples=_EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(inputs(target))
    def feed(data: bytes) -> None:
        nonlocal failed
        signal.alarm(_LONGEST_S)
        try:
            TARGETS[target](data)
        except Exception:
            failed = data
            raise
        finally:
            signal.alarm(0)

    try:
        feed()
    except Exception:
        traceback.print_exc()
        return failed
    return None


def main() -> int:
    """Exit status: 0 if nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5, help="how long (default: 5)")
    parser.add_argument("--seed", type=int, help="run just this one, as a failure prints it")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"any of {', '.join(TARGETS)} (default: all)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_long)
    if unknown := set(arguments.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(unknown)}")
    targets = arguments.targets or list(TARGETS)
    until = time.monotonic() + 60 * arguments.minutes
    rounds = failures = 0
    while (rounds == 0 or time.monotonic() < until) and failures < len(targets):
        number = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
        for target in list(targets):
            print(f"--seed {number} {target}", flush=True)
            if (failed := run(target, number)) is not None:
                failures += 1
                targets.remove(target)
                path = CORPUS / target / f"found-{hashlib.sha256(failed).hexdigest()[:8]}"
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(failed)
                print(f"FAILED: python -m tests.fuzz --seed {number} {target}; the input is {path}", flush=True)
        rounds += 1
        if arguments.seed is not None:
            break
    print(f"{rounds} rounds of {_EXAMPLES} inputs for each target; {failures} failed")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
