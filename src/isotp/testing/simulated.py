"""SimulatedSocket: an ISO-TP socket whose waits set a `FakeClock` on. It is SoftSocket with another driver."""

from collections import deque
from collections.abc import Callable

from ..bus.base import Bus
from ..deadline import NOW, Deadline
from ..engine.events import Event
from ..linux.timerfd import NEVER
from ..sockets import LINGER_S, MSG_DONTWAIT
from ..soft.driver import ThreadlessDriver
from ..soft.end import INBOX_BYTES
from ..soft.hub import Hub
from ..soft.link import Link
from ..soft.request import Wakeup
from ..soft.socket import SoftSocket
from .clock import FakeClock


def clock_of(bus: object) -> FakeClock | None:
    """The simulated clock of a bus; None if it has none."""
    clock = getattr(bus, "clock", None)
    return clock if isinstance(clock, FakeClock) else None


class SimulatedDriver(ThreadlessDriver):
    """Serves the links of one bus in simulated time, in the thread of the calls that wait.

    Args:
        bus: a bus on a `FakeClock` that has no other driver.
    """

    def __init__(self, bus: Bus) -> None:
        clock = clock_of(bus)
        assert clock is not None
        self.hub = Hub(bus, clock, self, clock.time_ns)
        self._clock = clock
        self._is_woken = False
        self._callbacks: deque[Callable[[], None]] = deque()

    # --- see `soft.driver.Driver`

    def abandon(self, link: Link) -> None:
        """Stop serving `link`."""
        self.hub.remove(link)

    def post(self, function: Callable[[], object]) -> None:
        """Call `function`, and do what is due."""
        function()
        self._clock.do_due()

    @property
    def is_current(self) -> bool:
        """Whether what is due is being done: a call cannot wait then."""
        return self._clock.is_working

    # --- see `soft.hub.Driver`

    def wake(self) -> None:
        """Frames have arrived: they are received when the clock is used next."""
        self._is_woken = True

    def start(self) -> None:
        """The bus is open."""
        self._clock.add(self)

    def stop(self) -> None:
        """The bus is about to be closed."""
        self._clock.remove(self)

    def call_later(self, callback: Callable[[], None]) -> None:
        """Call `callback` after the turn."""
        self._callbacks.append(callback)

    # --- see `clock.Timed`

    def do_due(self) -> bool:
        """Make turns until none is due."""
        count = 0
        while self._is_woken or self.hub.next_ns() <= self._clock():
            self._is_woken = False
            self.hub.turn()
            count += 1
            while self._callbacks:
                self._callbacks.popleft()()
        return count > 0

    def due_ns(self) -> int:
        """When the next turn is due."""
        return self.hub.next_ns() if self.hub.is_open else NEVER


class _SimulatedWakeup(Wakeup):
    """A call waits here by its clock."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._is_woken = False

    def wake(self) -> None:
        """See `Wakeup`."""
        self._is_woken = True

    def wait(self, seconds: float | None) -> bool:
        """See `Wakeup`."""
        self._clock.wait(lambda: self._is_woken, seconds)
        was_woken, self._is_woken = self._is_woken, False
        return was_woken


class SimulatedSocket(SoftSocket):
    """An ISO-TP socket in simulated time: the interface and the protocol of `SoftSocket`, and no call ever sleeps.

    While a call waits, the clock of the bus goes on to whatever is due next: a frame that arrives, a timer, an answer
    of a simulated ECU. A timeout of five minutes takes as long as it takes to do what happens in it. A call that waits
    without timeout for what cannot come raises `NothingDueError`. It has no thread; the calls of all sockets on a
    clock are made in the thread that has made the clock.

        clock = isotp.testing.FakeClock()
        sock = isotp.testing.SimulatedSocket(isotp.VirtualBus(clock=clock))

    Args:
        bus: a bus on a `FakeClock`. Any number of SimulatedSockets may share it, and no others.
        timeout: see `SoftSocket`; in simulated seconds.
        rcvbuf: see `SoftSocket`.
        linger: see `SoftSocket`; in simulated seconds.
        on_event: see `SoftSocket`; it is called while a call waits.
        accept: see `SoftSocket`; it is called while a call waits.

    Raises:
        TypeError: `bus` is no bus, or not on a `FakeClock`.
    """

    _driver_kind = SimulatedDriver

    def __init__(
        self,
        bus: Bus,
        timeout: float | None = None,
        *,
        rcvbuf: int = INBOX_BYTES,
        linger: float | None = LINGER_S,
        on_event: Callable[[Event], object] | None = None,
        accept: Callable[[int], bool] | None = None,
    ) -> None:
        clock = clock_of(bus)
        if isinstance(bus, Bus) and clock is None:
            raise TypeError(f"{bus!r} is not in simulated time: VirtualBus(clock=FakeClock()) is")
        super().__init__(bus, timeout, rcvbuf=rcvbuf, linger=linger, on_event=on_event, accept=accept)
        assert clock is not None
        self._clock: FakeClock = clock
        self._deadline_after = clock.deadline

    @property
    def clock(self) -> FakeClock:
        """Its clock."""
        return self._clock

    def _deadline(self, msg_flags: int = 0) -> Deadline:
        return NOW if msg_flags & MSG_DONTWAIT else self._clock.deadline(self.gettimeout())

    def _new_wakeup(self) -> Wakeup:
        return _SimulatedWakeup(self._clock)
