"""The diagnostic services that an ECU has by itself (ISO 14229-1:2020), by their request id.

Each is a function of the ECU and the `Request`. It returns an `Answer` or raises `Refused`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from .answers import Nrc, Refused, Reply, Request, as_bytes

if TYPE_CHECKING:
    from .ecu import Ecu

DEFAULT_SESSION: Final = 1
_RESETS: Final = (1, 2, 3)
_COMMUNICATION: Final = (0, 1, 2, 3)
_DTC_SETTINGS: Final = (1, 2)
_ALL_DTCS: Final = 0xFFFFFF  # a group
_DTC_FORMAT: Final = 1  # ISO 14229-1
_ALL_STATUS: Final = 0xFF
_TENS_OF_MS: Final = 100
_START, _STOP, _RESULTS = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Service:
    """A service: what answers it, and what is checked before.

    Args:
        answer: answers its requests.
        shortest: bytes of the shortest request.
        longest: bytes of the longest request; None: any.
        has_sub_function: whether the second byte is a sub-function, and its top bit suppresses the response.
        in_default_session: whether it is there in the default session.
    """

    answer: "Callable[[Ecu, Request], Any]"
    shortest: int
    longest: int | None = None
    has_sub_function: bool = False
    in_default_session: bool = True


def _one_of(value: int, allowed: Any) -> None:
    if value not in allowed:
        raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED)


def _session_control(ecu: "Ecu", request: Request) -> Any:
    _one_of(request.sub_function, ecu.sessions)
    ecu.enter_session(request.sub_function)
    p2, p2_star = round(ecu.p2_s * 1000), round(ecu.p2_star_s * _TENS_OF_MS)
    return bytes((0x50, request.sub_function)) + p2.to_bytes(2) + p2_star.to_bytes(2)


def _reset(ecu: "Ecu", request: Request) -> Any:
    _one_of(request.sub_function, _RESETS)
    ecu.reset(request.now_s)
    return bytes((0x51, request.sub_function))


def _clear_dtcs(ecu: "Ecu", request: Request) -> Any:
    group = int.from_bytes(request.data[1:])
    cleared = [dtc for dtc in ecu.dtcs.copy() if group in (_ALL_DTCS, dtc)]
    if not cleared and group != _ALL_DTCS:
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    for dtc in cleared:
        del ecu.dtcs[dtc]
    return b"\x54"


def _read_dtcs(ecu: "Ecu", request: Request) -> Any:
    """Number by status mask (01), DTCs by status mask (02), all supported (0A)."""
    sub, data = request.sub_function, request.data
    _one_of(sub, (0x01, 0x02, 0x0A))
    if len(data) != (2 if sub == 0x0A else 3):
        raise Refused(Nrc.INCORRECT_MESSAGE_LENGTH)
    mask = _ALL_STATUS if sub == 0x0A else data[2]
    every = ecu.dtcs.copy()  # a test may be changing it, in another thread
    found = {dtc: status for dtc, status in every.items() if status & mask or sub == 0x0A}
    if sub == 0x01:
        return bytes((0x59, sub, _ALL_STATUS, _DTC_FORMAT)) + len(found).to_bytes(2)
    return bytes((0x59, sub, _ALL_STATUS)) + b"".join(
        dtc.to_bytes(3) + bytes((status,)) for dtc, status in found.items()
    )


def _read_dids(ecu: "Ecu", request: Request) -> Any:
    data = request.data
    if len(data) % 2 == 0:
        raise Refused(Nrc.INCORRECT_MESSAGE_LENGTH)
    asked = [int.from_bytes(data[at : at + 2]) for at in range(1, len(data), 2)]
    known = [did for did in asked if ecu.can_read(did)]
    if not known:  # one that is known is enough
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    records = []
    for number in known:
        did = ecu.dids[number]
        if did.secret:
            ecu.check_unlocked(did.security)
        records.append(number.to_bytes(2) + did.read(request))
    return b"\x62" + b"".join(records)


def _write_did(ecu: "Ecu", request: Request) -> Any:
    number = int.from_bytes(request.data[1:3])
    if not ecu.can_read(number):
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    did = ecu.dids[number]
    ecu.check_unlocked(did.security)
    did.write(request, request.data[3:])
    return b"\x6e" + request.data[1:3]


def _security_access(ecu: "Ecu", request: Request) -> Any:
    sub = request.sub_function
    level = sub if sub % 2 else sub - 1
    _one_of(level, ecu.security)
    security = ecu.security[level]
    if security.sessions is not None and ecu.session not in security.sessions:
        raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION)
    if sub % 2:
        seed = security.new_seed(request.now_s)
        if ecu.unlocked == level:
            return bytes((0x67, sub)) + bytes(len(seed))
        ecu.seed = (level, seed)
        return bytes((0x67, sub)) + seed
    (asked, seed), ecu.seed = ecu.seed, (None, b"")  # one key for each seed
    if asked != level:
        raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
    security.check(seed, request.data[2:], request.now_s)
    ecu.unlocked = level
    return bytes((0x67, sub))


def _communication_control(ecu: "Ecu", request: Request) -> Any:
    _one_of(request.sub_function, _COMMUNICATION)
    ecu.communication = request.sub_function
    return bytes((0x68, request.sub_function))


def _tester_present(ecu: "Ecu", request: Request) -> Any:
    _one_of(request.sub_function, (0,))
    return b"\x7e\x00"


def _control_dtc_setting(ecu: "Ecu", request: Request) -> Any:
    _one_of(request.sub_function, _DTC_SETTINGS)
    ecu.stores_dtcs = request.sub_function == 1
    return bytes((0xC5, request.sub_function))


def _routine_control(ecu: "Ecu", request: Request) -> Any:
    sub, number = request.sub_function, int.from_bytes(request.data[2:4])
    _one_of(sub, (_START, _STOP, _RESULTS))
    routine = ecu.routines.get(number)
    if routine is None or not ecu.is_in(routine.sessions):
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    ecu.check_unlocked(routine.security)
    answer = {_START: routine.start, _STOP: routine.stop, _RESULTS: routine.results}[sub]
    if answer is None:
        raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED)
    if sub != _START and not routine.was_started:
        raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
    answered = _after(bytes((0x71, sub)) + request.data[2:4], answer(request) if callable(answer) else answer)
    routine.was_started = True
    return answered


def _after(head: bytes, answer: Any) -> Any:
    """`answer`, a status record, with `head` before it; a refusal is returned as it is."""
    if isinstance(answer, Nrc):
        raise Refused(answer)
    if isinstance(answer, Reply):
        if answer.data is None or isinstance(answer.data, Nrc):
            return answer
        return replace(answer, data=head + as_bytes(answer.data))
    return head + as_bytes(b"" if answer is None else answer)


def _download(ecu: "Ecu", request: Request) -> Any:
    download = ecu.download
    if download is None:
        raise Refused(Nrc.SERVICE_NOT_SUPPORTED)
    if download.sessions is not None and ecu.session not in download.sessions:
        raise Refused(Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION)
    ecu.check_unlocked(download.security)
    step = {0x34: download.request, 0x36: download.take, 0x37: download.finish}[request.service]
    return step(request.data)


SERVICES: Final[dict[int, Service]] = {
    0x10: Service(_session_control, 2, 2, has_sub_function=True),
    0x11: Service(_reset, 2, 2, has_sub_function=True),
    0x14: Service(_clear_dtcs, 4, 4),
    0x19: Service(_read_dtcs, 2, has_sub_function=True),
    0x22: Service(_read_dids, 3),
    0x27: Service(_security_access, 2, has_sub_function=True, in_default_session=False),
    0x28: Service(_communication_control, 3, 5, has_sub_function=True, in_default_session=False),
    0x2E: Service(_write_did, 4),
    0x31: Service(_routine_control, 4, has_sub_function=True),
    0x34: Service(_download, 5, in_default_session=False),
    0x36: Service(_download, 2, in_default_session=False),
    0x37: Service(_download, 1, in_default_session=False),
    0x3E: Service(_tester_present, 2, 2, has_sub_function=True),
    0x85: Service(_control_dtc_setting, 2, has_sub_function=True, in_default_session=False),
}
"""A new ECU has all of these."""

PLAYBACK: Final = {0x3E: SERVICES[0x3E]}
"""An ECU that plays back a recording has these: TesterPresent comes whenever the tester likes."""
