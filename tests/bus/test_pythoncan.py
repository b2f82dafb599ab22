"""PythonCanBus on python-can's own virtual interface."""

import asyncio
import gc
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import isotp
from isotp.bus.base import Received
from isotp.bus.pythoncan_readers import _readings
from isotp.can_frame import CanFrame

from ..waiting import async_until, until

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
    received: list[Received] = []

    def has_arrived() -> bool:
        received[:] = [bus.receive()]
        return any(received[0])

    until(has_arrived)
    return received[0].frames, received[0].echoes


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
    until(lambda: not one.is_closing and not two.is_closing)
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
    with isotp.SoftSocket(bus, 30) as a, isotp.SoftSocket(isotp.PythonCanBus(buses[1]), 30) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        a.send(bytes(500))
        assert b.recv() == bytes(500)


def test_a_queue_that_stays_full_ends_with_n_as(buses: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(message: object, timeout: float | None = None) -> None:
        raise can.CanOperationError("Transmit buffer full")

    monkeypatch.setattr(buses[0], "send", full)
    with isotp.SoftSocket(isotp.PythonCanBus(buses[0]), 30) as s:
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
    with isotp.SoftSocket(isotp.PythonCanBus(buses[0]), 30) as s:
        s.bind(rxid=1, txid=2)
        with pytest.raises(isotp.InterfaceError, match="unplugged"):
            s.recv()


def test_a_bus_of_python_can_need_not_be_hashable(request: pytest.FixtureRequest) -> None:
    """Nor does what is known of it outlive it."""

    class Bus(can.interfaces.virtual.VirtualBus):  # type: ignore[misc,name-defined]
        __hash__ = None  # type: ignore[assignment]

    known = len(_readings)
    for _ in range(2):
        with Bus(channel=request.node.nodeid) as bus, isotp.SoftSocket(isotp.PythonCanBus(bus)) as socket:
            socket.bind(rxid=1, txid=2)
            assert socket.send(b"x") == 1
    del bus, socket
    until(lambda: gc.collect() >= 0 and len(_readings) <= known)


def test_two_buses_do_not_steal_from_each_other(buses: tuple[Any, Any]) -> None:
    one, two = isotp.PythonCanBus(buses[0]), isotp.PythonCanBus(buses[0])
    for first, second in ((one, two), (two, one)):
        with isotp.SoftSocket(first) as a, isotp.SoftSocket(second) as b:
            a.bind(rxid=1, txid=2)
            with pytest.raises(isotp.InterfaceError, match="is read by another PythonCanBus") as e:
                b.bind(rxid=3, txid=4)
    assert e.value.remedy == "make one PythonCanBus of it, and give that to all sockets"


def test_what_is_no_bus() -> None:
    with pytest.raises(TypeError, match="BusABC"):
        isotp.PythonCanBus("can0")


def test_without_python_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "can", None)
    with pytest.raises(isotp.UnavailableError, match="python-can is not installed"):
        isotp.PythonCanBus(None)


class Adapter(can.BusABC):  # type: ignore[misc,name-defined]
    """Raises what it is told to, once."""

    def __init__(self, protocol: Any = can.CanProtocol.CAN_20) -> None:
        super().__init__("x")
        self.channel_info = "an adapter"
        self._can_protocol = protocol
        self.on_send: list[Exception] = []
        self.on_recv: list[Exception] = []
        self.sent: list[tuple[float, Any]] = []
        self.slow_s = 0.0

    def send(self, msg: Any, timeout: float | None = None) -> None:
        if self.on_send:
            raise self.on_send.pop()
        time.sleep(self.slow_s)
        self.sent.append((time.monotonic(), msg))

    def _recv_internal(self, timeout: float | None) -> tuple[Any, bool]:
        if self.on_recv:
            raise self.on_recv.pop()
        time.sleep(0.001)
        return None, False


@pytest.mark.parametrize("error", [can.CanOperationError("full"), can.CanTimeoutError("full")], ids=["any", "timeout"])
def test_an_adapter_that_is_full_for_a_moment(error: Exception) -> None:
    adapter = Adapter()
    with isotp.SoftSocket(isotp.PythonCanBus(adapter), 30) as s:
        s.bind(rxid=1, txid=2)
        adapter.on_send.append(error)
        s.send(b"x")
    adapter.shutdown()
    assert [message.data for _, message in adapter.sent] == [b"\1x"]


