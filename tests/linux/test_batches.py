"""Inlet and Outlet on datagram sockets of Unix; on CAN in tests/kernel/test_raw_can.py."""

import errno
import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest

from isotp.linux.batches import Inlet, Outlet
from isotp.linux.constants import SO_TIMESTAMPNS, timespec_ns

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="of Linux")

LAYOUT = struct.Struct("=I4x")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        yield here, there


def packed(numbers: range) -> bytes:
    return b"".join(struct.pack("=II", number, 7) for number in numbers)


def received(inlet: Inlet, limit: int = 100) -> list[int]:
    count = inlet.receive(limit)
    return [number for (number,) in inlet.rows(LAYOUT, count)]


def test_in_batches(pair: tuple[socket.socket, socket.socket]) -> None:
    inlet, outlet = Inlet(pair[1], 4, 8, 64, 24), Outlet(pair[0], 3, 8)
    assert outlet.send(packed(range(5))) == 3
    assert outlet.send(packed(range(3, 5))) == 2
    assert [received(inlet, 2), received(inlet), received(inlet)] == [[0, 1], [2, 3, 4], []]


def test_shorter_ones_and_those_cut_off(pair: tuple[socket.socket, socket.socket]) -> None:
    inlet = Inlet(pair[1], 4, 8, 0, 0)
    for size in (3, 8, 9):
        pair[0].send(bytes(size))
    assert inlet.receive(4) == 3
    assert inlet.lengths(3) == [3, 8, 8]
    assert inlet.flags(3) == [0, 0, socket.MSG_TRUNC]


def test_control_messages(pair: tuple[socket.socket, socket.socket]) -> None:
    """Again and again: the kernel changes the room for them."""
    pair[1].setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    inlet = Inlet(pair[1], 4, 8, 64, 24)
    times = [time.time_ns()]
    for _ in range(3):
        pair[0].send(b"1")
        pair[0].send(b"2")
        assert inlet.receive(4) == 2
        for index in range(2):
            ((level, kind, value),) = inlet.control(index)
            assert (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS)
            times.append(timespec_ns(value))
    assert times == sorted(times)


def test_names() -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        receiver.setblocking(False)
        receiver.bind("")  # the kernel chooses a name: a zero and five digits
        sender.bind("")
        inlet = Inlet(receiver, 4, 8, 0, 24)
        sender.sendto(b"hi", receiver.getsockname())
        assert inlet.receive(4) == 1
        family, name = struct.unpack("=H6s16x", inlet.name(0))
        assert (family, name) == (socket.AF_UNIX, sender.getsockname())


def test_a_full_socket_takes_a_part(pair: tuple[socket.socket, socket.socket]) -> None:
    outlet = Outlet(pair[0], 10_000, 8)
    taken = outlet.send(packed(range(10_000)))
    assert 0 < taken < 10_000
    with pytest.raises(BlockingIOError):
        outlet.send(packed(range(1)))
    assert received(Inlet(pair[1], 4, 8, 0, 0)) == [0, 1, 2, 3]
    assert outlet.send(packed(range(1))) == 1


def test_a_closed_socket(pair: tuple[socket.socket, socket.socket]) -> None:
    inlet, outlet = Inlet(pair[1], 4, 8, 64, 24), Outlet(pair[0], 3, 8)
    pair[0].close()
    pair[1].close()
    with pytest.raises(OSError, match="Bad file") as caught:
        inlet.receive(1)
    assert caught.value.errno == errno.EBADF
    with pytest.raises(OSError, match="Bad file"):
        outlet.send(bytes(8))
