"""Frames: what was on a bus, compared with frames as people write them, and shown with times."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, overload

from ..address import Address, AsymmetricAddress
from ..bus.base import Bus, Received
from ..bus.virtual import VirtualBus
from ..can_frame import CanFrame
from ..engine.n_pdu import ConsecutiveFrame, FirstFrame, decode
from .notation import format_frame, parse

SHOWN: Final = 200


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seen:
    """A frame on the bus. It is equal to each text that says it, see `isotp.testing.notation`, and to its CanFrame."""

    time_ns: int
    """On the clock of the bus."""
    frame: CanFrame
    end: int
    """Where its padding begins, as far as it is known; the length of its data otherwise."""
    address_size: int

    def matches(self, text: str) -> bool:
        """Whether it is what `text` says."""
        wanted = parse(text)
        says_padding = wanted.kind is None or wanted.padding is not None
        return wanted.matches(self.frame if says_padding else self._without_padding(), self.address_size)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.matches(other)
        return self.frame == other if isinstance(other, CanFrame) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _without_padding(self) -> CanFrame:
        return self.frame._replace(data=self.frame.data[: self.end])

    def __str__(self) -> str:
        text = format_frame(self._without_padding(), self.address_size)
        padding = self.frame.data[self.end :].hex(" ").upper()
        return f"{text} | {padding}" if padding else text

    __repr__ = __str__


class Frames(Sequence[Seen]):
    """All frames that were on a bus since it was made, oldest first.

        assert frames == ["SF 22 F1 90", "FF 20 62 F1 90 ..", "FC CTS bs=0 stmin=0", "CF 1 ..", "CF 2 .."]
        assert frames[2:] == ["FC CTS ..", "CF 1 ..", "CF 2 .."]
        assert "FC WAIT .." not in frames

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
        self._to_come: dict[int, tuple[int, int]] = {}
        """For each identifier, the next SN of its message, and how many bytes are still to come."""
        self.stop: Callable[[], None] = bus.listen(self._see) if isinstance(bus, VirtualBus) else _tap(bus, self._see)
        """No frame that comes after this call is noted."""

    def _see(self, frame: CanFrame) -> None:
        size, end = self._address_sizes.get(frame.can_id, 0), len(frame.data)
        n_pdu = decode(frame.data, size)
        if isinstance(n_pdu, FirstFrame):
            self._to_come[frame.can_id] = 1, n_pdu.length - len(n_pdu.data)
        elif isinstance(n_pdu, ConsecutiveFrame) and frame.can_id in self._to_come:
            sn, left = self._to_come[frame.can_id]
            if n_pdu.sn == sn:
                end -= max(0, len(n_pdu.data) - left)
                self._to_come[frame.can_id] = (sn + 1) % 16, left - len(n_pdu.data)
                if left <= len(n_pdu.data):
                    del self._to_come[frame.can_id]
        self._seen.append(Seen(self._clock(), frame, end, size))

    def __len__(self) -> int:
        return len(self._seen)

    @overload
    def __getitem__(self, index: int) -> Seen: ...
    @overload
    def __getitem__(self, index: slice) -> list[Seen]: ...
    def __getitem__(self, index: int | slice) -> Seen | list[Seen]:
        return self._seen[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (list, tuple)):
            return NotImplemented
        return self._seen == list(other)

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
            same = seen is not None and seen == text
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
