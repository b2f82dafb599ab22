"""Hub: serves all links of a bus. It carries frames between the bus and the engines, one turn at a time.

A turn receives a batch of frames, handles the timers that are due, and lets each link concerned send frames and report
events. A turn is bounded: however dense the traffic is, the driver soon gets to the calls that wait for it. The hub has
no lock and no thread: only its driver calls it (`ThreadDriver`, `LoopDriver`, or a test).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Protocol

from ..address import CanAddress
from ..bus.base import NOTHING, Bus, monotonic_ns
from ..can_frame import CanFrame
from ..engine.engine import Engine
from ..engine.events import TransferFailed
from ..engine.params import Params
from ..errors import InterfaceError, InterfaceNotFoundError, N_Result, OptionError
from ..linux.timerfd import NEVER
from .deadlines import Deadlines
from .link import Link
from .routes import Routes
from .unechoed import Unechoed

_RETRY_NS: Final = 500_000  # until frames are offered again to a full bus; poll() does not show when it has room
_LONGEST_TURN_NS: Final = 5_000_000
_FRAMES_A_TURN: Final = 1024  # of one link
_AHEAD_NS: Final = (
    100_000  # a frame that waits for STmin is made so long before it is due: a sleep ends later than asked
)
_GRACE_NS: Final = 20_000_000  # how late a timer may be while earlier frames may still wait to be received


class Driver(Protocol):
    """What calls `Hub.turn`, as the hub sees it."""

    def wake(self) -> None:
        """Frames have arrived: make a turn soon. This method alone is called from any thread."""

    def start(self) -> None:
        """The bus is open: make a turn when it is readable and when `next_ns` is due."""

    def stop(self) -> None:
        """The bus is about to be closed."""

    def call_later(self, callback: Callable[[], None]) -> None:
        """Call `callback`, which is the application's, after the turn."""


