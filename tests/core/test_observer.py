import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.address import Address
from isotp.core.can_frame import CanFrame
from isotp.core.events import Direction, FirstFrameReceived, MessageReceived, Progress, TransferFailed
from isotp.core.n_pdu import ConsecutiveFrame, FlowControl, Malformed, SingleFrame
from isotp.core.observer import Observed, Observer, Sighting
from isotp.core.params import Params
from isotp.errors import BufferOverflowError, ConsecutiveFrameTimeoutError, WrongSequenceNumberError

from .link import MS, SECOND, Link, can, engine

ADDRESS = Address.normal(rxid=0x123, txid=0x456)
SENDING, RECEIVING = Direction.SENDING, Direction.RECEIVING
FIRST = can("1064010203040506", 0x456)


def observed(observer: Observer) -> list[Observed]:
    events = []
    while event := observer.next_event():
        events.append(event)
    return events


def failure(observer: Observer) -> TransferFailed:
    event = observed(observer)[-1].event
    assert isinstance(event, TransferFailed)
    return event


@pytest.mark.parametrize("params", [Params(), Params(bs=2, stmin=1), Params(can_fd=True, tx_dl=64, bs=1)])
def test_follows_both_directions_at_once(params: Params) -> None:
    one, two = engine(params), engine(params, rxid=0x456, txid=0x123)
    link = Link(one, two)
    data = bytes(range(250))
    one.send(data, 0)
    two.send(data[::-1], 0)
    link.run()
    observer = Observer(ADDRESS)
    for now, frame in link.frames:
        assert observer.receive_frame(frame, now) is not None
    events = observed(observer)
    assert [event.event for event in events if event.direction is SENDING] == [
        FirstFrameReceived(250),
        MessageReceived(data),
    ]
    assert [event.event for event in events if event.direction is RECEIVING] == [
        FirstFrameReceived(250),
        MessageReceived(data[::-1]),
    ]
    assert observer.get_timer() is None


def test_each_frame_is_told() -> None:
    observer = Observer(Address.extended(rxid=1, txid=2, target_address=0x10, source_address=0x20))
    assert observer.receive_frame(can("100141", 2), 0) == Sighting(SENDING, SingleFrame(b"A"))
    assert observer.receive_frame(can("2021", 1), 0) == Sighting(RECEIVING, ConsecutiveFrame(1, b""))
    assert observer.receive_frame(can("20320000", 1), 0) == Sighting(RECEIVING, FlowControl(2, 0, 0))
    assert observer.receive_frame(can("20", 1), 0) == Sighting(RECEIVING, Malformed(None, "empty frame"))
    for other in (can("990141", 2), can("", 2), can("100141", 3)):
        assert observer.receive_frame(other, 0) is None


def test_a_message_that_breaks_off() -> None:
    observer = Observer(ADDRESS)
    observer.receive_frame(FIRST, 0)
    assert observer.get_timer() == 2 * SECOND
    assert observer.unfinished() == [Progress(SENDING, 6, 100)]
    observer.receive_frame(can("310000"), 900 * MS)
    observer.receive_frame(can("300000"), 1800 * MS)
    observer.handle_timer(3 * SECOND)
    observer.receive_frame(can("2107080910111213", 0x456), 3 * SECOND)
    observer.handle_timer(5 * SECOND)
    event = failure(observer)
    assert isinstance(event.error, ConsecutiveFrameTimeoutError)
    assert (event.done, event.total) == (13, 100)
    assert [frame.can_id for frame in event.frames] == [0x456, 0x123, 0x123, 0x456]
    assert observer.unfinished() == []


def test_refused_by_the_receiver() -> None:
    observer = Observer(ADDRESS)
    observer.receive_frame(can("320000"), 0)
    observer.receive_frame(FIRST, 0)
    observer.receive_frame(can("320000"), 0)
    assert isinstance(failure(observer).error, BufferOverflowError)


def test_lost_frame() -> None:
    observer = Observer(ADDRESS)
    observer.receive_frame(FIRST, 0)
    observer.receive_frame(can("2207080910111213", 0x456), 0)
    assert isinstance(failure(observer).error, WrongSequenceNumberError)


def test_too_long() -> None:
    observer = Observer(ADDRESS, max_pdu_size=99)
    observer.receive_frame(FIRST, 0)
    assert isinstance(failure(observer).error, BufferOverflowError)


def test_one_direction_only() -> None:
    observer = Observer(Address.normal(txid=0x456))
    assert observer.receive_frame(can("300000", 0x456), 0) is not None
    assert observer.receive_frame(can("300000", 0x123), 0) is None
    observer.receive_frame(can("0141", 0x456), 0)
    assert observed(observer) == [Observed(SENDING, MessageReceived(b"A"))]


@given(
    st.lists(st.tuples(st.booleans(), st.binary(max_size=70), st.integers(0, SECOND)), max_size=40),
    st.sampled_from([b"", b"\x21", b"\x10", b"\x10\x64aaaaaa", b"\x30"]),
)
def test_no_input_raises(frames: list[tuple[bool, bytes, int]], head: bytes) -> None:
    observer = Observer(ADDRESS)
    now = 0
    for forth, data, later in frames:
        now += later
        for frame_data in (head + data, head):
            sighting = observer.receive_frame(CanFrame(0x456 if forth else 0x123, frame_data), now)
            assert sighting is not None
        observer.handle_timer(now)
    observer.unfinished()
    observed(observer)
