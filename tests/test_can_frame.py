import pytest

from isotp.can_frame import DLC_OF_LENGTH, LENGTH_OF_DLC, CanFrame, can_frames, pad


def test_dlc_tables_are_inverse() -> None:
    assert LENGTH_OF_DLC[8:] == (8, 12, 16, 20, 24, 32, 48, 64)
    assert [DLC_OF_LENGTH[length] for length in LENGTH_OF_DLC] == list(range(16))


@pytest.mark.parametrize(
    ("length", "least", "padded"),
    [(0, 0, 0), (3, 0, 3), (3, 8, 8), (8, 0, 8), (9, 8, 12), (9, 24, 24), (21, 8, 24), (49, 0, 64)],
)
def test_pad(length: int, least: int, padded: int) -> None:
    data = bytes(range(length))
    assert pad(data, b"\x55", least) == data + b"\x55" * (padded - length)


def test_can_frames_makes_real_frames() -> None:
    assert can_frames(0x7E0, [b"1", b"2"], True, False) == [
        CanFrame(0x7E0, b"1", True, False),
        CanFrame(0x7E0, b"2", is_fd=True),
    ]
    assert isinstance(can_frames(1, [b""], False, False)[0], CanFrame)
