import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.address import CAN_EFF_FLAG, Address, CanAddress
from isotp.capture.message import Fault, LinkFrame, Message
from isotp.capture.observer import STREAMS_MAX, Observer
from isotp.engine.params import Params
from isotp.errors import (
    BufferOverflowError,
    ConsecutiveFrameTimeoutError,
    FlowControlTimeoutError,
    ReceptionInterruptedError,
    WrongSequenceNumberError,
)

from ..engine.link import MS, SECOND, Link, engine

ADDRESS = Address.normal(rxid=0x123, txid=0x456)
FIRST = "1064010203040506"


def feed(observer: Observer, frames: str, now: int = 0, step: int = MS) -> int:
    """Frames as `456#0141 123#300000`, one each `step`; the time after them."""
    for frame in frames.split():
        can_id, _, data = frame.partition("#")
        number = int(can_id, 16) | (CAN_EFF_FLAG if len(can_id) > 3 else 0)
        take(observer, number, bytes.fromhex(data), now)
        now += step
    return now


def take(observer: Observer, can_id: int, data: bytes, now: int, is_fd: bool = False) -> None:
    observer.take([(now, "-", can_id, data, is_fd)])


def events(observer: Observer) -> list[Message | Fault]:
    taken = list(observer.events)
    observer.events.clear()
    return taken


def only(observer: Observer) -> Message:
    (event,) = events(observer)
    assert isinstance(event, Message)
    return event


def told(observer: Observer) -> list[str]:
    """Each event in short: link and data, or what went wrong."""
    return [
        f"{event.stream}: {event.reason}"
        if isinstance(event, Fault)
        else f"{event.stream}: {type(event.error).__name__ if event.error else event.data.hex()}"
        for event in events(observer)
    ]


@pytest.mark.parametrize("params", [Params(), Params(bs=2, stmin=1), Params(can_fd=True, tx_dl=64, bs=1)])
@pytest.mark.parametrize("observer", [Observer(ADDRESS), Observer()], ids=["given", "found"])
def test_follows_both_directions_at_once(params: Params, observer: Observer) -> None:
    one, two = engine(params), engine(params, rxid=0x456, txid=0x123)
    link = Link(one, two)
    data = bytes(range(250))
    one.send(data, 0)
    two.send(data[::-1], 0)
    link.run()
    for now, frame in link.frames:
        take(observer, frame.can_id, frame.data, now, frame.is_fd)
    messages = {str(event.stream): event for event in events(observer) if isinstance(event, Message)}
    assert messages["0x456 > 0x123"].data == data
    assert messages["0x123 > 0x456"].data == data[::-1]
    assert len(messages) == 2
    for message in messages.values():
        assert message.timing is not None
        assert (message.timing.bs, message.timing.stmin) == (params.bs, params.stmin)
    assert observer.get_timer() is None
    assert observer.unfinished() == []


def test_each_frame_finds_its_stream() -> None:
    address = Address.extended(rxid=1, txid=2, target_address=0x10, source_address=0x20)
    observer = Observer(address, shows_frames=True)
    ours = [(2, "100141"), (1, "2021"), (1, "20320000"), (1, "20")]
    for can_id, data in (*ours, (2, "990141"), (2, ""), (3, "100141")):
        take(observer, can_id, bytes.fromhex(data), 0)
    frames = [event for event in observer.events if isinstance(event, LinkFrame)]
    assert [(frame.stream.address, frame.data.hex()) for frame in frames] == [
        (CanAddress(can_id, int(data[:2], 16)), data) for can_id, data in ours
    ]
    for frame in frames:
        observer.events.remove(frame)
    assert told(observer) == [
        "0x002/0x10 > 0x001/0x20: 41",
        "0x001/0x20 > 0x002/0x10: consecutive frame without a first frame",
        "0x001/0x20 > 0x002/0x10: empty frame",
    ]


