"""Frames: what was on a bus, compared with frames as people write them, and shown with times."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, takewhile
from typing import Final, overload

from ..address import Address, AsymmetricAddress
from ..bus.base import Bus, Received
from ..bus.virtual import VirtualBus
from ..can_frame import CanFrame
from ..engine.n_pdu import ConsecutiveFrame, FirstFrame, decode
from .fault_rules import Course, Fault
from .frame_diff import side_by_side
from .notation import format_frame, parse

SHOWN: Final = 200
_parsed = lru_cache(1000)(parse)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Seen:
    """A frame on the bus. It is equal to each text that says it, see `isotp.testing.notation`, and to its CanFrame."""

    time_ns: int
    """On the clock of the bus."""
    frame: CanFrame
    end: int
    """Where its padding begins, as far as it is known; the length of its data otherwise."""
    address_size: int
    faults: tuple[Fault, ...] = ()
    """What happened to it on its way."""

    def matches(self, text: str) -> bool:
        """Whether it is what `text` says."""
        wanted = _parsed(text)
        says_padding = wanted.kind is None or wanted.padding is not None
        return wanted.matches(self.frame if says_padding else self._without_padding(), self.address_size)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.matches(other)
        frame = other.frame if isinstance(other, Seen) else other
        return self.frame == frame if isinstance(frame, CanFrame) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def _without_padding(self) -> CanFrame:
        return self.frame._replace(data=self.frame.data[: self.end])

    @property
    def fate(self) -> str:
        """The faults, each after three spaces."""
        return "".join(f"   {fault.rule} -> {fault.outcome}" for fault in self.faults)

    def __str__(self) -> str:
        text = format_frame(self._without_padding(), self.address_size)
        padding = self.frame.data[self.end :].hex(" ").upper()
        return f"{text} | {padding}" if padding else text

    __repr__ = __str__


class FrameList(Sequence[Seen]):
    """Frames that were on a bus, oldest first, to compare with a list of texts."""

    def __init__(self, seen: list[Seen], first_ns: int | None = None) -> None:
        self._seen = seen
        self._first_ns = first_ns
        """From when times are shown; None: from the first one."""

    def __len__(self) -> int:
        return len(self._seen)

    @overload
    def __getitem__(self, index: int) -> Seen: ...
    @overload
    def __getitem__(self, index: slice) -> "FrameList": ...
    def __getitem__(self, index: int | slice) -> "Seen | FrameList":
        if isinstance(index, slice):
            return FrameList(self._seen[index], self._since())
        return self._seen[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FrameList):
            return self._seen == other._seen
        if isinstance(other, (str, bytes)):
            raise TypeError(f"{other!r} is no list of frames: allowed is one such as ['SF 22 F1 90', 'SF 62 ..']")
        if not isinstance(other, (list, tuple)):
            return NotImplemented
        for one in other:
            _check(one)
        return self._seen == list(other)

    __hash__ = None  # type: ignore[assignment]

    def explain(self, wanted: Sequence[object]) -> list[str]:
        """Frames beside what is wanted; lines that differ begin with `!`."""
        seen = tuple(self._seen)
        shown = [self._line(one) for one in seen]
        return ["the frames on the bus (left) are those wanted (right)", *side_by_side(seen, shown, wanted)]

    def _since(self) -> int:
        return self._seen[0].time_ns if self._first_ns is None and self._seen else self._first_ns or 0

    def _line(self, one: Seen) -> str:
        return f"{(one.time_ns - self._since()) / 1e6:10.3f} ms  {one}"

    def __str__(self) -> str:
        seen = self._seen[-SHOWN:]
        left_out = [f"({len(self) - SHOWN} frames before)"] if len(self) > SHOWN else []
        lines = [
            "   ".join([self._line(one), *(f"{fault.rule} -> {fault.outcome}" for fault in one.faults)]) for one in seen
        ]
        return "\n".join([*left_out, *lines]) or "(no frame)"

    def __repr__(self) -> str:
        return repr(self._seen)


def _check(wanted: object) -> None:
    """Raise the error for what can be no frame, whatever it is compared with."""
    if isinstance(wanted, str):
        _parsed(wanted)
    elif not isinstance(wanted, (CanFrame, Seen)):
        raise TypeError(f"{wanted!r} is no frame: allowed are texts, such as 'SF 22 F1 90', and CanFrame")


class Frames(FrameList):
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
        super().__init__([])
        self.bus_name = bus.name
        halves = (address.tx, address.rx) if address else ()
        self._address_sizes = {half.can_id: 1 for half in halves if half and half.address_byte is not None}
        fate = bus.fate if isinstance(bus, VirtualBus) else None
        self._faults = fate.done if isinstance(fate, Course) else []
        self._told = len(self._faults)
        """How many of them belong to frames that were seen."""
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
        self._seen.append(Seen(self._clock(), frame, end, size, self._faults_of(frame)))

    def _faults_of(self, frame: CanFrame) -> tuple[Fault, ...]:
        """The faults that happened to it just now."""
        new = islice(self._faults, self._told, None)
        faults = tuple(takewhile(lambda fault: fault.frame is frame, new))
        self._told += len(faults)
        return faults

    def clear(self) -> None:
        """Forget the frames so far."""
        self._seen.clear()

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
