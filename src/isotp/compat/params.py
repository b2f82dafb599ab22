"""Params: the parameters of a transport layer, by the names and units of can-isotp 2."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from ..address import TargetAddressType
from ..can_frame import CLASSICAL_MAX_LENGTH, TX_DLS
from ..engine import params as engine
from ..engine.n_pdu import FF_DL_MAX
from ..errors import OptionError
from .rate_limiter import RateLimiter

_MS_NS = 1_000_000
_MIN_LENGTHS = (*range(1, CLASSICAL_MAX_LENGTH), *TX_DLS)


class _Key(NamedTuple):
    default: Any
    is_allowed: Callable[[Any], bool]
    allowed: str


def _integer(low: int, high: float = float("inf")) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and low <= value <= high


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _flag(default: bool) -> _Key:
    return _Key(default, lambda value: isinstance(value, bool), "True or False")


_BYTE = _integer(0, 0xFF)
KEYS = {
    "stmin": _Key(0, _BYTE, "0 to 0xFF"),
    "blocksize": _Key(8, _BYTE, "0 to 0xFF"),
    "override_receiver_stmin": _Key(None, lambda v: v is None or (_number(v) and v >= 0), "None or seconds from 0"),
    "rx_flowcontrol_timeout": _Key(1000, _integer(0), "whole milliseconds from 0"),
    "rx_consecutive_frame_timeout": _Key(1000, _integer(0), "whole milliseconds from 0"),
    "tx_padding": _Key(None, lambda v: v is None or _BYTE(v), "None or 0 to 0xFF"),
    "wftmax": _Key(0, _integer(0), "0 or more"),
    "tx_data_length": _Key(8, lambda v: v in TX_DLS, ", ".join(map(str, TX_DLS))),
    "tx_data_min_length": _Key(
        None, lambda v: v is None or v in _MIN_LENGTHS, f"None, {', '.join(map(str, _MIN_LENGTHS))}"
    ),
    "max_frame_size": _Key(4095, _integer(0, FF_DL_MAX), "0 to 2**32-1 bytes"),
    "can_fd": _flag(False),
    "bitrate_switch": _flag(False),
    "default_target_address_type": _Key(
        TargetAddressType.Physical, lambda v: isinstance(v, TargetAddressType), "a TargetAddressType"
    ),
    "rate_limit_enable": _flag(False),
    "rate_limit_max_bitrate": _Key(100_000_000, lambda v: _number(v) and v > 0, "bits per second above 0"),
    "rate_limit_window_size": _Key(0.2, lambda v: _number(v) and v > 0, "seconds above 0"),
    "listen_mode": _flag(False),
    "blocking_send": _flag(False),
    "logger_name": _Key("isotp", lambda v: isinstance(v, str), "a string"),
    "wait_func": _Key(time.sleep, callable, "a function that takes seconds"),
}


class Params:
    """The parameters of a transport layer; each key of can-isotp 2 is an attribute.

    Args:
        on_change: called after a parameter was set.
    """

    stmin: int
    blocksize: int
    override_receiver_stmin: float | None
    rx_flowcontrol_timeout: int
    rx_consecutive_frame_timeout: int
    tx_padding: int | None
    wftmax: int
    tx_data_length: int
    tx_data_min_length: int | None
    max_frame_size: int
    can_fd: bool
    bitrate_switch: bool
    default_target_address_type: TargetAddressType
    rate_limit_enable: bool
    rate_limit_max_bitrate: float
    rate_limit_window_size: float
    listen_mode: bool
    blocking_send: bool
    logger_name: str
    wait_func: Callable[[float], object]

    def __init__(self, on_change: Callable[[], object] = bool) -> None:
        self.__dict__.update({name: key.default for name, key in KEYS.items()})
        self.__dict__["_on_change"] = on_change

    def __repr__(self) -> str:
        return f"Params({', '.join(f'{name}={getattr(self, name)!r}' for name in KEYS)})"

    def __setattr__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def set(self, key: str, val: Any, validate: bool = True) -> None:
        """Set one parameter.

        Args:
            key: its name.
            val: its value.
            validate: whether to check all parameters together, see `validate`.

        Raises:
            AttributeError: there is no such parameter.
            OptionError: the value is not allowed.
        """
        if key not in KEYS:
            raise AttributeError(f"no parameter is called {key!r}; there are {', '.join(KEYS)}")
        if key == "default_target_address_type" and val in (0, 1):
            val = TargetAddressType(val)
        if not KEYS[key].is_allowed(val):
            raise OptionError(f"{key}={val!r}: allowed is {KEYS[key].allowed}")
        self.__dict__[key] = val
        if validate:
            self.validate()
            self.__dict__["_on_change"]()

    def validate(self) -> None:
        """Check that the parameters go together.

        Raises:
            OptionError: they do not.
        """
        if self.rate_limit_enable and not self.rate_limiter().can_be_enabled(self.tx_data_length):
            raise OptionError(
                f"rate_limit_max_bitrate={self.rate_limit_max_bitrate:g} is less than one frame of "
                f"{self.tx_data_length} bytes in rate_limit_window_size={self.rate_limit_window_size:g} s",
                remedy="raise one of the two",
            )
        self.for_engine()

    def rate_limiter(self, clock: Callable[[], int] = time.monotonic_ns) -> RateLimiter:
        """The limit of the bit rate, as a new object; `clock` returns monotonic nanoseconds."""
        limiter = RateLimiter(self.rate_limit_max_bitrate, self.rate_limit_window_size, clock)
        if self.rate_limit_enable:
            limiter.enable()
        return limiter

    def for_engine(self) -> engine.Params:
        """The parameters of the engine that follow from these.

        Raises:
            OptionError: the engine does not allow them.
        """
        is_classical_8 = self.tx_data_length == CLASSICAL_MAX_LENGTH and self.tx_padding is not None
        override_s = self.override_receiver_stmin
        return engine.Params(
            can_fd=self.can_fd or self.bitrate_switch or self.tx_data_length > CLASSICAL_MAX_LENGTH,
            tx_dl=self.tx_data_length,
            bitrate_switch=self.bitrate_switch,
            tx_padding=self.tx_padding,
            tx_min_dl=self.tx_data_min_length or (CLASSICAL_MAX_LENGTH if is_classical_8 else 0),
            bs=self.blocksize,
            stmin=self.stmin,
            forced_tx_stmin_ns=None if override_s is None else round(override_s * 1e9),
            dynamic_flow_control=True,
            wftmax=self.wftmax,
            max_pdu_size=max(1, self.max_frame_size),
            tx_max_pdu_size=FF_DL_MAX,
            listen_only=self.listen_mode,
            n_bs_ns=max(1, self.rx_flowcontrol_timeout) * _MS_NS,
            n_cr_ns=max(1, self.rx_consecutive_frame_timeout) * _MS_NS,
        )
