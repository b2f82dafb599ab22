"""Consecutive frames that come before our flow control: the sender did not wait for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.engine.events import IgnoreReason, MessageReceived, Progress
from isotp.engine.params import Params
from isotp.engine.states import ReceiverState
from isotp.errors import WrongSequenceNumberError

from .link import MS, SECOND, events_of, take, told
from .test_receiver import DATA, begin, cf, failure


def test_consecutive_frames_before_flow_control() -> None:
    link = begin()
    for n in (1, 2):
        link.receive_frame(cf(n), 5)
    assert link.get_timer() is None
    assert take(link, 10, confirm=False) == ["300000"]
    assert link.get_timer() == 10 + SECOND  # N_Ar
    link.receive_frame(cf(3), 15)
    link.frame_sent(20)
    assert link.get_timer() == 20 + SECOND  # N_Cr
    for n in range(4, 15):
        link.receive_frame(cf(n), 25)
    assert events_of(link) == [MessageReceived(DATA)]
    assert take(link) == []


@pytest.mark.parametrize("bs", [0, 1, 3])
def test_complete_before_its_flow_control_was_taken(bs: int) -> None:
    link = begin(Params(bs=bs))
    for n in range(1, 15):
        link.receive_frame(cf(n), 0)
    assert events_of(link) == [MessageReceived(DATA)]
    assert take(link) == []
    assert link.get_timer() is None
    assert not link.is_receiving


def test_frames_before_flow_control_count_in_its_block() -> None:
    link = begin(Params(bs=3))
    flow_controls_after = []
    for n in range(1, 15):
        link.receive_frame(cf(n), 0)
        # Taken late: within the block; then not before the next block ends.
        if n in (2, 4) or n > 7:
            flow_controls_after += [n] * len(take(link))
    assert flow_controls_after == [2, 4, 8, 9, 12]
    assert events_of(link) == [MessageReceived(DATA)]


def test_a_block_ends_before_its_flow_control_and_the_application_is_not_ready() -> None:
    link = begin(Params(bs=2))
    link.set_ready(False, 0)
    for n in (1, 2, 3):
        link.receive_frame(cf(n), 0)
    assert told(link) == [IgnoreReason.UNEXPECTED_CONSECUTIVE_FRAME]
    assert take(link) == []  # the flow control for the first block would be one for the second
    link.handle_timer(250 * MS)
    assert take(link, 250 * MS) == ["310200"]
    link.set_ready(True, 0)
    for n in range(3, 15):
        assert take(link) == (["300200"] if n % 2 else [])
        link.receive_frame(cf(n), 0)
    assert events_of(link) == [MessageReceived(DATA)]


def test_wrong_sequence_number_before_flow_control() -> None:
    link = begin()
    for n in (1, 2, 4):
        link.receive_frame(cf(n), 0)
    (event,) = map(failure, events_of(link))
    assert isinstance(event.error, WrongSequenceNumberError)
    assert (event.phase, event.done) == (ReceiverState.CTS_DUE, 20)
    assert take(link) == []


def test_what_led_to_it_is_in_order() -> None:
    link = begin()
    link.receive_frame(cf(1), 0)
    take(link)
    link.receive_frame(cf(2), 0)
    link.handle_timer(SECOND)
    (event,) = map(failure, events_of(link))
    assert [frame.data.hex()[:2] for frame in event.frames] == ["10", "21", "30", "22"]


@given(
    st.lists(st.sampled_from(["nothing", "take", "take and confirm", "confirm"]), min_size=14, max_size=14),
    st.sampled_from([0, 1, 2, 3, 20]),
    st.sampled_from([0, 1, 30]),
)
def test_it_does_not_matter_when_flow_control_is_taken(pumps: list[str], bs: int, step: int) -> None:
    link = begin(Params(bs=bs, progress_step=step))
    unconfirmed = sent = 0
    for n, pump in enumerate(pumps, 1):
        if "take" in pump:
            unconfirmed += (count := len(take(link, n, confirm=False)))
            sent += count
        if "confirm" in pump:
            link.frame_sent(n, unconfirmed)
            unconfirmed = 0
        link.receive_frame(cf(n), n)
    events = [event for event in events_of(link) if not isinstance(event, Progress)]
    assert events == [MessageReceived(DATA)]
    assert take(link) == []
    assert link.get_timer() is None
    assert sent <= (-(-14 // bs) if bs else 1)
