"""Standstill: the deadline of a message that the kernel is sending, which its frames move."""

import sys
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
    failure: isotp.IsoTpError | None = None

    def __init__(self, interface: str, *, can_ids: list[int]) -> None:
        if self.failure:
            raise self.failure
        assert (interface, can_ids) == ("vcan0", [2])
        self.arrived: list[bytes] = []
        self.is_closed = False
        self.opened.append(self)

    def receive(self) -> list[ReceivedFrame]:
        """At most two at a time."""
        arrived, self.arrived = self.arrived[:2], self.arrived[2:]
        return [ReceivedFrame(CanFrame(2, data), 0, "vcan0", False) for data in arrived]

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
    return clock


@pytest.mark.parametrize(("timeout", "limit"), [(0.1, STANDSTILL_S), (STANDSTILL_S, STANDSTILL_S), (5.0, 5.0)])
def test_how_long_a_transfer_may_stand_still(raws: list[Raw], clock: FakeClock, timeout: float, limit: float) -> None:
    with standstill(BOUND, Deadline.after(timeout)) as deadline:
        clock.sleep(limit - 0.01)
        assert not deadline.has_passed()
        assert raws == []  # nearly always the outcome is there by now
        clock.sleep(0.02)
        assert not deadline.has_passed()  # no frame was watched yet
        assert deadline.left() == pytest.approx(limit)
        clock.sleep(limit - 0.01)
        assert not deadline.has_passed()
        clock.sleep(0.02)
        assert deadline.has_passed()
        assert str(deadline) == f"without a frame for {limit:g} s"
    assert [raw.is_closed for raw in raws] == [True]


@pytest.mark.parametrize("bound", [BOUND, None])
def test_no_limit_and_no_wait_stay_what_they_are(raws: list[Raw], bound: Binding | None) -> None:
    for turn in (NEVER, NOW):
        with standstill(bound, turn) as deadline:
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
    with standstill(bound, Deadline.after(0.1)) as deadline:
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
    with standstill(BOUND, Deadline.after(0.1)) as deadline:
        clock.sleep(2.0)
        assert deadline.has_passed()
    assert raws == []


def test_an_interface_that_goes_down_is_the_kernels_to_report(
    raws: list[Raw], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> list[ReceivedFrame]:
        raise isotp.InterfaceDownError("vcan0 is down")

    with standstill(BOUND, Deadline.after(0.1)) as deadline:
        clock.sleep(2.0)
        assert not deadline.has_passed()
        monkeypatch.setattr(Raw, "receive", fail)
        clock.sleep(2.0)
        assert deadline.has_passed()
    assert raws[0].is_closed
