"""The hub of a bus: its links, what each of them listens to, their deadlines, and what one turn does.

Theory of operation. A turn takes what has arrived, lets due timers go off, and pumps each link that was touched; on
a bus inside this process that goes on until all is quiet, so a short message is through before `send` returns.
When the next turn is to be made is for the driver: the hub knows when something is due by time alone
(`next_ns`), the bus tells when frames have arrived.

A hub is not entered twice: what a signal handler or an application's callback asks for in the middle of a turn is
left for its end. Ctrl-C is put off to the end of a turn.
"""

import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import groupby
from typing import Any, Final

from ..bus.base import NOTHING, Bus
from ..can_frame import CanFrame
from ..engine.events import TransferFailed
from ..engine.params import Params
from ..errors import BusyError, InterfaceError, InterfaceNotFoundError, N_Result, OptionError
from .deadlines import NEVER, Deadlines
from .interrupts import put_off
from .link import Link
from .routes import Routes
from .unechoed import Unechoed

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
        self._failure: InterfaceError | None = None  # why it has ended
        self._is_open = False
        self._links: dict[Link, None] = {}
        self._routes = Routes()
        self._unechoed = Unechoed()
        self._touched: dict[Link, None] = {}
        self._blocked: dict[Link, None] = {}
        self._looped: list[CanFrame] = []  # our own frames, for other links here, on a bus that does not echo
        self._deadlines = Deadlines()
        self._abandoned: deque[Link] = deque()  # to be dropped as soon as no turn is under way
        self._busy = False
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
        if self._busy:
            raise BusyError("a signal handler cannot bind a socket in the middle of a turn of its bus")
        with self._being_busy():
            if not self._links:
                self._failure = None
                self._open()
            elif self._failure is not None:
                raise self.failure()
            self._links[link] = None
            self._routes.add(link)
            try:
                self.bus.check()
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
        self._abandoned.append(link)
        if not self._busy:
            with self._being_busy():
                pass

    def _drop(self, link: Link) -> None:
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
        elif self._failure is None:
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
        self._deadlines = Deadlines()
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
        if self._busy or not self._is_open:  # from within: the turn under way goes on with it
            return
        with self._being_busy(), self._telling():
            self._turn(readable)

    @contextmanager
    def _being_busy(self) -> Iterator[None]:
        """What is asked for meanwhile is left for the end."""
        with put_off():
            self._busy = True
            try:
                yield
            finally:
                while self._abandoned:
                    self._drop(self._abandoned.popleft())
                self._busy = False

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Whatever goes wrong in a turn is told to every link."""
        try:
            yield
        except InterfaceNotFoundError as e:
            self._fail(e)
        except InterfaceError as e:  # the bus may come back
            for link in tuple(self._links):
                link.held.clear()
                self._unechoed.forget(link, lambda _: True)
                link.on_failure(e)
            self._blocked.clear()
        except Exception as e:
            self._fail(e)
        except BaseException:  # of a signal handler: nothing is wrong with the bus
            self._touched.update(self._links)
            self.wake()
            raise

    def _fail(self, e: BaseException) -> None:
        """No turn can be made any more: every link learns why."""
        what = e.what if isinstance(e, InterfaceError) else f"{self.bus.name} failed: {type(e).__name__}: {e}"
        self._failure = InterfaceError(what, remedy="close all sockets of this bus, bind new ones")
        self._failure.__cause__ = e
        for link in tuple(self._links):
            link.on_failure(self.failure())
        self._close()

    @property
    def has_failed(self) -> bool:
        """Whether it has ended: no link is served any more."""
        return self._failure is not None

    def failure(self) -> InterfaceError:
        """Why it has ended, as an error to be raised once; it must have."""
        assert self._failure is not None
        error = InterfaceError(self._failure.what, remedy=self._failure.remedy)
        error.__cause__ = self._failure.__cause__
        return error

    def _turn(self, readable: bool) -> None:
        again, stop_ns = True, self._longest_turn_ns
        if stop_ns < NEVER:
            stop_ns += self.clock()
        while again:
            frames, echoes, echoed_ns = self.bus.receive() if readable else NOTHING
            now = self.clock()
            if echoes:
                self._confirm(echoes, now if echoed_ns is None else min(now, echoed_ns))
            if self._looped:
                frames, self._looped = frames + self._looped, []
            if frames:
                self._dispatch(frames, now)
            if not (frames or echoes):  # a timer must not go off before a frame that had arrived in time
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
        for link, confirmed in self._unechoed.take_all(echoes).items():
            link.engine.frame_sent(now, confirmed)
            link.moved_ns = now
            self._touched[link] = None

    def _dispatch(self, frames: Iterable[CanFrame], now: int) -> None:
        touched = self._touched
        for links, run in groupby(frames, self._routes.of):  # a long message comes in long runs
            together = tuple(run)
            for link in links:
                link.engine.receive_frames(together, now)
                touched[link] = None

    def _ring_timers(self, now: int) -> None:
        for link in self._deadlines.take(now):
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
        if due_ns is not None:
            self._deadlines.arm(link, due_ns)

    def _send(self, link: Link, now: int) -> None:
        engine = link.engine
        if (link.held or link.unechoed) and now > link.moved_ns + _longest_ns(engine.params):
            # What had a timer of the protocol's is given up by now; this is the rest, and it must not block the link.
            link.held.clear()
            self._unechoed.forget(link, lambda _: True)
        if link.held:
            link.held = link.held[self._put(link, link.held) :]
        elif not link.unechoed:
            link.moved_ns = now
        while not link.held:
            frames = engine.frames_to_send(now, self._window - link.unechoed)
            if not frames:
                break
            link.held = frames[self._put(link, frames) :]
        if link.held:
            self._blocked[link] = None
        else:
            self._blocked.pop(link, None)

    def _put(self, link: Link, frames: list[CanFrame]) -> int:
        """Offer frames to the bus; returns how many it took."""
        taken = self.bus.send(frames)
        if not taken:
            return 0
        sent = frames if taken == len(frames) else frames[:taken]
        if self.bus.echoes:
            self._unechoed.add(link, sent)
        else:
            link.moved_ns = now = (
                self.clock()
            )  # the bus may have taken its time, and STmin begins when it has the frame
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
        due_ns = self._deadlines.next_ns
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


def _longest_ns(params: Params) -> int:
    """How long a frame may be on its way."""
    return max(params.n_as_ns, params.n_ar_ns)
