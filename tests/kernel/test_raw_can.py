"""RawCanSocket on virtual CAN interfaces of the kernel."""

import contextlib
import time
from collections.abc import Iterator

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.linux.raw_can import ANY, RawCanSocket, ReceivedFrame

from .conftest import Bus, Link, Links

FRAMES = [
    CanFrame(0x123, b"abc"),
    CanFrame(0x18DAF110 | isotp.CAN_EFF_FLAG, b"12345678"),
    CanFrame(0x123, bytes(64), True, True),
    CanFrame(0x124, b"", True),
]


@pytest.fixture
def raw(vcan: Link) -> Iterator[RawCanSocket]:
    with RawCanSocket(vcan, own_frames=True) as raw:
        yield raw


def receive(raw: RawCanSocket, count: int) -> list[ReceivedFrame]:
    """The next `count` frames."""
    received: list[ReceivedFrame] = []
    while len(received) < count:
        assert raw.wait(30.0)
        received += raw.receive()
    return received


def test_own_frames_come_back(raw: RawCanSocket, vcan: Link) -> None:
    before = time.time_ns()
    assert raw.send(FRAMES) == len(FRAMES)
    received = receive(raw, len(FRAMES))
    assert [r.frame for r in received] == FRAMES
    assert [(r.interface, r.is_own) for r in received] == [(vcan, True)] * len(FRAMES)
    times = [before, *(r.timestamp_ns for r in received), time.time_ns()]
    assert times == sorted(times)


def test_frames_of_others(raw: RawCanSocket, vcan: Link, bus: Bus) -> None:
    bus.send(0x321, b"hi")
    (received,) = receive(raw, 1)
    assert (received.frame, received.interface, received.is_own) == (CanFrame(0x321, b"hi"), vcan, False)
    with RawCanSocket(vcan) as other:
        other.send(FRAMES)
        assert not other.wait(0)
        assert other.receive() == []
    assert not any(r.is_own for r in receive(raw, len(FRAMES)))
    assert [(f.can_id, f.data, f.fd, f.flags == 1) for f in bus.take(4)] == FRAMES


def test_filters(raw: RawCanSocket) -> None:
    for wanted, count in (([0x123], 2), ([0x18DAF110 | isotp.CAN_EFF_FLAG], 1), ([], 0), (range(600), 4), (None, 4)):
        raw.receive_only(wanted)
        raw.send(FRAMES)
        assert len(raw.receive()) == count


def test_any_interface(new_link: Links) -> None:
    links = [new_link(), new_link()]
    with RawCanSocket(ANY, can_ids=[0x123]) as listener, contextlib.ExitStack() as stack:
        for link in links:
            stack.enter_context(RawCanSocket(link)).send([CanFrame(0x123, link.encode()[-8:])])
        received = receive(listener, 2)
    assert {r.interface: r.frame.data for r in received} == {link: link.encode()[-8:] for link in links}


def test_dropped_frames_are_counted(vcan: Link) -> None:
    with RawCanSocket(vcan, rcvbuf=10_000) as slow, RawCanSocket(vcan) as sender:
        for _ in range(10):
            sender.send([CanFrame(1, b"x")] * 50)
        kept = len(slow.receive(1000))
        assert 0 < kept < 500
        sender.send([CanFrame(1, b"x")])
        receive(slow, 1)
        assert slow.dropped == 500 - kept


def test_a_full_transmit_queue(raw: RawCanSocket, vcan: Link) -> None:
    vcan.take_no_frame()
    assert raw.send(FRAMES) == 0
    vcan.take_frames_again()
    assert raw.send(FRAMES) == len(FRAMES)


def test_an_interface_that_goes_down_and_away(raw: RawCanSocket, vcan: Link, bus: Bus) -> None:
    bus.send(0x321, b"before")
    vcan.down()
    with pytest.raises(isotp.InterfaceDownError):
        raw.receive()  # the kernel's errors come first
    assert [r.frame.data for r in raw.receive()] == [b"before"]
    with pytest.raises(isotp.InterfaceDownError):
        raw.send(FRAMES)
    with pytest.raises(isotp.InterfaceDownError):
        raw.check()
    vcan.up()
    raw.check()
    assert raw.send(FRAMES) == len(FRAMES)
    vcan.delete()
    with pytest.raises(isotp.InterfaceError):
        raw.receive()
    with pytest.raises(isotp.InterfaceNotFoundError):
        raw.send(FRAMES)


def test_interfaces_that_will_not_do(vcan: Link) -> None:
    vcan.down()
    for name, error in ((vcan, isotp.InterfaceDownError), ("nocan0", isotp.InterfaceNotFoundError)):
        with pytest.raises(error):
            RawCanSocket(name)
    with pytest.raises(isotp.NotACanInterfaceError):
        RawCanSocket("lo")
