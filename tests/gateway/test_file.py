"""Gateway files, and what they must not say."""

from pathlib import Path

import pytest

import isotp
from isotp.gateway import (
    FunctionalTarget,
    GatewayFileError,
    Permission,
    Setup,
    Target,
    Tls,
    Vehicle,
    load_gateway,
)

EXAMPLE = Path(__file__).parents[2] / "examples" / "gateway.toml"
SMALL = """
[gateway]
address = 0x1000
[[ecu]]
name = "engine"
address = 1
rxid = 0x7E8
txid = 0x7E0
[[tester]]
address = 0x0E00
"""


def test_the_example() -> None:
    assert load_gateway(EXAMPLE) == Setup(
        Vehicle(
            address=0x1000,
            vin="WVWZZZ1JZXW000001",
            eid=bytes.fromhex("020000000001"),
            gid=bytes.fromhex("020000000000"),
            power_mode=1,
        ),
        (
            Target(1, isotp.Address.normal(rxid=0x7E8, txid=0x7E0), "engine"),
            Target(0x18, isotp.Address.normal_fixed(target_address=0x18, source_address=0xF1), "gearbox"),
        ),
        (
            Permission(addresses=range(0x0E00, 0x0E80)),
            Permission(addresses=range(0x0EF0, 0x0EF1), targets=(1,), confirm=True),
        ),
        (FunctionalTarget(0xE000, isotp.Address.normal(txid=0x7DF, functional=True), (1,)),),
    )


def test_all_that_the_example_leaves_out(tmp_path: Path) -> None:
    text = "\n".join(
        line.removeprefix("# ") if line[:5] in ("# [tl", "# cer", "# key", "# cli", "# bus") else line
        for line in EXAMPLE.read_text(encoding="utf-8").splitlines()
    )
    path = tmp_path / "gateway.toml"
    path.write_text(text, encoding="utf-8")
    setup = load_gateway(path)
    assert setup.tls == Tls(*(str(tmp_path / name) for name in ("gateway.pem", "gateway.key", "testers.pem")))
    assert setup.ecus[0].bus == "can1"
    assert setup.testers[1].certificate == "bench 7"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("address = 0x1000", "address = 0x10000", "gateway.address: 65536 (0x10000): allowed is a whole number"),
        ("address = 0x1000", "adress = 0x1000", "gateway: address is missing; there is: adress"),
        ("address = 0x1000", 'address = 1\nvin = "W"', "gateway.vin: W: allowed is 17 letters and digits"),
        ("address = 0x1000", 'address = 9\neid = "02"', "gateway.eid: 02: allowed is 6 bytes"),
        ("address = 0x1000", "address = 9\npower_mode = 1", "gateway.power_mode: 1: allowed is 'not ready' or"),
        ("address = 0x1000", "address = 1", "the logical address 0x0001 is there 2 times: allowed is once"),
        ("address = 0x1000", "address = 9\nport = 1", "gateway.port means nothing: allowed here is address, vin"),
        ("txid = 0x7E0", "txid = 0x7E8", "engine: the two directions are the same"),
        ("txid = 0x7E0", "", "engine: txid missing"),
        ("txid = 0x7E0", "txid = 0x7E0\nlongest = 0", "engine.longest: 0: allowed is a whole number from 0x1"),
        ("[[tester]]", "[[testers]]", "the file: tester is missing; there is: testers"),
        ("address = 0x0E00", "address = 0x0E00\nlast_address = 1", "tester[0].last_address: 1: allowed is"),
        ("address = 0x0E00", 'address = 0x0E00\necus = ["e"]', "tester[0].ecus[0]: e: allowed is one of 'engine'"),
        ("address = 0x0E00", 'address = 0x0E00\ncertificate = "x"', "tester[0].certificate: x: needed is tls.clients"),
        ("[[tester]]", "[[functional]]\naddress = 2\n[[tester]]", "functional[0]: txid is missing"),
        ("[[tester]]", "[[tester", "Expected ']]' at the end of an array declaration"),
        ("[[tester]]", '[tls]\nkey = "x"\n[[tester]]', "tls: certificate is missing"),
    ],
)
def test_what_a_file_must_not_say(old: str, new: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    assert old in SMALL
    path.write_text(SMALL.replace(old, new), encoding="utf-8")
    with pytest.raises(GatewayFileError) as caught:
        load_gateway(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_the_remedy_speaks_of_testers(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(SMALL.replace("txid = 0x7E0", ""), encoding="utf-8")
    with pytest.raises(GatewayFileError) as caught:
        load_gateway(path)
    assert caught.value.remedy is not None
    assert "as a tester sees them" in caught.value.remedy
    assert "source_address (that of testers) and target_address (the ECU's)" in caught.value.remedy


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(GatewayFileError):
        load_gateway(path)
    with pytest.raises(FileNotFoundError):
        load_gateway(tmp_path / "nowhere.toml")
