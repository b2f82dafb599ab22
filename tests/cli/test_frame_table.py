"""CAN frames explained in the words of the standard."""

import pytest

from isotp.cli.output.frame_table import Frame, count, explain, kind, lines


def frames(*payloads: str) -> list[Frame]:
    return [
        Frame(n * 1_000_000, 0x6A8 if p.startswith("3") else 0x6A0, bytes.fromhex(p)) for n, p in enumerate(payloads)
    ]


@pytest.mark.parametrize(
    ("payloads", "texts"),
    [
        (["03112233"], ["SingleFrame SF_DL=3, bytes 0..2"]),
        (
            ["100c000102030405", "300000", "21060708090a0b"],
            [
                "FirstFrame FF_DL=12, bytes 0..5",
                "FlowControl CTS, BS=0, STmin=0 ms",
                "ConsecutiveFrame SN=1, bytes 6..11",
            ],
        ),
        (
            ["1000000020000102", "2f03040506070809", "2003"],
            [
                "FirstFrame FF_DL=8192, bytes 0..1",
                "ConsecutiveFrame SN=15, bytes 2..8",
                "ConsecutiveFrame SN=0, bytes 9..15",
            ],
        ),
        (["3105f3"], ["FlowControl WAIT, BS=5, STmin=300 us"]),
        (["32007f"], ["FlowControl OVFLW, BS=0, STmin=127 ms"]),
        (["330000"], ["FlowControl"]),
        (["3000"], ["FlowControl"]),
        (["4fff", ""], ["unknown N_PDU", "unknown N_PDU"]),
    ],
)
def test_explain(payloads: list[str], texts: list[str]) -> None:
    assert list(explain(frames(*payloads))) == texts


def test_count() -> None:
    assert count(frames("1008", "300000", "21", "22")) == "1 FirstFrame, 1 FlowControl, 2 ConsecutiveFrames"


def test_a_narrow_table_fits_80_columns_and_a_wide_one_sets_bytes_apart() -> None:
    message = frames("170f000102030405", "300501", *["2f060708090a0b0c"] * 38)
    narrow, wide = list(lines(message, 0x6A0, 80)), list(lines(message, 0x6A0, 120))
    assert max(map(len, narrow)) <= 80
    assert narrow[1] == "   0.000        -> 6A0 170f000102030405 FirstFrame FF_DL=1807, bytes 0..5"
    assert "<- 6A8 30 05 01                FlowControl CTS, BS=5, STmin=1 ms" in wide[2]
    assert len(narrow) == len(wide) == 1 + len(message)


def test_sixty_columns() -> None:
    shown = list(lines(frames("170f000102030405", "300501", *["2f060708090a0b0c"] * 584), 0x6A0, 60))
    assert shown[:3] == [
        "      ms    id  data             meaning",
        "   0.000 -> 6A0 170f000102030405 FF FF_DL=1807, bytes 0..5",
        "   1.000 <- 6A8 300501           FC CTS, BS=5, STmin=1 ms",
    ]
    assert max(map(len, shown)) <= 60


def test_a_long_run_is_summed_up() -> None:
    message = frames("1fff000102030405", "300000", *["2f060708090a0b0c"] * 584)
    shown = list(lines(message, 0x6A0, 80))
    assert len(shown) == 1 + 20 + 2 + 6
    assert shown[21].startswith("... 560 more frames: 560 ConsecutiveFrames;")
    assert "1.000 to 1.000 ms" in shown[22]
    assert "4087..4093" in shown[-1]
    assert max(map(len, shown)) <= 80
    assert len(list(lines(message, 0x6A0, 160))) == len(shown) - 1


def test_a_frame_without_data_has_no_kind() -> None:
    assert kind(Frame(0, 0x6A0, b"")) == "unknown N_PDU"
    assert list(lines([], 0x6A0, 80))[1:] == []
