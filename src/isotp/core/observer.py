"""Reading along on a link between two others: both directions, nothing sent, no input too strange."""

from collections import deque
from dataclasses import dataclass

from ..address import Address, AsymmetricAddress, CanAddress
from .can_frame import CanFrame
from .events import Direction, Event, Progress
from .n_pdu import FF_DL_MAX, FlowControl, Malformed, NPdu, decode
from .params import Params
from .receiver import Receiver
from .unconfirmed import Unconfirmed


@dataclass(frozen=True, slots=True)
class Sighting:
    """One frame of the link."""

    direction: Direction
    """As the node sees it whose address was given: SENDING is what it sends."""
    n_pdu: NPdu | Malformed


@dataclass(frozen=True, slots=True)
class Observed:
    """What became of a message; `event` is the receiver's view of it."""

    direction: Direction
    event: Event


class _Side:
    """One direction: how its frames are addressed, and who puts them together."""

    def __init__(self, address: CanAddress, params: Params, link: str) -> None:
        self.can_id = address.can_id
        self.head = b"" if address.address_byte is None else bytes((address.address_byte,))
        self.events: deque[Event] = deque()
        self.receiver = Receiver(len(self.head), None, False, params, link, self.events, Unconfirmed())


class Observer:
    """Follows a link from the outside.

    Classical and CAN FD frames are taken alike. Silence ends a message after N_Bs and N_Cr together, since
    the time limits that the two nodes have may not begin with a frame that is seen.

    Args:
        address: of one of the two nodes; a half will do, to follow one direction.
        max_pdu_size: longer messages are reported as failed.
    """

    def __init__(self, address: Address | AsymmetricAddress, max_pdu_size: int = FF_DL_MAX) -> None:
        params = Params(listen_only=True, max_pdu_size=max_pdu_size)
        halves = {Direction.SENDING: address.tx, Direction.RECEIVING: address.rx}
        self._sides = {
            direction: _Side(half, params, str(address)) for direction, half in halves.items() if half is not None
        }

    def receive_frame(self, frame: CanFrame, now: int) -> Sighting | None:
        """Take a frame from the bus; None if it is not of this link. Never raises.

        `now` is integer nanoseconds, and need not be the present: the time stamps of a recording do.
        """
        for direction, side in self._sides.items():
            if frame.can_id == side.can_id and frame.data.startswith(side.head):
                n_pdu = decode(frame.data, len(side.head))
                if not isinstance(n_pdu, FlowControl):
                    if not side.receiver.run.keep(frame.data, now):
                        side.receiver.receive(n_pdu, frame, now)
                elif other := self._sides.get(_OPPOSITE[direction]):
                    other.receiver.overhear(n_pdu, frame, now)
                return Sighting(direction, n_pdu)
        return None

    def get_timer(self) -> int | None:
        """When to call `handle_timer`; None if nothing is being followed."""
        timers = [side.receiver.get_timer() for side in self._sides.values()]
        return min((due for due in timers if due is not None), default=None)

    def handle_timer(self, now: int) -> None:
        """Time has passed: messages that broke off are reported. Harmless at any time."""
        for side in self._sides.values():
            side.receiver.handle_timer(now)

    def unfinished(self) -> list[Progress]:
        """The messages that are under way, to report at the end of a recording."""
        return [
            Progress(direction, side.receiver.done, side.receiver.total)
            for direction, side in self._sides.items()
            if side.receiver.get_timer() is not None
        ]

    def next_event(self) -> Observed | None:
        """What happened, oldest first in each direction; None when there is no more."""
        for direction, side in self._sides.items():
            if side.events:
                return Observed(direction, side.events.popleft())
        return None


_OPPOSITE = {Direction.SENDING: Direction.RECEIVING, Direction.RECEIVING: Direction.SENDING}
