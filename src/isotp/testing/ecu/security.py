"""Security access: service 0x27."""

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from .nrc import Nrc, Refused
from .rules import as_bytes

_SEED_BYTES: Final = 4


@dataclass(slots=True)
class Security:
    """One level of security access: the seed is asked for with an odd sub-function, the key comes with the next one.

    Args:
        key: the key that belongs to a seed: a function of the seed, or bytes that are always right.
        seed: the seed: bytes, a function that returns one, or None: four random bytes, the same in each run.
        attempts: how many wrong keys are allowed before the ECU refuses seeds for a time.
        delay_s: how long it refuses them, in seconds.
        sessions: those in which the level can be unlocked; None: all but the default session.
    """

    key: "Callable[[bytes], bytes] | bytes | str"
    seed: "Callable[[], bytes] | bytes | str | None" = None
    attempts: int = 3
    delay_s: float = 10.0
    sessions: Collection[int] | None = None
    _random: random.Random = field(default_factory=lambda: random.Random(0), repr=False)
    _failed: int = field(default=0, repr=False)
    _locked_until_s: float = field(default=0.0, repr=False)

    def new_seed(self, now_s: float) -> bytes:
        """A seed.

        Raises:
            Refused: there were too many wrong keys.
        """
        if now_s < self._locked_until_s:
            raise Refused(Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED)
        if self.seed is None:
            return self._random.randbytes(_SEED_BYTES)
        return as_bytes(self.seed() if callable(self.seed) else self.seed)

    def check(self, seed: bytes, key: bytes, now_s: float) -> None:
        """Take a key.

        Raises:
            Refused: it is wrong, for the last time allowed or not.
        """
        right = as_bytes(self.key(seed) if callable(self.key) else self.key)
        if key == right:
            self._failed = 0
            return
        self._failed += 1
        if self._failed < self.attempts:
            raise Refused(Nrc.INVALID_KEY)
        self._failed, self._locked_until_s = 0, now_s + self.delay_s
        raise Refused(Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS)
