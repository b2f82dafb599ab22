"""How far a message is that the kernel sends: it does not tell, its frames do."""

import contextlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Final

from ..address import CAN_EFF_FLAG, CAN_EFF_MASK, CAN_SFF_MASK, CanAddress

_FILTER: Final = struct.Struct("=II")
_HEADER: Final = struct.Struct("=IB3x")
_FIRST, _CONSECUTIVE = 1, 2


@contextlib.contextmanager
def counting(interface: str, tx: CanAddress, advance: Callable[[int], None]) -> Iterator[None]:
    """Call `advance` with the bytes of payload in each segment that goes out to `tx`, from a thread of its own."""
    mask = (CAN_EFF_MASK if tx.can_id & CAN_EFF_FLAG else CAN_SFF_MASK) | CAN_EFF_FLAG
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as raw:
        raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FILTER, _FILTER.pack(tx.can_id, mask))
        raw.setsockopt(socket.SOL_CAN_RAW, socket.CAN_RAW_FD_FRAMES, 1)
        raw.bind((interface,))
        ending, end = os.pipe()
        thread = threading.Thread(target=_count, args=(raw, ending, tx.address_byte is not None, advance), daemon=True)
        thread.start()
        try:
            yield
        finally:
            os.close(end)
            thread.join()
            os.close(ending)


def _count(raw: socket.socket, ending: int, has_address_byte: bool, advance: Callable[[int], None]) -> None:
    readable = (raw.fileno(), ending)
    while True:
        ready, _, _ = select.select(readable, (), ())
        if ending in ready:
            return
        try:
            frame = raw.recv(72)
        except OSError:  # the interface is gone, which the one who sends will tell
            return
        _, length = _HEADER.unpack_from(frame)
        data = frame[8 + has_address_byte : 8 + length]
        if data and data[0] >> 4 == _CONSECUTIVE:
            advance(len(data) - 1)
        elif data and data[0] >> 4 == _FIRST:
            advance(len(data) - (2 if int.from_bytes(data[:2], "big") & 0xFFF else 6))
