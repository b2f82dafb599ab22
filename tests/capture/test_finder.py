"""Links are found, and found right: several ECUs at once, other traffic, live and in a recording."""

import random
from collections import Counter

import pytest

from isotp.address import CAN_EFF_FLAG
from isotp.capture import Capture, Fault, Message
from isotp.capture.finder import CLUES_MAX, LinkFinder
from isotp.capture.frames import Frame
from isotp.capture.standards import is_reserved, usual_partner

from .traffic import CHANNEL, MS, Expected, ids, merged, noise, segmented, single, talk

KINDS = ["offset", "neighbours", "29 bits", "any"]


def recording(count: int, kind: str, requests: int, seed: int) -> tuple[list[Frame], list[Expected]]:
    parts, expected = [], []
    for i, pair in enumerate(ids(count, kind, seed)):
        frames, messages = talk(pair, requests, seed * 100 + i)
        parts.append(frames)
        expected += messages
    other = noise(range(0x100, 0x130), max(part[-1][0] for part in parts), seed)
    return merged(*parts, other), expected


def outcome(capture: Capture, expected: list[Expected]) -> tuple[int, int, int, int]:
    """How many messages are lost, invented, shown with a wrong target, and how many faults there are."""
    faults = wrong = 0
    found: Counter[tuple[int, bytes]] = Counter()
    target_of = {(each.source, each.data): each.target for each in expected}
    for event in capture.events():
        if isinstance(event, Fault) or event.error:
            faults += 1
            continue
        key = event.source.can_id, event.data
        found[key] += 1
        wrong += event.target is not None and target_of.get(key) != event.target.can_id
    wanted = Counter((each.source, each.data) for each in expected)
    return sum((wanted - found).values()), sum((found - wanted).values()), wrong, faults


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_several_ecus_at_once(count: int, kind: str) -> None:
    for seed in range(3):
        frames, expected = recording(count, kind, 20, seed)
        assert outcome(Capture(frames), expected) == (0, 0, 0, 0)


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_several_ecus_at_once_live(count: int) -> None:
    """No message is lost; a target may be wrong until more was seen, and then is corrected."""
    for seed in range(3):
        frames, expected = recording(count, "any", 20, seed)
        lost, invented, wrong, faults = outcome(Capture(iter(frames)), expected)
        assert (lost, faults) == (0, 0)
        assert invented <= 7  # a counter that looked like single frames for a while
        assert wrong <= len(expected) // 20


def test_a_first_guess_is_corrected() -> None:
    """Two testers answer at the same moment; the flow control of the wrong one comes first."""
    right, wrong, ecu, other = 0x600, 0x601, 0x680, 0x681
    frames: list[Frame] = []

    def at(ms: int, can_id: int, data: str) -> None:
        frames.append((ms * MS, CHANNEL, can_id, bytes.fromhex(data), False))

    at(0, right, "0322F190CCCCCCCC")
    at(1, wrong, "0322F187CCCCCCCC")
    at(2, other, "101462F187010203")
    at(3, ecu, "101462F190010203")
    at(4, right, "300000CCCCCCCCCC")
    at(5, wrong, "300000CCCCCCCCCC")
    for sn in (1, 2):
        at(5 + sn, ecu, f"2{sn}01020304050607")
        at(6 + sn, other, f"2{sn}01020304050607")
    for capture in (Capture(frames), Capture(iter(frames))):
        targets = {message.source.can_id: message.target for message in capture}
        assert targets[ecu] == (right, None)
        assert targets[other] == (wrong, None)


