"""When messages begin, as far as frames show: no kernel and no clock."""

import sys
import time
from typing import cast

import pytest

import isotp
from isotp import deadline as deadlines
from isotp.address import CanAddress
from isotp.can_frame import CanFrame
from isotp.deadline import NEVER, NOW, Deadline
from isotp.kernel.begins import Begin, Begins, Receptions, receive_until, until_look
from isotp.kernel.binding import Binding
from isotp.linux.raw_can import RawCanSocket, ReceivedFrame
from isotp.sockets import MSG_DONTWAIT
from isotp.testing import FakeClock

from .kernel.conftest import payload, segment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's sockets are Linux's")

MS = 1_000_000
FIRST, SECOND, LAST = segment(payload(20))
FC, SF, BAD_SF = b"\x30\x00\x00", b"\x02hi", b"\x00"
HUGE = b"\x10\x00\x00\x01\x00\x00ab"


def after(*frames: bytes | int) -> Receptions:
    """What is known after these frames, one each millisecond from 1 ms on; a number: a pause, in ms."""
    receptions, now = Receptions(), 0
    for frame in frames:
        if isinstance(frame, int):
            now += frame * MS
        else:
            now += MS
            receptions.take(frame, now)
    return receptions


@pytest.mark.parametrize(
    ("frames", "begins"),
    [  # in milliseconds: the last frame, and the first
        ([FIRST, SECOND, LAST], {3: 1}),
        ([FIRST, FC, SECOND, FC, LAST, FC], {5: 1}),
        ([SF, SF], {1: 1, 2: 2}),
        ([FIRST, SECOND, LAST, SF, FIRST, SECOND, LAST], {3: 1, 4: 4, 7: 5}),
        ([FIRST, SECOND, FIRST, SECOND, LAST], {5: 3}),  # restarted
        ([FIRST, SF, SECOND, LAST], {2: 2}),  # interrupted
        ([FIRST, BAD_SF, SECOND, LAST], {2: 2}),  # no message has that time
        ([FIRST, LAST], {}),  # a frame was lost
        ([FIRST, SECOND, SECOND, LAST], {}),
        ([SECOND, LAST], {}),  # the first frame was not heard
        ([FIRST, 999, SECOND, LAST], {1002: 1}),
        ([FIRST, 1001, SECOND, LAST], {}),  # N_Cr had passed
        ([b"", b"\x40", FC], {}),
        ([*segment(payload(62)), *segment(payload(300), tx_dl=64)], {9: 1, 14: 10}),
        ([b"\x10\x00\x00\x00\x00\x09ab", b"\x21cdefghi"], {2: 1}),  # an escape sequence
        ([b"\x10", b"\x21"], {}),
    ],
)
def test_the_begin_of_each_message(frames: list[bytes | int], begins: dict[int, int]) -> None:
    expected = {last * MS: first * MS for last, first in begins.items()}
    assert after(*frames).begins == expected


def test_long_messages_count_to_sixteen() -> None:
    frames = segment(payload(4095))
    assert after(*frames).begins == {len(frames) * MS: MS}


def test_only_the_last_ones_are_kept() -> None:
    begins = after(*[SF] * 3000).begins
    assert list(begins) == [n * MS for n in range(3000 - 1024 + 1, 3001)]


def test_where_frames_were_lost_nothing_is_known() -> None:
    receptions = after(FIRST, SECOND)
    receptions.lose(3 * MS)
    receptions.take(LAST, 4 * MS)
    assert receptions.begins == {}
    assert receptions.begin_ns is None
    assert receptions.busy_seconds(4 * MS) == pytest.approx(1.2)  # but something goes on
    for number, frame in enumerate((FIRST, SECOND, LAST), 5):
        receptions.take(frame, number * MS)
    assert receptions.begins == {7 * MS: 5 * MS}


@pytest.mark.parametrize(
    ("frames", "at_ms", "seconds"),
    [
        ([], 0, None),
        ([FIRST], 1, 1.2),
        ([FIRST], 801, 0.4),
        ([FIRST], 1002, None),  # the kernel has given it up
        ([FIRST, SECOND], 2, 1.2),
        ([FIRST, SECOND, LAST], 3, 0.02),  # just about to be queued
        ([FIRST, SECOND, LAST], 24, None),
        ([SF], 1, 0.02),
        ([FIRST, LAST], 30, None),
        ([FIRST], -5000, 1.2),  # the clock was set back
    ],
)
def test_how_long_a_message_may_still_be_on_its_way(frames: list[bytes], at_ms: int, seconds: float | None) -> None:
    busy = after(*frames).busy_seconds(at_ms * MS + (10**18 if not frames else 0))
    if seconds is None:
        assert busy <= 0
    else:
        assert busy == pytest.approx(seconds)


# --- the listener


class Raw:
    """A raw CAN socket: what it receives, or raises, and how many frames were dropped."""

    def __init__(self) -> None:
        self.arrived: list[list[ReceivedFrame] | isotp.IsoTpError] = []
        self.dropped = 0

    def receive(self) -> list[ReceivedFrame]:
        batch = self.arrived.pop(0) if self.arrived else []
        if isinstance(batch, isotp.IsoTpError):
            raise batch
        return batch

    def count_dropped(self) -> int:
        return self.dropped


