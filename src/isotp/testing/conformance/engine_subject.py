"""The engine of this library as a subject: without I/O, and time is simulated."""

from collections import deque
from collections.abc import Callable

from ...can_frame import CanFrame
from ...engine.engine import Engine
from ...engine.events import Event, MessageReceived, MessageSent, TransferFailed
from ...engine.params import Params
from .case import Need, Setup
from .subject import Heard, Reported, Subject

_LONGEST = 1 << 20

_VIN = b"ISOTP0CONFORM0000"


def demo_answer(request: bytes) -> bytes:
    """What a small ECU answers: TesterPresent, and its VIN by 22 F1 90."""
    if request == b"\x3e\x00":
        return b"\x7e\x00"
    if request == b"\x22\xf1\x90":
        return b"\x62\xf1\x90" + _VIN
    wrong_length, not_supported = 0x13, 0x11
    return bytes((0x7F, request[0], wrong_length if request[0] in (0x22, 0x3E) else not_supported))


class EngineSubject(Subject):
    """An `Engine` whose frames are on the bus at once, by a clock that only the case advances.

    Args:
        answer: returns what the application answers to a request, b"" for nothing; None: it answers nothing.
        engine: makes the engine, from an address and Params.
    """

    name = "isotp.engine"
    abilities = frozenset(Need) - {Need.ANSWER, Need.LONG_ANSWER}

    def __init__(
        self,
        answer: Callable[[bytes], bytes] | None = None,
        engine: Callable[..., Engine] = Engine,
    ) -> None:
        self._answer = answer
        self._make_engine = engine
        if answer is not None:
            self.abilities = frozenset(Need)
        self._now = 0

    def open(self, setup: Setup) -> None:
        """See `Subject`."""
        params = Params(
            can_fd=setup.can_fd,
            tx_dl=setup.tx_dl,
            tx_padding=setup.padding,
            bs=setup.bs,
            stmin=setup.stmin,
            max_pdu_size=setup.max_size or _LONGEST,
            wftmax=setup.wftmax,
            half_duplex=setup.half_duplex,
            dynamic_flow_control=setup.dynamic,
        )
        self._engine = self._make_engine(self.address(setup), params)
        self._frames: deque[Heard] = deque()
        self._reports: deque[Reported] = deque()
        self._is_blocked = False

    def close(self) -> None:
        """See `Subject`."""

    def now(self) -> int:
        """See `Subject`."""
        return self._now

    def send(self, frame: CanFrame, is_exact: bool) -> None:
        """See `Subject`."""
        self._engine.receive_frame(frame, self._now)
        self._pump()

    def receive(self, until_ns: int) -> Heard | None:
        """See `Subject`."""
        self._advance(until_ns, self._frames)
        return self._frames.popleft() if self._frames else None

    def report(self, until_ns: int) -> Reported | None:
        """See `Subject`."""
        self._advance(until_ns, self._reports)
        return self._reports.popleft() if self._reports else None

    def ask(self, data: bytes) -> None:
        """See `Subject`."""
        self._engine.send(data, self._now)
        self._pump()

    def hold(self, on: bool) -> None:
        """See `Subject`."""
        self._engine.set_ready(not on, self._now)
        self._pump()

    def block(self, on: bool) -> None:
        """See `Subject`."""
        self._is_blocked = on

    def _advance(self, until_ns: int, queue: deque[Heard] | deque[Reported]) -> None:
        """Let time pass until `queue` has something, at most until then."""
        while not queue:
            timer_ns = self._engine.get_timer()
            if timer_ns is None or timer_ns > until_ns:
                self._now = max(self._now, until_ns)
                return
            self._now = max(self._now, timer_ns)
            self._engine.handle_timer(self._now)
            self._pump()

    def _pump(self) -> None:
        while frames := self._engine.frames_to_send(self._now):
            if not self._is_blocked:
                self._frames += (Heard(self._now, frame) for frame in frames)
                self._engine.frame_sent(self._now, len(frames))
        while event := self._engine.next_event():
            self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case MessageReceived(data) if self._answer is not None:
                if (answer := self._answer(data)) and not self._engine.is_sending:
                    self.ask(answer)
            case MessageReceived(data):
                self._reports.append(Reported(self._now, "message", data))
            case MessageSent() if self._answer is None:
                self._reports.append(Reported(self._now, "sent"))
            case TransferFailed() if self._answer is None:
                self._reports.append(Reported(self._now, event.n_result.name, text=event.error.what))
