"""Two engines on a simulated bus with a simulated clock; what happens to a frame is for the test to say."""

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count

from isotp.address import Address
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import Event, FrameIgnored, IgnoreReason
from isotp.engine.params import Params

MS = 1_000_000
SECOND = 1000 * MS

# Each copy of a frame that arrives: how much later, and what it then looks like.
Fate = Callable[[CanFrame], Iterable[tuple[int, CanFrame]]]


def intact(frame: CanFrame) -> Iterable[tuple[int, CanFrame]]:
    return [(0, frame)]


def engine(params: Params | None = None, *, rxid: int = 0x123, txid: int = 0x456) -> Engine:
    return Engine(Address.normal(rxid=rxid, txid=txid), params)


def events_of(engine: Engine) -> list[Event]:
    events = []
    while event := engine.next_event():
        events.append(event)
    return events


def told(engine: Engine) -> list[Event | IgnoreReason]:
    """The events, and in place of each `FrameIgnored` its reason."""
    return [event.why if isinstance(event, FrameIgnored) else event for event in events_of(engine)]


def can(data: str, can_id: int = 0x123, is_fd: bool = False) -> CanFrame:
    return CanFrame(can_id, bytes.fromhex(data), is_fd)


def take(engine: Engine, now: int = 0, *, confirm: bool = True) -> list[str]:
    """The payloads of all frames that are due."""
    taken: list[str] = []
    while frames := engine.frames_to_send(now):
        taken += [frame.data.hex() for frame in frames]
        if confirm:
            engine.frame_sent(now, len(frames))
    return taken


class Link:
    """Two engines and what is on its way between them.

    Args:
        one: an engine.
        two: its peer.
        fate: what happens to each frame on the bus.
        frame_ns: how long a frame takes.
        echo: whether a frame is confirmed once it was on the bus, instead of when it is handed to it.
        room: how many unconfirmed frames a driver holds.
    """

    def __init__(
        self,
        one: Engine,
        two: Engine,
        fate: Fate = intact,
        *,
        frame_ns: int = MS // 4,
        echo: bool = False,
        room: int = 1024,
    ) -> None:
        self.now = 0
        self.engines = (one, two)
        self.events: dict[Engine, list[tuple[int, Event]]] = {one: [], two: []}
        self.frames: list[tuple[int, CanFrame]] = []
        self.activity: list[int] = [0]  # when a frame was confirmed or arrived
        self.fate, self._frame_ns, self._echo, self._room = fate, frame_ns, echo, room
        self._held = {one: 0, two: 0}
        self._bus_free = 0
        self._order = count()
        self._due: list[tuple[int, int, Callable[[], None]]] = []

    def pump(self) -> None:
        for engine in self.engines:
            while frames := engine.frames_to_send(self.now, self._room - self._held[engine]):
                for frame in frames:
                    self._put(engine, frame)
                if not self._echo:
                    self.activity.append(self.now)
                    engine.frame_sent(self.now, len(frames))
            self.events[engine] += ((self.now, event) for event in events_of(engine))

    def _put(self, engine: Engine, frame: CanFrame) -> None:
        peer = self.engines[engine is self.engines[0]]
        self._bus_free = sent = max(self.now, self._bus_free) + self._frame_ns
        self.frames.append((sent, frame))
        if self._echo:
            self._held[engine] += 1
            self.at(sent, partial(self._confirm, engine))
        for later, copy in self.fate(frame):
            self.at(sent + later, partial(self._arrive, peer, copy))

    def _arrive(self, engine: Engine, frame: CanFrame) -> None:
        self.activity.append(self.now)
        engine.receive_frame(frame, self.now)

    def _confirm(self, engine: Engine) -> None:
        self.activity.append(self.now)
        self._held[engine] -= 1
        engine.frame_sent(self.now)

    def at(self, when: int, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (when, next(self._order), action))

    def run(self, until: int | None = None) -> None:
        """Let time pass until nothing is left to happen, or until `until`."""
        self.pump()
        while (when := self._next()) is not None and (until is None or when <= until):
            self.now = max(self.now, when)
            if self._due and self._due[0][0] <= self.now:
                heapq.heappop(self._due)[2]()
            else:
                for engine in self.engines:
                    engine.handle_timer(self.now)
            self.pump()
        if until is not None:
            self.now = until

    def _next(self) -> int | None:
        times = [engine.get_timer() for engine in self.engines]
        times.append(self._due[0][0] if self._due else None)
        return min((time for time in times if time is not None), default=None)

    def of(self, engine: Engine) -> list[Event]:
        return [event for _, event in self.events[engine]]
