"""The conversation on the bus is the same, byte for byte, whether the kernel or the engine holds either end of it.

Where the engine differs from the kernel it does so on purpose, in what these tests leave out: it can send WAIT, which
the kernel never does; it sends no CANFD_ESI; and the pauses between frames are the business of other tests.
"""

import contextlib
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from isotp import STmin
from isotp.opts import flags

from .conftest import A_TO_B, B_TO_A, Bus, Frame, Link, Sockets, payload
from .random_links import SEED, TX_DLS, AnyAddress, End, Kinds, RandomLink, draw
from .test_addressing import PHYSICAL

KINDS = [(a, b) for a in ("kernel", "soft") for b in ("kernel", "soft")]


def recorded(bus: Bus) -> list[Frame]:
    """What is on the bus by now, without the times. The raw socket gets each frame before any ISO-TP does."""
    frames = []
    with contextlib.suppress(BlockingIOError):
        while True:
            frames.append(bus.recv(0)._replace(timestamp_ns=0))
    return frames


def conversation(kinds: Kinds, bus: Bus, who: tuple[str, str], link: RandomLink, sizes: Sequence[int]) -> list[Frame]:
    """Every frame of the messages of `link` and then of those of `sizes`, its ends of the kinds that `who` says."""
    with kinds(who[0], link.a) as a, kinds(who[1], link.b) as b:
        turns = [(a, b, link.a_says), (b, a, link.b_says)] + [(a, b, payload(size)) for size in sizes]
        for sender, receiver, message in turns:
            if message:
                sender.send(message)
                assert receiver.recv() == message
    return recorded(bus)


def shown(frames: list[Frame]) -> list[str]:
    return [f"{f.can_id:X}#{'#' * f.fd}{f.flags if f.fd else ''} {f.data.hex(' ')}" for f in frames]


def check_same(kinds: Kinds, bus: Bus, link: RandomLink, *sizes: int, hint: str = "") -> None:
    """All four ways to hold this conversation look alike."""
    reference = conversation(kinds, bus, KINDS[0], link, sizes)
    assert reference
    for who in KINDS[1:]:
        got = conversation(kinds, bus, who, link, sizes)
        if got != reference:
            at = next((i for i, (x, y) in enumerate(zip(reference, got, strict=False)) if x != y), None)
            if at is None:
                at = min(len(reference), len(got))
            pytest.fail(
                f"{who[0]} to {who[1]}: frame {at} of {len(reference)} differs, {len(got)} were sent\n"
                f"kernel to kernel: {shown(reference[at : at + 2])}\n{who[0]} to {who[1]}: {shown(got[at : at + 2])}\n"
                f"{link}\n{hint}"
            )


def plain(
    a: AnyAddress = PHYSICAL["Normal_11bits"].a, b: AnyAddress = PHYSICAL["Normal_11bits"].b, **options: object
) -> RandomLink:
    """A link with default options but for `options`, the same at both ends; no messages yet."""
    end = End(a, None, False, 0, STmin(0), None, None, flags(0), None)
    end = replace(end, **options)  # type: ignore[arg-type]
    return RandomLink(end, replace(end, address=b), b"", b"", False)


@pytest.mark.parametrize("tx_dl", [None, 8, 64])
@pytest.mark.parametrize("name", PHYSICAL)
def test_addresses(new_socket: Sockets, vcan: Link, bus: Bus, name: str, tx_dl: int | None) -> None:
    link = plain(PHYSICAL[name].a, PHYSICAL[name].b, tx_dl=tx_dl, bs=2)
    link = replace(link, a_says=payload(200), b_says=payload(30))
    check_same(Kinds(new_socket, vcan), bus, link, 5)


