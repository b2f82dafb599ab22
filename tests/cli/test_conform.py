"""isotp conform, where it needs neither a kernel nor an adapter."""

import json
import threading
from collections.abc import Iterator

import can
import pytest

import isotp
from isotp.cli.commands import conform
from isotp.cli.main import main
from isotp.testing.conformance import Need, all_cases
from isotp.testing.conformance.cases.ecu import Dialogue, ecu_cases
from isotp.testing.conformance.engine_subject import demo_answer

from ..waiting import until

VIRTUAL = ["conform", "--bus", "virtual", "-s", "7E0", "-d", "7E8"]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    before = threading.enumerate()
    yield
    until(lambda: set(threading.enumerate()) <= set(before))  # an adapter's reading thread ends a moment later


def test_the_engine_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "--of", "engine", "--json"]) == 0
    known = json.loads(capsys.readouterr().out)
    assert known["subject"] == "isotp.engine"
    assert known["counts"] == {"passed": len(all_cases()) - 2, "failed": 0, "differs": 2, "not_applicable": 0}


def test_differences_are_shown_and_are_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "--of", "engine", "--cases", "flow control/changing *"]) == 0
    shown = capsys.readouterr().out
    assert "differs on purpose: flow control/changing BS (ISO 15765-2:2016, 9.6.5.6)\n" in shown
    assert shown.endswith("isotp.engine: 4 cases: 2 passed, 0 failed, 2 differs on purpose, 0 not applicable\n")


def test_a_failure_is_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(conform, "ENGINE", ())
    assert main(["conform", "--of", "engine", "--cases", "flow control/changing BS"]) == 1
    assert "expected 23 8F 96 9D A4 AB B2 B9, got no frame within 900 ms" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--fd"],
        ["-p", "AA"],
        ["-x", "F1:10"],
    ],
    ids=" ".join,
)
def test_an_ecu_on_the_virtual_bus(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*VIRTUAL, "--reply", "22F190", "--cases", "ECU/reply/BS [02]", *options]) == 0
    assert ": 2 cases: 2 passed, 0 failed" in capsys.readouterr().out
    assert main([*VIRTUAL, "--cases", "ECU/request/[1-6]* bytes", *options, "-v"]) == 0
    shown = capsys.readouterr().out
    assert "passed: ECU/request/62 bytes (ISO 15765-2:2016, 9.3)\n" in shown
    assert " 0 failed" in shown


def test_an_ecu_on_an_adapter_of_python_can(capsys: pytest.CaptureFixture[str]) -> None:
    with can.Bus(interface="virtual", channel="conform") as adapter:
        sock = isotp.SoftSocket(isotp.PythonCanBus(adapter))
        sock.bind(rxid=0x7E0, txid=0x7E8)

        def serve() -> None:
            try:
                while True:
                    sock.send(demo_answer(sock.recv()))
            except isotp.SocketClosedError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        arguments = ["--reply", "22F190", "--cases", "ECU/re*/[s12BW]*[0-46] *", "-s", "7E0", "-d", "7E8"]
        ended = main(["conform", "--bus", "virtual:conform", *arguments])
        sock.close()
        thread.join()
    shown = capsys.readouterr().out
    assert ended == 0, shown
    assert " passed, 0 failed, 0 differs on purpose, 0 not applicable" in shown


def test_without_a_long_answer_its_cases_are_not_applicable(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*VIRTUAL, "--cases", "ECU/reply/*"]) == 0
    count = sum(Need.LONG_ANSWER in case.needs for case in ecu_cases(Dialogue()))
    assert f"not applicable: {count}, for a subject that {Need.LONG_ANSWER.value}\n" in capsys.readouterr().out


def test_an_ecu_that_is_silent_is_3(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(conform, "_demo_ecu", lambda *_: None)
    assert main(VIRTUAL) == 3
    assert "no answer to 3E 00 within 2 s\n  to do: are -s and -d right?" in capsys.readouterr().err


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conform", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(ecu_cases(Dialogue()))
    assert main(["conform", "--list", "--of", "kernel", "--cases", "timing/N_Cr/*"]) == 0
    assert all(line.endswith("(ISO 15765-2:2016, 9.8.2)") for line in capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["conform"], "INTERFACE is missing"),
        (["conform", "vcan0"], "-s and -d missing"),
        (["conform", "--of", "engine", "vcan0"], "--of engine needs no interface"),
        (["conform", "--of", "engine", "--reply", "22F190"], "leave out --bus and --reply"),
        (["conform", "--of", "kernel"], "INTERFACE is missing"),
        (["conform", "--of", "engine", "--cases", "nothing"], "'nothing' fits no case: --list prints all names"),
        ([*VIRTUAL, "--request", "3E"], "--request needs two bytes"),
        ([*VIRTUAL, "--request", "22F190"], "in several frames: --request needs one that is answered with one frame"),
        ([*VIRTUAL, "--reply", "3E00"], "--reply 3E 00 is answered with one frame, 7E 00"),
    ],
)
def test_wrong_usage(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert says in capsys.readouterr().err
