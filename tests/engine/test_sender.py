import pytest

from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import Direction, IgnoreReason, MessageSent, Progress, TransferFailed
from isotp.engine.params import Params
from isotp.engine.states import SenderState
from isotp.errors import (
    BufferOverflowError,
    FlowControlTimeoutError,
    InvalidCanDataError,
    MaximumWaitFrameReachedError,
    N_Result,
    TransferError,
    TransmitTimeoutError,
)

from .link import MS, SECOND, can, engine, events_of, take, told

DATA = bytes(range(1, 101))


def failure(link: Engine) -> TransferFailed:
    (event,) = events_of(link)
    assert isinstance(event, TransferFailed)
    assert event.direction is Direction.SENDING
    assert event.n_result is event.error.n_result
    assert "rxid=0x123 txid=0x456" in str(event.error)
    return event


def test_single_frame() -> None:
    link = engine()
    link.send(b"\x3e\x00", 0)
    assert link.is_sending
    assert take(link, confirm=False) == ["023e00"]
    assert events_of(link) == []
    assert link.get_timer() == SECOND
    link.frame_sent(5)
    assert events_of(link) == [MessageSent(2)]
    assert link.get_timer() is None
    assert not link.is_sending


def test_a_block_without_limits_goes_out_at_once() -> None:
    link = engine()
    link.send(DATA, 0)
    assert take(link) == ["1064010203040506"]
    assert take(link) == []
    link.receive_frame(can("300000"), 1)
    frames = take(link, 1)
    assert len(frames) == 14
    assert frames[0] == "21" + DATA[6:13].hex()
    assert frames[14 - 1] == "2e" + DATA[97:].hex()
    assert events_of(link) == [MessageSent(100)]


def test_limit_and_confirmation_frame_by_frame() -> None:
    link = engine(params=Params(progress_step=20))
    link.send(DATA, 0)
    assert link.frames_to_send(0, 0) == []
    take(link)
    link.receive_frame(can("300000"), 0)
    assert len(link.frames_to_send(0, 4)) == 4
    assert len(link.frames_to_send(0, 1)) == 1
    assert link.get_timer() == SECOND
    for now in range(1, 6):
        link.frame_sent(now)
        assert link.get_timer() == (SECOND + now if now < 5 else None)
    assert events_of(link) == [Progress(Direction.SENDING, 20, 100), Progress(Direction.SENDING, 41, 100)]
    assert len(link.frames_to_send(0)) == 9


def test_block_size_asks_for_flow_control_again() -> None:
    link = engine()
    link.send(DATA, 0)
    take(link)
    link.receive_frame(can("300500"), 0)
    assert len(take(link, 7)) == 5
    assert take(link, 7) == []
    assert link.get_timer() == 7 + SECOND
    # Only the first flow control of a message has a say in BS and STmin.
    link.receive_frame(can("30017f"), 8)
    assert len(take(link, 8)) == 5
    link.receive_frame(can("300000"), 8)
    assert len(take(link, 8)) == 4
    assert events_of(link) == [MessageSent(100)]


def test_dynamic_flow_control_takes_parameters_from_each() -> None:
    link = engine(params=Params(dynamic_flow_control=True))
    link.send(DATA, 0)
    take(link)
    link.receive_frame(can("300500"), 0)
    assert len(take(link)) == 5
    link.receive_frame(can("300100"), 0)
    assert len(take(link)) == 1
    link.receive_frame(can("300001"), 0)
    assert len(take(link)) == 1
    assert link.get_timer() == MS


@pytest.mark.parametrize(
    ("stmin", "forced_ns", "gap_ns"),
    [
        ("0a", None, 10 * MS),
        ("f3", None, 300_000),
        ("80", None, 127 * MS),
        ("ff", None, 127 * MS),
        ("7f", 5, 5),
    ],
)
def test_separation_time(stmin: str, forced_ns: int | None, gap_ns: int) -> None:
    link = engine(params=Params(forced_tx_stmin_ns=forced_ns))
    link.send(DATA[:20], 0)
    take(link)
    link.receive_frame(can("3000" + stmin), 100)
    assert len(link.frames_to_send(100)) == 1
    # It counts from the confirmation of the frame before.
    assert link.frames_to_send(100 + 2 * gap_ns) == []
    assert (link.get_timer(), link.next_frame_ns) == (100 + SECOND, None)
    now = 100 + 3 * gap_ns
    link.frame_sent(now)
    assert link.get_timer() == link.next_frame_ns == now + gap_ns
    assert link.frames_to_send(now + gap_ns - 1) == []
    assert len(link.frames_to_send(now + gap_ns)) == 1


def test_forced_zero_beats_the_receivers_stmin() -> None:
    link = engine(params=Params(forced_tx_stmin_ns=0))
    link.send(DATA, 0)
    take(link)
    link.receive_frame(can("30007f"), 0)
    assert len(take(link)) == 14


def test_wait_frames_begin_n_bs_anew() -> None:
    link = engine()
    link.send(DATA, 0)
    take(link)
    for now in (900 * MS, 1800 * MS, 2700 * MS):
        link.handle_timer(now)
        link.receive_frame(can("3100ff"), now)
        assert link.get_timer() == now + SECOND
    link.receive_frame(can("300000"), 2800 * MS)
    assert len(take(link)) == 14


