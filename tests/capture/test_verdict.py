"""What is against ISO 15765-2, which frame shows it, and by how much."""

import pytest

from isotp.address import Address
from isotp.capture import Capture, Finding, Message, Verdicts, check, guess_bit_rate, time_spent
from isotp.capture.frames import Frame

MS = 1_000_000
SENDER, RECEIVER = 0x123, 0x456
LINK = Address.normal(txid=SENDER, rxid=RECEIVER)


def frames(text: str) -> list[Frame]:
    """Frames as `0:FF20 2:<300000 5:21`: milliseconds, `<` for the receiver's, FF with a length, CF padded to 8."""
    found = []
    for each in text.split():
        stamp, _, data = each.partition(":")
        can_id = RECEIVER if data.startswith("<") else SENDER
        data = data.removeprefix("<")
        if data.startswith("FF"):
            raw = (0x1000 | int(data[2:])).to_bytes(2, "big") + bytes(6)
        elif can_id == SENDER and data[0] == "2":
            raw = bytes.fromhex(data).ljust(8, b"\xaa")
        else:
            raw = bytes.fromhex(data)
        found.append((round(float(stamp) * MS), "can0", can_id, raw, False))
    return found


def only(text: str) -> Message:
    (message,) = Capture(frames(text), LINK)
    return message


def found(text: str) -> list[tuple[str, bool, float]]:
    return [(finding.rule, finding.is_fault, finding.time_ns / MS) for finding in check(only(text))]


def test_nothing_to_find() -> None:
    assert found("0:FF30 1:<300205 2:21 7:22 10:<300205 11:23 16:24") == []
    assert found("0:0141") == []


def test_stmin() -> None:
    (finding,) = check(only("0:FF30 1:<300005 2:21 7:22 10:23 15:24"))
    assert finding == Finding(
        "STmin",
        "ISO 15765-2:2016, 9.6.5.4",
        True,
        10 * MS,
        "consecutive frame 3 came 3.000 ms after the one before it, 2.000 ms too early",
        3 * MS,
        5 * MS,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The times that table 18 has.
        ("0:FF13 1500:<300000 1501:21", [("N_Bs", True, 1500)]),
        ("0:FF20 1:<310000 900:<310000 2500:<300000 2501:21 2502:22", [("N_Bs", True, 2500), ("WAIT", False, 1)]),
        ("0:FF20 1:<300000 1500:21 1501:22", [("N_Cr", True, 1500)]),
        # Flow control where it must not be, or not be missing.
        ("0:FF20 1:21 2:22", [("missing flow control", False, 1)]),
        ("0:FF20 1:<300000 2:<300000 3:21 4:22", [("doubled flow control", True, 2)]),
        ("0:FF30 1:<300000 2:21 3:<300000 4:22 5:23 6:24", [("unexpected flow control", True, 3)]),
        ("0:FF30 1:<300300 2:21 3:<300300 4:22 5:23 6:24", [("unexpected flow control", True, 3)]),
        ("0:FF30 1:<300200 2:21 3:22 4:23 5:<300200 6:24", [("BS", True, 5)]),
        ("0:FF30 1:<300200 2:21 3:22 4:23 5:24", [("BS", True, 4)]),
        ("0:FF20 1:<3000F0 200:21 400:22", [("STmin reserved", True, 1)]),
        # Messages that failed.
        ("0:FF20 1:<320000", [("N_BUFFER_OVFLW", True, 1)]),
        ("0:FF20 1:<300000 2:22", [("N_WRONG_SN", True, 2)]),
        ("0:FF20", [("N_ERROR", False, 0)]),
    ],
)
def test_rules(text: str, expected: list[tuple[str, bool, float]]) -> None:
    assert found(text) == expected


def test_without_times_no_times_are_judged() -> None:
    message = only("0:FF30 1:<300205 2:21 3:22 4:<300205 5:23 5:24")._replace(is_timed=False)
    assert check(message) == []


def verdicts(text: str) -> Verdicts:
    judged = Verdicts()
    for event in Capture(frames(text), LINK).events():
        judged.take(event)
    return judged


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:0322F190 49:<0462F19041", []),
        ("0:0322F190 51:<0462F19041", ["P2"]),
        ("0:0322F190 51:<037F2231", ["P2"]),
        ("0:0322F190 40:<037F2278 5000:<0462F19041", []),
        ("0:0322F190 40:<037F2278 5000:<037F2278 9000:<0462F19041", []),
        ("0:0322F190 40:<037F2278 5041:<0462F19041", ["P2*"]),
        ("0:0322F190 60:<025003", []),
    ],
)
def test_response_times(text: str, expected: list[str]) -> None:
    ours, theirs = [*verdicts(text).links(), None][:2]
    assert ours is not None
    assert theirs is not None
    assert (ours.findings, [finding.rule for finding in theirs.findings]) == ([], expected)


def test_a_link_adds_up() -> None:
    judged = verdicts(
        "0:FF20 1:<300000 2:21 3:22 10:FF20 11:<300000 12:22 20:0141CCCCCCCCCCCC 30:0142AAAAAAAAAAAA 40:21 50:F0"
    )
    sender = judged.links()[0]
    assert (sender.messages, sender.failed, sender.size) == (4, 1, 20)
    assert dict(sender.counts) == {"N_WRONG_SN": 1, "padding": 1, "frame": 2}
    assert sender.rate == pytest.approx(20 / 0.003)
    assert judged.has_faults
    assert not verdicts("0:FF20 1:<300000 2:21 3:22").has_faults


def test_memory_is_bounded() -> None:
    judged = Verdicts(links_max=10)
    for can_id in range(1000):
        for _ in range(30):
            judged.take(only("0:FF20 1:<320000")._replace(source=LINK.tx._replace(can_id=can_id)))  # type: ignore[union-attr]
    assert len(judged.links()) == 10
    assert all(len(link.findings) == 20 and link.counts["N_BUFFER_OVFLW"] == 30 for link in judged.links())


def test_where_the_time_goes() -> None:
    message = only("0:FF30 10:<30000A 11:21 21:22 31:23 50:24")
    spent = time_spent(message, 500_000)
    frame_ns = 111 * 2000  # 11 bits of identifier, 8 bytes, the pause: 111 bits of 2 us
    assert spent.total_ns == 50 * MS
    assert spent.on_bus_ns == 4 * frame_ns
    assert spent.receiver_ns == 10 * MS
    assert spent.stmin_ns == 30 * MS - 3 * frame_ns
    assert spent.sender_ns == 50 * MS - spent.on_bus_ns - spent.receiver_ns - spent.stmin_ns


@pytest.mark.parametrize(("gap_us", "rate"), [(115, 1_000_000), (230, 500_000), (450, 250_000), (1000, 125_000)])
def test_a_bit_rate_is_guessed(gap_us: int, rate: int) -> None:
    gap = gap_us / 1000
    assert guess_bit_rate([only(f"0:FF30 1:<300000 2:21 {2 + gap}:22 {2 + 2 * gap}:23 {2 + 3 * gap}:24")]) == rate
    assert guess_bit_rate([only("0:0141")]) is None
