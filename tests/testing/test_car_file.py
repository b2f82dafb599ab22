"""Car files: ECUs described in TOML and YAML."""

import sys
from pathlib import Path

import pytest

import isotp
from isotp.address import CanAddress
from isotp.testing import CarFileError, Ecu, Reply, load_car

from ..examples import EXAMPLES

CAR = EXAMPLES / "car.toml"


def ask(ecu: Ecu, request: str, now_s: float = 0.0) -> str | None:
    replies = ecu.request(bytes.fromhex(request), now_s)
    return replies[-1][1].hex(" ") if replies else None


def test_the_example() -> None:
    engine, gearbox, light, doors = load_car(CAR)
    assert [ecu.name for ecu in (engine, gearbox, light, doors)] == ["engine", "gearbox", "light", "doors"]
    assert str(engine.address) == "rxid=0x7E0 txid=0x7E8"
    assert [each.rx for each in engine.functional] == [CanAddress(0x7DF)]
    assert str(gearbox.address) == "rxid=0x18DA18F1 txid=0x18DAF118"
    assert str(light.address) == "rxid=0x6F1/0x60 txid=0x660/0xf1"
    assert str(doors.address) == "rxid=0x750/0x40 txid=0x758/0x40"
    for ecu in (engine, gearbox, light, doors):
        assert ask(ecu, "22 f1 90") == "62 f1 90 " + b"WVWZZZ1JZXW000001".hex(" ")


def test_what_the_engine_of_the_example_does() -> None:
    ecu, *_ = load_car(CAR)
    assert ask(ecu, "28 01 01") == "7f 28 11"
    assert ask(ecu, "19 02 ff") == "59 02 ff 03 01 00 2f c1 00 87 08"
    assert [ask(ecu, "01 0c") for _ in range(3)] == ["41 0c 0c 80", "41 0c 0d 00", "41 0c 0c 80"]
    assert ask(ecu, "22 02 77") == "7f 22 22"
    assert ask(ecu, "85 02") is None
    assert ecu.request(bytes.fromhex("31 01 02 05")) == [(3.0, b"\x71\x01\x02\x05")]
    assert ask(ecu, "31 01 02 03", 4.0) == "71 01 02 03 00"
    assert ask(ecu, "10 03", 4.0) == "50 03 00 32 01 f4"
    assert ask(ecu, "27 03", 4.0) == "67 03 01 02 03 04"
    assert ask(ecu, "27 04 01 02 03 05", 4.0) == "67 04"
    assert ask(ecu, "22 01 00", 4.0) == "62 01 00 " + b"secret".hex(" ")
    assert ask(ecu, "31 01 ff 00", 4.0) == "7f 31 33"
    seed = bytes.fromhex(str(ask(ecu, "27 01", 4.0)))[2:]
    key = bytes(byte ^ mask for byte, mask in zip(seed, b"\xa5\x5a\xa5\x5a", strict=True))
    assert ask(ecu, "27 02" + key.hex(), 4.0) == "67 02"
    assert ask(ecu, "2e f1 5a 01 02 03 04", 4.0) == "6e f1 5a"
    *pending, last = ecu.request(bytes.fromhex("31 01 ff 00"), 4.0)
    assert last == (12.0, b"\x71\x01\xff\x00\x00")
    assert len(pending) == 3
    assert ask(ecu, "31 03 ff 00", 16.0) == "71 03 ff 00 01"
    assert ecu.download is not None
    assert (ecu.download.start, ecu.download.size, ecu.download.block) == (0x8000, 0x10000, 0x402)
    assert ask(ecu, "11 01", 16.0) == "51 01"
    assert ask(ecu, "3e 00", 16.4) is None


def test_yaml(tmp_path: Path) -> None:
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    path = tmp_path / "car.yaml"
    path.write_text(
        """
ecu:
  - rxid: 0x7E0
    txid: 0x7E8
    functional: [0x7DF, 0x18DB33F1]
    dids:
      "F190": {text: WVW}
    routines:
      "0203": {stop: {reply: "01", after: 0.01}, start: ""}
    rules:
      22 ??: {nrc: 0x31}
"""
    )
    (ecu,) = load_car(path)
    assert ecu.name == "0x7E0"
    assert ask(ecu, "22 f1 90") == "62 f1 90 57 56 57"
    assert ask(ecu, "22 01") == "7f 22 31"
    assert ecu.routines[0x203].stop == Reply("01", 0.01)
    path.write_text("ecu:\n- {rxid: 1, txid: 2, dids: {1234: '00'}}")
    with pytest.raises(CarFileError, match=r"ecu\[0\].dids: 1234: allowed is a text as key: in YAML put it in quotes"):
        load_car(path)
    path.write_text("ecu: [")
    with pytest.raises(CarFileError, match=r"car\.yaml: .*line 1"):
        load_car(path)


