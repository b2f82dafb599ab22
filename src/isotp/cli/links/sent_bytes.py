"""How many bytes of a message have been sent, while it is being sent.

The kernel does not say; the frames on the bus do. The engine has events.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ...address import CanAddress
from ...bus.socketcan import SocketCanBus
from ...engine.events import Direction, Event, MessageSent, Progress, TransferFailed
from ...engine.n_pdu import ConsecutiveFrame, FirstFrame, decode
from ...errors import IsoTpError
from .raw_frames import RawFrames, driven

_LOOK_S: Final = 0.1


@contextmanager
def counting(interface: str, tx: CanAddress, advance: Callable[[int], None]) -> Iterator[None]:
    """Call `advance` with the bytes of payload in each segment that goes out to `tx`, from a thread of its own."""
    ending = threading.Event()
    with driven(SocketCanBus(interface), (tx.can_id,)) as node:
        thread = threading.Thread(target=_count, args=(node, tx, advance, ending), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()


def _count(node: RawFrames, tx: CanAddress, advance: Callable[[int], None], ending: threading.Event) -> None:
    address_size = 0 if tx.address_byte is None else 1
    while not ending.is_set():
        try:
            frames = node.receive(_LOOK_S)
        except IsoTpError:  # the interface is gone, and send() says so
            return
        for frame in frames:
            n_pdu = decode(frame.data, address_size)
            if isinstance(n_pdu, FirstFrame | ConsecutiveFrame):
                advance(len(n_pdu.data))


def of_engine(advance: Callable[[int], None]) -> Callable[[Event], None]:
    """A function for the events of an engine that calls `advance` with the bytes newly sent."""
    counted = 0

    def take(event: Event) -> None:
        nonlocal counted
        if isinstance(event, Progress) and event.direction is Direction.SENDING:
            advance(event.done - counted)
            counted = event.done
        elif isinstance(event, MessageSent | TransferFailed):
            if isinstance(event, MessageSent):
                advance(event.length - counted)
            counted = 0

    return take
