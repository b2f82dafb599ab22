"""How the benchmarks measure and what they print.

Contenders run one after the other, round after round. A time is the median of its rounds, a ratio the median of the
ratios in each round. So other work of the machine slows all contenders equally, and ratios depend on it less than times
do. can-isotp 2 has the same import name as this package, so it runs in a process of its own.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Generic, TypeVar

SRC = str(Path(__file__).parents[1] / "src")

Key = TypeVar("Key")

RECORDING: Final = "ISOTP_BENCH_RECORDING"
"""With this in the environment each figure is also printed as JSON, on a line that begins with MARK."""
MARK: Final = "#json "

GENERATIONS = 3  # how often the processes are started: times also depend on the memory layout of a process

Transfer = Callable[[bytes], bytes]
"""Sends a message at one end and returns what the other end received."""


def message(size: int) -> bytes:
    return bytes(i & 0xFF for i in range(size))


def seconds_per_message(transfer: Transfer, size: int, count: int) -> float:
    data = message(size)
    assert transfer(data) == data
    begin = perf_counter()
    for _ in range(count):
        transfer(data)
    return (perf_counter() - begin) / count


def serve(transfer: Transfer) -> None:
    """Run a round for each line on stdin (size of a message, number of messages) and print seconds per message."""
    for line in sys.stdin:
        size, count = map(int, line.split())
        print(seconds_per_message(transfer, size, count), flush=True)


class Times(Generic[Key]):
    """The time of each contender in each round, in seconds."""

    def __init__(self) -> None:
        self._rounds: dict[Key, list[float]] = {}

    def add(self, contender: Key, seconds: float) -> None:
        """Add the time of a round."""
        self._rounds.setdefault(contender, []).append(seconds)

    def medians(self) -> dict[Key, float]:
        """The median of each contender."""
        return {contender: statistics.median(seconds) for contender, seconds in self._rounds.items()}

    def ratio(self, one: Key, other: Key) -> float:
        """The time of `one`, divided by the time of `other`."""
        return statistics.median(a / b for a, b in zip(self._rounds[one], self._rounds[other], strict=True))


def in_processes(
    paths: Mapping[str, str], counts: Mapping[int, int], rounds: int, alone: bool = False
) -> Times[tuple[str, int]]:
    """Time per message of each contender and size.

    Args:
        paths: PYTHONPATH of each contender; the running script calls `serve` for it when started with `--serve NAME`.
        counts: the sizes, and how many messages of each are in a round.
        rounds: how many rounds.
        alone: whether a contender runs while no other one does: where one takes time though it has nothing to do.
    """
    times: Times[tuple[str, int]] = Times()
    for _ in range(GENERATIONS):
        for together in [{name: path} for name, path in paths.items()] if alone else [paths]:
            contenders = {name: _start(name, path) for name, path in together.items()}
            try:
                for _ in range(-(-rounds // GENERATIONS)):
                    for size, count in counts.items():
                        for name, contender in contenders.items():
                            times.add((name, size), _round(contender, size, count))
            finally:
                for contender in contenders.values():
                    contender.communicate()
    return times


def _start(name: str, path: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, sys.argv[0], "--serve", name],
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _round(contender: "subprocess.Popen[str]", size: int, count: int) -> float:
    assert contender.stdin is not None
    assert contender.stdout is not None
    print(size, count, file=contender.stdin, flush=True)
    return float(contender.stdout.readline())


def in_turn(contenders: Mapping[Key, Callable[[], float]], rounds: int) -> Times[Key]:
    """The times that the contenders return, in rounds."""
    times: Times[Key] = Times()
    for _ in range(rounds):
        for key, one_round in contenders.items():
            times.add(key, one_round())
    return times


class Report:
    """Prints a table line by line, and counts the targets that were missed."""

    def __init__(self, title: str) -> None:
        self.missed = 0
        self._title = title
        print(f"\n{title}", flush=True)

    def _record(self, what: str, value: float, **more: Any) -> None:
        if os.environ.get(RECORDING):
            given = {name: one for name, one in more.items() if one is not None}
            print(MARK + json.dumps({"table": self._title, "what": what, "value": value, **given}), flush=True)

    def time(self, what: str, seconds: float) -> None:
        text = f"{seconds * 1e3:.1f} ms" if seconds >= 0.01 else f"{seconds * 1e6:.1f} us"
        print(f"  {what:58}{text:>12}", flush=True)
        self._record(what, seconds, unit="s")

    def figure(self, what: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
        """One line with its target and whether it was met."""
        text = f"{value:.2f}" if value < 1000 else f"{value:.0f}"
        met = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
        limit = "" if at_least is at_most is None else f"at {'least' if at_most is None else 'most'} "
        if limit:
            limit += f"{at_most if at_least is None else at_least:g}: {'met' if met else 'MISSED'}"
        self.missed += not met
        print(f"  {what:58}{text:>12}  {limit}".rstrip(), flush=True)
        self._record(what, value, at_least=at_least, at_most=at_most)
