"""Wire: joins two CAN buses, with faults in between."""

import heapq
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from types import TracebackType
from typing import Final, Self

from ..bus.base import Bus, monotonic_ns
from ..bus.socketcan import SocketCanBus
from ..bus.virtual import Fate, FateMaker, begin_fate
from ..can_frame import CanFrame
from ..errors import InterfaceError, InterfaceNotFoundError
from ..soft.driver import bus_is_taken
from ..soft.thread_driver import WakeSockets

_RETRY_S: Final = 0.0005  # until frames are offered again to a full bus, as `soft.hub` does
_CLOSING_S: Final = 1.0
_PAUSE_S: Final = 0.005


class Wire:
    """What one of two buses hears the other one sends, each frame as `faults` says.

        with Wire("vcan0", "vcan1", Faults().lose("FC", 3)), isotp.socket() as a, isotp.socket() as b:
            a.bind("vcan0", rxid=0x7E8, txid=0x7E0)
            b.bind("vcan1", rxid=0x7E0, txid=0x7E8)

    So the frames of kernel sockets, of a real ECU, or of another program can go wrong, too. Data frames of all
    identifiers pass, in both directions. A frame that a bus cannot send, because it is down or is Classical CAN, is
    lost.

    Args:
        a: name of a CAN interface of Linux, or a bus that no socket uses: sockets use the buses of the other nodes.
        b: the other one.
        faults: what goes wrong: `Faults`, or a callable of the same kind; None: nothing.
    """

    def __init__(self, a: str | Bus, b: str | Bus, faults: Fate | FateMaker | None = None) -> None:
        self._faults = begin_fate(faults)
        self._buses = tuple(SocketCanBus(one) if isinstance(one, str) else one for one in (a, b))
        self._is_up = True
        self._lock = threading.RLock()  # for a turn; `faults` may call `down`
        self._waiting: dict[Bus, deque[CanFrame]] = {bus: deque() for bus in self._buses}  # for room in the bus
        self._under_way: list[tuple[int, int, Bus, CanFrame]] = []  # a heap: time of arrival, order, where to, frame
        self._order = count()
        self._wakeup: WakeSockets | None = None
        self.has_ended = True
        """Whether it carries no frames, and its buses are free for others."""

    def __repr__(self) -> str:
        return f"<isotp.testing.Wire {' - '.join(bus.name for bus in self._buses)}>"

    def down(self) -> None:
        """From now on no frame passes; those under way are lost."""
        with self._lock:
            self._turn()
            self._is_up = False
            self._drop()

    def up(self) -> None:
        """Let frames pass again: those that are sent from now on."""
        with self._lock:
            self._turn()
            self._is_up = True

    def __enter__(self) -> Self:
        """Open both buses and begin to carry frames.

        Raises:
            InterfaceError: a bus cannot be opened, or sockets use it.
        """
        self._drop()
        self._error: BaseException | None = None
        with ExitStack() as stack:
            self._wakeup = WakeSockets()
            stack.callback(setattr, self, "_wakeup", None)  # which closes it
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._wakeup.receiver, selectors.EVENT_READ)
            for bus in self._buses:
                if bus.driver is not None and not bus.driver.has_ended:
                    raise bus_is_taken(bus)
                bus.open(self.wake)
                stack.callback(_close, bus)
                bus.check()
                bus.watch(None)
                if bus.fileno() >= 0:
                    self._selector.register(bus.fileno(), selectors.EVENT_READ)
            self.has_ended = False
            self._thread = threading.Thread(target=self._serve, name=f"isotp {self!r}", daemon=True)
            self._thread.start()
            for bus in self._buses:
                bus.driver = self
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both buses; raises what `faults` raised."""
        with self._lock:
            self.has_ended = True
        self.wake()
        self._thread.join()
        self._closing.close()
        if self._error is not None:
            raise self._error

    def wake(self) -> None:
        """Look for frames now; from any thread."""
        if wakeup := self._wakeup:
            wakeup.write()

    # --- the thread

    def _serve(self) -> None:
        try:
            while not self.has_ended:
                with self._lock:
                    self._turn()
                self._sleep()
        except BaseException as e:
            self._error = e

    def _turn(self) -> None:
        if self.has_ended:
            return
        now = monotonic_ns()
        a, b = self._buses
        for here, there in ((a, b), (b, a)):
            for frame in _heard(here):
                for late_ns, copy in self._faults(frame) if self._faults else ((0, frame),):
                    heapq.heappush(self._under_way, (now + late_ns, next(self._order), there, copy))
        if not self._is_up:
            self._drop()
        while self._under_way and self._under_way[0][0] <= now:
            _, _, there, copy = heapq.heappop(self._under_way)
            self._waiting[there].append(copy)
        for bus, frames in self._waiting.items():
            while frames and _is_sent(bus, frames[0]):
                frames.popleft()

    def _drop(self) -> None:
        self._under_way.clear()
        for frames in self._waiting.values():
            frames.clear()

    def _sleep(self) -> None:
        due = [due_ns for bus in self._buses if (due_ns := bus.get_timer()) is not None]
        due += [self._under_way[0][0]] if self._under_way else []
        seconds = max(0, min(due) - monotonic_ns()) / 1e9 if due else None
        if any(self._waiting.values()):
            seconds = _RETRY_S
        for key, _ in self._selector.select(seconds):
            if isinstance(key.fileobj, socket.socket):  # that of the wakeup
                key.fileobj.recv(4096)


def _heard(bus: Bus) -> Iterator[CanFrame]:
    """What other nodes sent."""
    try:
        frames, echoes, *_ = bus.receive()
    except InterfaceNotFoundError:
        raise
    except InterfaceError:  # it is down
        return
    own = Counter(echoes)
    for frame in frames:
        if own[frame]:
            own[frame] -= 1
        else:
            yield frame


def _is_sent(bus: Bus, frame: CanFrame) -> bool:
    """Whether `bus` is done with it."""
    try:
        return bool(bus.send([frame]))
    except InterfaceNotFoundError:
        raise
    except InterfaceError:  # it is down, or does not take such a frame
        return True


def _close(bus: Bus) -> None:
    bus.close()
    deadline = time.monotonic() + _CLOSING_S
    while bus.is_closing and time.monotonic() < deadline:
        time.sleep(_PAUSE_S)
