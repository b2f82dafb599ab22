"""Simulated time: sockets that never sleep."""

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.testing import Car, Ecu, FakeClock, NothingDueError, Reply, SimulatedSocket


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def bus(clock: FakeClock) -> isotp.VirtualBus:
    return isotp.VirtualBus(clock=clock, frame_ns=250_000)


@pytest.fixture
def pair(bus: isotp.VirtualBus) -> Iterator[tuple[SimulatedSocket, SimulatedSocket]]:
    with SimulatedSocket(bus, 5.0) as tester, SimulatedSocket(bus, 5.0) as ecu:
        ecu.set_fc_opts(bs=8, stmin=10)
        tester.bind(rxid=0x7E8, txid=0x7E0)
        ecu.bind(rxid=0x7E0, txid=0x7E8)
        yield tester, ecu


@pytest.mark.parametrize("kind", [isotp.SoftSocket, isotp.AsyncSoftSocket])
def test_sockets_in_real_time_are_refused(kind: Any) -> None:
    before = set(os.listdir("/proc/self/fd"))
    bus = isotp.VirtualBus(clock=FakeClock())
    with contextlib.closing(kind(bus)) as sock:
        for _ in range(2):
            with pytest.raises(TypeError, match=r"VirtualBus 'virtual'> is in simulated time: .* SimulatedSocket"):
                sock.bind(rxid=1, txid=2)
    with isotp.testing.SimulatedSocket(bus) as other:
        other.bind(rxid=1, txid=2)
    assert set(os.listdir("/proc/self/fd")) <= before


def test_a_transfer_takes_what_frames_and_stmin_take(
    clock: FakeClock, pair: tuple[SimulatedSocket, SimulatedSocket]
) -> None:
    tester, ecu = pair
    tester.send(bytes(6 + 7 * 16))
    assert clock.monotonic_ns() == 19 * 250_000 + 14 * 10_000_000 - 14 * 250_000 + 14 * 250_000
    assert len(ecu.recv()) == 6 + 7 * 16


def test_it_is_the_same_each_time() -> None:
    def run() -> list[tuple[int, CanFrame]]:
        clock = FakeClock()
        bus = isotp.VirtualBus(clock=clock, frame_ns=250_000, fate=isotp.Faults(seed=3, loss=0.02))
        seen: list[tuple[int, CanFrame]] = []
        bus.listen(lambda frame: seen.append((clock(), frame)))
        ecu = Ecu(rxid=0x7E0, txid=0x7E8, rules={"01": Reply(bytes(500), 1.0), "02": Reply(bytes(10), 0.02)})
        with Car(bus, ecu), SimulatedSocket(bus, 2.0) as tester:
            tester.bind(rxid=0x7E8, txid=0x7E0)
            for request in b"\x01\x02" * 10:
                try:
                    tester.send(bytes((request,)))
                    while tester.recv() == bytes((0x7F, request, 0x78)):
                        pass
                except (isotp.TransferError, TimeoutError):
                    pass
        return seen

    first = run()
    assert len(first) > 300
    assert run() == first


def test_timeouts(clock: FakeClock, pair: tuple[SimulatedSocket, SimulatedSocket]) -> None:
    tester, ecu = pair
    began = time.perf_counter()
    tester.settimeout(300.0)
    with pytest.raises(TimeoutError, match="after 300 s"):
        tester.recv()
    assert clock.monotonic() == 300.0
    with pytest.raises(TimeoutError, match="began within 0"):
        tester.recv(begins_within=0.5)
    assert clock.monotonic() == 300.5
    with pytest.raises(BlockingIOError):
        tester.recv(flags=isotp.MSG_DONTWAIT)
    ecu.close()
    with pytest.raises(isotp.FlowControlTimeoutError):
        tester.send(bytes(100))
    assert 301.5 < clock.monotonic() < 301.6
    assert time.perf_counter() - began < 100