def test_timing() -> None:
    observer = Observer(ADDRESS)
    frames = [(0, FIRST), (3, "fc 31"), (10, "fc 300205"), (12, "2101010101010101"), (17, "2202020202020202")]
    frames += [(26, "fc 30ffff"), (27, "2303030303030303"), (33, "2404040404040404")]
    for ms, data in frames:
        can_id = 0x123 if data.startswith("fc") else 0x456
        raw = bytes.fromhex(data.removeprefix("fc").strip())
        take(observer, can_id, raw if len(raw) != 1 else raw + b"\0\0", ms * MS)
    now = feed(observer, " ".join(f"456#2{sn & 15:x}05050505050505" for sn in range(5, 15)), 40 * MS, 10 * MS)
    message = only(observer)
    timing = message.timing
    assert timing is not None
    assert (timing.bs, timing.stmin, timing.flow_controls, timing.waits) == (0, 0, 3, 1)
    assert timing.n_bs_ns == 9 * MS
    assert timing.n_cr_ns == 10 * MS
    assert timing.min_gap_ns == 5 * MS
    assert (message.begin_ns, message.end_ns) == (0, now - 10 * MS)
    assert message.rate == pytest.approx(100 / 0.13)


def test_a_message_that_breaks_off() -> None:
    observer = Observer(ADDRESS)
    feed(observer, f"456#{FIRST}")
    assert observer.get_timer() == 2 * SECOND
    assert [stream.total for stream in observer.unfinished()] == [100]
    feed(observer, "123#310000", 900 * MS)
    feed(observer, "123#300000", 1800 * MS)
    feed(observer, "456#2107080910111213", 3 * SECOND)
    observer.handle_timer(5 * SECOND)
    message = only(observer)
    assert isinstance(message.error, ConsecutiveFrameTimeoutError)
    assert (message.done, message.length, message.end_ns) == (13, 100, 3 * SECOND)
    assert message.data == bytes.fromhex(FIRST[4:])
    assert observer.unfinished() == []
    assert observer.get_timer() is None


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        ("", "after the first frame"),
        ("123#300100 456#2107080910111213", "after a block of 1"),
    ],
)
def test_nobody_answers(frames: str, text: str) -> None:
    observer = Observer(ADDRESS)
    now = feed(observer, f"456#{FIRST} {frames}")
    feed(observer, "777#00", now + 3 * SECOND)  # any frame lets time pass
    message = only(observer)
    assert isinstance(message.error, FlowControlTimeoutError)
    assert text in str(message.error)


def test_the_sender_falls_silent_in_a_block() -> None:
    observer = Observer(ADDRESS)
    now = feed(observer, f"456#{FIRST} 123#300200 456#2107080910111213")
    observer.handle_timer(now + 3 * SECOND)
    assert isinstance(only(observer).error, ConsecutiveFrameTimeoutError)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        (f"123#320000 456#{FIRST} 123#320000", ["0x123 > 0x456: flow control without a message", "BufferOverflow"]),
        (f"456#{FIRST} 456#22 456#2207080910111213 456#23", ["WrongSequenceNumber"]),
        (f"456#{FIRST} 456#{FIRST} 456#0141", ["ReceptionInterrupted", "ReceptionInterrupted", "0x456 > 0x123: 41"]),
        ("456#21 456#22 456#0141 456#23", ["consecutive frame without", "41", "consecutive frame without"]),
        ("456#f0 456#00 456#", ["reserved N_PCI type 15", "SF_DL 0", "empty frame"]),
        (f"456#{FIRST} 123#370000", ["0x123 > 0x456: reserved flow status 7"]),
        ("123#30", ["flow control of 1 bytes"]),
    ],
)
def test_errors_are_told_where_they_happen(frames: str, expected: list[str]) -> None:
    observer = Observer(ADDRESS)
    feed(observer, frames)
    found = told(observer)
    assert len(found) == len(expected)
    for have, want in zip(found, expected, strict=True):
        assert want in have


def test_too_long() -> None:
    observer = Observer(ADDRESS, max_pdu_size=99)
    feed(observer, f"456#{FIRST}")
    message = only(observer)
    assert isinstance(message.error, BufferOverflowError)
    assert (message.length, message.done, message.timing) == (100, 0, None)
    assert observer.get_timer() is None


