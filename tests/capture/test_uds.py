"""Names only where the bytes can be that service."""

import pytest

pytest.importorskip("udsoncan", reason="udsoncan is not installed (to do: pip install isotp[cli])")

from isotp.capture.uds import describe


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("22F190", "ReadDataByIdentifier request F190 VIN"),
        ("62F1904D", "ReadDataByIdentifier response F190 VIN"),
        ("7F2231", "ReadDataByIdentifier refused: RequestOutOfRange (0x31)"),
        ("7F2178", "service 0x21 refused: RequestCorrectlyReceived_ResponsePending (0x78)"),
        ("54", "ClearDiagnosticInformation response"),
        ("5003003201F4", "DiagnosticSessionControl response extendedDiagnosticSession"),
        ("3E80", "TesterPresent request 0x00, no response wanted"),
        ("2E12", "WriteDataByIdentifier request"),
        ("C502", "ControlDTCSetting response off"),
    ],
)
def test_uds(data: str, words: str) -> None:
    assert str(describe(bytes.fromhex(data))) == words


@pytest.mark.parametrize(
    "data",
    [
        "",
        b"Traffic ahead, slow down".hex(),
        b"Power amplifier".hex(),
        b"Queen - I want".hex(),
        b"hello".hex(),
        b"no title".hex(),
        b"~~".hex() + "00",
        "7F22",
        "7F223100",
        "7F6231",
        "22F1",
        "22F190F1",
        "62F190",
        "3E8000",
        "5401",
        "A1",
    ],
)
def test_no_uds(data: str) -> None:
    assert describe(bytes.fromhex(data)) is None


def test_the_beginning_of_a_long_message() -> None:
    assert describe(b"Traffi", 26) is None
    assert describe(bytes.fromhex("500300320101"), 26) is None
    assert str(describe(bytes.fromhex("62F190575657"), 20)) == "ReadDataByIdentifier response F190 VIN"
