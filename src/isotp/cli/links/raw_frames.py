"""CAN frames one by one, without a protocol, on any bus the command line reaches."""

import select
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from ...bus.base import Bus
from ...bus.virtual import VirtualBus
from ...can_frame import CanFrame
from ...errors import TransmitQueueFullError

_EVERYTHING: Final = range(1024)  # more identifiers than a SocketCanBus filters for: it passes all frames
_QUEUE_S: Final = 1.0


class RawFrames(Protocol):
    """A node that sends and hears frames."""

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus."""

    def receive(self, seconds: float) -> list[CanFrame]:
        """What comes within `seconds`, at once if something is there; never our own frames."""


class DrivenBus:
    """A bus of this library, with this as its one driver.

    Args:
        bus: an open SocketCanBus or PythonCanBus.
        wakes: set when frames have arrived, for a bus without file descriptor.
    """

    def __init__(self, bus: Bus, wakes: threading.Event) -> None:
        self._bus = bus
        self._wakes = wakes

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus; a full queue is waited out for a second."""
        deadline = time.monotonic() + _QUEUE_S
        while not self._bus.send([frame]):
            if time.monotonic() > deadline:
                raise TransmitQueueFullError(
                    f"{self._bus.name}: the transmit queue is full",
                    remedy="is any other node on the bus and awake? no node acknowledges the frames",
                )
            time.sleep(0.001)

    def receive(self, seconds: float) -> list[CanFrame]:
        """What comes within `seconds`, at once if something is there."""
        descriptor = self._bus.fileno()
        if descriptor >= 0:
            select.select([descriptor], [], [], seconds)
        else:
            self._wakes.wait(seconds)
            self._wakes.clear()
        received = self._bus.receive()
        echoes = list(received.echoes)
        frames = []
        for frame in received.frames:
            if frame in echoes:
                echoes.remove(frame)
            else:
                frames.append(frame)
        return frames


class Bystander:
    """One more node on a VirtualBus that its sockets drive."""

    def __init__(self, bus: VirtualBus) -> None:
        self._bus = bus
        self._heard: list[CanFrame] = []
        self._own: list[CanFrame] = []
        self._something = threading.Event()
        self.stop = bus.listen(self._hear)

    def _hear(self, frame: CanFrame) -> None:
        if frame in self._own:
            self._own.remove(frame)
            return
        self._heard.append(frame)
        self._something.set()

    def send(self, frame: CanFrame) -> None:
        """Put one frame on the bus."""
        self._own.append(frame)
        self._bus.inject(frame)

    def receive(self, seconds: float) -> list[CanFrame]:
        """What comes within `seconds`, at once if something is there."""
        self._something.wait(seconds)
        self._something.clear()
        frames, self._heard = self._heard, []
        return frames


@contextmanager
def driven(bus: Bus, can_ids: Collection[int] = _EVERYTHING) -> Iterator[RawFrames]:
    """Open `bus` for single frames; `can_ids` is what has to be heard."""
    wakes = threading.Event()
    bus.open(wakes.set)
    try:
        bus.watch(can_ids)
        yield DrivenBus(bus, wakes)
    finally:
        bus.close()


@contextmanager
def beside(bus: VirtualBus) -> Iterator[RawFrames]:
    """A node beside the sockets on `bus`."""
    node = Bystander(bus)
    try:
        yield node
    finally:
        node.stop()