BOUND = Binding(
    "vcan0", isotp.Address.normal(rxid=1, txid=2), True, True, True, True, 7, CanAddress(1, 9), CanAddress(2), False
)


@pytest.fixture
def raw() -> Raw:
    return Raw()


@pytest.fixture
def begins(raw: Raw) -> Begins:
    begins = Begins()
    begins._raw, begins._bound = cast(RawCanSocket, raw), BOUND
    return begins


def heard(timestamp_ns: int, data: bytes, is_fd: bool = False) -> list[ReceivedFrame]:
    return [ReceivedFrame(CanFrame(1, data, is_fd), timestamp_ns, "vcan0", False)]


def test_what_the_kernel_socket_ignores_is_ignored(raw: Raw, begins: Begins) -> None:
    first, *others = segment(payload(10), prefix=b"\x09")
    raw.arrived = [heard(1, first), heard(2, first, is_fd=True), heard(3, FIRST), *(heard(4, cf) for cf in others)]
    assert begins.begin_of(4) == 1
    assert begins.begin_of(3) is None


def test_an_interface_that_was_down_is_heard_again(raw: Raw, begins: Begins) -> None:
    raw.arrived = [isotp.InterfaceDownError("vcan0 is down"), heard(1, b"\x09" + SF)]
    assert begins.begin_of(1) == 1


def test_frames_received_along_with_lost_ones_say_nothing(raw: Raw, begins: Begins) -> None:
    raw.arrived, raw.dropped = [heard(1, b"\x09" + SF)], 5
    assert begins.begin_of(1) is None
    raw.arrived = [heard(2, b"\x09" + SF)]
    assert begins.begin_of(2) == 2


def test_it_knows_until_when_a_message_is_on_its_way(raw: Raw, begins: Begins) -> None:
    begins.look()
    assert begins.busy_until < time.monotonic()
    raw.arrived = [heard(time.time_ns() + 10**15, b"\x09" + FIRST[:7])]  # however slow this machine is
    before = time.monotonic()
    begins.look()
    assert begins.busy_until >= before + 1.2


# --- the deadline


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(deadlines, "time", clock)
    monkeypatch.setattr("isotp.kernel.begins.time", clock)
    return clock


def test_nothing_began(clock: FakeClock) -> None:
    deadline = Begin(Begins(), 0.5)
    clock.sleep(0.4)
    assert not deadline.has_passed()
    clock.sleep(0.2)
    assert deadline.has_passed()
    assert str(deadline) == "began within 0.5 s"


def test_a_message_that_began_is_waited_for(clock: FakeClock) -> None:
    begins = Begins()
    deadline = Begin(begins, 0.5)
    clock.sleep(0.6)
    begins.receptions, begins.busy_until = after(FIRST), clock.monotonic() + 1.0
    assert not deadline.has_passed()
    assert deadline.left() == pytest.approx(1.0)
    clock.sleep(1.1)
    begins.receptions, begins.busy_until = after(FIRST, SECOND), clock.monotonic() + 1.0
    assert not deadline.has_passed()
    clock.sleep(1.1)
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError, match="broke off"):
        deadline.has_passed()


def test_a_message_that_is_complete_and_not_for_this_call(clock: FakeClock) -> None:
    """Another call has received it, or the kernel had no room for it."""
    begins = Begins()
    deadline = Begin(begins, 0.5)
    clock.sleep(0.6)
    begins.receptions, begins.busy_until = after(FIRST), clock.monotonic() + 1.0
    assert not deadline.has_passed()
    clock.sleep(1.1)
    begins.receptions = after(FIRST, SECOND, LAST)
    assert deadline.has_passed()


def test_a_message_that_broke_off_before_the_call_is_none_of_it(clock: FakeClock) -> None:
    begins = Begins()
    begins.receptions, begins.busy_until = after(FIRST), clock.monotonic() - 10
    deadline = Begin(begins, 0.5)
    clock.sleep(0.6)
    assert deadline.has_passed()


def test_which_deadline_a_call_has(clock: FakeClock) -> None:
    plain, begins = Deadline.after(5.0), Begins()
    assert receive_until(begins, plain, 0, None) is plain
    assert receive_until(None, plain, 0, None) is plain
    assert receive_until(begins, NOW, MSG_DONTWAIT, 1.0) is NOW
    assert receive_until(begins, plain, 0, float("inf")) is NEVER
    assert receive_until(begins, NOW, 0, 1.0).left() == pytest.approx(1.0)
    with pytest.raises(isotp.OptionError, match="watch_begin=True"):
        receive_until(None, plain, 0, 1.0)
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="begins_within="):
            receive_until(begins, plain, 0, wrong)


def test_a_call_that_waits_looks_now_and_then(clock: FakeClock) -> None:
    deadline = Deadline.after(5.0)
    assert until_look(None, deadline) is deadline
    assert until_look(Begins(), deadline).left() == pytest.approx(0.05)
    assert cast(float, until_look(Begins(), NEVER).at) < clock.monotonic() + 1
