"""How drivers wait where there is no timerfd, on a simulated system whose waits end with ticks of 15.625 ms."""

import asyncio
import selectors
import threading
from functools import partial
from typing import Any

import pytest

import isotp
from isotp.deadline import LONGEST_WAIT_S
from isotp.soft import loop_driver, thread_driver
from isotp.soft.request import Wakeup
from isotp.soft.timers import ThreadTimer

from ..waiting import until

MS = 1_000_000
TICK_NS = 15_625_000
LATE_NS = 500_000  # how much too late a sleep ends, at most


class Coarse(Wakeup):
    """A system whose locks tick, and whose sleeps do not."""

    def __init__(self, now_ns: int) -> None:
        super().__init__()
        self.now_ns = now_ns
        self.sleeps = 0

    def clock(self) -> int:
        return self.now_ns

    def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        self.now_ns += round(seconds * 1e9) + LATE_NS

    def wait(self, seconds: float | None) -> bool:
        assert seconds is not None
        self.now_ns += round(min(seconds, LONGEST_WAIT_S) * 1e9)
        self.now_ns += -self.now_ns % TICK_NS
        return False


@pytest.mark.parametrize("now_ns", [0, 1, 7 * MS, TICK_NS - 1])
@pytest.mark.parametrize("left_ns", [1000, MS, 5 * MS, 15 * MS, 20 * MS, 21 * MS, 35 * MS, 127 * MS, 1000 * MS])
def test_a_timer_fires_in_time_although_waits_end_with_ticks(now_ns: int, left_ns: int) -> None:
    system, fired = Coarse(now_ns), threading.Event()
    timer = ThreadTimer(fired.set, system.clock, system.sleep, system)
    due_ns = timer._due_ns = now_ns + left_ns  # `set` would start the thread
    while not fired.is_set():
        timer.step()
    assert due_ns <= system.now_ns <= due_ns + LATE_NS
    assert system.sleeps <= 25, "a long wait is none of sleeps"


def test_an_earlier_time_is_noticed_between_sleeps() -> None:
    system, fired = Coarse(0), threading.Event()
    timer = ThreadTimer(fired.set, system.clock, system.sleep, system)
    timer._due_ns = 19 * MS
    timer.step()
    timer._due_ns = 2 * MS
    while not fired.is_set():
        timer.step()
    assert system.now_ns <= 2 * MS + LATE_NS


def test_a_later_time_changes_nothing_and_what_has_fired_can_be_set_again() -> None:
    fired: list[int] = []
    now_ns = [0]
    timer = ThreadTimer(lambda: fired.append(now_ns[0]), lambda: now_ns[0])
    for due_ns in (0, 5):
        now_ns[0] = due_ns
        timer.set(due_ns)
        timer.set(due_ns + 10)
        until(partial(fired.__contains__, due_ns))
    assert fired == [0, 5]
    timer.close()
    until(lambda: timer._thread is not None and not timer._thread.is_alive())


@pytest.fixture
def _without_timerfd(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (thread_driver, loop_driver):
        monkeypatch.setattr(module, "new_timer", ThreadTimer)


def timers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "isotp timer"]


@pytest.mark.usefixtures("_without_timerfd")
def test_the_thread_of_a_bus_waits_without_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float | None] = []

    class Selector(selectors.SelectSelector):
        def select(self, timeout: float | None = None) -> Any:
            limits.append(timeout)
            return super().select(timeout)

    monkeypatch.setattr(selectors, "DefaultSelector", Selector)
    bus = isotp.VirtualBus(frame_ns=10_000)
    with isotp.SoftSocket(bus) as one, isotp.SoftSocket(bus) as two:
        two.set_fc_opts(stmin=1)
        one.bind(rxid=1, txid=2)
        two.bind(rxid=2, txid=1)
        one.send(bytes(50))
        assert two.recv() == bytes(50)
        assert timers()
    until(lambda: not timers())
    assert limits
    assert set(limits) <= {None, 0}


@pytest.mark.usefixtures("_without_timerfd")
def test_an_event_loop_is_not_asked_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    async def exchange() -> None:
        bus = isotp.VirtualBus(frame_ns=10_000)
        monkeypatch.setattr(asyncio.get_running_loop(), "call_at", None)
        async with isotp.AsyncSoftSocket(bus) as one, isotp.AsyncSoftSocket(bus) as two:
            two.set_fc_opts(stmin=1)
            one.bind(rxid=1, txid=2)
            two.bind(rxid=2, txid=1)
            await one.send(bytes(50))
            assert await two.recv() == bytes(50)
            assert timers()

    asyncio.run(exchange())
    until(lambda: not timers())
