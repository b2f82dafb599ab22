import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import (
    Direction,
    Event,
    FirstFrameReceived,
    FrameIgnored,
    IgnoreReason,
    MessageReceived,
    Progress,
    TransferFailed,
)
from isotp.engine.n_pdu import ConsecutiveFrame
from isotp.engine.params import Params
from isotp.engine.states import ReceiverState
from isotp.errors import (
    BufferOverflowError,
    ConsecutiveFrameTimeoutError,
    InvalidCanDataError,
    MaximumWaitFrameReachedError,
    ReceptionInterruptedError,
    TransferError,
    TransmitTimeoutError,
    WrongSequenceNumberError,
)

from .link import MS, SECOND, can, engine, events_of, take, told

DATA = bytes(range(1, 101))
FIRST = "1064010203040506"


def cf(n: int, data: bytes = DATA) -> CanFrame:
    """The n-th consecutive frame of a message, from 1 on."""
    return CanFrame(0x123, ConsecutiveFrame(n & 0x0F, data[7 * n - 1 : 7 * n + 6]).encode())


def begin(params: Params | None = None) -> Engine:
    link = engine(params)
    link.receive_frame(can(FIRST), 0)
    assert events_of(link) == [FirstFrameReceived(100)]
    return link


def failure(event: Event) -> TransferFailed:
    assert isinstance(event, TransferFailed)
    assert event.direction is Direction.RECEIVING
    assert "rxid=0x123 txid=0x456" in str(event.error)
    return event


def test_single_frame() -> None:
    link = engine()
    link.receive_frame(can("023e00"), 0)
    assert events_of(link) == [MessageReceived(b"\x3e\x00")]
    assert not link.is_receiving
    assert take(link) == []


def test_long_message() -> None:
    link = begin()
    assert link.is_receiving
    assert take(link) == ["300000"]
    for n in range(1, 15):
        link.receive_frame(cf(n), n)
        assert link.get_timer() == (n + SECOND if n < 14 else None)
    assert events_of(link) == [MessageReceived(DATA)]
    assert not link.is_receiving


def test_blocks() -> None:
    link = begin(Params(bs=6, stmin=0x14, tx_padding=0xAA))
    for n in range(1, 15):
        assert take(link) == (["300614aaaaaaaaaa"] if n % 6 == 1 else [])
        link.receive_frame(cf(n), 0)
    assert events_of(link) == [MessageReceived(DATA)]
    assert take(link) == []


def test_each_consecutive_frame_a_block() -> None:
    link = begin(Params(bs=1))
    for n in range(1, 15):
        assert take(link) == ["300100"]
        link.receive_frame(cf(n), 0)
    assert events_of(link) == [MessageReceived(DATA)]


def test_a_run_is_longer_than_what_is_kept_apart() -> None:
    data = bytes(i * 7 & 0xFF for i in range(30_000))
    link = engine(Params(max_pdu_size=30_000))
    link.receive_frame(can("100000007530" + data[:2].hex()), 0)
    take(link)
    for n, i in enumerate(range(2, 30_000, 7), 1):
        link.receive_frame(CanFrame(0x123, ConsecutiveFrame(n & 0x0F, data[i : i + 7]).encode()), 0)
    assert events_of(link)[1:] == [MessageReceived(data)]


def test_progress() -> None:
    link = begin(Params(progress_step=30))
    take(link)
    for n in range(1, 15):
        link.receive_frame(cf(n), 0)
    done = [34, 69]
    assert events_of(link) == [
        *(Progress(Direction.RECEIVING, count, 100) for count in done),
        MessageReceived(DATA),
    ]


def test_progress_is_not_reported_before_its_time() -> None:
    link = begin(Params(progress_step=30, bs=2))
    for n in range(1, 15):
        take(link)
        link.receive_frame(cf(n), 0)
    assert events_of(link)[:-1] == [Progress(Direction.RECEIVING, count, 100) for count in (34, 69)]


