import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.address import Address, AsymmetricAddress, TargetAddressType
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import (
    Direction,
    FirstFrameReceived,
    IgnoreReason,
    MessageReceived,
    MessageSent,
    TransferFailed,
)
from isotp.engine.params import Params
from isotp.engine.states import SenderState
from isotp.errors import BufferOverflowError, BusyError, IsoTpError, MessageSizeError, OneWayError, TransferError

from .link import Link, can, engine, events_of, intact, take, told

EFF = 0x80000000


def test_only_one_message_at_a_time() -> None:
    link = engine()
    link.send(bytes(8), 0)
    with pytest.raises(BusyError, match="still being sent"):
        link.send(b"1", 0)


def test_bytes_sent_counts_what_is_confirmed() -> None:
    link = engine()
    link.send(bytes(20), 0)
    assert link.bytes_sent == 0
    take(link, confirm=False)
    assert link.bytes_sent == 0
    link.frame_sent(0)
    assert link.bytes_sent == 6
    link.receive_frame(can("300000"), 0)
    take(link)
    assert link.bytes_sent == 20


@pytest.mark.parametrize(
    ("address", "longest", "says"),
    [
        (Address.normal(rxid=1, txid=2), 8300, "max_pdu_size"),
        (Address.normal(txid=2), 7, "flow control"),
        (Address.normal(txid=2, functional=True), 7, "functional addressing is for single frames only"),
        (Address.extended(txid=2, target_address=3, functional=True), 6, "functional"),
    ],
)
def test_message_sizes(address: Address, longest: int, says: str) -> None:
    link = Engine(address)
    for length in (0, longest + 1):
        with pytest.raises(MessageSizeError) as info:
            link.send(bytes(length), 0)
        assert length == 0 or says in str(info.value)
    link.send(bytes(longest), 0)


def test_functional_link_that_answers_physically() -> None:
    tx = Address.normal(txid=0x7DF, functional=True)
    link = Engine(AsymmetricAddress(tx, Address.normal(rxid=0x7E8)), Params(can_fd=True, tx_dl=64))
    with pytest.raises(MessageSizeError):
        link.send(bytes(63), 0)
    link.send(bytes(62), 0)
    assert take(link) == ["003e" + "00" * 62]


def test_functional_receiver_takes_single_frames_only() -> None:
    link = Engine(Address.normal(rxid=0x7DF, functional=True))
    link.receive_frame(can("0141", 0x7DF), 0)
    link.receive_frame(can("1064010203040506", 0x7DF), 0)
    assert told(link) == [MessageReceived(b"A"), IgnoreReason.FUNCTIONAL_FIRST_FRAME]
    assert take(link) == []
    physical = Address.normal(txid=0x7E8)
    functional = Address(rxid=0x7DF, rx_only=True, target_address_type=TargetAddressType.Functional)
    link = Engine(AsymmetricAddress(physical, functional))
    link.receive_frame(can("1064010203040506", 0x7DF), 0)
    assert told(link) == [IgnoreReason.FUNCTIONAL_FIRST_FRAME]


def test_receiving_half_listens() -> None:
    link = Engine(Address.normal(rxid=0x123))
    with pytest.raises(OneWayError):
        link.send(b"1", 0)
    link.receive_frame(can("1008010203040506"), 0)
    assert take(link) == []
    link.receive_frame(can("210708"), 0)
    assert events_of(link) == [FirstFrameReceived(8), MessageReceived(bytes(range(1, 9)))]


def test_sending_half_receives_nothing() -> None:
    link = Engine(Address.normal(txid=0x123))
    for can_id in (0, 0x123):
        link.receive_frame(can("0141", can_id), 0)
    link.set_ready(True, 0)
    assert events_of(link) == []


@pytest.mark.parametrize(
    "frame",
    [
        can("0141", 0x124),
        can("0141", 0x123 | EFF),
        can("0141", is_fd=True),
        can("0141", 0x456),
        can("", 0x456),
    ],
)
def test_frames_of_others_are_ignored(frame: CanFrame) -> None:
    link = engine()
    link.receive_frame(frame, 0)
    assert events_of(link) == []


@pytest.mark.parametrize("frame", ["110141", "", "00"])
def test_frames_for_another_address_byte_are_ignored(frame: str) -> None:
    link = Engine(Address.extended(rxid=0x123, txid=2, target_address=0x10, source_address=0x20))
    link.receive_frame(can(frame), 0)
    assert events_of(link) == []
    link.receive_frame(can("200141"), 0)
    assert events_of(link) == [MessageReceived(b"A")]


