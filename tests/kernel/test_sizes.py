"""Messages of every kind of length, in every addressing mode, over Classical CAN and CAN FD, exact on both sides."""

import random
from collections.abc import Iterable

import pytest

import isotp
from isotp import Address, AddressingMode

from .conftest import A_TO_B, B_TO_A, Bus, Link, Sockets, payload, segment
from .random_links import SEED

LONGEST = 8300  # what every kernel takes without being told: from Linux 6.4 on it is the default limit

# Where N_PCI changes its form, where FF_DL needs 32 bits, where a page ends, where the kernel's limit is.
EDGES = {4094, 4095, 4096, 4097, 8191, 8192, 8193, 8299, 8300}


def sizes(dense: int, some: int) -> list[int]:
    """1 to `dense`, the edges, and `some` at random between."""
    chance = random.Random(SEED)
    return sorted({*range(1, dense + 1), *EDGES, *(chance.randint(dense + 1, LONGEST) for _ in range(some))})


NORMAL = Address.normal(txid=A_TO_B, rxid=B_TO_A), Address.normal(txid=B_TO_A, rxid=A_TO_B)


def both(mode: AddressingMode, extension: int | None = None) -> tuple[Address, Address]:
    """The two ends, 0xF1 and 0x10, where identifiers are made of addresses."""
    return (
        Address(mode, target_address=0x10, source_address=0xF1, address_extension=extension),
        Address(mode, target_address=0xF1, source_address=0x10, address_extension=extension),
    )


def with_ids(mode: AddressingMode, low: int, extension: int | None = None) -> tuple[Address, Address]:
    """The two ends where identifiers are chosen: `low` from the first, the next one from the second."""
    byte = mode.name.startswith("Extended")
    return (
        Address(mode, low, low + 1, 0x10 if byte else None, 0xF1 if byte else None, address_extension=extension),
        Address(mode, low + 1, low, 0xF1 if byte else None, 0x10 if byte else None, address_extension=extension),
    )


MODES = {
    AddressingMode.Normal_11bits: NORMAL,
    AddressingMode.Normal_29bits: with_ids(AddressingMode.Normal_29bits, 0x18000000),
    AddressingMode.NormalFixed_29bits: both(AddressingMode.NormalFixed_29bits),
    AddressingMode.Extended_11bits: with_ids(AddressingMode.Extended_11bits, 0x600),
    AddressingMode.Extended_29bits: with_ids(AddressingMode.Extended_29bits, 0x600),
    AddressingMode.Mixed_11bits: with_ids(AddressingMode.Mixed_11bits, 0x700, 0x99),
    AddressingMode.Mixed_29bits: both(AddressingMode.Mixed_29bits, 0x77),
}


def bound(
    new_socket: Sockets, vcan: Link, ends: tuple[Address, Address], tx_dl: int | None = None
) -> tuple[isotp.socket, isotp.socket]:
    a, b = new_socket(), new_socket()
    for end, address in zip((a, b), ends, strict=True):
        if tx_dl is not None:
            end.set_ll_opts(mtu=72, tx_dl=tx_dl)
        end.bind(vcan, address)
    return a, b


def check_all(a: isotp.socket, b: isotp.socket, all_sizes: Iterable[int]) -> None:
    """Each size goes one way, those that end in an odd digit the other way."""
    for size in all_sizes:
        sender, receiver = (a, b) if size % 2 else (b, a)
        data = payload(size, size)
        assert sender.send(data) == size
        received = receiver.recv()
        assert received == data, f"{size} bytes differ (ISOTP_TEST_SEED={SEED})"


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_classical(new_socket: Sockets, vcan: Link, mode: AddressingMode) -> None:
    a, b = bound(new_socket, vcan, MODES[mode])
    check_all(a, b, sizes(150, some=20))


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_can_fd(new_socket: Sockets, vcan: Link, mode: AddressingMode) -> None:
    a, b = bound(new_socket, vcan, MODES[mode], tx_dl=64)
    check_all(a, b, sizes(300, some=100))


@pytest.mark.parametrize("mode", [AddressingMode.Normal_11bits, AddressingMode.Mixed_29bits], ids=lambda m: m.name)
@pytest.mark.parametrize("tx_dl", [8, 12, 16, 20, 24, 32, 48])
def test_can_fd_with_each_tx_dl(new_socket: Sockets, vcan: Link, tx_dl: int, mode: AddressingMode) -> None:
    a, b = bound(new_socket, vcan, MODES[mode], tx_dl)
    short = {1, 5, 6, 7, 8, 9, *range(tx_dl - 4, 2 * tx_dl + 2)}
    check_all(a, b, sorted(short | EDGES | {16 * tx_dl, 16 * tx_dl + 1}))


@pytest.mark.parametrize("tx_dl", [8, 64])
def test_the_frames_of_the_edges(new_socket: Sockets, vcan: Link, bus: Bus, tx_dl: int) -> None:
    a, b = bound(new_socket, vcan, NORMAL, tx_dl if tx_dl > 8 else None)
    for size in (1, 6, 7, 8, 61, 62, 63, 64, 4095, 4096, LONGEST):
        a.send(payload(size))
        assert b.recv() == payload(size)
        frames = segment(payload(size), tx_dl)
        got = bus.take(len(frames) + (len(frames) > 1))
        assert [f.data for f in got if f.can_id == A_TO_B] == frames


def test_segmenting_here_gives_what_the_standard_shows() -> None:
    assert segment(b"\x3e\x00") == [bytes.fromhex("023e00")]
    assert segment(bytes(7)) == [bytes.fromhex("0700000000000000")]
    assert segment(b"12345678") == [b"\x10\x08123456", b"\x2178"]
    assert segment(b"1234567", prefix=b"\xf1") == [b"\xf1\x10\x0712345", b"\xf1\x2167"]
    assert segment(b"12345678", tx_dl=12) == [b"\x00\x0812345678\xcc\xcc"]
    assert segment(bytes(4096))[0] == bytes.fromhex("1000000010000000")
    assert segment(b"x", txpad=0xAA) == [b"\x01x" + b"\xaa" * 6]
    sequence = [frame[0] for frame in segment(bytes(6 + 7 * 18))]
    assert sequence == [0x10, *range(0x21, 0x30), 0x20, 0x21, 0x22]