class Hub:
    """Serves the links of one bus.

    Args:
        bus: sends and receives the frames; only this hub calls it.
        clock: returns monotonic nanoseconds; that of the bus, or it raises TypeError.
        driver: calls the hub.
        time_ns: returns nanoseconds since the epoch, for time stamps.
    """

    def __init__(
        self, bus: Bus, clock: Callable[[], int], driver: Driver, time_ns: Callable[[], int] = time.time_ns
    ) -> None:
        if bus.clock is not clock:
            raise TypeError(f"{bus!r} is in simulated time: sockets on it are SimulatedSocket, ECUs a Car")
        self.bus = bus
        self.clock = clock
        self.time_ns = time_ns
        self.driver = driver
        self._has_sent = False  # in this turn
        self._has_descriptor = False  # of the open bus
        self.is_open = False
        self._failure: InterfaceError | None = None  # why the bus was given up
        self._links: dict[Link, None] = {}
        self._routes = Routes()
        self._strangers: dict[Callable[[CanFrame], object], frozenset[int]] = {}
        self._unechoed = Unechoed()
        self._touched: dict[Link, None] = {}
        self._blocked: dict[Link, None] = {}
        self._looped: list[CanFrame] = []  # on a bus without echo: frames sent, for the other links of this hub
        self._looped_ns: list[int] = []  # when each of them was sent
        self._deadlines = Deadlines()
        # In simulated time a sleep is exact, and no time passes while a turn is made.
        self._ahead_ns = _AHEAD_NS if clock is monotonic_ns else 0

    # --- links

    @property
    def has_links(self) -> bool:
        """Whether any link is served."""
        return bool(self._links)

    def listeners(self, rx: CanAddress | None) -> int:
        """How many links answer frames with the address `rx`."""
        return sum(not link.engine.params.listen_only for link in self._routes.at(rx))

    def add(self, link: Link) -> None:
        """Serve `link` from now on; the first one opens the bus.

        Raises:
            InterfaceError: the bus cannot be opened.
            OptionError: the link uses CAN FD and the bus is Classical CAN.
        """
        if not self._links:
            self._failure = None
            self._open()
        elif self._failure is not None:
            raise self.failure()
        link.hub = self
        self._links[link] = None
        self._routes.add(link)
        try:
            self.bus.check()
            if link.engine.params.can_fd and not self.bus.has_can_fd:
                raise OptionError(
                    f"the socket is set to CAN FD and {self.bus.name} is Classical CAN",
                    remedy="set_ll_opts(mtu=LinkLayerProtocol.CAN, tx_dl=8, tx_flags=0)",
                )
            self._watch()
        except BaseException:
            self.remove(link)
            raise

    def remove(self, link: Link) -> None:
        """Stop serving `link`; the last one closes the bus."""
        if link not in self._links:
            return
        del self._links[link]
        self._routes.remove(link)
        self._unechoed.forget(link, lambda _: True)
        self._deadlines.forget(link)
        self._touched.pop(link, None)
        self._blocked.pop(link, None)
        if not self._links:
            self._close()
        elif self.is_open:
            self._watch()

    def _watch(self) -> None:
        can_ids = self._routes.can_ids
        self.bus.watch(frozenset(can_ids).union(*self._strangers.values()) if self._strangers else can_ids)

    def admit(self, can_ids: Iterable[int], stranger: Callable[[CanFrame], object]) -> None:
        """Call `stranger` with each frame of these identifiers, before the links receive it, until `dismiss`.

        It may add a link, which then receives this frame.
        """
        self._strangers[stranger] = frozenset(can_ids)
        self._watch()

    def dismiss(self, stranger: Callable[[CanFrame], object]) -> None:
        """Undo `admit`."""
        self._strangers.pop(stranger, None)
        if self.is_open:
            self._watch()

    def _open(self) -> None:
        self.bus.open(self.driver.wake)
        self.is_open = True
        self._has_descriptor = self.bus.fileno() >= 0
        try:
            self.driver.start()
        except BaseException:  # no descriptor left
            self._close()
            raise

    @property
    def has_work_left(self) -> bool:
        """Whether to make the next turn at once."""
        return self.is_open and bool(self._has_sent or self._looped or self._touched)

    def _close(self) -> None:
        self._deadlines = Deadlines()
        self._touched.clear()
        self._looped.clear()
        self._looped_ns.clear()
        if self.is_open:
            self.is_open = False
            self.driver.stop()
            self.bus.close()

    # --- failures

    def fail(self, e: BaseException) -> None:
        """Give up the bus: report `e` to each link, and close the bus."""
        what = e.what if isinstance(e, InterfaceError) else f"{self.bus.name} failed: {type(e).__name__}: {e}"
        self._failure = InterfaceError(what, remedy="close all sockets of this bus, bind new ones")
        self._failure.__cause__ = e
        for link in tuple(self._links):
            link.on_bus_failure(self.failure())
        try:
            self._close()
        except Exception as closing:  # what the bus failed with says more
            self._failure.add_note(f"it could not be closed either: {type(closing).__name__}: {closing}")

    def forked(self) -> None:
        """Give up the bus, in a child process: it stays with the parent."""
        self.is_open = False
        self._failure = InterfaceError("a fork does not take the sockets of a bus along", remedy="make new ones here")
        for link in self._links:
            link.on_fork()

    @property
    def has_failed(self) -> bool:
        """Whether the bus was given up."""
        return self._failure is not None

    def failure(self) -> InterfaceError:
        """A new error that says why the bus was given up; only after it was."""
        assert self._failure is not None
        return _again(self._failure)

    def _interrupt(self, e: InterfaceError) -> None:
        """Report `e` to each link: messages being sent and received are lost. The bus stays open and may recover."""
        self._blocked.clear()
        self._touched.clear()
        self._has_sent = False
        for link in tuple(self._links):
            link.held.clear()
            self._unechoed.forget(link, lambda _: True)
            link.on_bus_failure(_again(e))

    # --- a turn

    def call_later(self, callback: Callable[[], None]) -> None:
        """Make a callback of the application after the turn."""
        self.driver.call_later(callback)

    def touch(self, link: Link) -> None:
        """Let the next turn, which is due now, ask `link` for frames and events."""
        self._touched[link] = None

    def turn(self, readable: bool = True) -> None:
        """Do what is due, for some milliseconds at most; `readable`: frames may have arrived."""
        if not self.is_open:
            return
        try:
            self._turn(readable)
        except InterfaceNotFoundError as e:
            self.fail(e)
        except InterfaceError as e:
            self._interrupt(e)
        except Exception as e:
            self.fail(e)

    def _turn(self, readable: bool) -> None:
        frames, echoes, echoed_ns, time_ns = self.bus.receive() if readable else NOTHING
        now = self.clock()
        if echoes:
            self._confirm(echoes, now if echoed_ns is None else min(now, echoed_ns))
        if frames:
            self._dispatch(frames, now, time_ns)
        has_news = bool(frames or echoes or self._looped)
        if self._looped:
            looped, times_ns = self._looped, self._looped_ns
            self._looped, self._looped_ns = [], []
            self._dispatch(looped, now, times_ns.__getitem__)
        # A frame that arrived before a timer was due goes first, and may still wait in the next batch.
        for link in self._deadlines.take(now - _GRACE_NS if has_news else now):
            link.engine.handle_timer(now)
            self._touched[link] = None
        due = deque({**self._touched, **self._blocked})
        self._touched, self._has_sent = {}, False
        while due and self.clock() - now <= _LONGEST_TURN_NS:
            self._pump(due.popleft(), now)
        self._touched.update(dict.fromkeys(due))

    def _confirm(self, echoes: Iterable[CanFrame], now: int) -> None:
        for link, confirmed in self._unechoed.take_all(echoes).items():
            link.engine.frame_sent(now, confirmed)
            link.moved_ns = now
            self._touched[link] = None

    def _dispatch(self, frames: Sequence[CanFrame], now: int, time_ns: Callable[[int], int] | None) -> None:
        touched = self._touched
        for stranger, can_ids in self._strangers.items():
            for frame in frames:
                if frame.can_id in can_ids:
                    stranger(frame)
        begin = 0
        for links, together in self._routes.runs(frames):
            of_run = partial(_shifted, time_ns, begin) if time_ns and begin else time_ns
            for link in links:
                link.engine.receive_frames(together, now, of_run)
                touched[link] = None
            begin += len(together)

    def _pump(self, link: Link, now: int) -> None:
        """Send the frames of `link` that are due, report its events, and set its deadline."""
        self._send(link, now)
        engine = link.engine
        while (event := engine.next_event()) is not None:
            if isinstance(event, TransferFailed) and event.n_result is N_Result.N_TIMEOUT_A:
                self._give_up(link, event)
            link.on_event(event)
        due_ns, ready_ns = engine.get_timer(), engine.next_frame_ns
        if ready_ns is not None:
            due_ns = ready_ns - self._ahead_ns
        if due_ns is not None:
            self._deadlines.arm(link, due_ns)

    def _send(self, link: Link, now: int) -> None:
        engine = link.engine
        if (link.held or link.unechoed) and now > link.moved_ns + _longest_ns(engine.params):
            # N_As and N_Ar do not cover every frame (an OVFLW, for one). The others may wait just as long.
            link.held.clear()
            self._unechoed.forget(link, lambda _: True)
        if link.held:
            link.held = link.held[self._put(link, link.held) :]
        elif not link.unechoed:
            link.moved_ns = now
        if not link.held:
            room = min(_FRAMES_A_TURN, self.bus.window - link.unechoed)
            frames = self._frames_ahead(engine, now) or engine.frames_to_send(now, room)
            if frames:
                link.held = frames[self._put(link, frames) :]
            if 0 < len(frames) == room:  # there may be more
                self._touched[link] = None
        if link.held:
            self._blocked[link] = None
        else:
            self._blocked.pop(link, None)

    def _frames_ahead(self, engine: Engine, now: int) -> list[CanFrame]:
        """The frame that is soon due by STmin, at the moment it is due: the last microseconds are not slept."""
        ready_ns = engine.next_frame_ns
        if ready_ns is None or not now < ready_ns <= now + self._ahead_ns:
            return []
        frames = engine.frames_to_send(ready_ns, 1)
        while self.clock() < ready_ns:
            pass
        return frames

    def _put(self, link: Link, frames: list[CanFrame]) -> int:
        """Offer frames to the bus; returns how many it took."""
        taken = self.bus.send(frames)
        if not taken:
            return 0
        self._has_sent = True  # on a VirtualBus the frames may have arrived already
        sent = frames if taken == len(frames) else frames[:taken]
        if self.bus.echoes:
            self._unechoed.add(link, sent)
        else:
            # `send` may have taken a while, and STmin begins when the bus has taken the frame.
            link.moved_ns = now = self.clock()
            link.engine.frame_sent(now, taken)
            self._looped += sent
            self._looped_ns += [self.time_ns()] * taken
        return taken

    def _give_up(self, link: Link, failed: TransferFailed) -> None:
        """N_As or N_Ar is over: drop the frames of that message that were not sent yet."""
        link.held = [frame for frame in link.held if not link.belongs_to(frame, failed)]
        self._unechoed.forget(link, lambda frame: link.belongs_to(frame, failed))

    def next_ns(self) -> int:
        """When the next turn is due even if no frame arrives, in nanoseconds; NEVER: no timer runs."""
        if self.has_work_left:
            return self.clock()
        due_ns = self._deadlines.next_ns
        bus_ns = self.bus.get_timer() if self.is_open else None
        if bus_ns is not None:
            due_ns = min(due_ns, bus_ns)
        if self._blocked:
            due_ns = min(due_ns, self.clock() + _RETRY_NS)
        return due_ns

    def must_read(self) -> bool:
        """Whether to receive although no descriptor is readable: the bus has none, or a timer is due."""
        if not self.is_open or not self._has_descriptor:
            return self.is_open
        bus_ns = self.bus.get_timer()
        return min(self._deadlines.next_ns, NEVER if bus_ns is None else bus_ns) <= self.clock()


def _again(error: InterfaceError) -> InterfaceError:
    """A copy of `error`: each link raises an object of its own."""
    new = type(error)(error.what, remedy=error.remedy, errno=error.errno)
    new.__cause__ = error.__cause__
    return new


def _shifted(time_ns: Callable[[int], int], begin: int, index: int) -> int:
    return time_ns(begin + index)


def _longest_ns(params: Params) -> int:
    """How long a frame may wait for the bus."""
    return max(params.n_as_ns, params.n_ar_ns)
