"""Ecu: what a simulated ECU answers, without I/O and without a clock of its own."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from ...capture.capture import Capture
from ...capture.message import Message
from ...errors import IsoTpWarning, warn
from .addresses import AnyAddress, Functional, Testers, functional_addresses, own_address
from .answers import Answer, Nrc, Refused, Request, Timed, timed
from .diagnostics import Diagnostics
from .parts import Did, DidValue, Download, Security
from .playback import ecus_in, learned, messages_about, only
from .rules import Rules
from .services import DEFAULT_SESSION, PLAYBACK, SERVICES, Service

_NEGATIVE: Final = 0x7F
_POSITIVE: Final = 0x40
_SUPPRESS: Final = 0x80
_SILENT_TESTER_PRESENT: Final = b"\x3e\x80"
_HISTORY: Final = 10_000
F = TypeVar("F", bound=Callable[[Request], Any])


class Exchange(NamedTuple):
    """A request that was served, and the replies to it."""

    request: Request
    replies: tuple[Timed, ...]
    """Each with the seconds from the request to it."""


class Ecu(Diagnostics):
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
        name: what it is called in errors and summaries; None: by the identifier of the requests to it.
        address: its own address, as a socket of the ECU is bound; or the two identifiers:
        rxid: CAN identifier of the requests to it.
        txid: CAN identifier of its replies.
        functional: CAN identifiers of the requests to all ECUs, one or several, or receiving halves of addresses; None:
            the usual one, 0x7DF or 0x18DB33F1 (ISO 15765-4), or with normal fixed addressing that of its tester; ():
            none.
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
        any_tester: whether it answers testers with any address (N_SA), and with 29 bits at any priority, and not only
            the one in `address`; see `docs/testing.md` for the addresses with which that can be. It takes the engine.
        any_extension: whether it answers requests with any N_AE, and its replies carry the same: a gateway that answers
            for all behind it, except other ECUs of the car. It takes mixed addressing and the engine.

    Raises:
        AddressError: identifiers are out of range, equal, or missing, or do not say who sends (`any_tester`).
        TypeError, ValueError: a rule, DID, DTC, number and so on that cannot be; also when it is assigned later.
    """

    def __init__(
        self,
        name: str | None = None,
        address: AnyAddress | None = None,
        *,
        rxid: int | None = None,
        txid: int | None = None,
        functional: Functional = None,
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
        any_tester: bool = False,
        any_extension: bool = False,
    ) -> None:
        self.address = own_address(address, rxid, txid)
        self.name = str(self.address.rx) if name is None else name
        self.functional = functional_addresses(self.address, functional)
        self.testers: Testers | None = None
        """Those that it answers without knowing them."""
        if any_tester or any_extension:
            self.testers = Testers(
                self.name, self.address, self.functional, any_tester=any_tester, any_extension=any_extension
            )
        self.rules = Rules()
        self.rules.update(rules or {})
        self.dids, self.dtcs, self.security, self.routines = dids or {}, dtcs or {}, security or {}, routines or {}
        self.download = download
        self.services = dict(SERVICES if services is None else services)
        self.sessions = sessions
        self.p2_s, self.p2_star_s, self.s3_s = p2_s, p2_star_s, s3_s
        self.delay_s, self.boot_s = delay_s, boot_s
        self.served: deque[Exchange] = deque(maxlen=_HISTORY)
        """The latest requests and their replies."""
        self.counts: Counter[str] = Counter()
        """How many requests and replies there were, of each kind."""
        self.failures: list[BaseException] = []
        """What functions of rules, DIDs and so on have raised on a bus. The tester got general reject (NRC 0x10)."""
        self.on_served: Callable[[Exchange], object] | None = None
        """Called with each request and its replies, by what serves the ECU."""
        self.set_out()
        self.power_on()

    @classmethod
    def from_capture(
        cls,
        source: Any,
        name: str | None = None,
        address: AnyAddress | None = None,
        *,
        pending: bool = False,
        **fields: Any,
    ) -> "Ecu":
        """An ECU that answers as one did in a recording; what was not asked there it refuses (NRC 0x11).

        What it answered to a request several times comes in turn. Without identifiers, it is the only ECU in the
        recording that answered requests in UDS or OBD.

        Args:
            source: the name of a file in any format, or frames, as for `isotp.capture.Capture`.
            name: as for `Ecu`.
            address: its own address; or its identifiers, rxid and txid.
            pending: whether response pending is played back, and each reply with its delay; if not, the last reply
                comes at once.
            fields: others of `Ecu`.

        Raises:
            OSError: the recording cannot be read.
            AddressError: which ECU is meant is not clear, or it is not in the recording; it says which are.
        """
        fields.setdefault("services", PLAYBACK)
        messages: Iterable[Message]
        if address is None and not {"rxid", "txid"} & fields.keys():
            messages = list(Capture(source))
            ecu = cls(name, only(ecus_in(messages)).address, **fields)
        else:
            ecu = cls(name, address, **fields)
            messages = messages_about(source, ecu.address, ecu.functional)
        ecu.learn(messages, pending)
        return ecu

    def learn(self, messages: Iterable[Message], pending: bool = False) -> None:
        """Answer from now on as an ECU with the same address did: `messages` are those of an `isotp.capture.Capture`.

        It warns of those that broke off: what they were about is refused, as if it had not been asked. `pending`: see
        `from_capture`.
        """
        known = learned(messages, self.address, self.functional, pending)
        self.rules.update(known.rules)
        if known.broken:
            listed = ", ".join(data[:16].hex(" ") for data in known.broken)
            warn(f"ECU {self.name!r}: messages of the recording broke off and are left out: {listed}", IsoTpWarning)

    def __repr__(self) -> str:
        return f"<isotp.testing.Ecu {self.name!r} {self.address}>"

    def rule(self, pattern: "bytes | str") -> Callable[[F], F]:
        """A decorator: the function answers the requests that match `pattern`; see `Rules` for patterns."""

        def add(function: F) -> F:
            self.rules[pattern] = function
            return function

        return add

    # --- a request

    def request(self, data: bytes, now_s: float = 0.0, functional: bool = False) -> list[Timed]:
        """Take a request, and return the replies to it, each with the seconds from now until it is to be sent.

        Args:
            data: the request.
            now_s: the time, in seconds on any clock that does not go back.
            functional: whether it went to all ECUs.

        Raises:
            Exception: what a function of a rule, DID and so on has raised.
        """
        replies, error = self._take(Request(bytes(data), now_s, functional))
        if error is not None:
            raise error
        return replies

    def serve(self, data: bytes, now_s: float = 0.0, functional: bool = False) -> list[Timed]:
        """As `request`, on a bus: what a function raises goes to `failures`, and to the tester general reject."""
        replies, error = self._take(Request(bytes(data), now_s, functional))
        if error is not None:
            self.failures.append(error)
        return replies

    def _take(self, request: Request) -> tuple[list[Timed], Exception | None]:
        """The replies to a request, and what a function has raised."""
        now_s, error = request.now_s, None
        if not request.data or now_s < self._booting_until_s:
            return [], None
        self.counts["requests"] += 1
        if now_s < self._busy_until_s:
            replies = self._busy(request)
        else:
            self.advance(now_s)
            replies, error = self._replies(request)
            self._busy_until_s = self._active_s = now_s + max((after_s for after_s, _ in replies), default=0.0)
        for _, reply in replies:
            self.counts[_kind(reply)] += 1
        exchange = Exchange(request, tuple(replies))
        self.served.append(exchange)
        if self.on_served is not None:
            self.on_served(exchange)
        return replies, error

    def _busy(self, request: Request) -> list[Timed]:
        """What is said to a request that comes while the one before it is being worked on."""
        is_response = request.service & _POSITIVE
        if is_response or request.is_functional or request.data == _SILENT_TESTER_PRESENT:
            return []
        return [(0.0, bytes((_NEGATIVE, request.service, Nrc.BUSY_REPEAT_REQUEST)))]

    def _replies(self, request: Request) -> tuple[list[Timed], Exception | None]:
        is_rule = False
        answer: Any
        try:
            try:
                answer = self.rules.find(request.data)
                is_rule = True
            except KeyError:
                answer = self._answer(request)
            if callable(answer):
                answer = answer(request)
            return timed(request, answer, self, not is_rule and self._is_suppressed(request)), None
        except Refused as e:
            return timed(request, e.nrc, self, False), None
        except Exception as e:
            e.add_note(f"while ECU {self.name!r} answered {request.data[:16].hex(' ')}")
            return timed(request, Nrc.GENERAL_REJECT, self, False), e

    def _answer(self, request: Request) -> Any:
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

    def _is_suppressed(self, request: Request) -> bool:
        """Whether a service sends no positive response: the tester said so (suppressPosRspMsgIndicationBit)."""
        service = self.services.get(request.service)
        return service is not None and service.has_sub_function and bool(request.data[1] & _SUPPRESS)


def _kind(reply: bytes) -> str:
    """What a reply counts as."""
    if len(reply) == 3 and reply[0] == _NEGATIVE:
        return f"NRC 0x{reply[2]:02X}"
    return "replies"