def test_wrong_sequence_number() -> None:
    link = begin()
    take(link)
    for n in (1, 2, 3, 5, 6):
        link.receive_frame(cf(n), 0)
    failed, ignored = events_of(link)
    event = failure(failed)
    assert isinstance(event.error, WrongSequenceNumberError)
    assert "SN 5 instead of 4 after 27 of 100 bytes" in event.error.what
    assert (event.phase, event.done, event.total) == (ReceiverState.WAIT_CF, 27, 100)
    # The flow control is among them; of a run, the latest.
    assert [frame.data.hex()[:2] for frame in event.frames] == ["10", "30", "22", "23", "25"]
    assert not link.is_receiving
    text = "SN 6 of a message that never began, or is over"
    assert ignored == FrameIgnored(cf(6), IgnoreReason.UNEXPECTED_CONSECUTIVE_FRAME, text)


def test_no_consecutive_frame() -> None:
    link = begin()
    take(link, 10)
    link.receive_frame(cf(1), 20)
    assert link.get_timer() == 20 + SECOND
    link.handle_timer(19 + SECOND)
    assert events_of(link) == []
    link.handle_timer(20 + SECOND)
    (event,) = map(failure, events_of(link))
    assert isinstance(event.error, ConsecutiveFrameTimeoutError)
    assert event.done == 13
    link.receive_frame(can("0141"), 0)
    assert events_of(link) == [MessageReceived(b"A")]


def test_n_cr_runs_from_the_confirmation_of_flow_control() -> None:
    link = begin()
    link.frames_to_send(5)
    assert link.get_timer() == 5 + SECOND
    link.frame_sent(SECOND)
    assert link.get_timer() == 2 * SECOND


def test_flow_control_not_on_the_bus_in_time() -> None:
    link = begin()
    link.frames_to_send(5)
    link.receive_frame(cf(1), 6)
    link.handle_timer(5 + SECOND)
    (event,) = map(failure, events_of(link))
    assert isinstance(event.error, TransmitTimeoutError)
    assert (event.phase, event.done) == (ReceiverState.CTS_OUT, 13)


@pytest.mark.parametrize("after", ["0141", "1009010203040506"])
def test_new_message_interrupts_the_old_one(after: str) -> None:
    link = begin()
    take(link)
    link.receive_frame(cf(1), 0)
    link.receive_frame(can(after), 0)
    interrupted, new = events_of(link)
    event = failure(interrupted)
    assert isinstance(event.error, ReceptionInterruptedError)
    assert (event.done, event.frames[-1].data.hex()) == (13, after)
    if after == "0141":
        assert new == MessageReceived(b"A")
        return
    assert new == FirstFrameReceived(9)
    assert take(link) == ["300000"]
    link.receive_frame(can("21070809"), 0)
    assert events_of(link) == [MessageReceived(bytes(range(1, 10)))]


def test_interrupted_before_its_flow_control_went_out() -> None:
    link = begin()
    link.receive_frame(can(FIRST), 0)
    assert take(link) == ["300000"]


def test_a_consecutive_frame_from_nowhere_is_ignored() -> None:
    link = engine()
    link.receive_frame(cf(1), 0)
    link.receive_frame(can(FIRST), 0)
    take(link)
    for n in range(1, 15):
        link.receive_frame(cf(n), 0)
    link.receive_frame(cf(14), 0)
    ignored = IgnoreReason.UNEXPECTED_CONSECUTIVE_FRAME
    assert told(link) == [ignored, FirstFrameReceived(100), MessageReceived(DATA), ignored]


@pytest.mark.parametrize("bad", ["21", "2102", "21" + "00" * 11, "00", "f0", "1007", ""])
def test_malformed_frames_are_ignored(bad: str) -> None:
    link = begin()
    take(link)
    for n in range(1, 15):
        link.receive_frame(can(bad), 0)
        (ignored,) = events_of(link)
        assert isinstance(ignored, FrameIgnored)
        assert ignored.frame == can(bad)
        link.receive_frame(cf(n), 0)
    assert events_of(link) == [MessageReceived(DATA)]
    link.receive_frame(can(bad), 0)
    (ignored,) = events_of(link)
    assert isinstance(ignored, FrameIgnored)


