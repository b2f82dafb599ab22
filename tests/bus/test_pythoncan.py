"""PythonCanBus on python-can's own virtual interface."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import isotp
from isotp.core.can_frame import CanFrame

can = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")


@pytest.fixture
def buses(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """Two buses of python-can on one channel; the first hears itself."""
    made = [
        can.Bus(interface="virtual", channel=request.node.nodeid, receive_own_messages=echoes)
        for echoes in (True, False)
    ]
    yield made[0], made[1]
    for bus in made:
        bus.shutdown()


def taken(bus: isotp.PythonCanBus) -> tuple[list[CanFrame], list[CanFrame]]:
    """What arrives at `bus` until there is something."""
    deadline = time.monotonic() + 5
    while not any(received := bus.receive()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return received.frames, received.echoes


@pytest.mark.parametrize(
    "frame",
    [
        CanFrame(0x123, b"abc"),
        CanFrame(0x123 | isotp.CAN_EFF_FLAG, b"12345678"),
        CanFrame(0x7FF, bytes(64), True, True),
    ],
)
def test_frames_stay_what_they_are(buses: tuple[Any, Any], frame: CanFrame) -> None:
    one, two = isotp.PythonCanBus(buses[0], echoes=True), isotp.PythonCanBus(buses[1])
    threads = threading.active_count()
    one.open(lambda: None)
    two.open(lambda: None)
    try:
        assert one.send([frame]) == 1
        assert taken(two) == ([frame], [])
        assert taken(one) == ([frame], [frame])
    finally:
        one.close()
        two.close()
    assert threading.active_count() == threads


def test_what_is_no_data_frame_is_left_out(buses: tuple[Any, Any]) -> None:
    bus = isotp.PythonCanBus(buses[0])
    bus.open(lambda: None)
    try:
        buses[1].send(can.Message(arbitration_id=1, is_remote_frame=True, is_extended_id=False))
        buses[1].send(can.Message(arbitration_id=1, is_error_frame=True, is_extended_id=False))
        buses[1].send(can.Message(arbitration_id=3, data=b"theirs", is_extended_id=False))
        assert taken(bus) == ([CanFrame(3, b"theirs")], [])
    finally:
        bus.close()


def test_echoes_confirm(buses: tuple[Any, Any]) -> None:
    bus = isotp.PythonCanBus(buses[0], echoes=True)
    with isotp.SoftSocket(bus, 5) as a, isotp.SoftSocket(isotp.PythonCanBus(buses[1]), 5) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        a.send(bytes(500))
        assert b.recv() == bytes(500)


def test_a_queue_that_stays_full_ends_with_n_as(buses: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(message: object, timeout: float | None = None) -> None:
        raise can.CanOperationError("Transmit buffer full")

    monkeypatch.setattr(buses[0], "send", full)
    with isotp.SoftSocket(isotp.PythonCanBus(buses[0]), 5) as s:
        s.set_engine_opts(n_as_ns=20_000_000)
        s.bind(rxid=1, txid=2)
        with pytest.raises(isotp.TransmitTimeoutError, match="20 ms"):
            s.send(b"x")
        monkeypatch.undo()
        s.send(b"x")


def test_an_interface_that_breaks_reaches_the_callers(buses: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(timeout: float | None = None) -> None:
        raise can.CanError("unplugged")

    monkeypatch.setattr(buses[0], "recv", broken)
    with isotp.SoftSocket(isotp.PythonCanBus(buses[0]), 5) as s:
        s.bind(rxid=1, txid=2)
        with pytest.raises(isotp.InterfaceError, match="unplugged"):
            s.recv()


def test_what_is_no_bus() -> None:
    with pytest.raises(TypeError, match="BusABC"):
        isotp.PythonCanBus("can0")


def test_without_python_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "can", None)
    with pytest.raises(isotp.UnavailableError, match="python-can is not installed"):
        isotp.PythonCanBus(None)
