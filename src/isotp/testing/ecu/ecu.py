"""Ecu: what a simulated ECU answers, without I/O and without a clock of its own."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from ...address import CAN_EFF_FLAG, Address, AsymmetricAddress, normal_address
from .dids import Did, DidValue
from .download import Download
from .dtcs import dtc_number
from .nrc import SILENT_IF_FUNCTIONAL, Nrc, Refused
from .routines import Routine
from .rules import Answer, Reply, Request, Rules, as_bytes
from .security import Security
from .services import DEFAULT_SESSION, SERVICES, Service

_NEGATIVE: Final = 0x7F
_POSITIVE: Final = 0x40
_SUPPRESS: Final = 0x80
_SILENT_TESTER_PRESENT: Final = b"\x3e\x80"
_IN_TIME: Final = 0.8
"""The part of P2 and P2* after which response pending is sent."""
_HISTORY: Final = 10_000
_USUAL_11_BITS: Final = 0x7DF  # ISO 15765-4:2016, tables 5 and 6
_USUAL_29_BITS: Final = 0x18DB33F1

AnyAddress = Address | AsymmetricAddress
Timed = tuple[float, bytes]
F = TypeVar("F", bound=Callable[[Request], Any])


class Exchange(NamedTuple):
    """A request that was served, and the replies to it."""

    request: Request
    replies: tuple[Timed, ...]
    """Each with the seconds from the request to it."""


class Ecu:
    """A simulated ECU: what it answers to which request. `Car` lets it answer on a bus.

    Rules come first: they answer what they match with exactly what they say. All other requests go to the diagnostic
    services (ISO 14229-1), which keep the session, security access, DIDs, DTCs, routines and a download. Everything
    may be changed while the ECU runs.

        ecu = Ecu("engine", rxid=0x7E0, txid=0x7E8, dids={0xF190: "WVWZZZ1JZXW000001"})
        ecu.rules["22 01 00"] = "62 01 00 2A"

        @ecu.rule("31 01 FF 00 *")
        def erase(request):
            return Reply("71 01 FF 00", after_s=12.0)  # response pending is sent meanwhile

    Args:
        name: what it is called in errors and summaries.
        address: its own address, as a socket of the ECU is bound; or the two identifiers:
        rxid: CAN identifier of the requests to it.
        txid: CAN identifier of its replies.
        functional: CAN identifiers of the requests to all ECUs, one or several, or receiving halves of addresses; None:
            the usual one, 0x7DF or 0x18DB33F1 (ISO 15765-4); (): none.
        rules: answers by the pattern of the request, see `Rules`.
        dids: data identifiers: a `Did`, bytes, text, or a function of the `Request`.
        dtcs: trouble codes ("P0301", or numbers of three bytes) with their status byte.
        security: `Security` by the sub-function that asks for the seed: 1, 3 and so on.
        routines: a `Routine` by identifier, or what it answers when it is started.
        download: the memory that can be written; None: none.
        services: the diagnostic services it has, by request id; None: all of `SERVICES`. With {} rules alone answer.
        sessions: the diagnostic sessions it has.
        p2_s: seconds in which it answers or sends response pending.
        p2_star_s: seconds in which the next response pending or the answer follows.
        s3_s: seconds without a request after which it leaves a session.
        delay_s: seconds that each answer takes.
        boot_s: seconds that it is silent after a reset.

    Raises:
        AddressError: identifiers are out of range, equal, or missing.
        ValueError: a rule, DTC or number that cannot be.
    """

    def __init__(
        self,
        name: str = "ecu",
        address: AnyAddress | None = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
        functional: "int | Address | Sequence[int | Address] | None" = None,
        rules: "Mapping[bytes | str, Answer] | None" = None,
        dids: "Mapping[int, Did | DidValue] | None" = None,
        dtcs: "Mapping[int | str, int] | None" = None,
        security: Mapping[int, Security] | None = None,
        routines: Mapping[int, Any] | None = None,
        download: Download | None = None,
        services: Mapping[int, Service] | None = None,
        sessions: Collection[int] = (1, 2, 3),
        p2_s: float = 0.05,
        p2_star_s: float = 5.0,
        s3_s: float = 5.0,
        delay_s: float = 0.0,
        boot_s: float = 0.0,
    ) -> None:
        self.name = name
        self.address = normal_address(rxid, txid) if address is None else address
        self.functional = _functional(self.address, functional)
        self.rules = Rules()
        self.rules.update(rules or {})
        self.dids: dict[int, Did | DidValue] = dict(dids or {})
        self.dtcs = {dtc_number(dtc): status for dtc, status in (dtcs or {}).items()}
        self.security = dict(security or {})
        every = (routines or {}).items()
        self.routines = {number: one if isinstance(one, Routine) else Routine(one) for number, one in every}
        self.download = download
        self.services = dict(SERVICES if services is None else services)
        self.sessions = tuple(sessions)
        self.p2_s, self.p2_star_s, self.s3_s = p2_s, p2_star_s, s3_s
        self.delay_s, self.boot_s = delay_s, boot_s
        self.served: deque[Exchange] = deque(maxlen=_HISTORY)
        """The latest requests and their replies."""
        self.counts: Counter[str] = Counter()
        """How many requests and replies there were, of each kind."""
        self.failures: list[BaseException] = []
        """What the functions of rules, DIDs and so on have raised. The tester got general reject (NRC 0x10)."""
        self.on_served: Callable[[Exchange], object] | None = None
        """Called with each request and its replies, by what serves the ECU."""
        self._busy_until_s = float("-inf")
        self._booting_until_s = float("-inf")
        self._active_s = float("-inf")
        self._set_out()

    def __repr__(self) -> str:
        return f"<isotp.testing.Ecu {self.name!r} {self.address}>"

    def rule(self, pattern: "bytes | str") -> Callable[[F], F]:
        """A decorator: the function answers the requests that match `pattern`; see `Rules` for patterns."""

        def add(function: F) -> F:
            self.rules[pattern] = function
            return function

        return add

    # --- state, for the services

    def _set_out(self) -> None:
        """The state after a reset."""
        self.session = DEFAULT_SESSION
        """The diagnostic session since the last request; it may have ended by time since."""
        self.unlocked: int | None = None
        """The level of security access that is unlocked."""
        self.seed: tuple[int | None, bytes] = (None, b"")
        """The level whose seed was asked for last, and the seed."""
        self.communication = 0
        """The last sub-function of CommunicationControl."""
        self.stores_dtcs = True
        """What ControlDTCSetting has set."""
        for routine in self.routines.values():
            routine.was_started = False
        if self.download is not None:
            self.download.reset()

    def reset(self, now_s: float) -> None:
        """Begin anew, as after power-on; the values of DIDs and DTCs stay."""
        self._set_out()
        self._booting_until_s = now_s + self.boot_s

    def enter_session(self, session: int) -> None:
        """Change to a session: what was unlocked is locked, and a download is given up."""
        communication, stores_dtcs = self.communication, self.stores_dtcs
        self._set_out()
        self.session = session
        if session != DEFAULT_SESSION:
            self.communication, self.stores_dtcs = communication, stores_dtcs

    def is_in(self, sessions: Collection[int] | None) -> bool:
        """Whether the session is one of these; None: any."""
        return sessions is None or self.session in sessions

    def check_unlocked(self, level: int | None) -> None:
        """Raise `Refused` unless this level of security access is unlocked; None: no level is needed."""
        if level is not None and self.unlocked != level:
            raise Refused(Nrc.SECURITY_ACCESS_DENIED)

    def did(self, number: int) -> Did:
        """A data identifier."""
        did = self.dids[number]
        return did if isinstance(did, Did) else Did(did)

    def can_read(self, number: int) -> bool:
        """Whether the data identifier exists, in this session."""
        return number in self.dids and self.is_in(self.did(number).sessions)

    # --- a request

    def request(self, data: bytes, now_s: float = 0.0, functional: bool = False) -> list[Timed]:
        """Take a request, and return the replies to it, each with the seconds from now until it is to be sent.

        Args:
            data: the request.
            now_s: the time, in seconds on any clock that does not go back.
            functional: whether it went to all ECUs.
        """
        request = Request(bytes(data), now_s, functional)
        if not data or now_s < self._booting_until_s:
            return []
        self.counts["requests"] += 1
        if now_s < self._busy_until_s:
            replies = self._busy(request)
        else:
            if self.session != DEFAULT_SESSION and now_s - self._active_s > self.s3_s:
                self.enter_session(DEFAULT_SESSION)
            replies = self._replies(request)
            self._busy_until_s = self._active_s = now_s + max((after_s for after_s, _ in replies), default=0.0)
        for _, reply in replies:
            self.counts[_kind(reply)] += 1
        exchange = Exchange(request, tuple(replies))
        self.served.append(exchange)
        if self.on_served is not None:
            self.on_served(exchange)
        return replies

    def _busy(self, request: Request) -> list[Timed]:
        """What is said to a request that comes while the one before it is being worked on."""
        if request.is_functional or request.data == _SILENT_TESTER_PRESENT:
            return []
        return [(0.0, bytes((_NEGATIVE, request.service, Nrc.BUSY_REPEAT_REQUEST)))]

    def _replies(self, request: Request) -> list[Timed]:
        is_rule = False
        answer: Any
        try:
            try:
                answer = self.rules.find(request.data)
                is_rule = True
            except KeyError:
                answer = self._serve(request)
            if callable(answer):
                answer = answer(request)
            return self._timed(request, answer, is_rule)
        except Refused as e:
            return self._timed(request, e.nrc, is_rule)
        except Exception as e:
            e.add_note(f"while ECU {self.name!r} answered {request.data[:16].hex(' ')}")
            self.failures.append(e)
            return self._timed(request, Nrc.GENERAL_REJECT, is_rule)

    def _serve(self, request: Request) -> Any:
        """The answer of a diagnostic service."""
        if request.service & _POSITIVE:  # a response: it is not for us
            return None
        service = self.services.get(request.service)
        if service is None:
            raise Refused(Nrc.SERVICE_NOT_SUPPORTED)
        if not service.in_default_session and self.session == DEFAULT_SESSION:
            raise Refused(Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION)
        size = len(request.data)
        if size < service.shortest or (service.longest is not None and size > service.longest):
            raise Refused(Nrc.INCORRECT_MESSAGE_LENGTH)
        return service.answer(self, request)

    # --- its replies

    def _timed(self, request: Request, answer: Any, is_rule: bool) -> list[Timed]:
        """The replies that `answer` makes."""
        if isinstance(answer, list | tuple):
            return [one for each in answer for one in self._timed(request, each, is_rule)]
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        if reply.data is None:
            return []
        after_s = reply.after_s + self.delay_s
        pending = bytes((_NEGATIVE, request.service, Nrc.RESPONSE_PENDING))
        replies = [(at_s, pending) for at_s in self._pending_s(after_s)] if reply.pending else []
        if not replies and self._is_suppressed(request, reply.data, is_rule):
            return []
        if isinstance(reply.data, Nrc):
            return [*replies, (after_s, bytes((_NEGATIVE, request.service, reply.data)))]
        return [*replies, (after_s, as_bytes(reply.data))]

    def _pending_s(self, after_s: float) -> list[float]:
        """When response pending is sent, if the answer comes after so many seconds."""
        if after_s <= self.p2_s:
            return []
        times = [self.p2_s * _IN_TIME]
        while times[-1] + self.p2_star_s < after_s:
            times.append(times[-1] + self.p2_star_s * _IN_TIME)
        return times

    def _is_suppressed(self, request: Request, data: object, is_rule: bool) -> bool:
        """Whether a reply is not sent. Once response pending was sent it always is (ISO 14229-1:2020, 7.5)."""
        if isinstance(data, Nrc):
            return request.is_functional and data in SILENT_IF_FUNCTIONAL
        service = None if is_rule else self.services.get(request.service)
        return service is not None and service.has_sub_function and bool(request.data[1] & _SUPPRESS)


def _functional(address: AnyAddress, given: "int | Address | Sequence[int | Address] | None") -> tuple[Address, ...]:
    """The addresses of functional requests to an ECU with this address."""
    if given is None:
        rx = address.rx
        if rx is None or rx.address_byte is not None:
            return ()
        given = _USUAL_29_BITS if rx.can_id & CAN_EFF_FLAG else _USUAL_11_BITS
    listed = (given,) if isinstance(given, int | Address) else given
    return tuple(Address.normal(rxid=one) if isinstance(one, int) else one for one in listed)


def _kind(reply: bytes) -> str:
    """What a reply counts as."""
    if len(reply) == 3 and reply[0] == _NEGATIVE:
        return f"NRC 0x{reply[2]:02X}"
    return "replies"
