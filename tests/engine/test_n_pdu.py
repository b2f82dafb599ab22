import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.can_frame import TX_DLS, pad
from isotp.engine.events import IgnoreReason
from isotp.engine.n_pdu import (
    ConsecutiveFrame,
    FirstFrame,
    FlowControl,
    FlowStatus,
    Malformed,
    NPciType,
    NPdu,
    SingleFrame,
    decode,
    encode_run,
    first_frame_capacity,
    single_frame_capacity,
    single_frame_end,
)


@pytest.mark.parametrize(
    ("n_pdu", "address", "frame"),
    [
        (SingleFrame(b"\x3e\x00"), b"", "023e00"),
        (SingleFrame(b"\x3e\x00"), b"\xf1", "f1023e00"),
        (SingleFrame(b"1234567"), b"", "0731323334353637"),
        (SingleFrame(b"12345678"), b"", "0008" + b"12345678".hex() + "cccc"),
        (SingleFrame(b"1234567"), b"\xf1", "f10007" + b"1234567".hex() + "cccc"),
        (FirstFrame(4095, b"123456"), b"", "1fff313233343536"),
        (FirstFrame(8, b"12345"), b"\xf1", "f110083132333435"),
        (FirstFrame(4096, b"12"), b"", "1000000010003132"),
        (FirstFrame(2**32 - 1, b"1"), b"\xf1", "f11000ffffffff31"),
        (ConsecutiveFrame(15, b"12"), b"", "2f3132"),
        (ConsecutiveFrame(0, b"12"), b"\x01", "01203132"),
        (FlowControl(FlowStatus.CTS, 8, 0xF5), b"", "3008f5"),
        (FlowControl(FlowStatus.OVFLW, 0, 0), b"\x01", "01320000"),
    ],
)
def test_encode_and_decode(n_pdu: NPdu, address: bytes, frame: str) -> None:
    data = pad(n_pdu.encode(address), b"\xcc", 0)
    assert data.hex() == frame
    assert decode(data, len(address)) == n_pdu


@pytest.mark.parametrize(
    ("frame", "kind", "why"),
    [
        ("", None, IgnoreReason.INVALID),
        ("0040" + "00" * 64, None, IgnoreReason.INVALID),
        ("40", None, IgnoreReason.INVALID),
        ("f0ffffff", None, IgnoreReason.INVALID),
        ("00", NPciType.SF, IgnoreReason.INVALID),
        ("0341", NPciType.SF, IgnoreReason.INVALID),
        ("08" + "00" * 7, NPciType.SF, IgnoreReason.INVALID),
        ("01" + "00" * 11, NPciType.SF, IgnoreReason.MISSING_ESCAPE),
        ("0000" + "00" * 10, NPciType.SF, IgnoreReason.INVALID),
        ("000b" + "00" * 10, NPciType.SF, IgnoreReason.INVALID),
        ("10", NPciType.FF, IgnoreReason.RX_DL_TOO_SMALL),
        ("1064" + "00" * 5, NPciType.FF, IgnoreReason.RX_DL_TOO_SMALL),
        ("1064" + "00" * 9, NPciType.FF, IgnoreReason.RX_DL_TOO_SMALL),
        ("1007" + "00" * 6, NPciType.FF, IgnoreReason.INVALID),
        ("100a" + "00" * 10, NPciType.FF, IgnoreReason.INVALID),
        ("100000000fff0000", NPciType.FF, IgnoreReason.INVALID),
        ("30", NPciType.FC, IgnoreReason.INVALID),
        ("3000", NPciType.FC, IgnoreReason.INVALID),
    ],
)
def test_malformed(frame: str, kind: NPciType | None, why: IgnoreReason) -> None:
    n_pdu = decode(bytes.fromhex(frame))
    assert isinstance(n_pdu, Malformed)
    assert n_pdu.pci_type is kind
    assert n_pdu.why is why
    assert n_pdu.reason


@given(st.binary(max_size=70), st.integers(0, 1))
def test_decode_is_total(data: bytes, address_size: int) -> None:
    decode(data, address_size)


@pytest.mark.parametrize("tx_dl", TX_DLS)
@pytest.mark.parametrize("address_size", [0, 1])
def test_capacities(tx_dl: int, address_size: int) -> None:
    address = b"a" * address_size
    longest = single_frame_capacity(tx_dl, address_size)
    for length in (longest, longest + 1):
        data = SingleFrame(bytes(length)).encode(address)
        assert (len(data) <= tx_dl) == (length == longest)
    for length in (4095, 4096):
        size = first_frame_capacity(tx_dl, address_size, length)
        assert len(FirstFrame(length, bytes(size)).encode(address)) == tx_dl


@pytest.mark.parametrize(("length", "end"), [(3, 4), (7, 8), (8, 10), (62, 64)])
def test_end_of_a_single_frame(length: int, end: int) -> None:
    assert single_frame_end(pad(SingleFrame(bytes(length)).encode(), b"\0", 8), 0, length) == end


@given(
    data=st.binary(max_size=400),
    repeat=st.integers(1, 30),
    sn=st.integers(0, 15),
    size=st.sampled_from([dl - 1 for dl in TX_DLS]),
    address=st.sampled_from([b"", b"\xf1"]),
)
def test_a_run_is_its_frames(data: bytes, repeat: int, sn: int, size: int, address: bytes) -> None:
    data *= repeat
    size -= len(address)
    assert encode_run(data, address, sn, size) == [
        ConsecutiveFrame((sn + n) & 0x0F, data[n * size : (n + 1) * size]).encode(address)
        for n in range(len(data) // size)
    ]
