"""Nodes: the tester's place on a real bus, where it sends single frames and hears those of the subject."""

import select
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Collection

from ...bus.base import Bus
from ...bus.virtual import VirtualBus
from ...can_frame import CanFrame
from ...errors import TransmitQueueFullError
from ...linux.raw_can import RawCanSocket
from .subject import Heard

_QUEUE_S = 1.0


class Node(ABC):
    """One node of a bus. Times are nanoseconds of `now()`."""

    jitter_ns = 0
    """By how much the times of frames may be wrong."""

    @abstractmethod
    def now(self) -> int:
        """The time."""

    @abstractmethod
    def send(self, frame: CanFrame) -> None:
        """Put a frame on the bus; raises TransmitQueueFullError if it cannot for a second."""

    @abstractmethod
    def receive(self, until_ns: int) -> Heard | None:
        """The next frame of another node; None if there is none until then."""

    @abstractmethod
    def close(self) -> None:
        """Leave the bus."""


class RawNode(Node):
    """A node on a CAN interface of Linux; the kernel says when each frame was on the bus.

    Args:
        interface: such as vcan0.
        can_ids: the identifiers to hear, with CAN_EFF_FLAG for 29 bits; None: all.
    """

    def __init__(self, interface: str, can_ids: Collection[int] | None = None) -> None:
        self._raw = RawCanSocket(interface, can_ids=can_ids)
        self._heard: deque[Heard] = deque()

    def now(self) -> int:
        """See `Node`; the clock is that of the kernel's time stamps."""
        return time.time_ns()

    def send(self, frame: CanFrame) -> None:
        """See `Node`."""
        _send(lambda: self._raw.send([frame]), self._raw.interface)

    def receive(self, until_ns: int) -> Heard | None:
        """See `Node`."""
        while not self._heard:
            left_ns = until_ns - self.now()
            self._raw.wait(max(0, left_ns) / 1e9)
            self._heard += (Heard(one.timestamp_ns, one.frame) for one in self._raw.receive())
            if left_ns <= 0:
                break
        return self._heard.popleft() if self._heard else None

    def close(self) -> None:
        """See `Node`."""
        self._raw.close()


class VirtualNode(Node):
    """A node on a VirtualBus, beside the sockets on it."""

    def __init__(self, bus: VirtualBus) -> None:
        self._bus = bus
        self._own: deque[CanFrame] = deque()
        self._heard: deque[Heard] = deque()
        self._something = threading.Event()
        self._stop = bus.listen(self._hear)

    def _hear(self, frame: CanFrame) -> None:
        if frame in self._own:
            self._own.remove(frame)
        else:
            self._heard.append(Heard(self.now(), frame))
            self._something.set()

    def now(self) -> int:
        """See `Node`."""
        return time.monotonic_ns()

    def send(self, frame: CanFrame) -> None:
        """See `Node`."""
        self._own.append(frame)
        self._bus.inject(frame)

    def receive(self, until_ns: int) -> Heard | None:
        """See `Node`."""
        while not self._heard:
            self._something.clear()
            left_ns = until_ns - self.now()
            if self._heard or left_ns <= 0 or not self._something.wait(left_ns / 1e9):
                break
        return self._heard.popleft() if self._heard else None

    def close(self) -> None:
        """See `Node`."""
        self._stop()


class BusNode(Node):
    """A node on any `Bus`, which it opens, drives and closes: a PythonCanBus, for one.

    Such a bus has no time stamps: the time of a frame is when it was read.
    """

    jitter_ns = 5_000_000

    def __init__(self, bus: Bus, can_ids: Collection[int]) -> None:
        self._bus = bus
        self._wakes = threading.Event()
        self._heard: deque[Heard] = deque()
        bus.open(self._wakes.set)
        bus.watch(can_ids)

    def now(self) -> int:
        """See `Node`."""
        return time.monotonic_ns()

    def send(self, frame: CanFrame) -> None:
        """See `Node`."""
        _send(lambda: self._bus.send([frame]), self._bus.name)

    def receive(self, until_ns: int) -> Heard | None:
        """See `Node`."""
        while not self._heard:
            left_ns = until_ns - self.now()
            self._wait(max(0, left_ns) / 1e9)
            received = self._bus.receive()
            echoes = list(received.echoes)
            for frame in received.frames:
                if frame in echoes:
                    echoes.remove(frame)
                else:
                    self._heard.append(Heard(self.now(), frame))
            if left_ns <= 0:
                break
        return self._heard.popleft() if self._heard else None

    def _wait(self, seconds: float) -> None:
        if self._bus.fileno() >= 0:
            select.select([self._bus.fileno()], [], [], seconds)
        else:
            self._wakes.wait(seconds)
            self._wakes.clear()

    def close(self) -> None:
        """See `Node`."""
        self._bus.close()


def _send(attempt: Callable[[], int], name: str) -> None:
    deadline = time.monotonic() + _QUEUE_S
    while not attempt():
        if time.monotonic() > deadline:
            raise TransmitQueueFullError(
                f"{name}: the transmit queue is full",
                remedy="is any other node on the bus and awake? no node acknowledges the frames",
            )
        time.sleep(0.001)
