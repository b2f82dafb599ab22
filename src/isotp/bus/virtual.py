"""VirtualBus: a CAN bus inside this process, with latency and faults if you want them."""

import heapq
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count, takewhile
from typing import Final, NamedTuple, Protocol, runtime_checkable

from ..can_frame import CanFrame
from ..errors import OptionError
from .base import NOTHING, Bus, Received, monotonic_ns

Fate = Callable[[CanFrame], Iterable[tuple[int, CanFrame]]]
"""Returns the copies of a frame that arrive: the delay of each in nanoseconds, and the frame as it arrives."""

_UNLIMITED: Final = 1 << 30
_WINDOW: Final = 64  # as SocketCanBus
_BATCH: Final = 1024
_BACKLOG: Final = 4096  # frames of `inject` that were not received yet; beyond that the injecting thread waits
_PAUSE_S: Final = 0.001
_TOGETHER_NS: Final = 500_000
"""How late a frame may be received if more with its identifier follow it: to wake up for each costs more than half of
the processor at 1 Mbit/s."""


class _Entry(NamedTuple):
    """A frame on its way. Entries compare by their time and order."""

    due_ns: int
    order: int
    frame: CanFrame
    is_echo: bool
    arrives: bool


@runtime_checkable
class FateMaker(Protocol):
    """What makes a `Fate` for each bus, such as `Faults`."""

    def begin(self) -> Fate:
        """The fate of the frames of one more bus."""


def begin_fate(fate: Fate | FateMaker | None) -> Fate | None:
    """The fate for a bus.

    Raises:
        TypeError: `fate` is none.
    """
    if fate is not None and (isinstance(fate, type) or not callable(fate)):
        raise TypeError(
            f"{fate!r} does not say what becomes of frames: allowed is Faults(...), such as Faults().lose('FC', 1), a "
            "function that returns the copies of a frame, or None"
        )
    return fate.begin() if isinstance(fate, FateMaker) else fate


