"""isotp.capture from Python: files, pipes and frames of the user, what is counted, what memory it takes."""

import gzip
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import isotp
from isotp.address import CAN_EFF_FLAG, Address
from isotp.can_frame import CanFrame
from isotp.capture import Capture, Fault, LinkFrame, Message, UnreadableError, messages
from isotp.capture.frames import Frame
from isotp.errors import ConsecutiveFrameTimeoutError, FlowControlTimeoutError, N_Result, UnknownOutcomeError

from .traffic import CHANNEL, MS, noise
from .writers import candump_log, pcap, pcapng

SECOND = 1000 * MS
VIN = b"\x62\xf1\x90WVWZZZ1JZXW000001"
# (milliseconds, identifier, data)
TALK = [
    (0, 0x700, "0322F19055555555"),
    (2, 0x708, "101462F190" + VIN[3:6].hex()),
    (4, 0x700, "3000055555555555"),
    (5, 0x708, "21" + VIN[6:13].hex()),
    (11, 0x708, "22" + VIN[13:20].hex()),
]


def frames(talk: list[tuple[int, int, str]] = TALK, begin: int = SECOND) -> list[Frame]:
    return [(begin + ms * MS, CHANNEL, can_id, bytes.fromhex(data), False) for ms, can_id, data in talk]


def test_the_names_are_public() -> None:
    assert isotp.capture.messages is messages
    assert all(hasattr(isotp.capture, name) for name in isotp.capture.__all__)


def test_messages_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(candump_log([(now, "0", *rest) for now, _, *rest in frames()]))  # type: ignore[misc]
    request, response = messages(path)
    assert (request.channel, request.source, request.target) == ("can0", (0x700, None), (0x708, None))
    assert (request.data, request.is_single, request.timing) == (b"\x22\xf1\x90", True, None)
    assert (response.source, response.target, response.data) == ((0x708, None), (0x700, None), VIN)
    assert (response.begin_ns, response.end_ns) == (SECOND + 2 * MS, SECOND + 11 * MS)
    assert (response.n_bs_ns, response.n_cr_ns, response.min_gap_ns, response.stmin) == (2 * MS, 6 * MS, 6 * MS, 5)
    assert response.rate == pytest.approx(20 / 0.009)
    assert (response.n_result, response.error, response.length, response.done) == (N_Result.N_OK, None, 20, 20)
    assert [frame.hex() for frame in response.frames] == [data.lower() for _, can_id, data in TALK if can_id == 0x708]
    (fc,) = response.flow_controls
    assert (fc.time_ns, fc.status, fc.bs, fc.stmin, fc.after) == (SECOND + 4 * MS, 0, 0, 5, 1)


def python_can_messages() -> list[Any]:
    can = pytest.importorskip("can", reason="python-can is not installed (to do: pip install isotp[can])")
    given = [
        can.Message(timestamp=1 + ms / 1000, arbitration_id=can_id, data=bytes.fromhex(data), is_extended_id=False)
        for ms, can_id, data in TALK
    ]
    return [*given, can.Message(timestamp=2, arbitration_id=1, is_remote_frame=True)]


def scapy_packets() -> list[Any]:
    module = pytest.importorskip("scapy.layers.can", reason="scapy is not installed (to do: pip install scapy)")
    layer: Any = module.CAN
    packets = []
    for ms, can_id, data in TALK:
        packet: Any = layer(bytes(layer(identifier=can_id, data=bytes.fromhex(data))))
        packet.time = 1 + ms / 1000
        packets.append(packet)
    remote: Any = layer(identifier=1, flags="remote_transmission_request")
    remote.time = 2
    return [*packets, remote]


GIVEN: dict[str, Callable[[], list[Any]]] = {
    "python-can": python_can_messages,
    "scapy": scapy_packets,
    "CanFrame": lambda: [(1 + ms / 1000, CanFrame(can_id, bytes.fromhex(data))) for ms, can_id, data in TALK],
    "tuples": lambda: [(1 + ms / 1000, can_id, bytes.fromhex(data)) for ms, can_id, data in TALK],
    "frames": frames,
}


