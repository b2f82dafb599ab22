"""The hub of a bus: its links, what each of them listens to, their deadlines, and what one turn does.

Theory of operation. A turn takes what has arrived, lets due timers go off, and pumps each link that was touched; on
a bus inside this process that goes on until all is quiet, so a short message is through before `send` returns.
When the next turn is to be made is for the driver: the hub knows when something is due by time alone
(`next_ns`), the bus tells when frames have arrived.

Deadlines are in one heap. A link whose deadline moves later keeps its old entry, and is looked at once in vain: that
is cheaper than an entry for each frame.
"""

import heapq
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Any, Final

from ..bus.base import NOTHING, Bus
from ..core.can_frame import CanFrame
from ..core.events import TransferFailed
from ..errors import InterfaceError, N_Result, OptionError
from .link import Link
from .routes import Routes
from .unechoed import Unechoed

NEVER: Final = 1 << 63
_RETRY_NS: Final = 500_000  # until a full bus is offered frames again; no descriptor tells when a queue has room

_hubs: "weakref.WeakValueDictionary[int, Hub]" = weakref.WeakValueDictionary()  # those that are open, by bus


class Hub(ABC):
    """Serves the links of one bus; a driver derives from it and adds where to wait.

    Args:
        bus: nobody else may drive it.
        clock: monotonic nanoseconds.
    """

    lock: AbstractContextManager[Any]
    """Held during all calls but `wake`."""

    def __init__(self, bus: Bus, clock: Callable[[], int]) -> None:
        self.bus = bus
        self.clock = clock
        self.failure: InterfaceError | None = None
        """Why it has ended, if it has."""
        self._is_open = False
        self._links: dict[Link, None] = {}
        self._routes = Routes()
        self._unechoed = Unechoed()
        self._touched: dict[Link, None] = {}
        self._blocked: dict[Link, None] = {}
        self._looped: list[CanFrame] = []  # our own frames, for other links here, on a bus that does not echo
        self._deadlines: list[tuple[int, int, Link]] = []
        self._order = count()
        self._turning = False
        self._longest_turn_ns = NEVER
        """After so long a turn ends with work left, and `next_ns` is now; for a driver that has other things to do."""
        self._window = bus.window
        self._has_work_left = False

    # --- what a driver adds

    @abstractmethod
    def _started(self) -> None:
        """The bus was opened for the first link: make turns from now on."""

    @abstractmethod
    def _stopped(self) -> None:
        """The last link is gone: no more turns. The bus is still open."""

    @abstractmethod
    def wake(self) -> None:
        """Make a turn soon; from any thread."""

    @abstractmethod
    def call(self, callback: Callable[[], None]) -> None:
        """Call `callback` of the application, after those given before, without the lock."""

    # --- links come and go

    def add(self, link: Link) -> int:
        """Serve `link` from now on; returns how many other links listen to the same.

        Raises:
            InterfaceError: the bus cannot be opened.
            OptionError: the link uses CAN FD and the bus is Classical CAN.
        """
        if not self._links:
            self.failure = None
            self._open()
        elif self.failure is not None:
            raise self.failure
        self._links[link] = None
        self._routes.add(link)
        try:
            self._check_kind(link)
            self.bus.watch(self._routes.can_ids)
        except BaseException:
            self._drop(link)
            raise
        return self._routes.others_at(link)

    def _check_kind(self, link: Link) -> None:
        if link.engine.params.can_fd and not self.bus.has_can_fd:
            raise OptionError(
                f"the socket is set to CAN FD and {self.bus.name} is Classical CAN",
                remedy="set_ll_opts(mtu=LinkLayerProtocol.CAN, tx_dl=8, tx_flags=0)",
            )

    def remove(self, link: Link) -> None:
        """Serve `link` no more; with the last one the bus is closed."""
        if link in self._links:
            self._drop(link)

    def _drop(self, link: Link) -> None:
        del self._links[link]
        self._routes.remove(link)
        self._unechoed.forget(link, lambda _: True)
        self._touched.pop(link, None)
        self._blocked.pop(link, None)
        link.armed_ns = None
        if not self._links:
            self._close()
        elif self.failure is None:
            self.bus.watch(self._routes.can_ids)

    def _open(self) -> None:
        _check_free(self)
        self.bus.open(self.wake)
        try:
            self._started()
        except BaseException:
            self.bus.close()
            raise
        self._is_open = True
        _hubs[id(self.bus)] = self

    def _close(self) -> None:
        self._deadlines.clear()
        self._looped.clear()
        self._has_work_left = False
        if self._is_open:
            self._is_open = False
            self._stopped()
            self.bus.close()

    # --- a turn

    def turn(self, link: Link | None = None, *, readable: bool = True) -> None:
        """Do all that is to be done now.

        Args:
            link: that something was done to.
            readable: whether frames may have arrived.
        """
        if link is not None:
            self._touched[link] = None
        if self._turning or not self._is_open:  # from within: the turn under way goes on with it
            return
        with self._failing():
            self._turn(readable)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Whatever goes wrong in a turn is told to every link."""
        self._turning = True
        try:
            yield
        except InterfaceError as e:  # the bus may come back
            for link in tuple(self._links):
                link.held.clear()
                self._unechoed.forget(link, lambda _: True)
                link.on_failure(e)
            self._blocked.clear()
        except BaseException as e:
            self._fail(e)
        finally:
            self._turning = False

    def _fail(self, e: BaseException) -> None:
        """No turn can be made any more: every link learns why."""
        self.failure = InterfaceError(
            f"{self.bus.name} failed: {type(e).__name__}: {e}", remedy="close all sockets of this bus, bind new ones"
        )
        self.failure.__cause__ = e
        for link in tuple(self._links):
            link.on_failure(self.failure)
        self._close()

    def _turn(self, readable: bool) -> None:
        again, stop_ns = True, self._longest_turn_ns
        if stop_ns < NEVER:
            stop_ns += self.clock()
        while again:
            frames, echoes = self.bus.receive() if readable else NOTHING
            now = self.clock()
            if echoes:
                self._confirm(echoes, now)
            if self._looped:
                frames, self._looped = frames + self._looped, []
            if frames:
                self._dispatch(frames, now)
            self._ring_timers(now)
            if self._blocked:
                self._touched.update(self._blocked)
            touched, self._touched = self._touched, {}
            is_over = self._pump_all(touched, now, stop_ns)
            again = bool(frames or echoes or self._looped or self._touched or touched.keys() - self._blocked.keys())
            if is_over:
                break
        self._has_work_left = again

    def _pump_all(self, links: Iterable[Link], now: int, stop_ns: int) -> bool:
        """Pump `links` until `stop_ns`; whether it has come. Those that are left stay touched."""
        left = iter(links)
        for link in left:
            if link in self._links:
                self._pump(link, now)
            if stop_ns < NEVER and self.clock() >= stop_ns:
                self._touched.update(dict.fromkeys(left))
                return True
        return False

    def _confirm(self, echoes: Iterable[CanFrame], now: int) -> None:
        sent: dict[Link, int] = {}
        for frame in echoes:
            link = self._unechoed.take(frame)
            if link is not None:
                sent[link] = sent.get(link, 0) + 1
        for link, confirmed in sent.items():
            link.engine.frame_sent(now, confirmed)
            self._touched[link] = None

    def _dispatch(self, frames: Iterable[CanFrame], now: int) -> None:
        find, touched = self._routes.of, self._touched
        for frame in frames:
            for link in find(frame):
                link.engine.receive_frame(frame, now)
                touched[link] = None

    def _ring_timers(self, now: int) -> None:
        deadlines = self._deadlines
        while deadlines and deadlines[0][0] <= now:
            due_ns, _, link = heapq.heappop(deadlines)
            if link.armed_ns == due_ns:
                link.armed_ns = None
                link.engine.handle_timer(now)
                self._touched[link] = None

    def _pump(self, link: Link, now: int) -> None:
        """Let `link` send what is due and tell what happened, and set its alarm."""
        self._send(link, now)
        engine = link.engine
        while (event := engine.next_event()) is not None:
            if isinstance(event, TransferFailed) and event.n_result is N_Result.N_TIMEOUT_A:
                self._give_up(link, event)
            link.on_event(event)
        due_ns = engine.get_timer()
        if due_ns is not None and (link.armed_ns is None or due_ns < link.armed_ns):
            link.armed_ns = due_ns
            heapq.heappush(self._deadlines, (due_ns, next(self._order), link))

    def _send(self, link: Link, now: int) -> None:
        engine = link.engine
        if link.held:
            link.held = link.held[self._put(link, link.held, now) :]
        while not link.held:
            frames = engine.frames_to_send(now, self._window - link.unechoed)
            if not frames:
                break
            link.held = frames[self._put(link, frames, now) :]
        if link.held:
            self._blocked[link] = None
        else:
            self._blocked.pop(link, None)

    def _put(self, link: Link, frames: list[CanFrame], now: int) -> int:
        """Offer frames to the bus; returns how many it took."""
        taken = self.bus.send(frames)
        sent = frames if taken == len(frames) else frames[:taken]
        if self.bus.echoes:
            self._unechoed.add(link, sent)
        elif taken:
            link.engine.frame_sent(now, taken)
            self._looped += sent
        return taken

    def _give_up(self, link: Link, failed: TransferFailed) -> None:
        """N_As or N_Ar is over: what is left of that message must not be sent any more."""
        link.held = [frame for frame in link.held if not link.belongs_to(frame, failed)]
        self._unechoed.forget(link, lambda frame: link.belongs_to(frame, failed))

    def next_ns(self) -> int:
        """When something is to be done by time alone, by the clock; NEVER if nothing is."""
        if self._has_work_left:
            return self.clock()
        due_ns = self._deadlines[0][0] if self._deadlines else NEVER
        bus_ns = self.bus.get_timer() if self._is_open else None
        if bus_ns is not None:
            due_ns = min(due_ns, bus_ns)
        if self._blocked:
            due_ns = min(due_ns, self.clock() + _RETRY_NS)
        return due_ns


def _check_free(hub: Hub) -> None:
    """Refuse a bus that another hub drives."""
    other = _hubs.get(id(hub.bus))
    if other is not None and other is not hub and other._is_open:
        raise InterfaceError(
            f"{hub.bus.name} is in use by sockets of another kind: those that block and those of asyncio",
            remedy="use one kind on a bus, or give each kind its own (SocketCanBus twice for one interface)",
        )