def test_half_duplex() -> None:
    link = engine(Params(half_duplex=True))
    link.send(bytes(8), 0)
    link.receive_frame(can("0141"), 0)
    link.receive_frame(can("1064010203040506"), 0)
    assert take(link) == ["1008000000000000"]
    link.receive_frame(can("300000"), 0)
    take(link)
    assert told(link) == [*[IgnoreReason.HALF_DUPLEX] * 2, MessageSent(8)]
    link.receive_frame(can("1064010203040506"), 0)
    with pytest.raises(BusyError, match="being received"):
        link.send(b"1", 0)
    link.receive_frame(can("320000"), 0)
    assert link.is_receiving


def test_flow_control_goes_before_the_rest() -> None:
    link = engine()
    link.send(bytes(100), 0)
    take(link)
    link.receive_frame(can("1064010203040506"), 0)
    link.receive_frame(can("300000"), 0)
    frames = link.frames_to_send(0, 1)
    assert frames[0].data[0] == 0x30
    assert [frame.data[0] for frame in link.frames_to_send(0, 2)] == [0x21, 0x22]


def test_any_buffer_can_be_sent() -> None:
    link = engine()
    data = bytearray(b"12")
    link.send(data, 0)
    data[:] = b"34"
    assert take(link) == ["023132"]


@pytest.mark.parametrize(
    ("address", "can_id", "head"),
    [
        (Address.normal(rxid=0x123, txid=0x456), 0x456, ""),
        (Address.normal(rxid=0x12345, txid=0x45678), 0x45678 | EFF, ""),
        (Address.normal_fixed(target_address=0x12, source_address=0xF1), 0x18DA12F1 | EFF, ""),
        (Address.extended(rxid=1, txid=2, target_address=0x12, source_address=0xF1), 2, "12"),
        (Address.mixed_11bits(rxid=1, txid=2, address_extension=0x99), 2, "99"),
        (
            Address.mixed_29bits(target_address=1, source_address=2, address_extension=3),
            0x18CE0102 | EFF,
            "03",
        ),
    ],
)
def test_addressing(address: Address, can_id: int, head: str) -> None:
    one, two = Engine(address), Engine(reverse(address))
    link = Link(one, two)
    data = bytes(range(200))
    one.send(data, 0)
    link.run()
    assert link.of(two) == [FirstFrameReceived(200), MessageReceived(data)]
    assert link.of(one) == [MessageSent(200)]
    assert link.frames[0][1].can_id == can_id
    assert all(f.data.hex().startswith(head) for _, f in link.frames if f.can_id == can_id)


def reverse(address: Address) -> Address:
    return Address(
        address.addressing_mode,
        txid=address.rxid,
        rxid=address.txid,
        target_address=address.source_address,
        source_address=address.target_address,
        address_extension=address.address_extension,
    )


# What Linux puts on the bus for the same settings.
@pytest.mark.parametrize(
    ("params", "sizes", "pads"),
    [
        (Params(), [8, 3, 8, 3], ""),
        (Params(tx_padding=0x55), [8, 8, 8, 8], "55"),
        (Params(can_fd=True), [8, 3, 8, 3], ""),
        (Params(can_fd=True, tx_dl=12), [12, 3, 5], ""),
        (Params(can_fd=True, tx_dl=12, tx_padding=0), [12, 8, 8], "00"),
    ],
)
def test_lengths_are_those_of_linux(params: Params, sizes: list[int], pads: str) -> None:
    one, two = engine(params), engine(params, rxid=0x456, txid=0x123)
    link = Link(one, two)
    data = b"\x11" * (15 if params.tx_dl == 8 else 14)
    one.send(data, 0)
    link.run()
    assert link.of(two)[-1] == MessageReceived(data)
    assert [len(frame.data) for _, frame in link.frames] == sizes
    assert link.frames[-1][1].data.hex().endswith(pads)
    assert all(frame.is_fd is params.can_fd for _, frame in link.frames)


@pytest.mark.parametrize(
    ("params", "sizes", "pads"),
    [
        (Params(tx_min_dl=6), [8, 6, 8, 6], "cc" * 3),
        (Params(tx_min_dl=8, tx_padding=0x55), [8, 8, 8, 8], "55" * 5),
        (Params(tx_min_dl=0, tx_padding=0x55), [8, 3, 8, 3], ""),
        (Params(can_fd=True, tx_dl=12, tx_min_dl=0, tx_padding=0x55), [12, 3, 6], ""),
        (Params(can_fd=True, tx_dl=12, tx_min_dl=12), [12, 12, 12], "cc" * 6),
    ],
)
def test_least_length_of_frames(params: Params, sizes: list[int], pads: str) -> None:
    one, two = engine(params), engine(params, rxid=0x456, txid=0x123)
    link = Link(one, two)
    one.send(b"\x11" * 15, 0)
    link.run()
    assert link.of(two)[-1] == MessageReceived(b"\x11" * 15)
    assert [len(frame.data) for _, frame in link.frames] == sizes
    assert link.frames[-1][1].data.hex().endswith("11" + pads)


