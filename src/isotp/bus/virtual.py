"""VirtualBus: a CAN bus inside this process, with latency and faults if you want them."""

import heapq
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import count
from typing import Final, Protocol, runtime_checkable

from ..can_frame import CanFrame
from ..errors import OptionError
from .base import NOTHING, Bus, Received

Fate = Callable[[CanFrame], Iterable[tuple[int, CanFrame]]]
"""Returns the copies of a frame that arrive: the delay of each in nanoseconds, and the frame as it arrives."""

_UNLIMITED: Final = 1 << 30
_WINDOW: Final = 16  # as SocketCanBus
_BATCH: Final = 1024
_BACKLOG: Final = 4096  # frames of `inject` that were not received yet; beyond that the injecting thread waits
_PAUSE_S: Final = 0.001


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
        clock: Callable[[], int] = time.monotonic_ns,
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
        self._wake: Callable[[], None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._watched: frozenset[int] | None = None  # None: all identifiers
        self._free_ns = 0  # when all frames so far have been on the bus
        self._arrived: list[CanFrame] = []
        self._times_ns: list[int] = []  # when each of them was sent
        self._echoes: list[CanFrame] = []
        self._under_way: list[tuple[int, int, CanFrame, bool]] = []  # a heap: time of arrival, order, frame, is_echo
        self._waiting = 0  # echoes among them
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
            if self._frame_ns or self.fate or self._under_way:
                for frame in frames:
                    self._depart(frame, faults=True)
            else:
                self._arrived += frames
                self._times_ns += [self._time_ns()] * len(frames)
                self._echoes += frames
        if self._listeners:
            self._call_listeners(frames)
        return len(frames)

    def _depart(self, frame: CanFrame, faults: bool) -> None:
        """Let a frame begin its way; `faults`: one of our own, to which `fate` applies."""
        self._free_ns = sent_ns = max(self.clock(), self._free_ns) + self._frame_ns
        if faults:
            self._waiting += 1
            heapq.heappush(self._under_way, (sent_ns, next(self._order), frame, True))
        copies = self.fate(frame) if self.fate and faults else ((0, frame),)
        for late_ns, copy in copies:
            heapq.heappush(self._under_way, (sent_ns + late_ns, next(self._order), copy, False))

    def receive(self) -> Received:
        """See `Bus`."""
        self._served_by = threading.get_ident()
        if not self._arrived and not self._under_way:
            return NOTHING
        with self._lock:
            frames, echoes, times_ns = self._arrived, self._echoes, self._times_ns
            self._arrived, self._echoes, self._times_ns = [], [], []
            if self._under_way:
                now, now_ns = self.clock(), self._time_ns()
            while self._under_way and self._under_way[0][0] <= now and len(frames) < _BATCH:
                at, _, frame, is_echo = heapq.heappop(self._under_way)
                if is_echo:
                    self._waiting -= 1
                    echoes.append(frame)
                else:
                    frames.append(frame)
                    times_ns.append(now_ns - (now - at))
        return Received(frames, echoes, time_ns=times_ns.__getitem__)

    def get_timer(self) -> int | None:
        """See `Bus`."""
        under_way = self._under_way
        return under_way[0][0] if under_way else None