@pytest.mark.parametrize("kind", GIVEN)
@pytest.mark.parametrize("links", [(), (Address.normal(txid=0x700, rxid=0x708),)], ids=["found", "given"])
@pytest.mark.parametrize("is_list", [True, False], ids=["list", "iterator"])
def test_frames_of_the_user(kind: str, links: tuple[Address, ...], is_list: bool) -> None:
    given = GIVEN[kind]()
    capture = Capture(given if is_list else iter(given), *links)
    request, response = capture
    assert (request.data, response.data) == (b"\x22\xf1\x90", VIN)
    assert response.times_ns == [SECOND + ms * MS for ms in (2, 5, 11)]
    assert (capture.frames, capture.skipped) == (5, len(given) - 5)


def test_an_identifier_above_7ff_has_29_bits() -> None:
    (message,) = messages([(0.0, 0x18DA10F1, b"\x02\x3e\x00")])
    assert message.source.can_id == 0x18DA10F1 | CAN_EFF_FLAG


@pytest.mark.parametrize("item", [b"\x00", (1, 2), "7E0#00", None, (0.0, "7E0", b"")])
def test_what_is_no_frame(item: object) -> None:
    with pytest.raises(TypeError, match="is no CAN frame: taken are"):
        list(messages([item]))


def test_times_that_no_clock_has() -> None:
    capture = Capture([(float("nan"), 0x700, b""), (10**310, 0x700, b""), (-5.0, 0x700, b"")])
    assert (list(capture), capture.skipped, capture.frames) == ([], 3, 0)


def test_an_iterator_needs_no_list() -> None:
    """Each message is there as soon as its last frame was taken."""
    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        while True:
            for frame in frames(begin=SECOND + taken * MS):
                taken += 1
                yield frame

    source = iter(Capture(endless()))
    assert (next(source).data, next(source).data, next(source).data) == (b"\x22\xf1\x90", VIN, b"\x22\xf1\x90")
    assert taken <= 7


def test_events_in_order_with_frames() -> None:
    capture = Capture(frames())
    events = [event for batch in capture.batches(shows_frames=True) for event in batch]
    kinds = [type(event) for event in events]
    assert kinds == [LinkFrame, Message, LinkFrame, LinkFrame, LinkFrame, LinkFrame, Message]
    shown = [event for event in events if isinstance(event, LinkFrame)]
    assert [(event.time_ns, event.data) for event in shown] == [(frame[0], frame[3]) for frame in frames()]


def test_several_links_are_named() -> None:
    """And one identifier may be of several."""
    links = [Address.normal(txid=0x7DF, rxid=rxid) for rxid in (0x7E8, 0x7E9)]
    talk = [(0, 0x7DF, "020902"), (1, 0x7E8, "1014490201414141"), (2, 0x7DF, "300000"), (3, 0x7E8, "2141414141414141")]
    talk += [(4, 0x7E8, "2241414141414141"), (5, 0x7E9, "1014490201424242"), (6, 0x7DF, "300000")]
    talk += [(7, 0x7E9, "2142424242424242"), (8, 0x7E9, "2242424242424242"), (9, 0x123, "0141")]
    capture = Capture(frames(talk), *links)
    found = list(capture.events())
    assert [(event.stream.address.can_id, event.stream.target) for event in found] == [
        (0x7DF, None),
        (0x7E8, (0x7DF, None)),
        (0x7E9, (0x7DF, None)),
    ]
    assert all(isinstance(event, Message) and event.error is None for event in found)
    assert capture.not_shown == 1


def test_a_recording_that_ends_in_a_message() -> None:
    message = list(Capture(frames()[:4]))[-1]
    assert isinstance(message.error, UnknownOutcomeError)
    assert "the recording ends after 13 of 20 bytes" in str(message.error)
    assert (message.done, message.length) == (13, 20)


# --- what is not shown is counted


