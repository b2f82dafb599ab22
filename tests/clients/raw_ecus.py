"""ECUs that are made of the frames that a test lays out."""

import threading
from collections.abc import Callable

import isotp
from isotp.can_frame import CanFrame


class RawEcus:
    """Sends the frames that were laid out for a frame of a tester, in the moment in which that is on the bus."""

    def __init__(self, bus: isotp.VirtualBus) -> None:
        self.seen: list[CanFrame] = []
        """The frames of all testers."""
        self._bus = bus
        self._replies: dict[tuple[int, bytes], list[tuple[int, str]]] = {}
        self._threads: list[threading.Thread] = []
        self._over = threading.Event()
        self._stop = bus.listen(self._hear)

    def reply(self, can_id: int, begin: str, *frames: tuple[int, str]) -> None:
        """Send `frames` (identifier, hexadecimal) whenever a frame with `can_id` begins with `begin`."""
        self._replies[can_id, bytes.fromhex(begin)] = list(frames)

    def send(self, can_id: int, data: str) -> None:
        """Send a frame now."""
        self._bus.inject(CanFrame(can_id, bytes.fromhex(data)))

    def in_thread(self, call: Callable[[threading.Event], object]) -> None:
        """Make a call in a thread; its argument is set at the end of the test."""
        self._threads.append(threading.Thread(target=call, args=(self._over,)))
        self._threads[-1].start()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._stop()

    def _hear(self, frame: CanFrame) -> None:
        if frame.can_id & 0x008 and frame.can_id != 0x7DF:  # of an ECU
            return
        self.seen.append(frame)
        for (can_id, begin), frames in self._replies.items():
            if frame.can_id == can_id and frame.data.startswith(begin):
                for reply in frames:
                    self.send(*reply)
