"""The suite against the engine, and against engines that are broken on purpose: a case can fail."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from isotp import Address, IsoTpError, SocketClosedError, SoftSocket, VirtualBus
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.opts import flags
from isotp.testing.conformance import (
    Case,
    EngineSubject,
    Expect,
    Heard,
    Need,
    Report,
    Reports,
    Result,
    Send,
    Setup,
    Verdict,
    all_cases,
    run_case,
    run_cases,
)
from isotp.testing.conformance.bus_subject import BusSubject, ask
from isotp.testing.conformance.case import Step
from isotp.testing.conformance.cases.ecu import Dialogue, ecu_cases
from isotp.testing.conformance.differences import ENGINE
from isotp.testing.conformance.engine_subject import demo_answer
from isotp.testing.conformance.nodes import VirtualNode
from isotp.testing.conformance.socket_subject import SoftSubject
from isotp.testing.notation import parse

CASES = all_cases()
BY_NAME = {case.name: case for case in CASES}


@pytest.fixture(scope="module")
def results() -> list[Result]:
    return run_cases(CASES, EngineSubject(), ENGINE)


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(CASES) > 300
    assert len(BY_NAME) == len(CASES)


def test_each_case_is_complete() -> None:
    for case in CASES:
        assert re.fullmatch(r"(8|9|10)\.\d(\.\d)*", case.clause), case.name
        assert re.fullmatch(r"[A-Z0-9].*\.", case.what), case.name
        for step in case.steps:
            if isinstance(step, Send):
                parse(step.text).frame()
            elif isinstance(step, Expect):
                assert all(parse(text) for text in step.text.split(" or ")), case.name


def test_the_engine_passes(results: list[Result]) -> None:
    report = Report("isotp.engine", results)
    assert report.counts[Verdict.FAILED] == 0, str(report)
    assert report.counts[Verdict.NOT_APPLICABLE] == 0
    assert report.has_passed


def test_what_differs_is_what_is_listed(results: list[Result]) -> None:
    differing = {one.case.name for one in results if one.verdict is Verdict.DIFFERS}
    assert differing == {case.name for case in CASES if any(fnmatchcase(case.name, one.cases) for one in ENGINE)}


def test_no_case_is_there_twice() -> None:
    steps = Counter((case.setup, case.steps) for case in CASES)
    assert [case.name for case in CASES if steps[case.setup, case.steps] > 1] == []


@pytest.mark.parametrize(("bs", "stmin"), [(1, 0), (2, 10), (8, 0xF5), (1, 127)])
def test_a_stack_may_have_a_bs_and_stmin_of_its_own(bs: int, stmin: int) -> None:
    class Fixed(EngineSubject):
        abilities = EngineSubject.abilities - {Need.BS, Need.STMIN}

        def open(self, setup: Setup) -> None:
            super().open(replace(setup, bs=bs, stmin=stmin))

    report = Report("fixed", run_cases(CASES, Fixed(), ENGINE))
    assert report.counts[Verdict.FAILED] == 0, str(report)
    assert report.counts[Verdict.PASSED] > 600


def test_a_stack_may_have_a_padding_of_its_own() -> None:
    class Padding(EngineSubject):
        abilities = EngineSubject.abilities - {Need.PADDING}

        def open(self, setup: Setup) -> None:
            super().open(replace(setup, padding=0x55))

    report = Report("padding", run_cases(CASES, Padding(), ENGINE))
    assert report.counts[Verdict.FAILED] == 0, str(report)
    assert report.counts[Verdict.PASSED] > 600


# --- a case can fail


class Broken(Engine):
    """An engine that changes the frames it sends, or those it receives."""

    sends: Callable[[CanFrame], CanFrame] = staticmethod(lambda frame: frame)
    receives: Callable[[CanFrame], CanFrame] = staticmethod(lambda frame: frame)

    def frames_to_send(self, now: int, limit: int = 1024) -> list[CanFrame]:
        return [self.sends(frame) for frame in super().frames_to_send(now, limit)]

    def receive_frame(self, frame: CanFrame, now: int) -> None:
        super().receive_frame(self.receives(frame), now)


def broken(**changes: Any) -> type[Engine]:
    return type("Broken", (Broken,), {name: staticmethod(change) for name, change in changes.items()})


def data(change: Callable[[bytes], bytes]) -> Callable[[CanFrame], CanFrame]:
    return lambda frame: frame._replace(data=change(frame.data))


class NeverTimesOut(Engine):
    def handle_timer(self, now: int) -> None:
        """It forgets that time passes."""

    def get_timer(self) -> int | None:
        return None


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        (broken(sends=data(lambda d: d + b"\0" * (8 - len(d)))), "send/classical/3 bytes"),
        (broken(sends=data(lambda d: d[:-1] + b"\0")), "send/classical/20 bytes"),
        (broken(sends=data(lambda d: d.replace(b"\x30", b"\x31", 1))), "receive/classical/20 bytes"),
        (broken(sends=lambda f: f._replace(can_id=0x7E9)), "send/classical/1 bytes"),
        (broken(sends=lambda f: f._replace(is_fd=True)), "send/classical/1 bytes"),
        (broken(receives=data(lambda d: d[:-1] + b"\0")), "receive/classical/20 bytes"),
        (broken(receives=data(lambda d: b"\x05" + d[1:])), "invalid/idle/N_PCI type 4"),
        (broken(receives=data(lambda d: b"\x30" + d[1:])), "flow control/OVFLW"),
        (broken(receives=data(lambda d: d[:2] + b"\0")), "flow control/followed/STmin 14"),
        (broken(receives=data(lambda d: d[:1] + b"\0" + d[2:])), "flow control/followed/BS 2"),
        (NeverTimesOut, "timing/N_Bs/after the first frame"),
        (NeverTimesOut, "timing/N_Cr/after a frame"),
    ],
)
def test_a_broken_engine_fails(engine: type[Engine], name: str) -> None:
    case = BY_NAME[name]
    assert run_case(case, EngineSubject()).verdict is Verdict.PASSED
    result = run_case(case, EngineSubject(engine=engine))
    assert result.verdict is Verdict.FAILED
    assert result.reason.startswith("expected ")
    assert result.trace


def test_each_case_fails_against_an_engine_that_does_nothing() -> None:
    class Deaf(Engine):
        def receive_frame(self, frame: CanFrame, now: int) -> None:
            """It hears nothing."""

        def send(self, data: Any, now: int) -> None:
            """It says nothing."""

    passed = [one.case.name for one in run_cases(CASES, EngineSubject(engine=Deaf)) if one.verdict is Verdict.PASSED]
    assert passed == []


def case(*steps: Step, setup: Setup = Setup()) -> Case:  # noqa: B008 - frozen
    return Case(name="a case", clause="9.6", what="What it asks for.", steps=steps, setup=setup)


def test_a_failure_can_be_read() -> None:
    one = case(
        Send("FF 20 01 02 03 04 05 06"),
        Expect("FC CTS bs=8 stmin=5ms"),
        setup=Setup(bs=4, stmin=0xF1),
    )
    report = Report("the engine", run_cases([one], EngineSubject()))
    assert not report.has_passed
    assert str(report).splitlines() == [
        "failed: a case (ISO 15765-2:2016, 9.6)",
        "    What it asks for. Subject: BS 4, STmin(0xF1: 100 us).",
        "        0.000 > FF 20 01 02 03 04 05 06",
        "        0.000 < FC CTS bs=4 stmin=100us",
        "    expected FC CTS bs=8 stmin=5ms, got FC CTS bs=4 stmin=100us = 30 04 F1",
        "the engine: 1 cases: 0 passed, 1 failed, 0 differs on purpose, 0 not applicable",
    ]


def test_a_frame_too_many_fails() -> None:
    result = run_case(case(Send("FF 20 01 02 03 04 05 06")), EngineSubject())
    assert result.reason == "expected nothing more, got FC CTS bs=0 stmin=0 = 30 00 00"


def test_a_report_too_many_fails() -> None:
    result = run_case(case(Send("SF 01")), EngineSubject())
    assert result.reason == "expected nothing more, got a report: message of 1 bytes"


def test_a_message_too_many_fails_though_results_are_not_reported() -> None:
    class NoResults(EngineSubject):
        abilities = EngineSubject.abilities - {Need.RESULT}

    result = run_case(case(Send("SF 01")), NoResults())
    assert result.reason == "expected nothing more, got a report: message of 1 bytes"


def test_a_frame_that_does_not_come_says_what_was_reported() -> None:
    steps = (*BY_NAME["flow control/OVFLW"].steps[:3], Expect("CF 1 .."))
    result = run_case(case(*steps), EngineSubject())
    assert "got no frame within 900 ms; it reports N_BUFFER_OVFLW (the receiver has no room" in result.reason


def test_a_message_with_another_byte_says_which() -> None:
    result = run_case(case(Send("SF 01 02 03"), Reports("message", b"\1\2\4")), EngineSubject())
    assert result.reason.endswith("got message of 3 bytes, other than expected from byte 2 on")


def test_what_is_not_applicable_says_why() -> None:
    class Mute(EngineSubject):
        abilities = frozenset({Need.BS})

    result = run_case(BY_NAME["send/CAN FD TX_DL 64/62 bytes"], Mute())
    assert result.verdict is Verdict.NOT_APPLICABLE
    assert result.reason == (
        "for a subject that can be asked to send a message and has CAN FD and has a TX_DL that can be set"
    )
    report = Report("mute", [result])
    assert not report.has_passed
    assert "not applicable: 1, for a subject that can be asked to send" in str(report)


def test_a_subject_without_results_need_not_say_that_it_has_sent() -> None:
    class Silent(EngineSubject):
        abilities = EngineSubject.abilities - {Need.RESULT}

        def report(self, until_ns: int) -> None:
            """It says nothing."""

    assert run_case(BY_NAME["send/classical/20 bytes"], Silent()).verdict is Verdict.PASSED
    assert run_case(BY_NAME["flow control/OVFLW"], Silent()).verdict is Verdict.NOT_APPLICABLE


def test_a_subject_may_refuse_a_setup() -> None:
    class Refuses(EngineSubject):
        def refuses(self, setup: Setup) -> str | None:
            return "for a subject with another TX_DL" if setup.tx_dl == 64 else None

    assert run_case(BY_NAME["send/classical/20 bytes"], Refuses()).verdict is Verdict.PASSED
    result = run_case(BY_NAME["send/CAN FD TX_DL 64/62 bytes"], Refuses())
    assert (result.verdict, result.reason) == (Verdict.NOT_APPLICABLE, "for a subject with another TX_DL")


def test_as_dict() -> None:
    known = Report("it", run_cases([BY_NAME["send/classical/1 bytes"]], EngineSubject())).as_dict()
    assert known["counts"] == {"passed": 1, "failed": 0, "differs": 0, "not_applicable": 0}
    assert known["cases"][0]["trace"] == [
        "    0.000 > the subject is asked to send 1 bytes",
        "    0.000 < SF 03",
        "    0.000 * sent",
    ]


# --- an ECU, of which only its frames are known

VIN = demo_answer(b"\x22\xf1\x90")
WITH_REPLY = Dialogue(reply_to=b"\x22\xf1\x90", reply=VIN)


@pytest.mark.parametrize("can_fd", [False, True])
def test_an_ecu_on_the_engine_passes(can_fd: bool) -> None:
    report = Report("the ECU", run_cases(ecu_cases(WITH_REPLY, can_fd), EngineSubject(demo_answer)))
    assert report.counts[Verdict.PASSED] == len(report.results) > 100, str(report)


@pytest.mark.parametrize("bs", [1, 2, 7])
def test_the_tester_follows_the_flow_control_of_an_ecu(bs: int) -> None:
    class Slow(EngineSubject):
        def open(self, setup: Setup) -> None:
            super().open(replace(setup, bs=bs, stmin=20))

    report = Report("the ECU", run_cases(ecu_cases(WITH_REPLY), Slow(demo_answer)))
    assert report.counts[Verdict.FAILED] == 0, str(report)


def test_an_ecu_that_does_nothing_passes_nothing() -> None:
    silent = EngineSubject(lambda request: b"")
    passed = [one.case.name for one in run_cases(ecu_cases(WITH_REPLY), silent) if one.verdict is Verdict.PASSED]
    assert passed == []


@pytest.mark.parametrize(
    ("engine", "name"),
    [
        (NeverTimesOut, "ECU/timing/N_Cr over"),
        (broken(receives=data(lambda d: d[:1] + b"\0" + d[2:] if d[0] == 0x30 else d)), "ECU/reply/BS 1"),
        (broken(receives=data(lambda d: d[:2] + b"\0" if d[0] == 0x30 else d)), "ECU/reply/STmin 14"),
        (broken(receives=data(lambda d: b"\x30" + d[1:] if d[0] == 0x32 else d)), "ECU/reply/FC OVFLW"),
        (broken(sends=data(lambda d: d.ljust(7, b"\0"))), "ECU/answer/length"),
    ],
)
def test_a_broken_ecu_fails(engine: type[Engine], name: str) -> None:
    case = next(case for case in ecu_cases(WITH_REPLY) if case.name == name)
    assert run_case(case, EngineSubject(demo_answer)).verdict is Verdict.PASSED
    assert run_case(case, EngineSubject(demo_answer, engine)).verdict is Verdict.FAILED


def test_a_response_that_is_pending_is_no_answer() -> None:
    bus = VirtualBus()
    answers = {b"\x02\x3e\x00": [b"\x03\x7f\x3e\x78", b"\x02\x7e\x00"]}

    def ecu(frame: CanFrame) -> None:
        for data in answers.get(frame.data, []) if frame.can_id == 0x7E0 else []:
            bus.inject(CanFrame(0x7E8, data))

    bus.listen(ecu)
    with closing(VirtualNode(bus)) as node:
        subject = BusSubject(node, Address.normal(rxid=0x7E0, txid=0x7E8))
        result = run_case(ecu_cases(Dialogue())[0], subject)
    assert result.verdict is Verdict.PASSED, result.reason
    assert [line.split(maxsplit=1)[1] for line in result.trace] == ["> SF 3E 00", "< SF 7F 3E 78", "< SF 7E 00"]


class Later(EngineSubject):
    """An ECU that does one more thing later."""

    _due: tuple[int, Callable[[], None]] | None = None

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self._due = (self.now() + round(seconds * 1e9), call)

    def receive(self, until_ns: int) -> Heard | None:
        due_ns, call = self._due or (until_ns + 1, lambda: None)
        heard = super().receive(min(until_ns, due_ns))
        if heard is None and due_ns <= until_ns:
            self._due = None
            call()
            heard = super().receive(until_ns)
        return heard


def test_an_ecu_may_be_slow_after_response_pending() -> None:
    class Slow(Later):
        def ask(self, data: bytes) -> None:
            request = b"\x22" if data == VIN else bytes((data[1] if data[0] == 0x7F else data[0] - 0x40,))
            super().ask(b"\x7f" + request + b"\x78")
            self.later(4.0, lambda: EngineSubject.ask(self, data))

    names = ("ECU/request/*", "ECU/answer/*", "ECU/reply/BS*")
    chosen = [one for one in ecu_cases(WITH_REPLY) if any(fnmatchcase(one.name, name) for name in names)]
    report = Report("the ECU", run_cases(chosen, Slow(demo_answer)))
    assert report.counts[Verdict.PASSED] == len(chosen) > 20, str(report)


def test_an_ecu_may_wait_before_it_receives() -> None:
    class Busy(Later):
        def send(self, frame: CanFrame, is_exact: bool) -> None:
            if frame.data[0] >> 4 == 1:
                self.hold(True)
                self.later(0.4, lambda: self.hold(False))
            super().send(frame, is_exact)

    cases = [one for one in ecu_cases(WITH_REPLY) if fnmatchcase(one.name, "ECU/request/* bytes*")]
    report = Report("the ECU", run_cases(cases, Busy(demo_answer)))
    assert report.counts[Verdict.PASSED] == len(cases) > 5, str(report)
    assert any("FC WAIT" in line for line in report.results[0].trace)


def test_the_first_question_waits_for_an_answer_that_is_pending() -> None:
    bus = VirtualBus()

    def ecu(frame: CanFrame) -> None:
        if frame.data == b"\x03\x22\xf1\x90":
            bus.inject(CanFrame(0x7E8, b"\x03\x7f\x22\x78"))
            bus.inject(CanFrame(0x7E8, b"\x10\x14\x62\xf1\x90" + VIN[3:6]))
        elif frame.data[:1] == b"\x30":
            bus.inject(CanFrame(0x7E8, b"\x21" + VIN[6:13]))
            bus.inject(CanFrame(0x7E8, b"\x22" + VIN[13:]))

    bus.listen(ecu)
    with closing(VirtualNode(bus)) as node:
        assert ask(node, Address.normal(txid=0x7E0, rxid=0x7E8), b"\x22\xf1\x90") == (VIN, 8)


def test_a_failure_does_not_spoil_the_next_case() -> None:
    """The ECU still waits for flow control when the next case begins; it is half duplex, as many are."""
    bus = VirtualBus()
    begin = replace(ecu_cases(WITH_REPLY)[0], name="fails", steps=(Send("SF 22 F1 90"), Expect("SF 62 ..")))
    with ExitStack() as stack:
        ecu = stack.enter_context(SoftSocket(bus))
        ecu.set_general_opts(flags.HALF_DUPLEX)
        ecu.bind(rxid=0x7E0, txid=0x7E8)

        def serve() -> None:
            while True:
                try:
                    ecu.send(demo_answer(ecu.recv()))
                except SocketClosedError:
                    return
                except IsoTpError:
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        stack.callback(ecu.close)
        node = stack.enter_context(closing(VirtualNode(bus)))
        subject = BusSubject(node, Address.normal(rxid=0x7E0, txid=0x7E8), has_long_answer=True, late_s=30)
        results = run_cases([begin, ecu_cases(WITH_REPLY)[0]], subject)
    assert [one.verdict for one in results] == [Verdict.FAILED, Verdict.PASSED], results[1].reason


def test_sockets_in_real_time() -> None:
    names = (
        "send/classical/20 bytes",
        "receive/CAN FD RX_DL 64/300 bytes",
        "flow control/OVFLW",
        "address/mixed 29 bits/*",
    )
    chosen = [case for case in CASES if any(fnmatchcase(case.name, name) for name in names)]
    report = Report("isotp.SoftSocket", run_cases(chosen, SoftSubject(late_s=30)))
    assert report.counts[Verdict.PASSED] == len(chosen) > 10, str(report)
