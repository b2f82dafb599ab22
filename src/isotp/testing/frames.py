"""Frames: what was on a bus, compared with frames as people write them, and shown with times."""

import itertools
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, overload

from ..address import Address, AsymmetricAddress
from ..bus.base import Bus, Received
from ..bus.virtual import VirtualBus
from ..can_frame import CanFrame
from ..engine.n_pdu import ConsecutiveFrame, FirstFrame, decode
from .notation import format_frame, parse

SHOWN: Final = 200


class Seen(NamedTuple):
    """A frame on the bus."""

    time_ns: int
    """On the clock of the bus."""
    frame: CanFrame
    end: int
    """Where its padding begins, as far as it is known; the length of its data otherwise."""
    address_size: int

    def matches(self, text: str) -> bool:
        """Whether it is what `text` says; see `isotp.testing.notation`."""
        wanted = parse(text)
        frame = self.frame if wanted.padding is not None else self._without_padding()
        return wanted.matches(frame, self.address_size)

    def _without_padding(self) -> CanFrame:
        return self.frame._replace(data=self.frame.data[: self.end])

    def __str__(self) -> str:
        text = format_frame(self._without_padding(), self.address_size)
        padding = self.frame.data[self.end :].hex(" ").upper()
        return f"{text} | {padding}" if padding else text


class Frames(Sequence[CanFrame]):
    """All frames that were on a bus since it was made, oldest first.

        assert frames == ["SF 22 F1 90", "FF 20 62 F1 90 ..", "FC CTS bs=0 stmin=0", "CF 1 ..", "CF 2 .."]

    On a VirtualBus these are the frames of all nodes, whether or not they arrive; on another bus those that its sockets
    send and receive.

    Args:
        bus: the bus; no socket of it may be bound yet, unless it is a VirtualBus.
        address: the link on it; it says which frames have an address byte.
    """

    def __init__(self, bus: Bus, address: Address | AsymmetricAddress | None = None) -> None:
        self.bus_name = bus.name
        halves = (address.tx, address.rx) if address else ()
        self._address_sizes = {half.can_id: 1 for half in halves if half and half.address_byte is not None}
        self._seen: list[Seen] = []
        self._clock = bus.clock if isinstance(bus, VirtualBus) else time.monotonic_ns
        self._to_come: dict[int, int] = {}
        """For each identifier, the bytes that the consecutive frames of its message still have to bring."""
        self.stop: Callable[[], None] = bus.listen(self._see) if isinstance(bus, VirtualBus) else _tap(bus, self._see)
        """No frame that comes after this call is noted."""

    def _see(self, frame: CanFrame) -> None:
        size, end = self._address_sizes.get(frame.can_id, 0), len(frame.data)
        match decode(frame.data, size):
            case FirstFrame(length, data):
                self._to_come[frame.can_id] = length - len(data)
            case ConsecutiveFrame(_, data) if frame.can_id in self._to_come:
                left = self._to_come[frame.can_id]
                end -= max(0, len(data) - left)
                self._to_come[frame.can_id] = max(0, left - len(data))
        self._seen.append(Seen(self._clock(), frame, end, size))

    def __len__(self) -> int:
        return len(self._seen)

    @overload
    def __getitem__(self, index: int) -> CanFrame: ...
    @overload
    def __getitem__(self, index: slice) -> list[CanFrame]: ...
    def __getitem__(self, index: int | slice) -> CanFrame | list[CanFrame]:
        if isinstance(index, slice):
            return [seen.frame for seen in self._seen[index]]
        return self._seen[index].frame

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, tuple)):
            return NotImplemented
        seen = tuple(self._seen)
        return len(seen) == len(other) and all(map(Seen.matches, seen, other))

    __hash__ = None  # type: ignore[assignment]

    def clear(self) -> None:
        """Forget the frames so far."""
        self._seen.clear()

    def explain(self, wanted: Sequence[str]) -> list[str]:
        """Each frame beside what is wanted; lines that differ begin with `!`."""
        lines = ["the frames on the bus (left) are those wanted (right)"]
        shown = self._lines()
        width = max(map(len, shown), default=0)
        for seen, line, text in itertools.zip_longest(tuple(self._seen), shown, wanted):
            same = seen is not None and text is not None and seen.matches(text)
            lines.append(f"{' ' if same else '!'} {line or '':{width}}   {'nothing' if text is None else text}")
        return lines

    def _lines(self) -> list[str]:
        seen = tuple(self._seen)
        return [f"{(one.time_ns - seen[0].time_ns) / 1e6:10.3f} ms  {one}" for one in seen]

    def __str__(self) -> str:
        lines = self._lines()
        left_out = [f"({len(lines) - SHOWN} frames before)"] if len(lines) > SHOWN else []
        return "\n".join([*left_out, *lines[-SHOWN:]]) or "(no frame)"

    def __repr__(self) -> str:
        return f"<isotp.testing.Frames {self.bus_name}: {len(self)}>"


def _tap(bus: Bus, see: Callable[[CanFrame], object]) -> Callable[[], None]:
    """Call `see` with what `bus` sends and receives; returns a function that ends this."""
    send, receive = bus.send, bus.receive

    def tapped_send(frames: Sequence[CanFrame]) -> int:
        taken = send(frames)
        if not bus.echoes:  # else they are among the received ones
            for frame in frames[:taken]:
                see(frame)
        return taken

    def tapped_receive() -> Received:
        received = receive()
        for frame in received.frames:
            see(frame)
        return received

    vars(bus).update(send=tapped_send, receive=tapped_receive)

    def stop() -> None:
        del vars(bus)["send"], vars(bus)["receive"]

    return stop