def test_too_many_unfinished_messages_give_up_the_oldest() -> None:
    observer = Observer(Address.normal(txid=1), Address.normal(txid=2), Address.normal(txid=3), unfinished_max=30)
    feed(observer, f"001#{FIRST} 002#{FIRST} 003#{FIRST}")
    assert told(observer) == ["0x001: BufferOverflowError"]
    assert [str(stream) for stream in observer.unfinished()] == ["0x002", "0x003"]
    feed(observer, "001#21")
    assert told(observer) == []


def test_interrupted_tells_of_the_old_message() -> None:
    observer = Observer(ADDRESS)
    feed(observer, f"456#{FIRST} 123#300000 456#2101010101010101 456#0142")
    failed, single = events(observer)
    assert isinstance(failed, Message)
    assert isinstance(failed.error, ReceptionInterruptedError)
    assert (failed.done, failed.length, failed.begin_ns, failed.end_ns) == (13, 100, 0, 3 * MS)
    assert isinstance(single, Message)
    assert (single.data, single.timing, single.rate) == (b"B", None, None)


def test_wrong_sequence_number_in_the_last_frame() -> None:
    observer = Observer(ADDRESS)
    feed(observer, "456#1008010203040506 123#300000 456#220708")
    assert isinstance(only(observer).error, WrongSequenceNumberError)


def test_flow_control_is_of_one_message_only() -> None:
    observer = Observer(ADDRESS)
    feed(observer, f"456#0141 456#{FIRST} 123#300005 456#0142 456#{FIRST} 123#300000")
    messages = [event for event in events(observer) if isinstance(event, Message)]
    assert [(message.data[:1], len(message.flow_controls)) for message in messages] == [
        (b"A", 0),
        (b"\1", 1),
        (b"B", 0),
    ]


def test_one_direction_only() -> None:
    observer = Observer(Address.normal(txid=0x456))
    take(observer, 0x456, b"\x30\0\0", 0)
    take(observer, 0x123, b"\x30\0\0", 0)
    assert observer.shown == 1
    feed(observer, "456#0141")
    assert told(observer) == ["0x456: 41"]


# --- links that are found


def test_nothing_is_lost_by_finding() -> None:
    observer = Observer(shows_frames=True)
    feed(observer, f"456#{FIRST} 123#300000cccccccccc")
    assert observer.streams() == []
    feed(observer, " ".join(f"456#2{sn & 15:x}05050505050505" for sn in range(1, 15)), 2 * MS)
    frames = [event for event in observer.events if isinstance(event, LinkFrame)]
    assert [(frame.time_ns, str(frame.stream.address)) for frame in frames[:3]] == [
        (0, "0x456"),
        (MS, "0x123"),
        (2 * MS, "0x456"),
    ]
    assert (len(frames), observer.frames, observer.shown, observer.missed) == (16, 16, 16, 0)
    message = observer.events[-1]
    assert isinstance(message, Message)
    assert len(message.data) == 100
    assert (str(message.stream), message.begin_ns) == ("0x456 > 0x123", 0)
    assert message.timing is not None
    assert message.timing.n_bs_ns == MS


def test_a_response_makes_a_link() -> None:
    observer = Observer()
    feed(observer, "300#0210030000000000 301#0122334455667788 302#065003003201f400")
    assert told(observer) == ["0x300 > 0x302: 1003", "0x302 > 0x300: 5003003201f4"]
    feed(observer, "300#0322f19055555555 302#1064010203040506 300#3000000000000000 302#037f2211aaaaaaaa")
    assert told(observer)[1:] == ["0x302 > 0x300: ReceptionInterruptedError", "0x302 > 0x300: 7f2211"]


def test_flow_control_is_stronger_than_a_response() -> None:
    observer = Observer()
    feed(observer, "300#0210030000000000 302#065003003201f400 302#1009010203040506 310#300000 302#21070809")
    assert told(observer)[-1] == "0x302 > 0x310: 010203040506070809"