@pytest.mark.parametrize(
    ("params", "frame"),
    [
        (Params(tx_min_dl=4, tx_padding=0), "02313200"),
        (Params(can_fd=True, tx_dl=64, tx_min_dl=8), "023132" + "cc" * 5),
        # Above 8 bytes a single frame needs the escape, however short it is.
        (Params(can_fd=True, tx_dl=64, tx_min_dl=12), "00023132" + "cc" * 8),
    ],
)
def test_least_length_of_single_frames(params: Params, frame: str) -> None:
    link, peer = engine(params), engine(Params(can_fd=params.can_fd), rxid=0x456, txid=0x123)
    link.send(b"12", 0)
    (sent,) = link.frames_to_send(0)
    assert sent.data.hex() == frame
    peer.receive_frame(sent, 0)
    assert events_of(peer) == [MessageReceived(b"12")]


@pytest.mark.parametrize(
    ("length", "frame"),
    [
        (7, "07" + "11" * 7),
        (8, "0008" + "11" * 8 + "cccc"),
        (11, "000b" + "11" * 11 + "cccccc"),
        (62, "003e" + "11" * 62),
    ],
)
def test_fd_single_frames(length: int, frame: str) -> None:
    link = engine(Params(can_fd=True, tx_dl=64, bitrate_switch=True))
    link.send(b"\x11" * length, 0)
    (sent,) = link.frames_to_send(0)
    assert sent == CanFrame(0x456, bytes.fromhex(frame), True, True)


def test_both_directions_at_once() -> None:
    one, two = engine(Params(bs=3, stmin=1)), engine(Params(bs=5, stmin=0xF1), rxid=0x456, txid=0x123)
    link = Link(one, two, intact, echo=True, room=2)
    data = bytes(range(250))
    one.send(data, 0)
    two.send(data[::-1], 0)
    link.run()
    assert set(link.of(one)) == {FirstFrameReceived(250), MessageReceived(data[::-1]), MessageSent(250)}
    assert set(link.of(two)) == {FirstFrameReceived(250), MessageReceived(data), MessageSent(250)}


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("frame"), st.binary(max_size=70)),
            st.tuples(st.just("time"), st.integers(0, 2_000_000_000)),
            st.tuples(st.just("send"), st.binary(max_size=50)),
            st.tuples(st.just("confirm"), st.integers(0, 3)),
            st.tuples(st.just("ready"), st.booleans()),
        ),
        max_size=40,
    ),
    st.sampled_from(
        [
            Params(),
            Params(can_fd=True, tx_dl=64, bs=2, progress_step=1),
            Params(listen_only=True),
            Params(half_duplex=True, wftmax=1, max_pdu_size=2**32 - 1),
            Params(check_padding_length=True, check_padding_content=True, rx_padding=0),
        ]
    ),
    st.booleans(),
)
def test_no_input_raises(inputs: list[tuple[str, object]], params: Params, extended: bool) -> None:
    address = Address.normal(rxid=1, txid=2)
    if extended:
        address = Address.extended(rxid=1, txid=2, target_address=0x10, source_address=0x20)
    link = Engine(address, params)
    now = 0
    for kind, value in inputs:
        if kind == "frame":
            assert isinstance(value, bytes)
            link.receive_frame(CanFrame(1, value, params.can_fd), now)
            link.receive_frame(CanFrame(1, b"\x20" + value, params.can_fd), now)
        elif kind == "time":
            assert isinstance(value, int)
            now += value
            link.handle_timer(now)
        elif kind == "send":
            assert isinstance(value, bytes)
            try:
                link.send(value, now)
            except IsoTpError as error:
                assert isinstance(error, (MessageSizeError, BusyError))  # noqa: PT017
        elif kind == "confirm":
            assert isinstance(value, int)
            link.frame_sent(now, value)
        else:
            link.set_ready(bool(value), now)
        link.frames_to_send(now, 3)
        timer = link.get_timer()
        assert timer is None or timer > 0
    events_of(link)