def test_yaml_without_pyyaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    (tmp_path / "car.yml").write_text("ecu: 1")
    with pytest.raises(isotp.UnavailableError, match=r"-m pip install PyYAML, or write the file in TOML"):
        load_car(tmp_path / "car.yml")


ECU = "[[ecu]]\nrxid = 0x7E0\ntxid = 0x7E8\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file: ecu is missing"),
        ("[[ecus]]\nrxid = 1", "the file: ecu is missing; there is: ecus"),
        ("[ecu]\nrxid = 1", "ecu: a table: allowed is a list with one element or more, [[ecu]] in TOML"),
        ("ecu = 1", "ecu: 1: allowed is a list"),
        (ECU * 2, "ECUs '0x7E0' and '0x7E0' have the same identifiers: rxid=0x7E0 txid=0x7E8"),
        (ECU + "[[ecu]]\nrxid = 0x7E1\ntxid = 0x7E8", "ECUs '0x7E0' and '0x7E1' have the same identifiers: txid=0x7E8"),
        (
            "[[ecu]]\nname = 'a'\nrxid = 1\ntxid = 2\n[[ecu]]\nname = 'a'\nrxid = 3\ntxid = 4",
            "two ECUs are called 'a'",
        ),
        (ECU + "[ecu.download]\nsecurity = 3", "ecu[0].download.security: 3: the ECU has no [ecu.security.03]"),
        (
            ECU + "[ecu.dids]\nF190 = {text = 'x', sessions = [3, 7]}",
            "ecu[0].dids.F190.sessions: 7: the sessions of the ECU are 1, 2, 3",
        ),
        (ECU + "[ecu.security.01]\nkey = '00'\nsessions = [7]", "ecu[0].security.01.sessions: 7: the sessions"),
        (ECU + "[ecu.routines]\nF01 = '00'", "ecu[0].routines.F01: F01: allowed is a hexadecimal number of 4 digits"),
        (
            ECU + "[ecu.download]\nsize = '0x10'",
            "ecu[0].download.size: '0x10': allowed is a whole number from 0x1 to 0x10000000000000000, such as 0x10, "
            "without quotes",
        ),
        (
            ECU + "[ecu.dtcs]\nP0301 = 0x2FF",
            "ecu[0].dtcs.P0301: 767 (0x2ff): allowed is a whole number from 0x0 to 0xff",
        ),
        ("ecu = [1]", "ecu[0]: 1: allowed is a table"),
        ("x = [", "Invalid value (at end of document)"),
        (ECU + "\n[bus]\nname = 1", "bus means nothing: allowed here is ecu"),
        ("[[ecu]]\nrxid = 1", "ecu[0]: txid missing"),
        ("[[ecu]]\nrxid = 0x7E0\ntxid = 0x7E0", "ecu[0]: the two directions"),
        (
            "[[ecu]]\nrxid = '7E0'\ntxid = 1",
            "ecu[0].rxid: '7E0': allowed is a whole number from 0x0 to 0x1fffffff, such as 0x10, without quotes",
        ),
        ("[[ecu]]\nsource_address = 1", "ecu[0]: target_address missing"),
        (ECU + "color = 1", "ecu[0].color means nothing: allowed here is name, rxid, txid"),
        (ECU + "p2 = -1", "ecu[0].p2: -1: allowed is a number from 0 to 65.535 seconds"),
        (ECU + "p2_star = 0", "ecu[0].p2_star: 0: allowed is a number from 0.01 to 655.35 seconds"),
        (ECU + "delay = nan", "ecu[0].delay: nan: allowed is a number from 0 to 1e+06 seconds"),
        (ECU + "tx_byte = 1", "ecu[0]: source_address missing"),
        (ECU + "tx_byte = 1\naddress_extension = 1", "ecu[0]: rx_byte and tx_byte go with rxid and txid only"),
        (ECU + "base = 1", "ecu[0]: source_address and target_address missing"),
        (ECU + "source_address = 1\ntarget_address = 2", "ecu[0]: rxid and txid means nothing here"),
        (ECU + "any_tester = true", "ecu[0]: ECU '0x7E0': any_tester needs identifiers that say who sends"),
        (ECU + "functional = {rxid = 1}", "ecu[0].functional: rx_byte is missing"),
        (
            ECU + "[ecu.dids]\nF190 = 'WVW'",
            "ecu[0].dids.F190: WVW: allowed is hexadecimal, two digits for each byte, "
            "such as '62 F1 90'; a text is { text = ... }",
        ),
        (ECU + "[ecu.security.02]\nkey = '00'", "ecu[0].security.02: 2: allowed is an odd number"),
        (ECU + "[ecu.rules]\n'22' = ''", "ecu[0].rules.22: an answer has one byte or more; None is silence"),
        (ECU + "[ecu.rules]\n'22' = ['00', '']", "ecu[0].rules.22: an answer has one byte or more"),
        (ECU + "p2 = 'x'", "ecu[0].p2: 'x': allowed is a number"),
        (ECU + "name = 1", "ecu[0].name: 1: allowed is a text"),
        (ECU + "sessions = []", "ecu[0].sessions: []: allowed is a list with one element or more"),
        (ECU + "sessions = [1, 300]", "ecu[0].sessions[1]: 300 (0x12c): allowed is a whole number from 0x1 to 0x7f"),
        (ECU + "[ecu.dids]\n0F19 = 'xx'", "ecu[0].dids.0F19: xx: allowed is hexadecimal"),
        (ECU + "[ecu.dids]\nF1900 = '00'", "ecu[0].dids.F1900: F1900: allowed is a hexadecimal number of 4 digits"),
        (ECU + "[ecu.dids]\nF190 = {}", "ecu[0].dids.F190: needed is hex or text, one of them"),
        (
            ECU + "[ecu.dids]\nF190 = {text = '', secret = 1}",
            "ecu[0].dids.F190.secret: 1: allowed is true or false",
        ),
        (ECU + "[ecu.dtcs]\nP03 = 1", "ecu[0].dtcs.P03: 'P03' is not a DTC: allowed is P, C, B or U with four digits"),
        (ECU + "[ecu.security.01]\nseed = '00'", "ecu[0].security.01: key is missing"),
        (ECU + "[ecu.security.01]\nkey = {}", "ecu[0].security.01.key: needed is xor or add, one of them"),
        (ECU + "[ecu.rules]\n'2' = '00'", "ecu[0].rules.2: '2' is not a pattern"),
        (ECU + "[ecu.rules]\n'22' = {}", "ecu[0].rules.22: needed is reply, nrc or silent = true, one of them"),
        (ECU + "[ecu.rules]\n'22' = {nrc = 1}", "ecu[0].rules.22.nrc: 1: allowed is one of 0x10, 0x11"),
        (ECU + "[ecu.rules]\n'22' = ['00', 1]", "ecu[0].rules.22[1]: 1: allowed is hexadecimal"),
        (ECU + "[ecu.download]\nblock = 2", "ecu[0].download.block: 2: allowed is a whole number from 0x3 to 0xffff"),
    ],
)
def test_errors_name_the_place_and_what_is_allowed(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text(text)
    with pytest.raises(CarFileError) as raised:
        load_car(path)
    assert str(raised.value).startswith(f"{path}: {told}")
    assert "EINVAL" not in str(raised.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_car(tmp_path / "car.toml")


def test_addresses(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text(
        """
[[ecu]]
rxid = 0x750
txid = 0x758
address_extension = 0x40
functional = []
any_extension = true
[[ecu]]
rxid = 0x6F1
rx_byte = 0x60
txid = 0x660
tx_byte = 0xF1
functional = [{rxid = 0x6F1, rx_byte = 0xDF}, 0x7DF]
any_tester = true
[[ecu]]
source_address = 0x10
target_address = 0xF1
address_extension = 0x55
base = 0x14CE
"""
    )
    gateway, light, remote = load_car(path)
    assert str(gateway.address) == "rxid=0x750/0x40 txid=0x758/0x40"
    assert gateway.functional == ()
    assert [each.rx for each in light.functional] == [CanAddress(0x6F1, 0xDF), CanAddress(0x7DF)]
    assert [ecu.testers is not None for ecu in (gateway, light, remote)] == [True, True, False]
    assert str(remote.address) == "rxid=0x14CE10F1/0x55 txid=0x14CEF110/0x55"


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "car.toml").write_text(ECU + "capture = 'drive.log'")
    told = rf"^{tmp_path / 'car.toml'}: ecu\[0\].capture: No such file or directory: {tmp_path / 'drive.log'}$"
    with pytest.raises(CarFileError, match=told):
        load_car(tmp_path / "car.toml")


def test_errors_name_the_ecu(tmp_path: Path) -> None:
    path = tmp_path / "car.toml"
    path.write_text("[[ecu]]\nname = 'engine'\nrxid = 0x7E0\ntxid = 0x7E8\n[ecu.dids]\nF190 = 1")
    with pytest.raises(CarFileError, match=rf"^{path}: engine\.dids\.F190: 1: allowed is hexadecimal|a text$"):
        load_car(path)


def test_a_recording_of_other_ecus(tmp_path: Path) -> None:
    (tmp_path / "drive.log").write_text("(1.00) can0 7E0#0322F190\n(1.40) can0 7E8#0462F19031\n")
    (tmp_path / "car.toml").write_text("[[ecu]]\nrxid = 0x7E8\ntxid = 0x7E0\ncapture = 'drive.log'")
    with pytest.raises(CarFileError, match=r"ecu\[0\].capture: no request to .* has the ECU 0x7E0 -> 0x7E8"):
        load_car(tmp_path / "car.toml")