def test_malformed_frames_are_among_what_led_to_it() -> None:
    link = begin()
    take(link)
    link.receive_frame(can("f123"), 0)
    link.receive_frame(can("22"), 0)
    link.handle_timer(SECOND)
    *_, last = events_of(link)
    event = failure(last)
    assert [frame.data.hex() for frame in event.frames] == [FIRST, "300000", "f123", "22"]


def test_too_long_a_message() -> None:
    link = engine()
    link.receive_frame(can("1000ffffffff0102"), 0)
    (event,) = map(failure, events_of(link))
    assert isinstance(event.error, BufferOverflowError)
    assert (event.phase, event.done, event.total) == (ReceiverState.IDLE, 0, 2**32 - 1)
    assert take(link, confirm=False) == ["320000"]
    assert not link.is_receiving
    assert link.get_timer() is None
    link.frame_sent(0)
    link.receive_frame(can("1000000020d00102"), 0)  # 8400
    link.abort(TransferError("the bus is gone"))
    assert take(link) == []


def test_four_gigabytes_announced_cost_nothing() -> None:
    link = engine(Params(max_pdu_size=2**32 - 1))
    link.receive_frame(can("1000ffffffff0102"), 0)
    assert take(link) == ["300000"]
    assert events_of(link) == [FirstFrameReceived(2**32 - 1)]


@pytest.mark.parametrize(("wftmax", "waits"), [(None, 9), (9, 9), (3, 3), (0, 0)])
def test_application_not_ready(wftmax: int | None, waits: int) -> None:
    link = engine(Params(wftmax=wftmax, n_br_ns=100 * MS))
    link.set_ready(False, 0)
    link.receive_frame(can(FIRST), 0)
    events_of(link)
    for n in range(1, 10):
        assert take(link, (n - 1) * 100 * MS) == ([] if n == 1 else ["310000"])
        link.receive_frame(cf(1), 0)
        assert told(link) == [IgnoreReason.UNEXPECTED_CONSECUTIVE_FRAME]
        assert link.get_timer() == n * 100 * MS
        link.handle_timer(n * 100 * MS)
        if n > waits:
            (event,) = map(failure, events_of(link))
            assert isinstance(event.error, MaximumWaitFrameReachedError)
            assert take(link) == []
            return
    link.set_ready(True, 0)
    assert take(link, 0) == ["300000"]
    for n in range(1, 15):
        link.receive_frame(cf(n), 0)
    assert events_of(link) == [MessageReceived(DATA)]


def test_application_ready_while_a_wait_is_on_its_way() -> None:
    link = engine(Params(bs=3))
    link.set_ready(False, 0)
    link.receive_frame(can(FIRST), 0)
    link.handle_timer(250 * MS)
    assert take(link, 250 * MS, confirm=False) == ["310300"]
    link.set_ready(True, 0)
    assert take(link, 251 * MS, confirm=False) == ["300300"]
    link.set_ready(False, 0)
    for n in (1, 2, 3):
        link.receive_frame(cf(n), 0)
    assert take(link) == []
    assert link.get_timer() == 250 * MS  # N_Br; the first confirmation is due later
    link.frame_sent(300 * MS, 2)
    link.set_ready(True, 0)
    assert take(link) == ["300300"]


def test_message_complete_before_its_flow_control_is_confirmed() -> None:
    link = engine()
    link.receive_frame(can("1009010203040506"), 0)
    link.frames_to_send(0)
    link.receive_frame(can("21070809"), 1)
    assert events_of(link)[1:] == [MessageReceived(bytes(range(1, 10)))]
    assert link.get_timer() is None
    link.send(b"1", 2)
    link.frames_to_send(2)
    link.frame_sent(3)  # the flow control
    assert link.is_sending


