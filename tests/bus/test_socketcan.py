"""SocketCanBus on a virtual CAN interface of the kernel."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

import isotp
from isotp.bus.socketcan import SocketCanBus
from isotp.can_frame import CanFrame

from ..kernel.conftest import Bus, Link, Links, need_kernel
from ..waiting import until

pytestmark = pytest.mark.kernel


@pytest.fixture
def vcan() -> Iterator[Link]:
    need_kernel()
    with contextlib.closing(Links()) as links:
        yield links()


@pytest.fixture
def opened(vcan: Link) -> Iterator[SocketCanBus]:
    bus = SocketCanBus(vcan)
    bus.open(lambda: None)
    yield bus
    bus.close()


@pytest.mark.parametrize(
    "frame",
    [
        CanFrame(0x123, b"abc"),
        CanFrame(0x123 | isotp.CAN_EFF_FLAG, b"12345678"),
        CanFrame(0x123, bytes(64), True, True),
        CanFrame(0x123, b"", True),
    ],
)
def test_our_frames_come_back_as_echoes_and_those_of_others_do_not(
    opened: SocketCanBus, vcan: Link, frame: CanFrame
) -> None:
    opened.watch([frame.can_id])
    assert opened.send([frame]) == 1
    assert opened.receive()[:2] == ([frame], [frame])
    with contextlib.closing(Bus(vcan)) as other:
        other.send(frame.can_id, frame.data, frame.is_fd, frame.bitrate_switch)
    assert opened.receive()[:2] == ([frame], [])


def test_echoes_have_the_kernels_time(opened: SocketCanBus) -> None:
    """Linux begins to take times some milliseconds after the first socket asks for them; until then they are those of
    reading."""
    opened.watch({0x123})

    def seconds_late() -> float:
        opened.send([CanFrame(0x123, b"x")])
        after_ns = time.monotonic_ns()
        until(lambda: time.monotonic_ns() > after_ns + 500_000_000)
        echoed_ns = opened.receive().echoed_ns
        assert echoed_ns is not None
        return (echoed_ns - after_ns) / 1e9

    assert any(-0.1 <= seconds_late() <= 0.1 for _ in range(4)), "and not the time when they are read"


def test_the_kernel_filters_by_identifier_and_width(opened: SocketCanBus, vcan: Link) -> None:
    opened.watch([0x123])
    with contextlib.closing(Bus(vcan)) as other:
        for can_id in (0x124, 0x123 | isotp.CAN_EFF_FLAG, 0x123 | 0x40000000, 0x123):
            other.send(can_id, b"x")
    assert opened.receive().frames == [CanFrame(0x123, b"x")]
    assert opened.receive().frames == []


def test_more_identifiers_than_the_kernel_has_filters_for(opened: SocketCanBus) -> None:
    opened.watch(range(600))
    opened.send([CanFrame(599, b"x")])
    assert opened.receive().frames == [CanFrame(599, b"x")]


def test_a_full_queue_is_waited_out(vcan: Link) -> None:
    vcan.take_no_frame()
    with isotp.SoftSocket(SocketCanBus(vcan), 30) as s:
        s.bind(rxid=0x7E8, txid=0x7E0)
        relief = threading.Timer(0.1, vcan.take_frames_again)
        relief.start()
        s.send(b"x")
        relief.join()


def test_a_queue_that_stays_full_ends_with_n_as(vcan: Link) -> None:
    vcan.take_no_frame()
    with isotp.SoftSocket(SocketCanBus(vcan), 30) as s:
        s.set_engine_opts(n_as_ns=50_000_000)
        s.bind(rxid=0x7E8, txid=0x7E0)
        with pytest.raises(isotp.TransmitTimeoutError, match="50 ms"):
            s.send(b"x")
        vcan.take_frames_again()
        s.send(b"x")


def test_an_interface_that_goes_down_and_comes_back(vcan: Link) -> None:
    with isotp.SoftSocket(SocketCanBus(vcan), 30) as s:
        s.bind(rxid=0x7E8, txid=0x7E0)
        vcan.down()
        with pytest.raises(isotp.InterfaceDownError):
            s.recv()
        vcan.up()
        s.send(b"x")


def test_kernel_and_soft_sockets_understand_each_other(vcan: Link) -> None:
    with isotp.SoftSocket(SocketCanBus(vcan), 30) as soft, isotp.socket(5) as kernel:
        soft.bind(rxid=0x7E8, txid=0x7E0)
        kernel.bind(vcan, rxid=0x7E0, txid=0x7E8)
        for size in (1, 7, 8, 500, 4095):
            soft.send(bytes(size))
            assert kernel.recv() == bytes(size)
            kernel.send(bytes(size))
            assert soft.recv() == bytes(size)


def test_interfaces_that_will_not_do(vcan: Link) -> None:
    with isotp.SoftSocket(SocketCanBus("nocan0")) as s, pytest.raises(isotp.InterfaceNotFoundError):
        s.bind(rxid=1, txid=2)
    vcan.down()
    with isotp.SoftSocket(SocketCanBus(vcan)) as s, pytest.raises(isotp.InterfaceDownError):
        s.bind(rxid=1, txid=2)
    with pytest.raises(TypeError):
        SocketCanBus(0)  # type: ignore[arg-type]


def test_no_error_frames_are_asked_for(opened: SocketCanBus) -> None:
    (mask,) = struct.unpack("=I", socket.socket.getsockopt(opened._open_raw()._socket, 101, 2, 4))
    assert mask == 0


@pytest.mark.parametrize("data", [b"\x21" + bytes(7), b"\x30\0\0"], ids=["consecutive frames", "flow control"])
def test_a_call_ends_at_its_timeout_whatever_the_traffic(vcan: Link, data: bytes) -> None:
    stop = threading.Event()

    def flood() -> None:
        with contextlib.closing(Bus(vcan)) as other:
            while not stop.is_set():
                with contextlib.suppress(OSError):  # its queue is full
                    other.send(0x7E8, data)

    flooding = threading.Thread(target=flood)
    with isotp.SoftSocket(SocketCanBus(vcan), 0.5) as s:
        s.bind(rxid=0x7E8, txid=0x7E0)
        flooding.start()
        try:
            late = []
            for _ in range(5):
                begin = time.monotonic()
                with pytest.raises(TimeoutError):
                    s.recv()
                late.append(time.monotonic() - begin - 0.5)
            begin = time.monotonic()
            s.close()
            closed_after = time.monotonic() - begin
        finally:
            stop.set()
            flooding.join()
    print(f"late by {[f'{seconds * 1000:.0f} ms' for seconds in late]}, closed after {closed_after * 1000:.0f} ms")
    assert min(late) >= 0
    assert sorted(late)[2] < 1.0  # 50 ms on a machine that is not emulated
    assert closed_after < 5.0
