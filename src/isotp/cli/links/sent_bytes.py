"""How far a message is that the kernel sends: it does not tell, its frames do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ..address import CanAddress
from ..bus.socketcan import SocketCanBus
from ..engine.n_pdu import ConsecutiveFrame, FirstFrame, decode
from ..errors import IsoTpError
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
        except IsoTpError:  # the interface is gone, which the one who sends will tell
            return
        for frame in frames:
            n_pdu = decode(frame.data, address_size)
            if isinstance(n_pdu, FirstFrame | ConsecutiveFrame):
                advance(len(n_pdu.data))
