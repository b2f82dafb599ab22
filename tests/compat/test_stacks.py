"""CanStack and NotifierBasedCanStack over python-can's virtual bus."""

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import can
import pytest

import isotp
from isotp.bus.pythoncan import PythonCanBus

from ..waiting import until

channels = count()
TESTER, ECU = isotp.Address(txid=0x7E0, rxid=0x7E8), isotp.Address(txid=0x7E8, rxid=0x7E0)
OTHER_TESTER, OTHER_ECU = isotp.Address(txid=0x7E1, rxid=0x7E9), isotp.Address(txid=0x7E9, rxid=0x7E1)


@pytest.fixture
def buses() -> Iterator[tuple[can.BusABC, can.BusABC]]:
    threads = threading.active_count()
    channel = f"compat {next(channels)}"
    made = can.Bus(channel, interface="virtual"), can.Bus(channel, interface="virtual")
    yield made
    for bus in made:
        bus.shutdown()
    until(lambda: threading.active_count() == threads)


def exchange(a: isotp.TransportLayer, b: isotp.TransportLayer) -> None:
    for sender, receiver in ((a, b), (b, a)):
        sender.send(bytes(range(200)))
        assert receiver.recv(block=True, timeout=30) == bytearray(range(200))


def test_four_stacks_on_two_buses_and_a_thread_or_two_for_each_bus(buses: Any) -> None:
    left, right = buses
    notifier = can.Notifier(right, [], timeout=0.05)
    before = threading.active_count()
    a, c = isotp.CanStack(left, address=TESTER), isotp.CanStack(left, OTHER_TESTER)
    b = isotp.NotifierBasedCanStack(right, notifier, address=ECU)
    d = isotp.NotifierBasedCanStack(bus=right, notifier=notifier, address=OTHER_ECU)
    for stack in (a, b, c, d):
        stack.start()
    assert threading.active_count() - before == 3  # of the left bus a reader; of each bus a driver
    for _ in range(5):
        exchange(a, b)
        exchange(c, d)
    for stack in (a, b, c, d):
        stack.stop()
    notifier.stop()


def test_a_stack_that_was_started_works_until_it_is_stopped(buses: Any) -> None:
    left, right = buses
    errors: list[Exception] = []
    stack = isotp.CanStack(left, address=TESTER, error_handler=errors.append)
    stack.start()
    there = weakref.ref(stack)
    del stack
    gc.collect()
    right.send(can.Message(arbitration_id=0x7E8, data=b"\x40", is_extended_id=False))
    until(lambda: errors)
    there().stop()  # type: ignore[union-attr]
    gc.collect()
    until(lambda: there() is None)


def test_stacks_of_one_bus_that_threads_start_at_once(buses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    left, _ = buses
    both = threading.Barrier(2)

    def slow(self: PythonCanBus, *args: Any, **kwargs: Any) -> None:
        with suppress(threading.BrokenBarrierError):
            both.wait(0.2)  # the other one begins meanwhile, if it can
        init(self, *args, **kwargs)

    init = PythonCanBus.__init__
    monkeypatch.setattr(PythonCanBus, "__init__", slow)
    stacks = isotp.CanStack(left, TESTER), isotp.CanStack(left, OTHER_TESTER)
    threads = [threading.Thread(target=stack.start) for stack in stacks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [stack.started for stack in stacks] == [True, True]
    for stack in stacks:
        stack.stop()


def test_process_without_start(buses: Any) -> None:
    left, right = buses
    a = isotp.CanStack(left, address=TESTER, params={"can_fd": False})
    b = isotp.CanStack(right, address=ECU)
    a.send(bytes(100))
    while not b.available():
        a.process()
        b.process()
    assert b.recv() == bytearray(100)


def test_remote_and_error_frames_are_no_messages(buses: Any) -> None:
    left, right = buses
    stack = isotp.CanStack(left, address=TESTER)
    right.send(can.Message(arbitration_id=0x7E8, is_remote_frame=True, is_extended_id=False, dlc=8))
    right.send(can.Message(arbitration_id=0x7E8, is_extended_id=False, data=b"\1\1"))
    until(lambda: stack.process(rx_timeout=0.01) and stack.available())
    assert stack.recv() == bytearray(b"\1")


def test_started_again_and_on_another_bus(buses: Any) -> None:
    left, right = buses
    a, b = isotp.CanStack(left, address=TESTER), isotp.CanStack(right, address=ECU)
    for _ in range(2):
        a.start()
        b.start()
        exchange(a, b)
        a.stop()
        b.stop()
    a.set_bus(right)
    b.set_bus(left)
    a.start()
    b.start()
    exchange(a, b)
    a.stop()
    b.stop()


def test_a_bus_that_is_shut_down_is_reported_once_and_with_each_message() -> None:
    errors: list[Exception] = []
    threads = threading.active_count()
    bus = can.Bus(f"compat {next(channels)}", interface="virtual")
    stack = isotp.CanStack(bus, address=TESTER, error_handler=errors.append, params={"rx_flowcontrol_timeout": 400})
    stack.start()
    bus.shutdown()
    until(lambda: errors)
    stack.send(b"1")
    until(lambda: len(errors) == 2 and not stack.transmitting())
    stack.send(bytes(100))  # meanwhile python-can says several times that the bus is closed
    until(lambda: not stack.transmitting())
    assert all(isinstance(error, isotp.IsoTpError) for error in errors)
    assert len(errors) <= 3
    stack.stop()
    until(lambda: threading.active_count() == threads)


@pytest.mark.parametrize("bus", [None, 5])
def test_what_is_no_bus(bus: Any) -> None:
    with pytest.raises(ValueError, match=r"can\.BusABC"):
        isotp.CanStack(bus, address=TESTER)
