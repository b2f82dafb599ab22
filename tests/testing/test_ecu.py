"""What a simulated ECU answers, without a bus and without a clock."""

import itertools
import zlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.address import Address, CanAddress
from isotp.errors import AddressError
from isotp.testing import (
    Did,
    Download,
    Ecu,
    Nrc,
    Refused,
    Reply,
    Request,
    Routine,
    Rules,
    Security,
    dtc_number,
    in_turn,
)

VIN = b"WVWZZZ1JZXW000001"


def new_ecu(**fields: object) -> Ecu:
    return Ecu("engine", rxid=0x7E0, txid=0x7E8, **fields)  # type: ignore[arg-type]


def ask(ecu: Ecu, request: str, now_s: float = 0.0, *, functional: bool = False) -> str | None:
    """The one reply, which comes at once, in hexadecimal; None: silence."""
    replies = ecu.request(bytes.fromhex(request), now_s, functional)
    assert len(replies) < 2
    assert all(after_s == 0 for after_s, _ in replies)
    return replies[0][1].hex(" ") if replies else None


# --- rules


def test_rules_answer_before_services() -> None:
    ecu = new_ecu(rules={"22 F1 90": "62 f1 90 01", b"\x3e\x00": b"\x7e\x00\xaa"}, dids={0xF190: VIN})
    assert ask(ecu, "22 f1 90") == "62 f1 90 01"
    assert ask(ecu, "3e 00") == "7e 00 aa"
    del ecu.rules["22 f190"]
    assert ask(ecu, "22 f1 90") == "62 f1 90 " + VIN.hex(" ")


def test_the_pattern_that_says_most_is_taken() -> None:
    rules = Rules()
    rules.update({"*": "01", "22 *": "02", "22 ?? 90": "03", "22 F1 *": "04", "22 F1 90": "05", "22 ?? ?? *": "06"})
    found = {text: rules.find(bytes.fromhex(text)) for text in ("10", "22", "220190", "22f191", "22f190", "22f19000")}
    assert found == {
        "10": b"\x01",
        "22": b"\x02",
        "220190": b"\x03",
        "22f191": b"\x04",
        "22f190": b"\x05",
        "22f19000": b"\x04",
    }
    with pytest.raises(KeyError):
        Rules().find(b"\x22")


def test_rules_are_a_dict() -> None:
    rules = Rules()
    rules["22 f1 *"] = "01"
    rules["22 F1*"] = Nrc.REQUEST_OUT_OF_RANGE
    rules["3E00"] = None
    assert len(rules) == 2
    assert list(rules) == [b"\x3e\x00", "22 F1 *"]
    assert rules["22F1*"] is Nrc.REQUEST_OUT_OF_RANGE
    assert "3e 00" in rules
    assert rules[b"\x3e\x00"] is None


