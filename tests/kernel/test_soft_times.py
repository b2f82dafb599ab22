"""When messages of a SoftSocket were received: the kernel's times of their frames, however late these are handled."""

import threading
import time
from collections.abc import Callable

import pytest

import isotp
from isotp.engine import Event

from ..waiting import until
from .conftest import Bus, Link


def socket_can(vcan: Link) -> isotp.bus.Bus:
    return isotp.SocketCanBus(vcan)


def python_can(vcan: Link) -> isotp.bus.Bus:
    can = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    return isotp.PythonCanBus(can.Bus(interface="socketcan", channel=vcan))


@pytest.mark.parametrize("make", [socket_can, python_can])
def test_times(vcan: Link, bus: Bus, new_bus: Callable[[str], Bus], make: Callable[[Link], isotp.bus.Bus]) -> None:
    is_held, may_go = threading.Event(), threading.Event()

    def hold(event: Event) -> None:
        is_held.set()
        assert may_go.wait(60)

    with isotp.SoftSocket(make(vcan), 60, on_event=hold) as soft:
        soft.bind(rxid=1, txid=2)
        theirs = new_bus(vcan)
        theirs.send(1, b"\1x")
        assert is_held.wait(60)
        for data in (b"\x10\x08\0\1\2\3\4\5", b"\x21\6\7", b"\1y"):
            theirs.send(1, data)
        _, first, last, single = (frame.timestamp_ns for frame in bus.take(4))
        until(lambda: time.time_ns() > single + 200_000_000)
        may_go.set()
        assert soft.recv() == b"x"
        received = [soft.recv_message() for _ in range(2)]
    assert [m.data for m in received] == [bytes(range(8)), b"y"]
    times = [t for m in received for t in (m.begin_ns, m.timestamp_ns)]
    off = [abs((t or 0) - expected) for t, expected in zip(times, (first, last, single, single), strict=True)]
    assert max(off) <= (0 if make is socket_can else 1000), "python-can has them as a float of seconds"
