"""What an ECU is asked and what it answers: requests, negative response codes, replies, and when these are sent."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

_NEGATIVE: Final = 0x7F
_IN_TIME: Final = 0.8
"""The part of P2 and P2* after which response pending is sent."""


class Nrc(IntEnum):
    """A negative response code. An answer that is one becomes 7F, the service and the code."""

    GENERAL_REJECT = 0x10
    SERVICE_NOT_SUPPORTED = 0x11
    SUB_FUNCTION_NOT_SUPPORTED = 0x12
    INCORRECT_MESSAGE_LENGTH = 0x13
    RESPONSE_TOO_LONG = 0x14
    BUSY_REPEAT_REQUEST = 0x21
    CONDITIONS_NOT_CORRECT = 0x22
    REQUEST_SEQUENCE_ERROR = 0x24
    NO_RESPONSE_FROM_SUBNET = 0x25
    FAILURE_PREVENTS_EXECUTION = 0x26
    REQUEST_OUT_OF_RANGE = 0x31
    SECURITY_ACCESS_DENIED = 0x33
    AUTHENTICATION_REQUIRED = 0x34
    INVALID_KEY = 0x35
    EXCEEDED_NUMBER_OF_ATTEMPTS = 0x36
    REQUIRED_TIME_DELAY_NOT_EXPIRED = 0x37
    UPLOAD_DOWNLOAD_NOT_ACCEPTED = 0x70
    TRANSFER_DATA_SUSPENDED = 0x71
    GENERAL_PROGRAMMING_FAILURE = 0x72
    WRONG_BLOCK_SEQUENCE_COUNTER = 0x73
    RESPONSE_PENDING = 0x78
    SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION = 0x7E
    SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION = 0x7F
    RPM_TOO_HIGH = 0x81
    RPM_TOO_LOW = 0x82
    ENGINE_IS_RUNNING = 0x83
    ENGINE_IS_NOT_RUNNING = 0x84
    ENGINE_RUN_TIME_TOO_LOW = 0x85
    TEMPERATURE_TOO_HIGH = 0x86
    TEMPERATURE_TOO_LOW = 0x87
    VEHICLE_SPEED_TOO_HIGH = 0x88
    VEHICLE_SPEED_TOO_LOW = 0x89
    THROTTLE_PEDAL_TOO_HIGH = 0x8A
    THROTTLE_PEDAL_TOO_LOW = 0x8B
    TRANSMISSION_RANGE_NOT_IN_NEUTRAL = 0x8C
    TRANSMISSION_RANGE_NOT_IN_GEAR = 0x8D
    BRAKE_SWITCH_NOT_CLOSED = 0x8F
    SHIFTER_LEVER_NOT_IN_PARK = 0x90
    TORQUE_CONVERTER_CLUTCH_LOCKED = 0x91
    VOLTAGE_TOO_HIGH = 0x92
    VOLTAGE_TOO_LOW = 0x93
    RESOURCE_TEMPORARILY_NOT_AVAILABLE = 0x94


SILENT_IF_FUNCTIONAL = frozenset(
    (
        Nrc.SERVICE_NOT_SUPPORTED,
        Nrc.SUB_FUNCTION_NOT_SUPPORTED,
        Nrc.REQUEST_OUT_OF_RANGE,
        Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION,
        Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION,
    )
)
"""No response to a functional request says these (ISO 14229-1:2020, 7.5): else all ECUs would answer."""


class Refused(Exception):  # noqa: N818 - what has happened to the request
    """The request is refused. What answers a request may raise it, or return the `Nrc`.

    Args:
        nrc: why.
    """

    def __init__(self, nrc: int) -> None:
        self.nrc = Nrc(nrc)
        super().__init__(f"{self.nrc.name} ({nrc:#04x})")


class Request(NamedTuple):
    """A request as an ECU got it."""

    data: bytes
    now_s: float = 0.0
    """When it was received, in seconds on the ECU's clock."""
    is_functional: bool = False

    @property
    def service(self) -> int:
        """Its first byte."""
        return self.data[0]

    @property
    def sub_function(self) -> int:
        """Its second byte, without the bit that suppresses positive responses."""
        return self.data[1] & 0x7F


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer with a time.

    Args:
        data: what is sent: bytes, hexadecimal digits, or an `Nrc`; None: nothing.
        after_s: seconds from the request to it.
        pending: whether response pending (NRC 0x78) is sent in time, by P2 and P2* of the ECU, if `after_s` is longer
            than P2; False: the tester waits without hearing anything.
    """

    data: "bytes | bytearray | str | Nrc | None"
    after_s: float = 0.0
    pending: bool = True

    def __post_init__(self) -> None:
        if self.data is not None and not isinstance(self.data, Nrc):
            object.__setattr__(self, "data", as_bytes(self.data))
        if not 0 <= self.after_s < math.inf:
            raise ValueError(f"after_s={self.after_s!r}: allowed is 0 or more seconds; None as data is silence")


Answer = bytes | bytearray | str | Nrc | Reply | Sequence[Reply] | Callable[[Request], Any] | None
"""What answers a request: bytes, hexadecimal digits, an `Nrc`, a `Reply` with a time, several of them, a function of
the `Request` that returns any of these or raises `Refused`; None: the ECU is silent."""


def as_bytes(data: "bytes | bytearray | memoryview | str") -> bytes:
    """`data`, or the bytes whose hexadecimal digits it has.

    Raises:
        ValueError: it is no hexadecimal.
    """
    if not isinstance(data, str):
        return bytes(memoryview(data))
    try:
        return bytes.fromhex(data)
    except ValueError:
        raise ValueError(f"{data!r} is not hexadecimal: two digits for each byte, such as '62 F1 90'") from None


Timed = tuple[float, bytes]
"""A reply, and the seconds from the request to it."""


class Times(Protocol):
    """The times of an ECU, in seconds; see `Ecu`."""

    p2_s: float
    p2_star_s: float
    delay_s: float


def timed(request: Request, answer: Any, times: Times, suppress: bool) -> list[Timed]:
    """The replies that `answer` makes, with response pending where it takes long.

    Args:
        request: what was asked.
        answer: an `Answer`.
        times: of the ECU.
        suppress: whether a positive response is not sent. Once response pending was sent every response is (ISO
            14229-1:2020, 7.5).
    """
    if isinstance(answer, list | tuple):
        return [one for each in answer for one in timed(request, each, times, suppress)]
    reply = answer if isinstance(answer, Reply) else Reply(answer)
    if reply.data is None:
        return []
    after_s = reply.after_s + times.delay_s
    pending = bytes((_NEGATIVE, request.service, Nrc.RESPONSE_PENDING))
    replies = [(at_s, pending) for at_s in _pending_s(after_s, times)] if reply.pending else []
    if isinstance(reply.data, Nrc):
        if not replies and request.is_functional and reply.data in SILENT_IF_FUNCTIONAL:
            return []
        return [*replies, (after_s, bytes((_NEGATIVE, request.service, reply.data)))]
    if not (data := as_bytes(reply.data)):
        raise ValueError("an answer has one byte or more; None is silence")
    return [*replies, (after_s, data)] if replies or not suppress else []


def _pending_s(after_s: float, times: Times) -> list[float]:
    """When response pending is sent, if the answer comes after so many seconds."""
    if after_s <= times.p2_s:
        return []
    first_s, step_s = times.p2_s * _IN_TIME, times.p2_star_s * _IN_TIME
    more = math.ceil((after_s - times.p2_star_s - first_s) / step_s)
    return [first_s + at * step_s for at in range(max(0, more) + 1)]