@pytest.mark.parametrize("txpad", [None, 0x00, 0xAA])
@pytest.mark.parametrize("byte", [False, True], ids=["", "address byte"])
@pytest.mark.parametrize("tx_dl", [None, *TX_DLS])
def test_lengths_around_each_edge(
    new_socket: Sockets, vcan: Link, bus: Bus, tx_dl: int | None, byte: bool, txpad: int | None
) -> None:
    """Where a single frame gets its escape, or becomes two frames, and how the last frame is filled up."""
    ends = PHYSICAL["Extended_11bits" if byte else "Normal_11bits"]
    link = plain(ends.a, ends.b, tx_dl=tx_dl, txpad=txpad)
    length = tx_dl or 8
    sizes = {1, 2, 5, 6, 7, 8, 9, *range(length - 4, length + 3), *range(2 * length - 5, 2 * length + 1)}
    check_same(Kinds(new_socket, vcan), bus, link, *sorted(sizes))


@pytest.mark.parametrize("tx_dl", [None, 64])
def test_lengths_of_12_and_32_bits(new_socket: Sockets, vcan: Link, bus: Bus, tx_dl: int | None) -> None:
    check_same(Kinds(new_socket, vcan), bus, plain(tx_dl=tx_dl), 4094, 4095, 4096, 8300)


@pytest.mark.parametrize("blocks", [(1, 7), (1, 8), (3, 21), (3, 22), (3, 20), (8, 56), (255, 255 * 7), (255, 1786)])
@pytest.mark.parametrize("brs", [False, True], ids=["", "BRS"])
def test_blocks(new_socket: Sockets, vcan: Link, bus: Bus, blocks: tuple[int, int], brs: bool) -> None:
    """A flow control after each block, and none after the message, where it ends with a block as well."""
    bs, size = blocks
    check_same(Kinds(new_socket, vcan), bus, plain(tx_dl=8 if brs else None, brs=brs, bs=bs), 6 + size)


@pytest.mark.parametrize("stmin", [1, 0x7F, 0x80, 0xF0, 0xF1, 0xF9, 0xFA, 0xFF])
def test_stmin_of_flow_control_goes_out_as_it_is(new_socket: Sockets, vcan: Link, bus: Bus, stmin: int) -> None:
    check_same(Kinds(new_socket, vcan), bus, plain(stmin=STmin(stmin), bs=1), 13)


@pytest.mark.parametrize("batch", range(8))
def test_any_settings(new_socket: Sockets, vcan: Link, bus: Bus, batch: int) -> None:
    chance = random.Random(f"{SEED} frames {batch}")
    for number in range(6):
        hint = f"ISOTP_TEST_SEED={SEED}, batch {batch}, link {number}"
        check_same(Kinds(new_socket, vcan), bus, draw(chance), hint=hint)


@pytest.mark.parametrize("tx_dl", [None, 64])
@pytest.mark.parametrize("txpad", [None, 0x55])
@pytest.mark.parametrize(
    ("kind", "length"), [("kernel", 0xFFFFFFF8), ("soft", 0xFFFFFFF8), ("soft", 0xFFFFFFFA), ("soft", 0xFFFFFFFF)]
)
def test_a_message_that_nobody_has_room_for(
    new_socket: Sockets, vcan: Link, bus: Bus, kind: str, length: int, txpad: int | None, tx_dl: int | None
) -> None:
    """Flow control OVFLW, with the BS and STmin of the receiver, which mean nothing in it.

    The engine differs on purpose above 0xFFFFFFF8 (CAN FD) or 0xFFFFFFF9 (Classical): there the kernel's sum of
    length and N_PCI overflows, and it says nothing at all; ISO 15765-2:2016, 9.6.3.2, wants the OVFLW for every
    length that is too much.
    """
    link = plain(tx_dl=tx_dl, txpad=txpad, bs=5, stmin=STmin(0xF3))
    first_frame = b"\x10\x00" + length.to_bytes(4, "big")
    with Kinds(new_socket, vcan)(kind, link.b):
        bus.send(A_TO_B, first_frame.ljust(tx_dl or 8, b"x"), fd=tx_dl is not None)
        padding = b"" if txpad is None else bytes([txpad]) * 5
        assert bus.recv()._replace(timestamp_ns=0) == Frame(B_TO_A, b"\x32\x05\xf3" + padding, tx_dl is not None)
