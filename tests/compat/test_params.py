"""The parameters, and the helpers."""

from typing import Any

import pytest

from isotp import AddressError, OptionError, TargetAddressType
from isotp.compat.params import KEYS, Params
from isotp.protocol import RateLimiter
from isotp.tools import FiniteByteGenerator, Timer

from .layers import Layer


def test_the_defaults_are_those_of_the_documentation() -> None:
    params = Params()
    assert {name: getattr(params, name) for name in KEYS if name != "wait_func"} == {
        "stmin": 0,
        "blocksize": 8,
        "override_receiver_stmin": None,
        "rx_flowcontrol_timeout": 1000,
        "rx_consecutive_frame_timeout": 1000,
        "tx_padding": None,
        "wftmax": 0,
        "tx_data_length": 8,
        "tx_data_min_length": None,
        "max_frame_size": 4095,
        "can_fd": False,
        "bitrate_switch": False,
        "default_target_address_type": TargetAddressType.Physical,
        "rate_limit_enable": False,
        "rate_limit_max_bitrate": 100_000_000,
        "rate_limit_window_size": 0.2,
        "listen_mode": False,
        "blocking_send": False,
        "logger_name": "isotp",
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stmin", -1),
        ("stmin", 256),
        ("stmin", "1"),
        ("blocksize", 256),
        ("override_receiver_stmin", -0.1),
        ("override_receiver_stmin", True),
        ("rx_flowcontrol_timeout", -1),
        ("rx_consecutive_frame_timeout", 1.5),
        ("tx_padding", 256),
        ("wftmax", -1),
        ("tx_data_length", 9),
        ("tx_data_min_length", 9),
        ("max_frame_size", -1),
        ("can_fd", 1),
        ("bitrate_switch", None),
        ("default_target_address_type", 2),
        ("rate_limit_enable", 1),
        ("rate_limit_max_bitrate", 0),
        ("rate_limit_window_size", 0),
        ("listen_mode", "yes"),
        ("blocking_send", 0),
        ("logger_name", 5),
        ("wait_func", None),
    ],
)
def test_a_value_that_is_not_allowed(key: str, value: Any) -> None:
    with pytest.raises(OptionError, match=f"{key}={value!r}: allowed is "):
        Layer(**{key: value})


def test_values_that_do_not_go_together() -> None:
    with pytest.raises(OptionError, match="tx_min_dl=12"):
        Layer(tx_data_min_length=12)
    with pytest.raises(OptionError, match="less than one frame"):
        Layer(rate_limit_enable=True, rate_limit_max_bitrate=8)
    Layer(tx_data_min_length=12, tx_data_length=16)


def test_a_parameter_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="squash_stmin_requirement"):
        Layer(squash_stmin_requirement=True)


def test_an_attribute_is_a_parameter() -> None:
    layer = Layer()
    layer.params.stmin = 9
    assert layer.exchange("1014000000000000") == ["456 30 08 09"]
    with pytest.raises(OptionError):
        layer.params.stmin = 256


def test_addresses_keep_their_errors() -> None:
    with pytest.raises(AddressError):
        Layer(address="7E0")


def test_timer() -> None:
    now = [0]
    timer = Timer(0.1, clock=lambda: now[0])
    assert timer.is_stopped()
    assert (timer.elapsed(), timer.remaining(), timer.is_timed_out()) == (0, 0, False)
    timer.start()
    now[0] = 60_000_000
    assert (timer.elapsed_ns(), timer.remaining_ns(), timer.is_timed_out()) == (60_000_000, 40_000_000, False)
    now[0] = 100_000_000
    assert (timer.remaining(), timer.is_timed_out()) == (0, True)
    timer.start(5)
    assert timer.remaining() == 5
    timer.stop()
    assert not timer.is_timed_out()


def test_finite_byte_generator() -> None:
    generator = FiniteByteGenerator(iter(range(10)), 5)
    assert (generator.total_length(), generator.remaining_size(), generator.depleted()) == (5, 5, False)
    assert generator.consume(3) == bytearray((0, 1, 2))
    assert generator.remaining_size() == 2
    with pytest.raises(OSError, match="3 bytes were asked for, and 2 of 5 are left"):
        generator.consume(3)
    assert generator.consume(2) == bytearray((3, 4))
    assert generator.depleted()


def test_finite_byte_generator_that_ends_early() -> None:
    assert FiniteByteGenerator(iter([1, 2]), 5).consume(4, enforce_exact=False) == bytearray((1, 2))
    generator = FiniteByteGenerator(iter([1, 2]), 5)
    with pytest.raises(OSError, match="ended after 2 of 5"):
        generator.consume(4)
    assert generator.depleted()


def test_rate_limiter() -> None:
    now = [0]
    limiter = RateLimiter(8000, 0.5, clock=lambda: now[0])
    assert limiter.allowed_bytes() == 0xFFFFFFFF
    limiter.enable()
    assert limiter.allowed_bytes() == 500
    limiter.inform_byte_sent(100)
    now[0] = 250_000_000
    limiter.inform_byte_sent(300)
    limiter.update()
    assert limiter.allowed_bytes() == 100
    assert limiter.next_ns() == 500_000_000
    now[0] = 500_000_000
    limiter.update()
    assert limiter.allowed_bytes() == 200
    limiter.set_bitrate(16000)
    assert limiter.allowed_bytes() == 700
    limiter.reset()
    assert limiter.allowed_bytes() == 1000
    limiter.disable()
    assert limiter.allowed_bytes() == 0xFFFFFFFF


@pytest.mark.parametrize(("bitrate", "window"), [(0, 1), (-1, 1), (1, 0), ("a", 1), (1, None)])
def test_rate_limiter_that_cannot_be_enabled(bitrate: Any, window: Any) -> None:
    limiter = RateLimiter(bitrate, window)
    assert not limiter.can_be_enabled()
    limiter.enable()
    assert not limiter.enabled