def test_one_identifier_for_two_ecus() -> None:
    """A tester that asks both with one identifier and answers both with it, also at the same time."""
    tester, ecus = 0x14DA40F1 | CAN_EFF_FLAG, (0x14DAF140 | CAN_EFF_FLAG, 0x14DAF141 | CAN_EFF_FLAG)
    data = b"\x62\xf1\x90" + bytes(range(17))
    frames: list[Frame] = []
    for begin in (0, 100):
        frames.append((begin * MS, CHANNEL, tester, bytes.fromhex("0322F190CCCCCCCC"), False))
        for number, ecu in enumerate(ecus):
            at = (begin + 2 + number) * MS if begin else (2 + 20 * number) * MS
            frames += [
                (at, CHANNEL, ecu, b"\x10\x14" + data[:6], False),
                (at + 4 * MS, CHANNEL, tester, bytes.fromhex("300000CCCCCCCCCC"), False),
                (at + 6 * MS, CHANNEL, ecu, b"\x21" + data[6:13], False),
                (at + 8 * MS, CHANNEL, ecu, b"\x22" + data[13:20], False),
            ]
    frames.sort()
    events = list(Capture(frames).events())
    messages = [event for event in events if isinstance(event, Message)]
    assert len(events) == len(messages) == 6
    assert all(message.error is None for message in messages)
    assert [message.target for message in messages if message.source.can_id == tester] == [None, None]
    assert [message.n_bs_ns for message in messages if not message.is_single] == [4 * MS] * 4


def test_other_traffic_is_no_link() -> None:
    for seed in range(5):
        frames = noise(range(0x100, 0x180), 20_000 * MS, seed)
        capture = Capture(frames)
        assert list(capture.events()) == []
        assert capture.not_shown == len(frames)


@pytest.mark.parametrize(
    ("can_id", "partner"),
    [
        (0x7E0, 0x7E8),
        (0x7EF, 0x7E7),
        (0x7DF, None),
        (0x123, None),
        (0x18DA10F1 | CAN_EFF_FLAG, 0x18DAF110 | CAN_EFF_FLAG),
        (0x14DA10F1 | CAN_EFF_FLAG, 0x14DAF110 | CAN_EFF_FLAG),
        (0x18DB33F1 | CAN_EFF_FLAG, None),
        (0x1CDA10F1 | CAN_EFF_FLAG, 0x1CDAF110 | CAN_EFF_FLAG),
        (0x18EA10F1 | CAN_EFF_FLAG, None),
    ],
)
def test_who_answers_by_the_standards(can_id: int, partner: int | None) -> None:
    assert usual_partner((CHANNEL, can_id)) == (None if partner is None else (CHANNEL, partner))
    assert usual_partner((CHANNEL, can_id, 5)) == (
        None if partner is None or partner < 0x800 else (CHANNEL, partner, 5)
    )


@pytest.mark.parametrize("can_id", [0x7DF, 0x7E0, 0x7EF, *(0x80000000 | p << 24 | 0xDA10F1 for p in (0x18, 0x14, 0))])
def test_reserved_identifiers_need_no_proof(can_id: int) -> None:
    """And their single frames may have leftover bytes behind them."""
    assert is_reserved(can_id)
    frames = [(MS, CHANNEL, can_id, bytes.fromhex("023E80A1B2C3D4E5"), False)]
    for capture in (Capture(frames), Capture(iter(frames))):
        (message,) = capture
        assert message.data == b"\x3e\x80"


def test_channels_are_apart() -> None:
    one, _ = recording(1, "offset", 3, 1)
    frames = [(now, f"can{i % 2}", *rest) for i, (now, _, *rest) in enumerate(one)]
    both = [frame for now, _, *rest in one for frame in ((now, "can0", *rest), (now, "can1", *rest))]
    assert [m.data for m in Capture(both)][::2] == [m.data for m in Capture(one)]
    assert {message.channel for message in Capture(both)} == {"can0", "can1"}
    assert all(message.error is None for message in Capture(both))
    assert len(list(Capture(frames))) < len(list(Capture(both)))


def test_memory_is_bounded() -> None:
    finder = LinkFinder()
    for number in range(CLUES_MAX + 1000):
        finder.see(number, f"channel {number // 100}", number, b"\x10\x14\x22\x01\x02\x03\x04\x05")
    assert finder.seen(("channel 0", 0)) == 0
    assert finder.seen(("channel 660", 66_000)) == 1


def test_a_segmented_message_of_known_identifiers() -> None:
    frames = segmented(0x321, 0x322, bytes(range(100)), 0, random.Random(1), bs=4, stmin=2)
    assert [message.data for message in Capture([single(0x321, b"\x3e\x80", 0), *frames])] == [
        b"\x3e\x80",
        bytes(range(100)),
    ]
