"""FakeClock: simulated time. What waits by it does not wait: it does what is due until then, and sets the clock on."""

import threading
from collections.abc import Callable
from typing import Protocol

from ..deadline import NEVER, NOW, Deadline
from ..errors import BusyError, IsoTpError
from ..linux.timerfd import NEVER as NEVER_NS


class NothingDueError(IsoTpError):
    """A call waits without time limit, and nothing is due any more on its clock: it would wait for ever."""


class Timed(Protocol):
    """What does its work by a `FakeClock`: a bus with its sockets, or a simulated ECU."""

    def do_due(self) -> bool:
        """Do what is due now; returns whether there was anything."""

    def due_ns(self) -> int:
        """When something is due next, in nanoseconds; NEVER (2**63 - 1): not before something else happens."""


class FakeClock:
    """Simulated time, in place of `time`: it begins at 0 and goes on only while a call waits.

    `VirtualBus(clock=FakeClock())` is a bus in simulated time, for `SimulatedSocket` and `Car`. Everything happens in
    the thread that makes the calls, in the same order each time. Other threads must not use what is on this clock, and
    `time.sleep` does not move it: `sleep` does.
    """

    def __init__(self) -> None:
        self._now_ns = 0
        self._parts: list[Timed] = []
        self._is_working = False
        self._thread = threading.get_ident()

    def __call__(self) -> int:
        """The time in nanoseconds, as a bus wants it."""
        return self._now_ns

    def monotonic(self) -> float:
        """The time in seconds."""
        return self._now_ns / 1e9

    time = monotonic

    def monotonic_ns(self) -> int:
        """The time in nanoseconds."""
        return self._now_ns

    time_ns = monotonic_ns

    def __repr__(self) -> str:
        return f"<isotp.testing.FakeClock at {self.monotonic():.6f} s>"

    def sleep(self, seconds: float) -> None:
        """Let so many seconds go by; what is due meanwhile is done.

        Raises:
            ValueError: `seconds` is negative.
        """
        if not seconds >= 0:
            raise ValueError(f"seconds={seconds!r}: allowed is 0 or more")
        self.wait(lambda: False, seconds)

    # --- for what is on this clock

    @property
    def is_working(self) -> bool:
        """Whether something that is due is being done: a call cannot wait then."""
        return self._is_working

    def add(self, part: Timed) -> None:
        """Let `part` do what is due from now on."""
        self._parts.append(part)

    def remove(self, part: Timed) -> None:
        """Undo `add`."""
        self._parts.remove(part)

    def do_due(self) -> None:
        """Do all that is due now, if it is not being done already; BusyError in another thread than the clock's."""
        if threading.get_ident() != self._thread:
            raise BusyError(
                "simulated time goes on in one thread, and this is another one",
                remedy="make the clock, the sockets and the calls in the same thread; with threads use SoftSocket",
            )
        if self._is_working:
            return
        self._is_working = True
        try:
            while any(part.do_due() for part in tuple(self._parts)):
                pass
        finally:
            self._is_working = False

    def wait(self, is_over: Callable[[], bool], seconds: float | None) -> None:
        """Do what is due and set the clock on, until `is_over()`, for `seconds` at most; None: without limit.

        Raises:
            BusyError: it is called by what is being done.
            NothingDueError: nothing is due any more, and there is no limit.
        """
        if self._is_working:
            raise BusyError("a callback or an ECU's function cannot wait: time goes on when it has returned")
        end_ns = None if seconds is None else self._now_ns + round(seconds * 1e9)
        while True:
            self.do_due()
            if is_over():
                return
            due_ns = min((part.due_ns() for part in self._parts), default=NEVER_NS)
            if end_ns is not None and end_ns < due_ns:
                self._now_ns = max(self._now_ns, end_ns)
                return
            if due_ns == NEVER_NS:
                raise NothingDueError(
                    f"nothing will ever happen: at {self.monotonic():g} s of simulated time this call waits without a "
                    "timeout, no frame is under way and no timer runs",
                    remedy="give the socket a timeout, or let an ECU answer",
                )
            self._now_ns = max(self._now_ns, due_ns)

    def deadline(self, seconds: float | None) -> Deadline:
        """The deadline of a call, see `Deadline.after`."""
        if seconds is None:
            return NEVER
        return _FakeDeadline(self, self.monotonic() + seconds) if seconds else NOW


class _FakeDeadline(Deadline):
    """A deadline on a `FakeClock`."""

    __slots__ = ("_clock",)

    def __init__(self, clock: FakeClock, at: float) -> None:
        super().__init__(at)
        self._clock = clock

    def left(self) -> float:
        """See `Deadline`."""
        assert self.at is not None
        return max(0.0, self.at - self._clock.monotonic())

    def has_passed(self) -> bool:
        """See `Deadline`."""
        return self.left() == 0