def test_listen_only() -> None:
    link = begin(Params(listen_only=True, bs=2))
    for n in range(1, 15):
        assert take(link) == []
        assert link.get_timer() == 2 * SECOND + n - 1  # N_Bs and N_Cr: another's flow control is not seen
        link.receive_frame(cf(n), n)
    assert events_of(link) == [MessageReceived(DATA)]
    link.receive_frame(can("1000ffffffff0102"), 0)
    failure(*events_of(link))
    assert take(link) == []


@pytest.mark.parametrize(
    ("params", "frame", "refused"),
    [
        (Params(check_padding_length=True), "0141", False),
        (Params(check_padding_length=True), "014155", True),
        (Params(rx_padding=0x55, check_padding_content=True), "01415555", False),
        (Params(rx_padding=0x55, check_padding_content=True), "01415556", True),
    ],
)
def test_padding_of_a_single_frame(params: Params, frame: str, refused: bool) -> None:
    link = engine(params)
    link.receive_frame(can(frame), 0)
    (event,) = events_of(link)
    if not refused:
        assert event == MessageReceived(b"A")
        return
    assert isinstance(failure(event).error, InvalidCanDataError)


def test_padding_of_the_last_consecutive_frame() -> None:
    link = engine(Params(rx_padding=0x55, check_padding_length=True))
    link.receive_frame(can("1009010203040506"), 0)
    take(link)
    link.receive_frame(can("21070809"), 0)
    event = failure(events_of(link)[1])
    assert isinstance(event.error, InvalidCanDataError)
    assert (event.done, event.total) == (9, 9)


def test_abort() -> None:
    link = begin()
    error = TransferError("the bus is gone", link="rxid=0x123 txid=0x456")
    link.abort(error)
    (event,) = map(failure, events_of(link))
    assert event.error is error
    assert take(link) == []
    link.handle_timer(9 * SECOND)
    assert events_of(link) == []


def test_timers_do_nothing_before_they_are_due() -> None:
    link = begin()
    link.handle_timer(9 * SECOND)
    link.frames_to_send(0)
    link.handle_timer(0)
    link.frame_sent(0)
    link.handle_timer(0)
    assert events_of(link) == []


def test_events_say_when_their_frames_were_received() -> None:
    link = engine()
    consecutive = [cf(n) for n in range(1, 15)]
    frames = [can("0141"), can(FIRST), *consecutive, can("0142")]
    link.receive_frames(frames[:2], 0, time_ns=[10, 11].__getitem__)
    assert take(link)
    link.receive_frames(frames[2:], 0, time_ns=lambda index: 100 + index)
    events = events_of(link)
    assert events == [
        MessageReceived(b"A"),
        FirstFrameReceived(100),
        MessageReceived(DATA),
        MessageReceived(b"B"),
    ]
    assert [getattr(event, "time_ns", None) for event in events] == [10, 11, 113, 114]
    link.receive_frame(can("0143"), 0)
    assert [getattr(event, "time_ns", "") for event in events_of(link)] == [None]


@pytest.mark.parametrize(("listen_only", "answer"), [(False, ["320000"]), (True, [])])
def test_a_message_is_refused_at_its_first_frame(listen_only: bool, answer: list[str]) -> None:
    asked: list[int] = []

    def accept(length: int) -> bool:
        asked.append(length)
        return length != 100

    params = Params(listen_only=listen_only, max_pdu_size=200)
    link = Engine(isotp.Address.normal(rxid=0x123, txid=0x456), params, accept=accept)
    link.receive_frame(can(FIRST), 0)
    (ignored,) = events_of(link)
    assert isinstance(ignored, FrameIgnored)
    assert (ignored.why, ignored.text) == (IgnoreReason.REFUSED, "a message of 100 bytes was refused")
    assert (link.is_receiving, take(link)) == (False, answer)
    link.receive_frame(can("1063010203040506"), 0)
    assert (events_of(link), link.is_receiving) == ([FirstFrameReceived(99)], True)
    link.receive_frame(can("0141"), 0)
    link.receive_frame(can("10C9010203040506"), 0)
    assert asked == [100, 99], "no single frame, and none above max_pdu_size"
