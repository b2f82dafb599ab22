"""A stack of another project, served to `tools/conformance-scores` as JSON lines on stdin and stdout.

It runs in a process of its own: can-isotp has the import name of this library, which must not be imported here.
"""

import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import Any


class Clock:
    """Time that only moves when it is told to, put in place of Python's before the stack is imported."""

    def __init__(self) -> None:
        self.ns = 1_000_000_000

    def install(self) -> None:
        time.monotonic = time.perf_counter = time.time = lambda: self.ns / 1e9
        time.monotonic_ns = time.perf_counter_ns = time.time_ns = lambda: self.ns
        time.sleep = self.sleep

    def sleep(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


class Stack(ABC):
    """The stack.

    `frames` is what it sent and nobody took yet, `reports` what it reported: (time in ns, ...).
    """

    def __init__(self) -> None:
        self.frames: deque[tuple[int, int, bytes, bool]] = deque()
        self.reports: deque[tuple[int, str, bytes, str]] = deque()

    @abstractmethod
    def open(self, setup: dict[str, Any]) -> None: ...

    def close(self) -> None:  # noqa: B027 - need not be overridden
        pass

    @abstractmethod
    def now(self) -> int: ...

    @abstractmethod
    def feed(self, can_id: int, data: bytes, is_fd: bool) -> None: ...

    @abstractmethod
    def ask(self, data: bytes) -> None: ...

    @abstractmethod
    def step(self, until_ns: int) -> None:
        """Let some time pass, not beyond `until_ns`; what has happened goes to `frames` and `reports`."""

    def wait(self, queue: deque[Any], until_ns: int) -> Any:
        """The next of `queue`; None if there is none until then. It looks once even if that time has passed."""
        while not queue:
            is_over = self.now() >= until_ns
            self.step(until_ns)
            if is_over:
                break
        return queue.popleft() if queue else None


def serve(stack: Stack) -> None:
    """Answer each line on stdin."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the stack prints must not get between
    for line in sys.stdin:
        message = json.loads(line)
        answer: Any = None
        match message.pop("op"):
            case "open":
                stack.frames.clear()
                stack.reports.clear()
                stack.open(message["setup"])
                stack.frames.clear()
                stack.reports.clear()
            case "close":
                stack.close()
            case "now":
                answer = stack.now()
            case "send":
                stack.feed(message["id"], bytes.fromhex(message["data"]), message["fd"])
            case "ask":
                stack.ask(bytes.fromhex(message["data"]))
            case "receive":
                if heard := stack.wait(stack.frames, message["until"]):
                    answer = [heard[0], heard[1], heard[2].hex(), heard[3]]
            case "report":
                if report := stack.wait(stack.reports, message["until"]):
                    answer = [report[0], report[1], report[2].hex(), report[3]]
        out.write(json.dumps(answer) + "\n")
        out.flush()