def test_a_message_that_has_begun_is_waited_for(
    clock: FakeClock, pair: tuple[SimulatedSocket, SimulatedSocket]
) -> None:
    tester, ecu = pair
    tester.send(bytes(700), confirm=False)
    assert len(ecu.recv(begins_within=0.01)) == 700
    assert clock.monotonic() > 0.8
    tester.confirm()


def test_a_receiver_that_only_asks_to_wait(clock: FakeClock, bus: isotp.VirtualBus) -> None:
    with SimulatedSocket(bus, 3.0) as tester:
        tester.bind(rxid=0x7E8, txid=0x7E0)
        bus.listen(lambda frame: bus.inject(CanFrame(0x7E8, b"\x31\0\0")) if frame.can_id == 0x7E0 else None)
        with pytest.raises(isotp.FlowControlTimeoutError):
            tester.send(bytes(100))
    assert 1.0 < clock.monotonic() < 1.1


def test_what_can_never_come_is_an_error(clock: FakeClock, pair: tuple[SimulatedSocket, SimulatedSocket]) -> None:
    tester, _ = pair
    tester.settimeout(None)
    with pytest.raises(NothingDueError, match="nothing will ever happen: at 0 s of simulated time"):
        tester.recv()
    clock.sleep(1.5)
    assert repr(clock) == "<isotp.testing.FakeClock at 1.500000 s>"
    with pytest.raises(ValueError, match="seconds=-1"):
        clock.sleep(-1)


def test_frames_of_other_nodes(clock: FakeClock, bus: isotp.VirtualBus) -> None:
    with SimulatedSocket(bus) as sock:
        sock.bind(rxid=0x7E8, txid=0x7E0)
        bus.inject(CanFrame(0x7E8, b"\x01\x42"))
        message = sock.recv_message()
    assert message == (b"\x42", 250_000, 0, 250_000)


def test_callbacks(clock: FakeClock, bus: isotp.VirtualBus) -> None:
    def wait(event: Any) -> None:
        clock.sleep(1.0)

    with SimulatedSocket(bus, 1.0, on_event=wait) as sock, SimulatedSocket(bus) as other:
        sock.bind(rxid=0x7E8, txid=0x7E0)
        other.bind(rxid=0x7E0, txid=0x7E8)
        other.send(b"\x01")
        with pytest.raises(isotp.BusyError, match="callback"):
            sock.recv()
        assert sock.recv() == b"\x01"


def test_it_needs_a_bus_in_simulated_time(bus: isotp.VirtualBus) -> None:
    real = isotp.VirtualBus()
    with pytest.raises(TypeError, match="is not in simulated time: VirtualBus"):
        SimulatedSocket(real)
    with pytest.raises(TypeError, match="bus must be an"):
        SimulatedSocket("can0")  # type: ignore[arg-type]
    with SimulatedSocket(bus) as sock, isotp.SoftSocket(bus) as other:
        sock.bind(rxid=1, txid=2)
        with pytest.raises(isotp.InterfaceError, match="another kind"):
            other.bind(rxid=2, txid=1)


def test_other_threads_are_refused(pair: tuple[SimulatedSocket, SimulatedSocket]) -> None:
    errors: list[BaseException] = []

    def use() -> None:
        try:
            pair[0].recv()
        except isotp.IsoTpError as e:
            errors.append(e)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert isinstance(errors[0], isotp.BusyError)
    pair[0].settimeout(0)


def test_closing(clock: FakeClock, bus: isotp.VirtualBus) -> None:
    sock = SimulatedSocket(bus)
    sock.bind(rxid=0x7E8, txid=0x7E0)
    sock.send(bytes(100), confirm=False)
    with pytest.warns(isotp.UnconfirmedSendWarning):
        sock.close()
    assert clock.monotonic() > 1.0
    with pytest.raises(isotp.SocketClosedError):
        sock.recv()
    forgotten = SimulatedSocket(bus)
    forgotten.bind(rxid=0x7E8, txid=0x7E0)
    with pytest.warns(ResourceWarning, match="unclosed"):
        del forgotten
    assert bus.driver.has_ended