def test_counts() -> None:
    other = noise(range(0x100, 0x110), 200 * MS, 1)
    for source in (sorted(frames() + other), iter(sorted(frames() + other))):
        capture = Capture(source)
        assert len(list(capture)) == 2
        assert (capture.frames, capture.not_shown, capture.missed) == (len(other) + 5, len(other), 0)


def test_frames_that_could_not_be_held_are_counted() -> None:
    """Live, an identifier is found after more frames than are held; a recording has them all."""
    alone = [(ms, 0x700, f"03221{ms % 10:X}00") for ms in range(100)]
    later = [(200 + ms, can_id, data) for ms, can_id, data in TALK]
    live, read_twice = Capture(iter(frames(alone + later))), Capture(frames(alone + later))
    assert len(list(read_twice)) == 102
    assert (read_twice.not_shown, read_twice.missed) == (0, 0)
    shown = list(live)
    assert len(shown) + live.missed == 102
    assert live.not_shown == live.missed > 0


def test_a_held_first_frame_fails_by_its_own_time_limit() -> None:
    """It was held for minutes, until its identifier was found."""
    talk = [(0, 0x708, "101462F190010203"), (300_000, 0x700, "0322F190"), (300_001, 0x708, "0462F19041")]
    for source in (frames(talk), iter(frames(talk))):
        old = next(message for message in Capture(source) if message.error)
        assert isinstance(old.error, FlowControlTimeoutError | ConsecutiveFrameTimeoutError)
        assert (old.begin_ns, old.end_ns, old.done) == (SECOND, SECOND, 6)
        assert "300" not in str(old.error)


def test_consecutive_frames_whose_first_frame_is_not_held_are_no_fault() -> None:
    talk = [(ms, 0x708, "2F01020304050607") for ms in range(3)] + [(10 + ms, can_id, data) for ms, can_id, data in TALK]
    events = list(Capture(iter(frames(talk))).events())
    assert not any(isinstance(event, Fault) for event in events)


# --- hints


def test_extended_addressing_is_hinted_at() -> None:
    talk = [(0, 0x612, "F1037F2278"), (1, 0x6F1, "120322F190"), (3, 0x612, "F1101462F1900102"), (4, 0x6F1, "12300000")]
    talk += [(5 + sn, 0x612, f"F12{sn}010203040506") for sn in (1, 2, 3)]
    capture = Capture(frames(talk))
    assert [event for event in capture.events() if isinstance(event, Fault)] == []
    assert capture.has_address_bytes
    assert "address_size=1" in str(capture.hint)
    with_bytes = Capture(frames(talk), address_size=1)
    assert len(list(with_bytes)) == 3
    assert with_bytes.hint is None


def test_links_that_match_nothing_are_said() -> None:
    capture = Capture(frames(), Address.normal(txid=0x123, rxid=0x456))
    assert list(capture) == []
    assert "none of 5 frames" in str(capture.hint)
    assert Capture(frames()).hint is None


# --- pipes


def test_a_pipe(tmp_path: Path) -> None:
    """Shown while it is open: the same messages, though it cannot be read twice."""
    code = (
        "import isotp\nfor message in isotp.capture.messages('-'):\n"
        "    print(f'{message.source.can_id:X}', message.data.hex(), flush=True)"
    )
    pipe = subprocess.PIPE
    log = candump_log([(now, "0", *rest) for now, _, *rest in frames()])  # type: ignore[misc]
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(log)
        process.stdin.flush()
        assert [process.stdout.readline() for _ in range(2)] == ["700 22f190\n", f"708 {VIN.hex()}\n"]
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    log = candump_log([(now, "0", *rest) for now, _, *rest in frames()])  # type: ignore[misc]
    thread = threading.Thread(target=path.write_text, args=(log,))
    thread.start()
    try:
        assert [message.data for message in messages(path)] == [b"\x22\xf1\x90", VIN]
    finally:
        thread.join()


# --- memory


