"""What became of each message, and whether that is explained."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import isotp

_SHOWN: Final = 20
_LONGEST_SINGLE: Final = 62  # the loss of a single frame is known to nobody

Outcome = bytes | Exception


@dataclass
class Record:
    """What happened on some links."""

    counts: Counter[str] = field(default_factory=Counter)
    """How often each kind of thing happened."""
    unexplained: list[str] = field(default_factory=list)
    """What must not happen: the first cases, in words."""

    def add(self, other: "Record") -> None:
        """Take over what happened elsewhere."""
        self.counts += other.counts
        self.unexplained += other.unexplained

    def complain(self, what: str) -> None:
        """Note something that must not happen."""
        self.counts["unexplained"] += 1
        if len(self.unexplained) < _SHOWN:
            self.unexplained.append(what)

    def judge(
        self, link: str, message: bytes, failure: Exception | None, received: Sequence[Outcome], causes: Sequence[str]
    ) -> None:
        """Note a message that was sent.

        Args:
            link: where, for the text.
            message: what was sent.
            failure: what `send` raised.
            received: what the other end got, and what it raised.
            causes: what was done to this link meanwhile: frames lost, a close, an interface that went down.
        """
        self.counts["messages"] += 1
        whole = [one for one in received if isinstance(one, bytes)]
        errors = [one for one in received if not isinstance(one, bytes)]
        is_exact = whole == [message] and not errors and failure is None
        self.counts["exact" if is_exact else "sender was told" if failure else "receiver was told or has it"] += 1
        for one in (failure, *errors):
            if one is not None:
                self.counts[type(one).__name__] += 1
        if problem := _problem(message, failure, whole, errors, causes):
            told = ", ".join(repr(one) if isinstance(one, Exception) else f"{len(one)} bytes" for one in received)
            self.complain(f"{link}: {problem}; {len(message)} bytes, {failure!r}; arrived: {told}; {causes[:5]}")


def _problem(
    message: bytes, failure: Exception | None, whole: list[bytes], errors: list[Exception], causes: Sequence[str]
) -> str:
    for error in (failure, *errors):
        if error is not None and not isinstance(error, isotp.IsoTpError | TimeoutError):
            return "an error of the wrong kind"
    if any(one != message for one in whole):
        return "wrong bytes"
    if "close" in causes or any(cause.startswith("outage") for cause in causes):
        return ""  # the receiver is told by other errors
    if causes:
        is_silent = failure is None and not whole and not errors
        return "a long message vanished in silence" if is_silent and len(message) > _LONGEST_SINGLE else ""
    if failure is not None or errors:
        return "a failure without a cause"
    return "" if len(whole) == 1 else f"it arrived {len(whole)} times"
