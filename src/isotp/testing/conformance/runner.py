"""Running cases against a subject."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from ...can_frame import CLASSICAL_MAX_LENGTH, LENGTH_OF_DLC, CanFrame
from ...engine.n_pdu import FlowControl, FlowStatus, SingleFrame, decode, single_frame_end
from ...stmin import STmin
from ..notation import format_frame, format_n_pdu, parse
from .case import (
    ANSWER_MS,
    MESSAGE,
    OR,
    PENDING_MS,
    SENT,
    Ask,
    Block,
    Case,
    Expect,
    Follow,
    Hold,
    Need,
    Pause,
    Reports,
    Send,
    Silence,
)
from .subject import Heard, Reported, Subject

_MS: Final = 1_000_000


class Verdict(Enum):
    """How a case ended."""

    PASSED = "passed"
    FAILED = "failed"
    DIFFERS = "differs on purpose"
    NOT_APPLICABLE = "not applicable"


class Difference(NamedTuple):
    """What a subject is known to do in another way than the standard."""

    cases: str
    """Their names, with * and ? as in names of files."""
    why: str


@dataclass(frozen=True, slots=True)
class Result:
    """How one case ended."""

    case: Case
    verdict: Verdict
    reason: str = ""
    """Why it was not passed."""
    trace: tuple[str, ...] = ()
    """What happened, oldest first, with the time in milliseconds: > by the tester, < by the subject, * a report."""


class _Failed(Exception):  # noqa: N818 - reads as what it is
    """The case failed; the text says what was expected, and what came."""


class _Run:
    """One case.

    Args:
        case: which.
        subject: open for it.
    """

    def __init__(self, case: Case, subject: Subject) -> None:
        self._case = case
        self._subject = subject
        address = subject.address(case.setup)
        tx, rx = address.tx, address.rx
        self._reported: list[Reported] = []  # taken, and left for the next step
        self._tx_id = None if tx is None else tx.can_id
        self._tx_byte = b"" if tx is None or tx.address_byte is None else bytes((tx.address_byte,))
        self._rx_id = 0 if rx is None else rx.can_id
        self._rx_byte = b"" if rx is None or rx.address_byte is None else bytes((rx.address_byte,))
        self._heard: deque[Heard] = deque()  # the same
        self._block_left: int | None = None  # how many frames the subject's flow control still allows; None: any number
        self._gap_ns = 0
        self._begin_ns = self._last_ns = subject.now()
        self.trace: list[str] = []

    def steps(self) -> None:
        """Make all steps; raises _Failed."""
        for step in self._case.steps:
            match step:
                case Send():
                    self._send(step)
                case Follow():
                    self._follow(step)
                case Expect():
                    self._expect(step)
                case Reports():
                    self._reports(step)
                case Silence(ms):
                    self._silence(self._subject.now() + round(ms * _MS), str(step))
                case Pause(ms):
                    self._note(self._subject.now(), ">", str(step))
                    self._pause(round(ms * _MS))
                case Ask(data):
                    self._last_ns = self._subject.now()
                    self._note(self._last_ns, ">", str(step))
                    self._subject.ask(data)
                case Hold(on):
                    self._note(self._subject.now(), ">", str(step))
                    self._subject.hold(on)
                case Block(on):
                    self._note(self._subject.now(), ">", str(step))
                    self._subject.block(on)
        self._silence(self._subject.now(), "nothing more")
        report = self._next_report(0)
        if report is not None and (report.what == MESSAGE or Need.RESULT in self._subject.abilities):
            self._note_report(report)
            raise _Failed(f"expected nothing more, got a report: {_words(report)}")

    def _note(self, time_ns: int, who: str, text: str) -> None:
        self.trace.append(f"{(time_ns - self._begin_ns) / _MS:9.3f} {who} {text}")

    def _send(self, step: Send) -> None:
        text = parse(step.text)
        frame = text.frame(self._rx_id, self._rx_byte, is_fd=self._case.setup.can_fd)
        self._last_ns = self._subject.now()
        elsewhere = step.text.rpartition(":")[0]
        shown = format_n_pdu(frame.data, len(frame.data[: 1 if text.address_byte is not None else len(self._rx_byte)]))
        self._note(self._last_ns, ">", f"{elsewhere}: {shown}" if elsewhere else shown)
        self._subject.send(frame, is_exact=text.padding is not None)

    def _follow(self, step: Follow) -> None:
        for text in step.texts:
            self._wait_for_grant()
            while heard := self._subject.receive(self._last_ns + self._gap_ns):
                self._heard.append(heard)
            self._send(Send(text))
            self._block_left = None if self._block_left is None else self._block_left - 1
        if step.goes_on:
            self._wait_for_grant()

    def _wait_for_grant(self) -> None:
        """Wait for flow control; the frames of a message that the subject sends meanwhile are for later steps."""
        others: list[Heard] = []
        while self._block_left == 0:
            heard = self._next(self._last_ns + round(ANSWER_MS * _MS) + self._subject.late_ns)
            if heard is None:
                raise _Failed(f"expected flow control, got none within {ANSWER_MS:g} ms{self._instead()}")
            if any(self._matches(text, heard.frame) for text in ("FC CTS ..", "FC WAIT ..")):
                self._note(heard.time_ns, "<", self._shown(heard.frame))
                self._last_ns = heard.time_ns
                self._take_flow_control(heard.frame)
            else:
                others.append(heard)
        self._heard.extendleft(reversed(others))

    def _next(self, until_ns: int) -> Heard | None:
        return self._heard.popleft() if self._heard else self._subject.receive(until_ns)

    def _take_flow_control(self, frame: CanFrame) -> None:
        """Remember what a flow control of the subject allows."""
        n_pdu = decode(frame.data, len(self._tx_byte))
        if isinstance(n_pdu, FlowControl) and n_pdu.status == FlowStatus.CTS:
            self._block_left = n_pdu.bs or None
            self._gap_ns = STmin(n_pdu.stmin).ns
        elif isinstance(n_pdu, FlowControl):
            self._block_left = 0

    def _expect(self, step: Expect) -> None:
        limit = self._last_ns + round(step.within_ms * _MS) + self._subject.late_ns
        heard = self._next(limit)
        if heard is None:
            raise _Failed(f"expected {step}, got no frame within {step.within_ms:g} ms{self._instead()}")
        self._note(heard.time_ns, "<", self._shown(heard.frame))
        if step.pending and self._matches(step.pending, heard.frame):
            self._last_ns = heard.time_ns
            self._expect(replace(step, within_ms=PENDING_MS))
            return
        fits = not step.is_sized or self._is_sized(heard.frame)
        if not fits or not any(self._matches(text, heard.frame) for text in step.text.split(OR)):
            raise _Failed(f"expected {step}, got {self._shown(heard.frame)} = {heard.frame.data.hex(' ').upper()}")
        self._check_time(str(step), heard.time_ns, step.after_ms, step.within_ms)
        self._last_ns = heard.time_ns
        self._take_flow_control(heard.frame)

    def _check_time(self, what: str, time_ns: int, after_ms: float, within_ms: float) -> None:
        took = time_ns - self._last_ns
        is_early = bool(after_ms) and took + self._subject.early_ns < after_ms * _MS
        if is_early or took - self._subject.late_ns > within_ms * _MS:
            raise _Failed(f"expected {what}: between {after_ms:g} and {within_ms:g} ms, got it after {took / _MS:g} ms")

    def _matches(self, text: str, frame: CanFrame) -> bool:
        begins = frame.data[: len(self._tx_byte)] == self._tx_byte
        right_kind = frame.is_fd == self._case.setup.can_fd
        wanted = parse(text)
        # 10.4: a subject whose padding cannot be set may have one of its own.
        if wanted.kind is None and Need.PADDING not in self._subject.abilities:
            wanted = replace(wanted, is_open=wanted.is_open or len(frame.data) == CLASSICAL_MAX_LENGTH)
        return frame.can_id == self._tx_id and begins and right_kind and wanted.matches(frame, len(self._tx_byte))

    def _is_sized(self, frame: CanFrame) -> bool:
        """Whether a single frame has 8 bytes, or no more than it needs."""
        n_pdu = decode(frame.data, len(self._tx_byte))
        if not isinstance(n_pdu, SingleFrame):
            return False
        end = single_frame_end(frame.data, len(self._tx_byte), len(n_pdu.data))
        return len(frame.data) in (CLASSICAL_MAX_LENGTH, next(length for length in LENGTH_OF_DLC if length >= end))

    def _shown(self, frame: CanFrame) -> str:
        """A frame of the subject in words, with its identifier and address byte where they are not those it has."""
        size = len(self._tx_byte)
        if frame.can_id == self._tx_id and frame.data[:size] == self._tx_byte:
            return format_n_pdu(frame.data, size)
        return format_frame(frame, size)

    def _silence(self, until_ns: int, what: str) -> None:
        heard = self._next(until_ns)
        if heard is not None:
            self._note(heard.time_ns, "<", self._shown(heard.frame))
            raise _Failed(f"expected {what}, got {self._shown(heard.frame)} = {heard.frame.data.hex(' ').upper()}")

    def _pause(self, ns: int) -> None:
        until_ns = self._subject.now() + ns
        while heard := self._next(until_ns):
            self._note(heard.time_ns, "<", self._shown(heard.frame))
            self._take_flow_control(heard.frame)

    def _reports(self, step: Reports) -> None:
        if step.what == SENT and Need.RESULT not in self._subject.abilities:
            return
        report = self._next_report(self._last_ns + round(step.within_ms * _MS) + self._subject.late_ns)
        wrong = report is not None and report.what not in step.what.split(OR)
        if step.is_optional and (report is None or wrong):
            self._reported += [report] if report else []
            return
        if report is None:
            raise _Failed(f"expected {step}, got none within {step.within_ms:g} ms")
        self._note_report(report)
        if wrong or (report.what == MESSAGE and report.data != step.data):
            raise _Failed(f"expected {step}, got {_words(report)}{_first_difference(report.data, step.data)}")
        self._check_time(str(step), report.time_ns, step.after_ms, step.within_ms)

    def _next_report(self, until_ns: int) -> Reported | None:
        return self._reported.pop() if self._reported else self._subject.report(until_ns)

    def _note_report(self, report: Reported) -> None:
        self._note(report.time_ns, "*", _words(report))

    def _instead(self) -> str:
        """What was reported, as a reason for a frame that did not come."""
        report = self._next_report(0) if Need.RESULT in self._subject.abilities else None
        if report is None:
            return ""
        self._note_report(report)
        return f"; it reports {_words(report)}"


def _words(report: Reported) -> str:
    what = f"message of {len(report.data)} bytes" if report.what == MESSAGE else report.what
    return f"{what} ({report.text})" if report.text else what


def _first_difference(have: bytes, wanted: bytes) -> str:
    if not have or not wanted:
        return ""
    at = next((i for i, (a, b) in enumerate(zip(have, wanted, strict=False)) if a != b), min(len(have), len(wanted)))
    return f", other than expected from byte {at} on"


def run_case(case: Case, subject: Subject, differences: Iterable[Difference] = ()) -> Result:
    """Run one case. One that fails and whose name is in `differences` differs on purpose."""
    if missing := case.needs - subject.abilities:
        names = sorted(need.value for need in missing)
        return Result(case, Verdict.NOT_APPLICABLE, f"for a subject that {' and '.join(names)}")
    if refusal := subject.refuses(case.setup):
        return Result(case, Verdict.NOT_APPLICABLE, refusal)
    subject.open(case.setup)
    try:
        run = _Run(case, subject)
        try:
            run.steps()
        except _Failed as e:
            subject.recover()
            known = next((one for one in differences if fnmatchcase(case.name, one.cases)), None)
            if known is not None:
                return Result(case, Verdict.DIFFERS, f"{known.why} ({e})", tuple(run.trace))
            return Result(case, Verdict.FAILED, str(e), tuple(run.trace))
    finally:
        subject.close()
    return Result(case, Verdict.PASSED, trace=tuple(run.trace))


def run_cases(
    cases: Iterable[Case],
    subject: Subject,
    differences: Sequence[Difference] = (),
    progress: Callable[[Result], object] = lambda result: None,
) -> list[Result]:
    """Run cases in order; `progress` is called with each result."""
    results = []
    for case in cases:
        results.append(run_case(case, subject, differences))
        progress(results[-1])
    return results
