"""The report of a run: how many cases passed, and what happened in those that did not."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .runner import Result, Verdict

_TAIL: Final = 12  # lines of a trace that are shown


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run against one subject. `str` is the report in words, `as_dict` is for JSON."""

    subject: str
    results: Sequence[Result]

    @property
    def counts(self) -> dict[Verdict, int]:
        """How many cases have each verdict."""
        have = Counter(result.verdict for result in self.results)
        return {verdict: have[verdict] for verdict in Verdict}

    @property
    def has_passed(self) -> bool:
        """Whether a case passed and none failed."""
        return bool(self.counts[Verdict.PASSED]) and not self.counts[Verdict.FAILED]

    def summary(self) -> str:
        """The counts in a line."""
        counts = ", ".join(f"{count} {verdict.value}" for verdict, count in self.counts.items())
        return f"{self.subject}: {len(self.results)} cases: {counts}"

    def lines(self, shows_all: bool = False) -> Iterator[str]:
        """What did not pass, with what happened; `shows_all`: every case."""
        for result in self.results:
            if result.verdict in (Verdict.FAILED, Verdict.DIFFERS) or shows_all:
                yield from case_lines(result)
        for why, count in self.not_applicable().items():
            yield f"not applicable: {count}, {why}"
        yield self.summary()

    def not_applicable(self) -> dict[str, int]:
        """For which reasons cases were left out, and how many for each."""
        return dict(Counter(one.reason for one in self.results if one.verdict is Verdict.NOT_APPLICABLE))

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def as_dict(self) -> dict[str, Any]:
        """The report for JSON."""
        return {
            "subject": self.subject,
            "counts": {verdict.name.lower(): count for verdict, count in self.counts.items()},
            "cases": [
                {
                    "name": one.case.name,
                    "clause": one.case.clause,
                    "what": one.case.what,
                    "verdict": one.verdict.name.lower(),
                    "reason": one.reason,
                    "trace": list(one.trace),
                }
                for one in self.results
            ],
        }


def case_lines(result: Result) -> Iterator[str]:
    """One case: the requirement, the end of what happened with times in milliseconds, and what was expected."""
    case = result.case
    yield f"{result.verdict.value}: {case.name} (ISO 15765-2:2016, {case.clause})"
    if result.verdict is Verdict.PASSED:
        return
    yield f"    {case.what} Subject: {case.setup}."
    if case.allows:
        yield f"    allowed: {case.allows}"
    if len(result.trace) > _TAIL:
        yield f"    ... {len(result.trace) - _TAIL} more before"
    yield from (f"    {line}" for line in result.trace[-_TAIL:])
    yield f"    {result.reason}"