def test_an_adapter_that_reads_again_after_an_error() -> None:
    adapter = Adapter()
    with isotp.SoftSocket(isotp.PythonCanBus(adapter), 30) as s:
        s.bind(rxid=1, txid=2)
        adapter.on_recv.append(can.CanOperationError("overrun"))
        with pytest.raises(isotp.InterfaceError, match="overrun"):
            s.recv()
        s.send(b"x")
    adapter.shutdown()


@pytest.mark.parametrize("fd", [False, True])
def test_whether_can_fd_goes_is_asked_of_the_adapter(fd: bool) -> None:
    adapter = Adapter(can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20)
    assert isotp.PythonCanBus(adapter).has_can_fd == fd
    assert isotp.PythonCanBus(adapter, can_fd=True).has_can_fd
    adapter.shutdown()


def test_stmin_begins_when_a_slow_adapter_has_the_frame() -> None:
    adapter = Adapter()
    adapter.slow_s = 0.004
    bus = isotp.PythonCanBus(adapter)
    with isotp.SoftSocket(bus, 30) as s:
        s.set_general_opts(tx_stmin=5_000_000)
        s.bind(rxid=1, txid=2)
        s.send(bytes(50), confirm=False)
        assert bus._reader is not None
        bus._reader.put(can.Message(arbitration_id=1, is_extended_id=False, data=b"\x30\0\0"))
        s.confirm()
    adapter.shutdown()
    times = [at for at, message in adapter.sent if message.data[0] >> 4 == 2]
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.005


def test_the_loop_does_not_wait_for_an_adapter_that_keeps_its_thread() -> None:
    """python-can's drivers need not keep the timeout of `recv`."""
    adapter, let_go = Adapter(), threading.Event()
    adapter.recv = lambda timeout=None: let_go.wait(60) and None
    bus = isotp.PythonCanBus(adapter)

    async def test() -> None:
        s = isotp.AsyncSoftSocket(bus)
        s.bind(rxid=1, txid=2)
        s.close()
        assert bus.is_closing, "close has not waited for the thread that reads"
        closing = asyncio.create_task(s.wait_closed())
        await asyncio.sleep(0)
        assert not closing.done()
        let_go.set()
        await closing
        await async_until(lambda: not bus.is_closing)

    asyncio.run(test())
    adapter.shutdown()


def test_close_gives_up_an_adapter_that_keeps_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isotp.soft.thread_driver._CLOSING_S", 0.01)
    adapter, let_go = Adapter(), threading.Event()
    adapter.recv = lambda timeout=None: let_go.wait(60) and None
    bus = isotp.PythonCanBus(adapter)
    s = isotp.SoftSocket(bus)
    s.bind(rxid=1, txid=2)
    with pytest.warns(isotp.IsoTpWarning, match="reading from it has not ended"):
        s.close()
    assert bus.is_closing
    let_go.set()
    until(lambda: not bus.is_closing)
    adapter.shutdown()


@pytest.fixture
def stuck(buses: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[isotp.PythonCanBus]:
    """A bus whose adapter's recv never returns, until the end of the test."""
    is_over = threading.Event()
    monkeypatch.setattr(buses[0], "recv", lambda timeout: is_over.wait() and None)
    yield isotp.PythonCanBus(buses[0])
    is_over.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("isotp")])


def test_close_says_that_an_adapter_goes_on_reading(stuck: isotp.PythonCanBus) -> None:
    s = isotp.SoftSocket(stuck, 30)
    s.bind(rxid=1, txid=2)
    with pytest.warns(isotp.IsoTpWarning, match="reading from it has not ended"):
        s.close()
    again = isotp.SoftSocket(stuck, 30)
    again.bind(rxid=1, txid=2)
    with pytest.raises(isotp.InterfaceError, match="has not returned since the bus was closed"):
        again.recv()
    with pytest.warns(isotp.IsoTpWarning, match="reading from it has not ended"):
        again.close()


def test_a_task_is_told_that_an_adapter_goes_on_reading(stuck: isotp.PythonCanBus) -> None:
    async def run() -> None:
        s = isotp.AsyncSoftSocket(stuck, 30)
        s.bind(rxid=1, txid=2)
        await s.send(b"x")
        s.close()
        with pytest.warns(isotp.IsoTpWarning, match="reading from it has not ended"):
            await s.wait_closed()

    asyncio.run(run())


@pytest.mark.parametrize(("said", "name"), [("PCAN_USBBUS1", "PCAN_USBBUS1"), ("unknown", "VirtualBus 0")])
def test_its_name_says_where_it_is(
    buses: tuple[Any, Any], said: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(buses[0], "channel_info", said)
    monkeypatch.setattr(buses[0], "channel", 0, raising=False)
    assert isotp.PythonCanBus(buses[0]).name == name
