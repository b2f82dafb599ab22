from typing import Any

import pytest

from isotp.engine.params import Params
from isotp.errors import OptionError
from isotp.stmin import STmin


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tx_dl": 9}, "tx_dl"),
        ({"tx_dl": 8.0}, "tx_dl"),
        ({"tx_dl": 64}, "can_fd"),
        ({"tx_min_dl": 9}, "tx_min_dl=9"),
        ({"tx_min_dl": 12}, "tx_dl=8"),
        ({"tx_min_dl": 64, "tx_dl": 48, "can_fd": True}, "tx_dl=48"),
        ({"tx_min_dl": -1}, "tx_min_dl=-1"),
        ({"tx_min_dl": 8.0}, "tx_min_dl"),
        ({"tx_min_dl": True}, "tx_min_dl"),
        ({"bitrate_switch": True}, "can_fd"),
        ({"bs": 256}, "bs=256"),
        ({"bs": -1}, "bs=-1"),
        ({"bs": 1.0}, "bs"),
        ({"bs": True}, "bs"),
        ({"bs": None}, "bs"),
        ({"stmin": 256}, "stmin"),
        ({"tx_padding": 256}, "tx_padding"),
        ({"rx_padding": -1}, "rx_padding"),
        ({"check_padding_content": True}, "rx_padding"),
        ({"wftmax": -1}, "wftmax"),
        ({"forced_tx_stmin_ns": -1}, "forced_tx_stmin_ns"),
        ({"forced_tx_stmin_ns": 900_000_000}, "0.9"),
        ({"n_br_ns": 900_000_000}, "0.9"),
        ({"n_cr_ns": 10_000_000, "stmin": STmin.from_ms(9)}, "0.9"),
        ({"n_as_ns": 0}, "n_as_ns"),
        ({"max_pdu_size": 0}, "max_pdu_size"),
        ({"tx_max_pdu_size": 0}, "tx_max_pdu_size"),
        ({"max_pdu_size": 2**32}, "max_pdu_size"),
        ({"progress_step": -1}, "progress_step"),
    ],
)
def test_mistakes(given: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Params(**given)


def test_the_extremes_are_allowed() -> None:
    Params(can_fd=True, tx_dl=64, bitrate_switch=True, bs=255, stmin=255, max_pdu_size=2**32 - 1, wftmax=0)
    Params(can_fd=True, tx_dl=64, tx_min_dl=64)
    Params(tx_min_dl=0)
    Params(n_bs_ns=1, n_br_ns=None, forced_tx_stmin_ns=899_999_999)


# Linux, net/can/isotp.c, check_pad(): (flags, frame length, end of payload) -> refused
@pytest.mark.parametrize(
    ("params", "frame", "end", "refused"),
    [
        (Params(), "0141ff", 2, False),
        (Params(check_padding_length=True), "0141", 2, False),
        (Params(check_padding_length=True), "0141ff", 2, True),
        (Params(check_padding_length=True), "00" * 12, 9, False),
        (Params(check_padding_length=True), "00" * 16, 9, True),
        (Params(check_padding_length=True, rx_padding=0xCC), "0141", 2, True),
        (Params(check_padding_length=True, rx_padding=0xCC), "0141" + "00" * 6, 2, False),
        (Params(check_padding_length=True, rx_padding=0xCC), "00" * 64, 9, False),
        (Params(check_padding_content=True, rx_padding=0xCC), "0141", 2, False),
        (Params(check_padding_content=True, rx_padding=0xCC), "0141cccc", 2, False),
        (Params(check_padding_content=True, rx_padding=0xCC), "0141cc00cc", 2, True),
        (Params(check_padding_content=True, rx_padding=0), "0141000000", 2, False),
    ],
)
def test_padding_checks_are_the_kernels(params: Params, frame: str, end: int, refused: bool) -> None:
    assert bool(params.padding_fault(bytes.fromhex(frame), end)) is refused