def test_too_many_wait_frames() -> None:
    link = engine(params=Params(wftmax=2))
    link.send(DATA, 0)
    take(link)
    for _ in range(2):
        link.receive_frame(can("310000"), 0)
    link.receive_frame(can("300100"), 0)
    take(link)
    for _ in range(2):
        link.receive_frame(can("310000"), 0)  # counted in a row
    assert events_of(link) == []
    link.receive_frame(can("310000"), 0)
    event = failure(link)
    assert isinstance(event.error, MaximumWaitFrameReachedError)
    assert event.done == 13
    assert not link.is_sending


def test_no_flow_control() -> None:
    link = engine()
    link.send(DATA, 0)
    take(link, 10)
    assert link.get_timer() == 10 + SECOND
    link.handle_timer(9 + SECOND)
    assert events_of(link) == []
    link.handle_timer(10 + SECOND)
    event = failure(link)
    assert isinstance(event.error, FlowControlTimeoutError)
    assert event.phase is SenderState.WAIT_FC
    assert (event.done, event.total) == (6, 100)
    assert event.frames == (CanFrame(0x456, bytes.fromhex("1064010203040506")),)
    assert link.get_timer() is None
    link.send(b"next", 11)
    assert take(link, 11) == ["04" + b"next".hex()]


@pytest.mark.parametrize(
    ("frame", "kind", "says"),
    [
        ("320000", BufferOverflowError, "no room for 100 bytes"),
        ("330000", InvalidCanDataError, "reserved flow status 3"),
        ("3f0000", InvalidCanDataError, "reserved flow status 15"),
        ("3000", InvalidCanDataError, "2 bytes"),
        ("30000000", InvalidCanDataError, "long"),
    ],
)
def test_flow_control_that_ends_it(frame: str, kind: type[TransferError], says: str) -> None:
    link = engine(params=Params(check_padding_length=True))
    link.send(DATA, 0)
    take(link)
    link.receive_frame(can(frame), 0)
    event = failure(link)
    assert type(event.error) is kind
    assert says in event.error.what
    assert event.frames[-1].data.hex() == frame


def test_unexpected_flow_control_is_ignored() -> None:
    link = engine()
    link.receive_frame(can("320000"), 0)
    link.send(DATA, 0)
    link.receive_frame(can("320000"), 0)  # the first frame is not even out
    take(link)
    link.receive_frame(can("300000"), 0)
    link.receive_frame(can("320000"), 0)
    assert len(take(link)) == 14
    link.receive_frame(can("3000"), 0)
    ignored = IgnoreReason.UNEXPECTED_FLOW_CONTROL
    assert told(link) == [ignored, ignored, ignored, MessageSent(100), ignored]


@pytest.mark.parametrize("length", [4, 100])
def test_frame_not_on_the_bus_in_time(length: int) -> None:
    link = engine()
    link.send(DATA[:length], 0)
    link.frames_to_send(3)
    assert link.get_timer() == 3 + SECOND
    link.handle_timer(2 + SECOND)
    assert events_of(link) == []
    link.handle_timer(3 + SECOND)
    event = failure(link)
    assert isinstance(event.error, TransmitTimeoutError)
    assert event.n_result is N_Result.N_TIMEOUT_A
    assert event.done == 0
    # The driver has dropped the frame, so the next confirmation is for the next message.
    link.send(b"next", 11)
    take(link, 11)
    assert events_of(link) == [MessageSent(4)]


def test_consecutive_frame_not_on_the_bus_in_time() -> None:
    link = engine()
    link.send(DATA, 0)
    take(link)
    link.receive_frame(can("300000"), 0)
    link.frames_to_send(0)
    link.frame_sent(5, 3)
    link.handle_timer(5 + SECOND)
    event = failure(link)
    assert (event.phase, event.done) == (SenderState.LAST_OUT, 27)
    assert len(event.frames) == 4


def test_answer_overtakes_the_confirmation() -> None:
    link = engine()
    link.send(DATA, 0)
    link.frames_to_send(0)
    link.receive_frame(can("310000"), 5)
    assert link.get_timer() == SECOND
    link.receive_frame(can("300200"), 6)
    assert len(link.frames_to_send(6)) == 2
    link.receive_frame(can("300200"), 7)
    assert len(link.frames_to_send(7)) == 2
    link.frame_sent(8, 5)
    assert link.get_timer() == 8 + SECOND
    assert events_of(link) == []


def test_failure_overtakes_the_confirmation() -> None:
    link = engine()
    link.send(DATA, 0)
    link.frames_to_send(0)
    link.receive_frame(can("320000"), 5)
    assert isinstance(failure(link).error, BufferOverflowError)
    link.send(b"next", 6)
    link.frames_to_send(6)
    link.frame_sent(7)  # the old first frame
    assert events_of(link) == []
    link.frame_sent(8)
    assert events_of(link) == [MessageSent(4)]


def test_n_as_runs_on_after_an_early_wait() -> None:
    link = engine()
    link.send(DATA, 0)
    link.frames_to_send(0)
    link.receive_frame(can("310000"), 5)
    link.handle_timer(SECOND)
    assert isinstance(failure(link).error, TransmitTimeoutError)


def test_abort() -> None:
    link = engine()
    link.abort(TransferError("the bus is gone"))
    assert events_of(link) == []
    link.send(DATA, 0)
    error = TransferError("the bus is gone", link="rxid=0x123 txid=0x456")
    link.abort(error)
    event = failure(link)
    assert event.error is error
    assert event.frames == ()
    assert take(link) == []


def test_confirming_more_than_was_taken_does_no_harm() -> None:
    link = engine()
    link.frame_sent(0)
    link.send(b"1", 0)
    link.frames_to_send(0)
    link.frame_sent(0, 100)
    assert events_of(link) == [MessageSent(1)]