@given(
    st.lists(st.sampled_from(["next", "next", "next", "skipped", "foreign", "fd", "other address", "short", "empty"])),
    st.integers(0, 40),
    st.booleans(),
)
def test_frames_together_are_as_one_by_one(fates: list[str], intact_first: int, extended: bool) -> None:
    """Whatever is among the frames: the same events, the same timer."""
    fates = ["next"] * intact_first + fates
    address = Address.extended(rxid=1, txid=2, target_address=3, source_address=4) if extended else None
    together, singly = (Engine(address or Address.normal(rxid=1, txid=2)) for _ in range(2))
    head = b"\x04" if extended else b""
    first = CanFrame(1, (head + b"\x10\xc8" + bytes(8))[:8])
    frames, sn = [], 0
    for fate in fates:
        if fate not in ("foreign", "fd", "other address", "short", "empty"):
            sn += 1 if fate == "next" else 2
        data = (head + bytes((0x20 | sn & 0x0F, sn & 0xFF)) + b"abcdefg")[:8]
        frames.append(
            {
                "foreign": CanFrame(7, data),
                "fd": CanFrame(1, data, True),
                "other address": CanFrame(1, b"\x05" + data[1:]),
                "short": CanFrame(1, data[:5]),
                "empty": CanFrame(1, b""),
            }.get(fate, CanFrame(1, data))
        )
    for receiver in (together, singly):
        receiver.receive_frame(first, 0)
        assert len(take(receiver)) == 1
    together.receive_frames(frames, 5)
    for frame in frames:
        singly.receive_frame(frame, 5)
    assert together.get_timer() == singly.get_timer()
    for receiver in (together, singly):
        receiver.abort(TransferError("the end"))
    assert [repr(event) for event in events_of(together)] == [repr(event) for event in events_of(singly)]


def test_the_limits_of_sending_and_receiving_may_differ() -> None:
    params = Params(max_pdu_size=10, tx_max_pdu_size=20)
    link = Engine(Address.normal(rxid=1, txid=2), params)
    with pytest.raises(MessageSizeError, match="21 bytes are more than max_pdu_size, 20"):
        link.send(bytes(21), 0)
    link.send(bytes(20), 0)
    link.receive_frame(CanFrame(1, b"\x10\x0b123456"), 0)
    (event,) = events_of(link)
    assert isinstance(event, TransferFailed)
    assert isinstance(event.error, BufferOverflowError)


def test_what_a_driver_asks() -> None:
    link = engine()
    assert link.single_capacity == 7
    link.send(bytes(8), 0)
    assert link.sender_state is SenderState.FIRST_DUE
    assert link.takes(can("0141"))
    assert not link.takes(can("0141", 0x124))
    extended = Engine(Address.extended(rxid=0x123, txid=0x456, source_address=0xF1, target_address=0x10))
    assert extended.takes(can("f10141"))
    assert not extended.takes(can("100141"))


@pytest.mark.parametrize("direction", list(Direction))
def test_one_half_is_aborted_and_the_other_goes_on(direction: Direction) -> None:
    link = engine()
    link.send(bytes(8), 0)
    link.receive_frame(can("1008010203040506"), 0)
    events_of(link)
    link.abort(TransferError("enough"), direction)
    (event,) = events_of(link)
    assert isinstance(event, TransferFailed)
    assert event.direction is direction
    assert link.is_sending is (direction is Direction.RECEIVING)
    assert link.is_receiving is (direction is Direction.SENDING)


def test_reset_forgets_all() -> None:
    link = engine()
    link.send(bytes(8), 0)
    link.receive_frame(can("1008010203040506"), 0)
    take(link, confirm=False)
    link.reset()
    assert not link.is_sending
    assert not link.is_receiving
    assert events_of(link) == []
    link.send(b"1", 0)
    assert take(link, confirm=False) == ["0131"]
    link.frame_sent(0)  # which would confirm a frame of before
    assert events_of(link) == [MessageSent(1)]


@pytest.mark.parametrize(
    ("second", "says"),
    [("2207080910111213", ""), ("220708", "3 bytes"), ("2307080910111213", "SN 3 instead of 2")],
)
def test_frames_that_arrive_together(second: str, says: str) -> None:
    """All of them are the next ones, or one is too short or has another number."""
    link = engine()
    link.receive_frame(can("101a010203040506"), 0)
    take(link)
    link.receive_frames([can("2107080910111213"), can(second), can("23141516171819")], 0)
    what = str(events_of(link)[1])
    assert ("MessageReceived" in what) is (not says)
    assert says in what
