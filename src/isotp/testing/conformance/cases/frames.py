"""The frames of a message by the standard alone, not made with the engine that is tested with them."""

from collections.abc import Iterable, Iterator
from itertools import count
from struct import pack
from typing import Final

from ..case import Expect, Follow, Reports, Send, Step

LENGTHS: Final = (*range(9), 12, 16, 20, 24, 32, 48, 64)
CTS: Final = "FC CTS .."
"""Flow control with any BS, STmin and padding."""
GRANT: Final = "FC CTS"
"""What the tester sends: BS and STmin 0."""
_ANY: Final = "??"
_TESTERS_PADDING: Final = "CC"


def sf_max(tx_dl: int, address_size: int = 0) -> int:
    """How long a message a single frame holds (9.6.2.1)."""
    return tx_dl - address_size - (1 if tx_dl == 8 else 2)


def segments(data: bytes, tx_dl: int = 8, address_size: int = 0) -> Iterator[bytes]:
    """The frames of a message, without address and padding (9.6)."""
    size, room = len(data), tx_dl - address_size
    if size <= 7 - address_size:
        yield bytes((size,)) + data
        return
    if size <= sf_max(tx_dl, address_size):
        yield bytes((0, size)) + data
        return
    n_pci = pack(">H", 0x1000 | size) if size <= 0xFFF else pack(">HI", 0x1000, size)
    done = room - len(n_pci)
    yield n_pci + data[:done]
    for number in count(1):
        if done >= size:
            return
        yield bytes((0x20 | number & 0xF,)) + data[done : done + room - 1]
        done += room - 1


def text(frame: bytes, padding: str, least: int = 0, address_size: int = 0) -> str:
    """Bytes of a pattern: `frame` padded with `padding` to a length that CAN has, and to at least `least` bytes."""
    whole = len(frame) + address_size
    length = next(one for one in LENGTHS if one >= max(whole, least))
    return " ".join([*(f"{byte:02X}" for byte in frame), *[padding] * (length - whole)])


def wanted(data: bytes, tx_dl: int = 8, padding: int | None = None, address_size: int = 0) -> list[str]:
    """What the subject has to send; where only CAN FD asks for padding it may be any."""
    byte, least = (_ANY, 0) if padding is None else (f"{padding:02X}", 8)
    return [text(frame, byte, least, address_size) for frame in segments(data, tx_dl, address_size)]


def sent(data: bytes, tx_dl: int = 8, padding: int | None = None, address_size: int = 0) -> list[str]:
    """What the tester sends."""
    byte, least = (_TESTERS_PADDING, 0) if padding is None else (f"{padding:02X}", 8)
    return [text(frame, byte, least, address_size) for frame in segments(data, tx_dl, address_size)]


def sends(texts: Iterable[str]) -> list[Step]:
    """The tester sends these frames."""
    return [Send(text) for text in texts]


def expects(texts: Iterable[str]) -> list[Step]:
    """The subject sends these frames."""
    return [Expect(text) for text in texts]


def receive(data: bytes, tx_dl: int = 8, padding: int | None = None, address_size: int = 0) -> tuple[Step, ...]:
    """The subject receives a message; the tester follows the flow control."""
    first, *others = sent(data, tx_dl, padding, address_size)
    steps: list[Step] = [Send(first)]
    if others:
        steps += [Expect(CTS), Follow(tuple(others))]
    return (*steps, Reports("message", data))