class VirtualBus(Bus):
    """A CAN bus in this process, for `SoftSocket`: no hardware, no kernel, no thread of its own.

    All sockets on one VirtualBus receive each other's frames. Without latency and faults a frame arrives at once.

    Args:
        name: its name in errors, in repr and for `bind`.
        frame_ns: how long each frame occupies the bus, in nanoseconds; frames wait for each other.
        queue_length: how many frames may wait for the bus, as in a network interface; None: no limit.
        fate: which copies of a frame arrive, and when: `Faults(seed, loss=...)`, or a callable of the same kind. The
            sender's frame counts as sent in any case.
        can_fd: whether it carries CAN FD frames.
        clock: returns the time in nanoseconds: an `isotp.testing.FakeClock` for simulated time. Only
            `SimulatedSocket` and `Car` can use it then, and no other sockets.

    Raises:
        OptionError: a value out of range.
        TypeError: `fate` or `clock` is something else.
    """

    echoes = True

    def __init__(
        self,
        name: str = "virtual",
        *,
        frame_ns: int = 0,
        queue_length: int | None = None,
        fate: Fate | FateMaker | None = None,
        can_fd: bool = True,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        if frame_ns < 0:
            raise OptionError(f"frame_ns={frame_ns}: allowed is 0 or more nanoseconds")
        if queue_length is not None and queue_length < 1:
            raise OptionError(f"queue_length={queue_length}: allowed is 1 or more frames, or None")
        if not callable(clock):
            raise TypeError(f"clock={clock!r}: allowed is a function that returns nanoseconds, such as FakeClock()")
        self.name = name
        self.has_can_fd = can_fd
        self.window = _UNLIMITED if not frame_ns and queue_length is None else _WINDOW
        self._frame_ns = frame_ns
        self._queue_length = queue_length
        self.fate = begin_fate(fate)
        """Which copies of a frame arrive; None: the frame itself."""
        self.clock = clock
        self._time_ns: Callable[[], int] = getattr(clock, "time_ns", time.time_ns)
        self._listeners: tuple[Callable[[CanFrame], object], ...] = ()
        self._lock = threading.RLock()  # any thread may call `inject`, and a signal handler on top of it
        self._order = count()
        # Simulated time needs no processor: there each frame is received at its time.
        self._together_ns = _TOGETHER_NS if clock is monotonic_ns else 0
        self._wake: Callable[[], None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._watched: frozenset[int] | None = None  # None: all identifiers
        self._free_ns = 0  # when all frames so far have been on the bus
        self._arrived: list[CanFrame] = []
        self._times_ns: list[int] = []  # when each of them was sent
        self._echoes: list[CanFrame] = []
        self._echoed_ns: int | None = None  # when the last of `_echoes` was on the bus
        self._under_way: deque[_Entry] = deque()  # frames that the bus carries, one after the other
        self._late: list[_Entry] = []  # a heap: copies of `fate`
        self._waiting = 0  # echoes that are under way
        self._served_by = 0  # the thread that takes frames

    def __repr__(self) -> str:
        return f"<isotp.VirtualBus {self.name!r}>"

    # --- other nodes

    def inject(self, frame: CanFrame) -> None:
        """Send `frame` as another node; from any thread. It arrives without faults, after the frames sent before it.

        While no socket is bound, only listeners get it. A thread that injects faster than the sockets of this bus
        receive has to wait, as a node on a real bus has.
        """
        wake = self._wake
        if wake is not None and (self._watched is None or frame.can_id in self._watched):
            while len(self._under_way) > _BACKLOG and threading.get_ident() != self._served_by and self._wake:
                time.sleep(_PAUSE_S)
            with self._lock:
                self._depart(frame, faults=False)
        self._call_listeners((frame,))
        if wake is not None:
            wake()

    def listen(self, listener: Callable[[CanFrame], object]) -> Callable[[], None]:
        """Call `listener` with every frame, in the thread that sends it; returns a function that ends this.

        The listener must be quick and must not use sockets of this bus; `inject` is allowed.
        """
        self._listeners += (listener,)

        def stop() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return stop

    def _call_listeners(self, frames: Sequence[CanFrame]) -> None:
        for listener in self._listeners:
            for frame in frames:
                listener(frame)

    # --- see `Bus`

    def open(self, wake: Callable[[], None]) -> None:
        """See `Bus`."""
        self._wake = wake

    def close(self) -> None:
        """See `Bus`. Frames that have not arrived yet are lost."""
        with self._lock:
            self._wake = None
            self._reset()

    def forked(self) -> None:
        """See `Bus`."""
        self._lock = threading.RLock()  # the old one may be held by a thread of the parent
        self.close()

    def watch(self, can_ids: Collection[int] | None) -> None:
        """See `Bus`."""
        self._watched = None if can_ids is None else frozenset(can_ids)

    def send(self, frames: Sequence[CanFrame]) -> int:
        """See `Bus`."""
        with self._lock:
            if self._queue_length is not None:
                frames = frames[: max(0, self._queue_length - self._waiting)]
            if self._frame_ns or self.fate or self._under_way or self._late:
                for frame in frames:
                    self._depart(frame, faults=True)
            else:
                self._arrived += frames
                self._times_ns += [self._time_ns()] * len(frames)
                self._echoes += frames
        if self._listeners:
            self._call_listeners(frames)
        if self._echoes:
            self._echoed_ns = self.clock()
        return len(frames)

    def _depart(self, frame: CanFrame, faults: bool) -> None:
        """Let a frame begin its way; `faults`: one of our own, to which `fate` applies."""
        self._free_ns = sent_ns = max(self.clock(), self._free_ns) + self._frame_ns
        self._waiting += faults
        has_fate = faults and self.fate is not None
        self._under_way.append(_Entry(sent_ns, next(self._order), frame, faults, not has_fate))
        if has_fate:
            assert self.fate is not None
            for late_ns, copy in self.fate(frame):
                heapq.heappush(self._late, _Entry(sent_ns + late_ns, next(self._order), copy, False, True))

    def _next(self) -> _Entry | None:
        """The frame under way that is due first."""
        if self._late and (not self._under_way or self._late[0] < self._under_way[0]):
            return self._late[0]
        return self._under_way[0] if self._under_way else None

    def receive(self) -> Received:
        """See `Bus`."""
        self._served_by = threading.get_ident()
        if not (self._arrived or self._under_way or self._late):
            return NOTHING
        with self._lock:
            frames, echoes, times_ns, echoed_ns = self._arrived, self._echoes, self._times_ns, self._echoed_ns
            self._arrived, self._echoes, self._times_ns = [], [], []
            now, now_ns = self.clock(), self._time_ns()
            while (entry := self._next()) is not None and entry.due_ns <= now and len(frames) < _BATCH:
                if self._late and entry is self._late[0]:
                    heapq.heappop(self._late)
                else:
                    self._under_way.popleft()
                if entry.is_echo:
                    self._waiting -= 1
                    echoes.append(entry.frame)
                    echoed_ns = entry.due_ns
                if entry.arrives:
                    frames.append(entry.frame)
                    times_ns.append(now_ns - (now - entry.due_ns))
        return Received(frames, echoes, echoed_ns, times_ns.__getitem__)

    def get_timer(self) -> int | None:
        """See `Bus`."""
        with self._lock:
            first = self._next()
            if first is None:
                return None
            last_ns, can_id = first.due_ns + self._together_ns, first.frame.can_id
            together = takewhile(lambda one: one.frame.can_id == can_id and one.due_ns <= last_ns, self._under_way)
            return max((one.due_ns for one in together), default=first.due_ns)