@pytest.mark.parametrize("pattern", ["22 F", "xx", "* 22", "2?", "22 F1 90 *?"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a pattern"):
        Rules()[pattern] = b"\x01"


@pytest.mark.parametrize(("answer", "error"), [(12, TypeError), ("6Z", ValueError), ([b"\x01"], TypeError)])
def test_what_answers_nothing(answer: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        Rules()["22"] = answer  # type: ignore[assignment]


def test_functions() -> None:
    ecu = new_ecu()

    @ecu.rule("22 01 ??")
    def read(request: Request) -> bytes:
        if request.data[2] > 9:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return b"\x62" + request.data[1:] + b"\x2a"

    assert ask(ecu, "22 01 03") == "62 01 03 2a"
    assert ask(ecu, "22 01 0a") == "7f 22 31"
    assert ask(ecu, "22 01 0a", functional=True) is None


def test_a_function_that_fails_is_remembered() -> None:
    ecu = new_ecu(rules={"22 *": lambda request: 1 // 0, "3e *": lambda request: 3})
    assert ecu.serve(b"\x22\x01\x03") == [(0.0, b"\x7f\x22\x10")]
    assert ecu.serve(b"\x3e\x01\x03") == [(0.0, b"\x7f\x3e\x10")]
    assert [type(e) for e in ecu.failures] == [ZeroDivisionError, TypeError]
    assert ecu.failures[0].__notes__ == ["while ECU 'engine' answered 22 01 03"]


def test_request_raises_what_a_function_raises() -> None:
    ecu = new_ecu(rules={"22 *": lambda request: 1 // 0})
    with pytest.raises(ZeroDivisionError) as raised:
        ecu.request(b"\x22\x01\x03")
    assert raised.value.__notes__ == ["while ECU 'engine' answered 22 01 03"]
    assert ecu.failures == []  # it was seen
    assert [one.replies for one in ecu.served] == [((0.0, b"\x7f\x22\x10"),)]


def test_in_turn() -> None:
    ecu = new_ecu(rules={"22 01 00": in_turn("62 01 00 01", Nrc.CONDITIONS_NOT_CORRECT, lambda request: b"\x00")})
    assert [ask(ecu, "22 01 00") for _ in range(4)] == ["62 01 00 01", "7f 22 22", "00", "62 01 00 01"]


def test_several_replies_and_silence() -> None:
    ecu = new_ecu(rules={"01 00": [Reply("41 00", 0.01), Reply("41 01", 0.02)], "02": None, "03": Reply(None)})
    assert ecu.request(b"\x01\x00") == [(0.01, b"\x41\x00"), (0.02, b"\x41\x01")]
    assert ask(ecu, "02", 1.0) is None
    assert ask(ecu, "03", 1.0) is None


# --- time


def test_response_pending_comes_in_time() -> None:
    ecu = new_ecu(rules={"31 *": Reply("71 01 ff 00", after_s=300.0)})
    replies = ecu.request(b"\x31\x01\xff\x00")
    assert replies[-1] == (300.0, b"\x71\x01\xff\x00")
    assert {reply for _, reply in replies[:-1]} == {b"\x7f\x31\x78"}
    times = [0.0, *(after_s for after_s, _ in replies)]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert gaps[0] < ecu.p2_s
    assert all(gap < ecu.p2_star_s for gap in gaps[1:])


def test_response_pending_that_is_not_wanted() -> None:
    ecu = new_ecu(rules={"31 *": Reply("71", after_s=300.0, pending=False)})
    assert ecu.request(b"\x31\x01") == [(300.0, b"\x71")]


def test_busy() -> None:
    ecu = new_ecu(rules={"31 *": Reply("71", after_s=2.0, pending=False)}, delay_s=0.5, p2_s=0.5)
    assert ecu.request(b"\x31", 10.0) == [(2.5, b"\x71")]
    assert ask(ecu, "22 f1 90", 12.4) == "7f 22 21"
    assert ask(ecu, "22 f1 90", 12.4, functional=True) is None
    assert ask(ecu, "3e 80", 12.4) is None
    assert ecu.request(b"\x22\xf1\x90", 12.5) == [(0.5, b"\x7f\x22\x31")]


def test_after_response_pending_a_response_always_comes() -> None:
    ecu = new_ecu(routines={1: Reply(Nrc.REQUEST_OUT_OF_RANGE, after_s=0.06), 2: Reply("00", after_s=0.06)})
    for request, reply in (("31 81 00 02", "71 01 00 02 00"), ("31 01 00 01", "7f 31 31")):
        replies = ecu.request(bytes.fromhex(request), ecu._busy_until_s, functional=True)
        assert [data.hex(" ") for _, data in replies] == ["7f 31 78", reply]


# --- services


def test_what_is_refused_before_a_service_is_asked() -> None:
    ecu = new_ecu()
    for service, nrc in (("01", "11"), ("22", "13"), ("3e 00 00", "13"), ("3e 01", "12"), ("27 01", "7f")):
        assert ask(ecu, service) == f"7f {service[:2]} {nrc}"
    for service in ("01", "22 00 01", "3e 01", "27 01"):
        assert ask(ecu, service, functional=True) is None
    assert ask(ecu, "22", functional=True) == "7f 22 13"
    assert ask(ecu, "62 f1 90") is None  # a response
    assert ecu.request(b"") == []


def test_suppressed_responses() -> None:
    ecu = new_ecu()
    assert ask(ecu, "3e 80") is None
    assert ask(ecu, "3e 81") == "7f 3e 12"
    assert ask(ecu, "10 83") is None
    assert ecu.session == 3


def test_sessions_end_by_time() -> None:
    ecu = new_ecu(s3_s=5.0, security={1: Security(b"\x01")})
    assert ask(ecu, "10 03", 0.0) == "50 03 00 32 01 f4"
    assert ask(ecu, "10 05", 1.0) == "7f 10 12"
    assert ask(ecu, "85 02", 6.0) == "c5 02"
    assert not ecu.stores_dtcs
    assert ask(ecu, "28 01 01", 11.0) == "68 01"
    assert ask(ecu, "27 01", 16.1) == "7f 27 7f"
    assert ecu.session == 1
    assert ecu.stores_dtcs


def test_sessions_end_without_a_request() -> None:
    ecu = new_ecu(s3_s=5.0, security={1: Security(b"\x01")})
    assert ecu.due_s == float("inf")
    for request in ("10 03", "27 01", "27 02 01"):
        ecu.request(bytes.fromhex(request), 1.0)
    assert (ecu.session, ecu.unlocked, ecu.due_s) == (3, 1, 6.0)
    ecu.advance(6.0)
    assert (ecu.session, ecu.unlocked) == (3, 1)
    ecu.advance(6.1)
    assert (ecu.session, ecu.unlocked, ecu.due_s) == (1, None, float("inf"))


def test_a_test_may_begin_in_a_session() -> None:
    ecu = new_ecu()
    ecu.session = 3
    ecu.power_on()
    assert ask(ecu, "85 02", 100.0) == "c5 02"
    ecu.power_on()
    assert ecu.session == 1


def test_a_long_answer_keeps_the_session() -> None:
    ecu = new_ecu(rules={"31 *": Reply("71", after_s=60.0)})
    ecu.request(b"\x10\x03", 0.0)
    ecu.request(b"\x31", 1.0)
    assert ask(ecu, "85 01", 65.0) == "c5 01"


def test_reset() -> None:
    ecu = new_ecu(boot_s=2.0)
    ask(ecu, "10 03")
    assert ask(ecu, "11 01", 1.0) == "51 01"
    assert ask(ecu, "3e 00", 2.9) is None
    assert ask(ecu, "3e 00", 3.0) == "7e 00"
    assert ecu.session == 1
    assert ask(ecu, "11 09", 3.0) == "7f 11 12"


def test_dids() -> None:
    values = iter(range(10))
    ecu = new_ecu(dids={0xF190: "WVW", 0xF191: b"\x01", 0xF192: lambda request: bytes((next(values),))})
    ecu.dids[0xF193] = Did("ab", sessions=[3])
    assert ask(ecu, "22 f1 90 f1 91") == "62 f1 90 57 56 57 f1 91 01"
    assert ask(ecu, "22 f1 90 00 00") == "62 f1 90 57 56 57"
    assert [ask(ecu, "22 f1 92") for _ in range(2)] == ["62 f1 92 00", "62 f1 92 01"]
    assert ask(ecu, "22 00 00") == "7f 22 31"
    assert ask(ecu, "22 f1 93") == "7f 22 31"
    assert ask(ecu, "22 f1 90 f1") == "7f 22 13"
    ask(ecu, "10 03")
    assert ask(ecu, "22 f1 93") == "62 f1 93 61 62"


def test_dids_that_are_written() -> None:
    taken: list[bytes] = []
    ecu = new_ecu(
        dids={
            1: b"\x00\x00",
            2: Did(b"\x00\x00", writable=True),
            3: Did(b"\x00", writable=True, security=1, secret=True),
            4: Did(lambda request: b"", writable=lambda request, data: taken.append(data)),
            5: Did(b"\x00", writable=lambda request, data: Nrc.CONDITIONS_NOT_CORRECT),
        },
        security={1: Security(b"\x07")},
    )
    assert ask(ecu, "2e 00 01 11 11") == "7f 2e 31"
    assert ask(ecu, "2e 00 09 11 11") == "7f 2e 31"
    assert ask(ecu, "2e 00 02 11") == "7f 2e 13"
    assert ask(ecu, "2e 00 02 11 12") == "6e 00 02"
    assert ask(ecu, "22 00 02") == "62 00 02 11 12"
    assert ask(ecu, "2e 00 03 11") == "7f 2e 33"
    assert ask(ecu, "22 00 03") == "7f 22 33"
    assert ask(ecu, "2e 00 04 11 22 33") == "6e 00 04"
    assert taken == [b"\x11\x22\x33"]
    assert ask(ecu, "2e 00 05 11") == "7f 2e 22"
    ask(ecu, "10 03")
    ask(ecu, "27 01")
    ask(ecu, "27 02 07")
    assert ask(ecu, "2e 00 03 11") == "6e 00 03"
    assert ask(ecu, "22 00 03") == "62 00 03 11"


def test_dtcs() -> None:
    ecu = new_ecu(dtcs={"P0301": 0x2F, "U0100-87": 0x08, 0x123456: 0})
    assert ask(ecu, "19 01 01") == "59 01 ff 01 00 01"
    assert ask(ecu, "19 02 08") == "59 02 ff 03 01 00 2f c1 00 87 08"
    assert ask(ecu, "19 0a") == "59 0a ff 03 01 00 2f c1 00 87 08 12 34 56 00"
    assert ask(ecu, "19 0a 01") == "7f 19 13"
    assert ask(ecu, "19 55") == "7f 19 12"
    assert ask(ecu, "14 00 00 01") == "7f 14 31"
    assert ask(ecu, "14 03 01 00") == "54"
    assert ask(ecu, "14 ff ff ff") == "54"
    assert ask(ecu, "19 02 ff") == "59 02 ff"


def test_dtc_numbers() -> None:
    assert [dtc_number(each) for each in ("P0301", "c1234-01", "B3FFF", "U0100", 7)] == [
        0x030100,
        0x523401,
        0xBFFF00,
        0xC10000,
        7,
    ]
    for wrong in ("P0", "X0301", "P0301-1", -1, 1 << 24):
        with pytest.raises(ValueError, match="P0301"):
            dtc_number(wrong)


def add_one(seed: bytes) -> bytes:
    return bytes(byte + 1 & 0xFF for byte in seed)


def test_security_access() -> None:
    ecu = new_ecu(security={1: Security(add_one), 3: Security("aa bb", seed="01 02", sessions=(2,))})
    assert ask(ecu, "27 01") == "7f 27 7f"
    ask(ecu, "10 03")
    assert ask(ecu, "27 02 00") == "7f 27 24"
    seed = ecu.request(b"\x27\x01")[0][1][2:]
    assert ecu.request(b"\x27\x02" + add_one(seed)) == [(0.0, b"\x67\x02")]
    assert ask(ecu, "27 01") == "67 01 00 00 00 00"
    assert ask(ecu, "27 02 00") == "7f 27 24"  # no seed was asked for
    assert ask(ecu, "27 03") == "7f 27 7e"
    assert ask(ecu, "27 05") == "7f 27 12"
    ask(ecu, "10 02")
    assert ecu.unlocked is None
    assert ask(ecu, "27 03") == "67 03 01 02"
    assert ask(ecu, "27 04 aa bb") == "67 04"


def test_wrong_keys() -> None:
    ecu = new_ecu(security={1: Security(b"\x07", attempts=2, delay_s=3.0)})
    ask(ecu, "10 03")
    for nrc in ("35", "36"):
        assert str(ask(ecu, "27 01")).startswith("67 01")
        assert ask(ecu, "27 02 00") == f"7f 27 {nrc}"
    assert ask(ecu, "27 01", 2.9) == "7f 27 37"
    assert str(ask(ecu, "27 01", 3.0)).startswith("67 01")
    assert ask(ecu, "27 02 07", 3.0) == "67 02"


def test_routines() -> None:
    ecu = new_ecu(
        routines={
            0x0203: "00",
            0xFF00: Routine(lambda request: Reply(request.data[4:]), stop=b"", results="01 02", sessions=(1,)),
            0xFF01: Routine(security=1),
        }
    )
    assert ask(ecu, "31 01 02 03") == "71 01 02 03 00"
    assert ask(ecu, "31 02 02 03") == "7f 31 12"
    assert ask(ecu, "31 01 99 99") == "7f 31 31"
    assert ask(ecu, "31 03 ff 00") == "7f 31 24"
    assert ask(ecu, "31 01 ff 00 aa") == "71 01 ff 00 aa"
    assert ask(ecu, "31 03 ff 00") == "71 03 ff 00 01 02"
    assert ask(ecu, "31 02 ff 00") == "71 02 ff 00"
    assert ask(ecu, "31 01 ff 01") == "7f 31 33"
    ask(ecu, "10 03")
    assert ask(ecu, "31 01 ff 00 aa") == "7f 31 31"


def test_a_download() -> None:
    ecu = new_ecu(download=Download(start=0x8000, size=0x100, block=10))
    image = bytes(range(20))
    assert ask(ecu, "34 00 22 80 00 00 14") == "7f 34 7f"
    ask(ecu, "10 02")
    for wrong, nrc in (
        ("34 00 22 7f ff 00 14", "31"),
        ("34 00 22 80 ff 00 02", "31"),
        ("34 00 22 80 00 00 00", "31"),
        ("34 00 20 00 14", "31"),
        ("34 00 22 80 00 00 14 00", "13"),
        ("36 01 00", "24"),
        ("37", "24"),
    ):
        assert ask(ecu, wrong) == f"7f {wrong[:2]} {nrc}"
    assert ask(ecu, "34 00 22 80 00 00 14") == "74 20 00 0a"
    assert ask(ecu, "34 00 22 80 00 00 14") == "7f 34 22"
    assert ask(ecu, "36 02 00") == "7f 36 73"
    assert ask(ecu, "36 01") == "7f 36 13"
    assert ask(ecu, "36 01" + bytes(9).hex()) == "7f 36 13"
    assert ask(ecu, "36 01" + image[:8].hex()) == "76 01"
    assert ask(ecu, "36 01" + image[:8].hex()) == "76 01"  # repeated: not written again
    assert ask(ecu, "37") == "7f 37 24"
    assert ask(ecu, "36 02" + image[8:16].hex()) == "76 02"
    assert ask(ecu, "36 03" + bytes(5).hex()) == "7f 36 71"
    assert ask(ecu, "36 03" + image[16:].hex()) == "76 03"
    assert ask(ecu, "36 04 00") == "7f 36 24"
    assert ask(ecu, "37 00") == "7f 37 13"
    assert ask(ecu, "37" + zlib.crc32(image).to_bytes(4).hex()) == "77"
    assert ecu.download is not None
    assert ecu.download.done == [(0x8000, image)]


@pytest.mark.parametrize("checksum", ["", "00 00 00 00"])
def test_a_download_that_is_not_right(checksum: str) -> None:
    refuses = Download(check=lambda address, data: Nrc.GENERAL_PROGRAMMING_FAILURE if data != b"\x01" else None)
    ecu = new_ecu(download=refuses)
    ask(ecu, "10 02")
    assert ask(ecu, "34 00 11 00 01") == "74 20 01 02"
    assert ask(ecu, "36 01 99") == "76 01"
    assert ask(ecu, "37" + checksum) == "7f 37 72"
    assert refuses.done == []


def test_a_download_needs_its_session_and_security() -> None:
    ecu = new_ecu(download=Download(sessions=[2], security=1), security={1: Security(b"\x07")})
    ask(ecu, "10 03")
    assert ask(ecu, "34 00 11 00 01") == "7f 34 7f"
    ask(ecu, "10 02")
    assert ask(ecu, "34 00 11 00 01") == "7f 34 33"
    assert ask(new_ecu(download=None, rules={"10 02": "50"}), "34 00 11 00 01") == "7f 34 7f"


def test_services_can_be_taken_away() -> None:
    ecu = new_ecu()
    del ecu.services[0x3E]
    assert ask(ecu, "3e 00") == "7f 3e 11"


# --- the rest


def test_what_was_served() -> None:
    ecu = new_ecu(dids={1: "a"})
    ask(ecu, "22 00 01", 7.0)
    ask(ecu, "22 00 02", 8.0)
    assert dict(ecu.counts) == {"requests": 2, "replies": 1, "NRC 0x31": 1}
    assert ecu.served[0] == (Request(b"\x22\x00\x01", 7.0, False), ((0.0, b"\x62\x00\x01a"),))


def test_addresses() -> None:
    assert new_ecu().functional == (Address.normal(rxid=0x7DF),)
    assert new_ecu(functional=()).functional == ()
    sends = Address.normal_fixed(target_address=0xF1, source_address=0x33, functional=True)
    half = replace(sends, tx_only=False, rx_only=True)
    assert half.rx == CanAddress(0x98DB33F1)
    assert Ecu(rxid=0x18DA10F1, txid=0x18DAF110).functional[0].rx == half.rx
    assert Ecu(address=Address.extended(rxid=1, txid=2, source_address=3, target_address=4)).functional == ()
    ecu = Ecu(address=Address.normal_fixed(target_address=0xF1, source_address=0x10), functional=[0x700, half])
    assert ecu.functional == (Address.normal(rxid=0x700), half)
    assert repr(ecu) == "<isotp.testing.Ecu '0x18DA10F1' rxid=0x18DA10F1 txid=0x18DAF110>"


@given(st.binary(max_size=12), st.booleans())
def test_garbage_is_survived(data: bytes, functional: bool) -> None:
    ecu = new_ecu(dids={0xF190: VIN}, security={1: Security(add_one)}, download=Download(), dtcs={"P0301": 1})
    for now_s in (0.0, 1.0):
        for _, reply in ecu.request(data, now_s, functional):
            assert reply
    assert ecu.failures == []


# --- what cannot be


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"dids": {0x1F190: b"\x00"}}, "dids: 127376: allowed is 0x0 to 0xffff"),
        ({"dtcs": {"P0301": 300}}, "dtcs: status: 300"),
        ({"security": {2: Security(b"\x01")}}, "security: 2: allowed is 0x1 to 0x7d, an odd number"),
        ({"routines": {-1: "00"}}, "routines: -1"),
        ({"sessions": (1, 0x80)}, "sessions: 128"),
        ({"p2_s": 70.0}, r"p2_s: 70.0: allowed is 0 to 65\.535"),
        ({"p2_star_s": 0.0}, r"p2_star_s: 0.0: allowed is 0\.01 to 655\.35"),
        ({"delay_s": float("nan")}, "delay_s: nan"),
        ({"rules": {"01": b""}}, "one byte or more; None is silence"),
        ({"rules": {"01": Reply("")}}, "one byte or more; None is silence"),
    ],
)
def test_numbers_and_answers_that_cannot_be(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        new_ecu(**fields)


@pytest.mark.parametrize(
    ("part", "key", "value", "told"),
    [
        ("dids", 0x1F190, b"", "dids: 127376: allowed is 0x0 to 0xffff"),
        ("dids", "F191", b"", "dids: 'F191': allowed is 0x0 to 0xffff"),
        ("dids", 0xF191, 5, "5 is no value of a DID: bytes, text, or a function"),
        ("dtcs", "P03", 1, "'P03' is not a DTC"),
        ("dtcs", b"P0301", 1, "b'P0301' is not a DTC"),
        ("dtcs", "P0301", "2F", "dtcs: status: '2F': allowed is 0x0 to 0xff"),
        ("security", 2, Security(b"\x01"), "security: 2: allowed is 0x1 to 0x7d, an odd number"),
        ("security", 1, lambda seed: seed, r"security: <function.*> is no Security: Security\(key=\.\.\.\)"),
        ("routines", 0x10000, "00", "routines: 65536"),
    ],
)
def test_parts_are_checked_when_they_are_assigned(part: str, key: object, value: object, told: str) -> None:
    ecu = new_ecu()
    with pytest.raises((TypeError, ValueError), match=told):
        getattr(ecu, part)[key] = value
    with pytest.raises((TypeError, ValueError), match=told):
        getattr(ecu, part).update({key: value})
    with pytest.raises((TypeError, ValueError), match=told):
        setattr(ecu, part, {key: value})
    with pytest.raises((TypeError, ValueError), match=told):
        new_ecu(**{part: {key: value}})
    assert not getattr(ecu, part)


@pytest.mark.parametrize(
    ("name", "value"), [("p2_s", 70.0), ("p2_star_s", 0), ("s3_s", -1), ("delay_s", "1"), ("sessions", (1, 0x80))]
)
def test_times_and_sessions_are_checked_when_they_are_assigned(name: str, value: object) -> None:
    ecu = new_ecu()
    before = getattr(ecu, name)
    with pytest.raises((TypeError, ValueError), match=f"{name}: .*: allowed is"):
        setattr(ecu, name, value)
    assert getattr(ecu, name) == before


def test_parts_are_dicts() -> None:
    ecu = new_ecu(dids={0xF190: "WVW"}, dtcs={"P0301": 0x2F}, routines={0x203: "00"})
    assert ecu.dids[0xF190] == Did("WVW")
    assert (ecu.dtcs["P0301"], ecu.dtcs[0x030100]) == (0x2F, 0x2F)
    assert ("P0301" in ecu.dtcs, "P0302" in ecu.dtcs) == (True, False)
    assert ecu.routines[0x203] == Routine("00")
    assert repr(ecu.dtcs) == f"{{{0x030100}: 47}}"
    del ecu.dtcs["P0301"]
    assert len(ecu.dtcs) == 0
    for number in ecu.dids:  # also while it is changed
        del ecu.dids[number]
    assert dict(ecu.dids) == {}
    ecu.dids = {1: b"x"}
    assert ask(ecu, "22 00 01") == "62 00 01 78"
    assert repr(new_ecu(rules={"3e00": "7e00", "22 *": None}).rules) == r"Rules({b'>\x00': b'~\x00', '22 *': None})"


def test_an_ecu_without_a_name_is_called_by_its_identifier() -> None:
    assert [Ecu(rxid=rxid, txid=0x7E8).name for rxid in (0x7E0, 0x18DA10F1)] == ["0x7E0", "0x18DA10F1"]


def test_addresses_that_cannot_be() -> None:
    with pytest.raises(AddressError, match="has one direction only"):
        Ecu(address=Address.normal(rxid=0x7E0))
    with pytest.raises(AddressError, match="allowed is one of both"):
        Ecu(address=Address.normal(rxid=1, txid=2), rxid=3)
    with pytest.raises(AddressError, match="functional=txid=0x18DBF133: it only sends"):
        new_ecu(functional=Address.normal_fixed(target_address=0xF1, source_address=0x33, functional=True))


def test_the_usual_functional_address_is_that_of_the_tester() -> None:
    ecu = Ecu(address=Address.normal_fixed(source_address=0x10, target_address=0xF2))
    assert [each.rx for each in ecu.functional] == [CanAddress(0x98DB33F2)]
    assert [each.rx for each in Ecu(rxid=0x12345678, txid=0x12345679).functional] == [CanAddress(0x98DB33F1)]


def test_answers_that_never_come() -> None:
    with pytest.raises(ValueError, match="None as data is silence"):
        Reply("01", after_s=float("inf"))
    with pytest.raises(ValueError, match="not hexadecimal"):
        in_turn("01", "0")
    ecu = new_ecu(rules={"01": lambda request: b""})
    with pytest.raises(ValueError, match="one byte or more"):
        ask(ecu, "01")


def test_a_response_is_not_answered_while_it_is_busy() -> None:
    ecu = new_ecu(rules={"31": Reply("71", after_s=2.0, pending=False)})
    ecu.request(b"\x31")
    assert ask(ecu, "7e 00", 1.0) is None
    assert ask(ecu, "3e 00", 1.0) == "7f 3e 21"


def test_it_can_go_on_with_another_clock() -> None:
    ecu = new_ecu(boot_s=1.0, security={1: Security(b"\x07", attempts=1)}, rules={"31": Reply("71", after_s=5.0)})
    for request in ("10 03", "27 01", "27 02 00", "11 01", "31"):
        ecu.request(bytes.fromhex(request), 1000.0)
    ecu.power_on()
    assert ask(ecu, "10 03") == "50 03 00 32 01 f4"
    assert str(ask(ecu, "27 01")).startswith("67 01")


def test_rules_can_be_taken_away_meanwhile() -> None:
    rules = Rules()
    rules.update({"22 *": "01", "22 ?? 90": "02", "3E *": "03"})
    for pattern in rules:
        del rules[pattern]
    assert not rules


def test_dtcs_by_name_and_changed_meanwhile() -> None:
    ecu = new_ecu()
    ecu.dtcs["P0301"] = 0x2F
    assert ask(ecu, "19 02 ff") == "59 02 ff 03 01 00 2f"
    assert ask(ecu, "14 03 01 00") == "54"
    assert not ecu.dtcs
    assert ecu.failures == []