def test_functional_requests_are_not_the_partner() -> None:
    observer = Observer()
    feed(observer, "7DF#02090255555555 7E8#1014490201313233 7E0#3000005555555555 7E8#2134353637383940")
    feed(observer, "7E8#2241424344454647")
    assert told(observer) == ["0x7DF: 0902", "0x7E8 > 0x7E0: " + "4902013132333435363738394041424344454647"]


@pytest.mark.parametrize(
    ("frames", "link"),
    [
        ("18DA10F1#0210035555555555 18DAF110#0250035555555555", "0x18DAF110 > 0x18DA10F1: 5003"),
        ("18CE10F1#99021003 18CEF110#99025003", "0x18CEF110/0x99 > 0x18CE10F1/0x99: 5003"),
        ("18DB33F1#013e", "0x18DB33F1: 3e"),
        ("7E0#013e 7E8#017e", "0x7E8 > 0x7E0: 7e"),
    ],
)
def test_reserved_identifiers_are_believed(frames: str, link: str) -> None:
    observer = Observer()
    feed(observer, frames)
    assert told(observer)[-1] == link


def test_one_direction_of_a_link_is_found() -> None:
    observer = Observer()
    feed(observer, "456#101e010203040506 456#2101010101010101 456#2201010101010101 456#2301010101010101 456#24010101")
    assert told(observer) == ["0x456: " + "010203040506" + "01" * 24]
    assert [str(stream) for stream in observer.streams()] == ["0x456"]


def test_extended_addressing_is_found_if_told() -> None:
    frames = "456#10100A0102030405 123#2030000000000000 456#1021060708090a0b"
    observer = Observer()
    feed(observer, frames)
    assert observer.streams() == []
    observer = Observer(address_size=1)
    feed(observer, frames)
    assert told(observer) == ["0x456/0x10 > 0x123/0x20: 0102030405060708090a"]


def test_other_traffic_is_no_link() -> None:
    chance = random.Random(1)
    observer = Observer()
    for i in range(20_000):
        counter = bytes((i // 40 & 0xFF,)) + bytes(7)
        take(observer, 0x100 + i % 20, chance.randbytes(8), i * MS)
        take(observer, 0x200 + i % 20, counter, i * MS)
    assert observer.streams() == []
    assert events(observer) == []


# --- whatever comes


@given(
    st.lists(st.tuples(st.sampled_from([0x456, 0x123, 0x7E8]), st.binary(max_size=70), st.integers(-SECOND, SECOND))),
    st.sampled_from([b"", b"\x21", b"\x10", b"\x10\x64aaaaaa", b"\x30"]),
    st.sampled_from([0, 1, 2]),
)
def test_no_input_raises(frames: list[tuple[int, bytes, int]], head: bytes, how: int) -> None:
    observer = Observer(ADDRESS) if how == 2 else Observer(address_size=how)
    now = 0
    for can_id, data, later in frames:
        now += later
        for frame_data in (head + data, head):
            take(observer, can_id, frame_data, now)
        observer.handle_timer(now)
    observer.unfinished()
    observer.handle_timer(now + 10 * SECOND)
    assert observer.unfinished() == []


def test_memory_is_bounded() -> None:
    """A flood of links and of first frames that announce 4 GB or 16 MB."""
    observer = Observer()
    tracemalloc.start()
    try:
        for i in range(10_000):
            can_id = 0x18DA0000 | (i * 7919) & 0xFFFF | CAN_EFF_FLAG
            take(observer, can_id, b"\x10\x00\xff\xff\xff\xff\x01\x02", i)
            take(observer, can_id, b"\x10\x00\x00\xff\xff\xff\x01\x02", i)
            take(observer, i | CAN_EFF_FLAG, b"\x10\x64\x01\x02\x03\x04\x05\x06", i)
            observer.events.clear()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(observer.streams()) <= STREAMS_MAX
    assert len(observer.unfinished()) <= 4
    assert used < 40_000_000
