"""Standstill: the deadline of a message that the kernel is sending, which its frames move."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

import isotp
from isotp import deadline as deadlines
from isotp.address import CanAddress
from isotp.can_frame import CanFrame
from isotp.deadline import NEVER, NOW, Deadline
from isotp.kernel import standstill as room
from isotp.kernel.binding import Binding
from isotp.kernel.standstill import standstill
from isotp.kernel.transmission import Message
from isotp.linux.raw_can import ReceivedFrame
from isotp.sockets import STANDSTILL_S
from isotp.testing import FakeClock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's sockets are Linux's")

ADDRESS = isotp.Address.normal(rxid=1, txid=2)
BOUND = Binding("vcan0", ADDRESS, True, True, True, True, 7, CanAddress(1), CanAddress(2), False)
WITH_BYTE = BOUND._replace(tx=CanAddress(2, 0x10))
CF = b"\x21abcdefg"


class Raw:
    """A raw CAN socket that receives what it is given."""

    opened: "list[Raw]"
    now_ns: Callable[[], int]
    failure: isotp.IsoTpError | None = None

    def __init__(self, interface: str, *, can_ids: list[int]) -> None:
        if self.failure:
            raise self.failure
        assert (interface, can_ids) == ("vcan0", [2, 1])
        self.arrived: list[bytes | tuple[int, bytes]] = []
        self.is_closed = False
        self.opened.append(self)

    def receive(self) -> list[ReceivedFrame]:
        """At most two at a time."""
        arrived, self.arrived = self.arrived[:2], self.arrived[2:]
        frames = [CanFrame(*one) if isinstance(one, tuple) else CanFrame(2, one) for one in arrived]
        return [ReceivedFrame(frame, self.now_ns(), "vcan0", False) for frame in frames]

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def raws(monkeypatch: pytest.MonkeyPatch) -> list[Raw]:
    """The raw CAN sockets opened."""
    monkeypatch.setattr(Raw, "opened", [], raising=False)
    monkeypatch.setattr(room, "RawCanSocket", Raw)
    return Raw.opened


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    for module in (room, deadlines):
        monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(Raw, "now_ns", lambda _: clock.time_ns(), raising=False)
    return clock


@pytest.mark.parametrize(("timeout", "limit"), [(0.1, STANDSTILL_S), (STANDSTILL_S, STANDSTILL_S), (5.0, 5.0)])
def test_how_long_a_transfer_may_stand_still(raws: list[Raw], clock: FakeClock, timeout: float, limit: float) -> None:
    with standstill(Message(), BOUND, Deadline.after(timeout)) as deadline:
        clock.sleep(limit - 0.01)
        assert not deadline.has_passed()
        assert raws == []  # nearly always the outcome is there by now
        clock.sleep(0.02)
        assert not deadline.has_passed()  # no frame was watched yet
        assert deadline.left() == pytest.approx(min(limit, 0.25))
        clock.sleep(limit - 0.01)
        assert not deadline.has_passed()
        clock.sleep(0.02)
        assert deadline.has_passed()
        assert str(deadline) == f"without a frame for {limit:g} s"
    assert [raw.is_closed for raw in raws] == [True]


@pytest.mark.parametrize("bound", [BOUND, None])
def test_no_limit_and_no_wait_stay_what_they_are(raws: list[Raw], bound: Binding | None) -> None:
    for turn in (NEVER, NOW):
        with standstill(Message(), bound, turn) as deadline:
            assert deadline is turn
    assert raws == []


@pytest.mark.parametrize(
    ("bound", "frames", "gets_on"),
    [
        (BOUND, [CF], True),
        (BOUND, [b"\x30\x00\x00", CF, b"\x30\x00\x00"], True),
        (BOUND, [b"\x30\x00\x00", b"\x30\x00\x00", CF], True),
        (BOUND, [b"\x30\x00\x00", b"\x03abc", b"\x10\x20abcdef", b""], False),
        (BOUND, [], False),
        (WITH_BYTE, [b"\x10" + CF], True),
        (WITH_BYTE, [b"\x11" + CF, CF, b"\x10", b""], False),
    ],
)
def test_consecutive_frames_move_it(
    raws: list[Raw], clock: FakeClock, bound: Binding, frames: list[bytes], gets_on: bool
) -> None:
    with standstill(Message(), bound, Deadline.after(0.1)) as deadline:
        clock.sleep(2.0)
        assert not deadline.has_passed()
        for _ in range(3):
            raws[0].arrived = list(frames)
            clock.sleep(2.0)
            assert deadline.has_passed() is not gets_on
            assert deadline.has_passed() is not gets_on
        assert raws[0].arrived == []


@pytest.mark.parametrize("failure", [isotp.UnavailableError("no raw CAN"), isotp.InterfaceDownError("down")])
def test_without_a_view_of_the_bus_it_passes(
    raws: list[Raw], clock: FakeClock, monkeypatch: pytest.MonkeyPatch, failure: isotp.IsoTpError
) -> None:
    monkeypatch.setattr(Raw, "failure", failure)
    with standstill(Message(), BOUND, Deadline.after(0.1)) as deadline:
        clock.sleep(2.0)
        assert deadline.has_passed()
    assert raws == []


def test_an_interface_that_goes_down_is_the_kernels_to_report(
    raws: list[Raw], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> list[ReceivedFrame]:
        raise isotp.InterfaceDownError("vcan0 is down")

    with standstill(Message(), BOUND, Deadline.after(0.1)) as deadline:
        clock.sleep(2.0)
        assert not deadline.has_passed()
        monkeypatch.setattr(Raw, "receive", fail)
        clock.sleep(2.0)
        assert deadline.has_passed()
    assert raws[0].is_closed


@pytest.mark.parametrize(
    ("frame", "silence", "is_stuck"),
    [
        (CF, 1.0, False),
        (CF, 1.59, None),  # it may have failed earlier
        (CF, 2.0, True),
        ((1, b"\x31\0\0"), 1.0, False),
        ((1, b"\x31\0\0"), 2.0, True),
        ((1, b""), 0.2, None),
        (None, 1.0, None),  # what was before is not known
        (None, 2.0, True),
    ],
)
def test_what_the_silence_before_a_failure_says(
    raws: list[Raw], clock: FakeClock, frame: Any, silence: float, is_stuck: bool | None
) -> None:
    message = Message()
    with standstill(message, BOUND, Deadline.after(5.0)) as deadline:
        clock.sleep(5.01)
        assert not deadline.has_passed()  # it is watched from now on
        if frame is not None:
            clock.sleep(0.7)
            raws[0].arrived = [frame]
            assert not deadline.has_passed()
        for _ in range(round(silence // 0.4)):
            clock.sleep(0.4)
            deadline.has_passed()
        clock.sleep(silence % 0.4)
    assert message.is_stuck is is_stuck


def test_a_failure_that_came_before_the_frames_were_watched(raws: list[Raw], clock: FakeClock) -> None:
    message = Message()
    with standstill(message, BOUND, Deadline.after(5.0)):
        clock.sleep(2.0)
    assert message.is_stuck is None
