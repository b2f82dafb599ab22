"""Each length and TX_DL, sent and received (9.2, 9.3, 9.5, 9.6.2 to 9.6.4), and padding (10.4)."""

from collections.abc import Iterator
from typing import Final

from ..case import Ask, Case, Expect, Need, Reports, Send, Setup, Step, message
from .frames import CTS, GRANT, expects, receive, sf_max, wanted

CLASSICAL_SIZES: Final = (*range(1, 16), 20, 21, 111, 112, 118, 119, 255, 256, 4094, 4095, 4096, 4097)
"""Where N_PCI changes its form, where the last CF is full, where the SN wraps."""
TX_DLS: Final = (8, 12, 16, 20, 24, 32, 48, 64)
_LONG: Final = 300


def fd_sizes(tx_dl: int) -> list[int]:
    """The same for CAN FD."""
    single, cf = sf_max(tx_dl), tx_dl - 1
    first = tx_dl - 2
    sizes = {1, 7, 8, single - 1, single, single + 1, first + cf, first + cf + 1, first + cf + 9, _LONG}
    return sorted(sizes | ({4095, 4096} if tx_dl in (8, 64) else set()))


def clause(size: int, tx_dl: int) -> str:
    """The clause that says most about a message of this length."""
    if size <= sf_max(tx_dl):
        return "9.6.2.1"
    return "9.6.3.1" if size > 4095 or size == sf_max(tx_dl) + 1 else "9.6.4.3"


def send_steps(data: bytes, tx_dl: int = 8, padding: int | None = None, address_size: int = 0) -> tuple[Step, ...]:
    """The subject sends a message to a receiver without limits."""
    first, *others = wanted(data, tx_dl, padding, address_size)
    steps: list[Step] = [Ask(data), Expect(first)]
    if others:
        steps += [Send(GRANT), *expects(others)]
    return (*steps, Reports("sent"))


def _form(size: int, tx_dl: int) -> str:
    if size <= sf_max(tx_dl):
        return "one single frame" + (" with the SF_DL escape" if size > 7 else "")
    escape = ", FF_DL in 32 bits" if size > 4095 else ""
    return f"a first frame{escape}, and consecutive frames"


def _of_length(size: int, tx_dl: int, can_fd: bool) -> Iterator[Case]:
    kind = f"CAN FD TX_DL {tx_dl}" if can_fd else "classical"
    data = message(size)
    form = _form(size, tx_dl)
    yield Case(
        name=f"send/{kind}/{size} bytes",
        clause=clause(size, tx_dl),
        what=f"{size} bytes are sent as {form}.",
        setup=Setup(can_fd=can_fd, tx_dl=tx_dl),
        steps=send_steps(data, tx_dl),
        allows="any padding byte where CAN FD has no frame of that length" if can_fd else "",
    )
    if size <= sf_max(max((one for one in TX_DLS if one < tx_dl), default=0)):
        return  # the same single frame as with a smaller TX_DL
    # The receiver takes RX_DL from the first frame: its own TX_DL stays the greatest.
    yield Case(
        name=f"receive/{kind.replace('TX', 'RX')}/{size} bytes",
        clause=clause(size, tx_dl),
        what=f"{size} bytes are received from {form}.",
        setup=Setup(can_fd=can_fd, tx_dl=64 if can_fd else 8),
        steps=receive(data, tx_dl),
        allows="any BS and STmin, and padding, of the flow control",
    )


def lengths() -> Iterator[Case]:
    """Each length and TX_DL, both ways."""
    for size in CLASSICAL_SIZES:
        yield from _of_length(size, 8, False)
    for tx_dl in TX_DLS:
        for size in fd_sizes(tx_dl):
            yield from _of_length(size, tx_dl, True)


def padding() -> Iterator[Case]:
    """Frames of Classical CAN have 8 bytes, or are as short as can be (10.4)."""
    for size in (1, 6, 7, 9, 13, 14):
        yield Case(
            name=f"padding/send/{size} bytes",
            clause="10.4",
            what="With padding every frame has 8 bytes.",
            setup=Setup(padding=0xAA),
            steps=send_steps(message(size), padding=0xAA),
        )
    for size in (1, 6, 9, 14):
        yield Case(
            name=f"padding/receive/{size} bytes",
            clause="10.4",
            what="The padding of frames received is no part of the message.",
            steps=receive(message(size), padding=0x55),
        )
    for name, byte, pattern in (("padded", 0xAA, f"{CTS} | AA AA AA AA AA"), ("short", None, f"{CTS} |")):
        yield Case(
            name=f"padding/flow control {name}",
            clause="10.4",
            what="A flow control is padded as all frames are.",
            setup=Setup(padding=byte),
            steps=(Send("FF 20 01 02 03 04 05 06"), Expect(pattern)),
            also_needs=frozenset({Need.PADDING}),
        )
    for tx_dl in (12, 64):
        yield Case(
            name=f"padding/CAN FD TX_DL {tx_dl}",
            clause="10.4",
            what="Frames of CAN FD above 8 bytes are padded with the same byte.",
            setup=Setup(can_fd=True, tx_dl=tx_dl, padding=0xAA),
            steps=send_steps(message(2 * tx_dl + 6), tx_dl, padding=0xAA),
        )


def cases() -> Iterator[Case]:
    """All of this subject."""
    yield from lengths()
    yield from padding()