def peak_of(source: Iterator[Frame]) -> int:
    capture = Capture(source)
    tracemalloc.start()
    try:
        for _ in capture.events():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_bounded_on_many_channels() -> None:
    """400 channels with 100 started messages each: 40,000 of them."""

    def flood() -> Iterator[Frame]:
        for number in range(40_000):
            can_id = 0x18DA0000 | number % 100 << 8 | 0xF1 | CAN_EFF_FLAG
            yield number, f"can{number // 100}", can_id, b"\x1f\xff\x22\x01\x02\x03\x04\x05", False

    assert peak_of(flood()) < 100_000_000


def test_memory_is_bounded_in_days_of_traffic() -> None:
    """A live capture that is never shown the end: what it holds after many messages is what it held after some."""
    observer_frames = frames()

    def traffic(times: int) -> Iterator[Frame]:
        for number in range(times):
            for now, channel, can_id, data, is_fd in observer_frames:
                yield now + number * 100 * MS, channel, can_id, data, is_fd
            yield number * 100 * MS, channel, 0x100 + number % 64, bytes((number & 255,)) * 8, False

    assert peak_of(traffic(2000)) < peak_of(traffic(400)) + 100_000


# --- damage, progress, time that passes


@pytest.mark.parametrize(
    "content",
    [
        lambda frames: pcap(frames) + b"\xff" * 300_000,
        lambda frames: pcapng([(frame[0], "0", *frame[2:]) for frame in frames]) + b"\xff" * 40,
        lambda frames: gzip.compress(pcap(frames))[:-4],
        lambda frames: gzip.compress(candump_log([(frame[0], "0", *frame[2:]) for frame in frames]).encode())[:-4],
    ],
    ids=["pcap", "pcapng", "pcap.gz", "log.gz"],
)
def test_what_comes_before_damage_is_shown(content: Callable[[list[Frame]], bytes], tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content(frames()))
    source = messages(path)
    assert [next(source).data, next(source).data] == [b"\x22\xf1\x90", VIN]
    with pytest.raises(UnreadableError, match=str(path)):
        next(source)


def test_progress(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text(candump_log([(frame[0], "0", *frame[2:]) for frame in frames()] * 20_000))
    capture = Capture(path)
    shares = []
    for _ in capture.batches():
        share = capture.progress()
        assert share is None or 0 <= share <= 1
        shares += [] if share is None else [share]
    assert shares == sorted(shares)
    assert shares[0] < 0.2
    assert any(0.4 < share < 0.6 for share in shares)


class Live:
    """Frames as an interface has them, and then silence."""

    name = "can0"
    passed_over = 3
    is_live = True

    def batches(self) -> Iterator[list[Frame]]:
        yield frames([*TALK[:2]])
        yield []
        yield []

    def progress(self) -> float | None:
        return None

    def close(self) -> None:
        pass


def test_silence_is_told_though_no_frame_comes() -> None:
    times = iter([100 * SECOND, 101 * SECOND, 102 * SECOND])
    capture = Capture(Live(), Address.normal(txid=0x700, rxid=0x708))
    first, second, third, last = capture.batches(clock=lambda: next(times))
    assert ([type(event) for event in first], second, last) == ([Message], [], [])
    (broken,) = third
    assert isinstance(broken, Message)
    assert isinstance(broken.error, FlowControlTimeoutError)
    assert (capture.skipped, capture.begin_ns) == (3, SECOND)


def test_interrupted() -> None:
    """What Ctrl-C does: what is under way is reported, whether links are still being looked for or not."""
    capture = Capture(frames()[:4])
    batches = capture.batches()
    assert next(batches) == []
    capture.end("interrupted")
    assert capture.remaining() == []
    while not any(isinstance(event, Message) for event in next(batches)):
        pass
    capture.end("interrupted")
    (broken,) = capture.remaining()
    assert isinstance(broken, Message)
    assert "interrupted after 13 of 20 bytes" in str(broken.error)
    batches.close()  # type: ignore[attr-defined]
