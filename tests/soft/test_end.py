"""A turn of the hub may end before it has reported all events: calls that come in between must not disturb them."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

import isotp
from isotp.bus import Bus, CanFrame, VirtualBus
from isotp.soft.driver import ThreadlessDriver
from isotp.soft.end import INBOX_BYTES, SoftEnd
from isotp.soft.hub import Hub
from isotp.soft.link import Link
from isotp.soft.request import Outgoing, Request, Wakeup

MS = 1_000_000
LONG = bytes(100)


class Clock:
    """Each look at it takes `step_ns`."""

    def __init__(self) -> None:
        self.now = 1_000_000_000
        self.step_ns = 0

    def __call__(self) -> int:
        self.now += self.step_ns
        return self.now


class Driver(ThreadlessDriver):
    """Makes a turn when a test says so."""

    is_current = False

    def __init__(self, bus: Bus) -> None:
        self.clock = bus.clock = Clock()
        self.hub = Hub(bus, self.clock, self)

    def abandon(self, link: Link) -> None:
        self.hub.remove(link)

    def post(self, function: Callable[[], object]) -> None:
        function()

    def wake(self) -> None:
        pass

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def call_later(self, callback: Callable[[], None]) -> None:
        callback()

    def turn_without_reports(self) -> None:
        """A turn on a machine so slow that there is time for the frames alone."""
        self.clock.step_ns = 10 * MS
        self.hub.turn()
        self.clock.step_ns = 0

    def turn_until_done(self) -> None:
        while self.hub.has_work_left:
            self.hub.turn()


@pytest.fixture
def a() -> Iterator[SoftEnd[Driver]]:
    end: SoftEnd[Driver] = SoftEnd(VirtualBus(), Driver, INBOX_BYTES, None)
    end.bind(None, isotp.Address.normal(rxid=1, txid=2))
    yield end
    end.leave("")


def sent(end: SoftEnd[Driver], data: bytes, is_awaited: bool = True) -> Outgoing[Wakeup]:
    outgoing = Outgoing(data, Wakeup(), is_awaited)
    end.ready_to_send()[1].submit(outgoing, True)
    return outgoing


def refused_without_report(end: SoftEnd[Driver], bus: Any) -> None:
    end.usable_driver().hub.turn()
    bus.inject(CanFrame(1, b"\x32\0\0"))
    end.usable_driver().turn_without_reports()
    assert not end.is_sending


def test_a_message_that_follows_does_not_take_the_outcome(a: SoftEnd[Driver]) -> None:
    first = sent(a, b"1")
    a.usable_driver().hub.turn()
    a.usable_driver().turn_without_reports()
    assert (a.is_sending, first.has_ended) == (False, False)
    second = sent(a, b"2")
    a.usable_driver().turn_until_done()
    assert (first.has_ended, second.has_ended) == (True, True)


def test_confirm_waits_for_the_report_of_a_failure(a: SoftEnd[Driver]) -> None:
    sent(a, LONG, is_awaited=False)
    refused_without_report(a, a.bus)
    confirm = Request(Wakeup())
    a.ready_to_send()[1].submit(confirm, True)
    a.usable_driver().turn_until_done()
    with pytest.raises(isotp.BufferOverflowError):
        confirm.raise_failure()


def test_close_warns_of_a_failure_that_was_not_reported(a: SoftEnd[Driver]) -> None:
    sent(a, LONG, is_awaited=False)
    refused_without_report(a, a.bus)
    with pytest.warns(isotp.UnconfirmedSendWarning, match="no room for 100 bytes"):
        a.leave("")


def test_a_message_is_under_way_until_its_report(a: SoftEnd[Driver]) -> None:
    """A call that waits for the end of a message must not take the time before the report for the end."""
    driver, bus = a.usable_driver(), cast(VirtualBus, a.bus)
    bus.inject(CanFrame(1, b"\x10\x08123456"))
    driver.turn_until_done()
    driver.hub.turn()
    assert a.inbox.is_receiving
    bus.inject(CanFrame(1, b"\x2178"))
    driver.turn_without_reports()
    assert (a.take(None, 0), a.inbox.is_receiving) == (None, True)
    driver.turn_until_done()
    message = a.take(None, 0)
    assert (message and message.data, a.inbox.is_receiving) == (b"12345678", False)
