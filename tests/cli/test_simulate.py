"""isotp simulate, where it needs neither a kernel nor an adapter."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import isotp
from isotp.cli.commands import simulate
from isotp.cli.main import main
from isotp.testing import Car, Ecu, Reply, load_car

from ..examples import EXAMPLES

CAR = str(EXAMPLES / "car.toml")
ISOTP = [sys.executable, "-m", "isotp"]
DESCRIBED = """\
engine  7E0 -> 7E8, to all 7DF  rules 5, DIDs 4, DTCs 2, security 2, routines 2, download
gearbox  18DA18F1 -> 18DAF118, to all 18DB33F1  DIDs 1
light  6F1/60 -> 660/F1, to all 6F1/DF  DIDs 1
doors  750/40 -> 758/40  DIDs 1
"""
NOTHING_ASKED = "".join(f"{name}: 0 requests, 0 replies\n" for name in ("engine", "gearbox", "light", "doors"))


def test_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", CAR, "--check"]) == 0
    assert capsys.readouterr().out == DESCRIBED


def test_duration(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", CAR, "--bus", "virtual", "--duration", "1ms", "--fd", "-p", "AA", "--stmin", "1ms"]) == 0
    assert capsys.readouterr().out == DESCRIBED + NOTHING_ASKED


def test_ctrl_c() -> None:
    program = subprocess.Popen([*ISOTP, "simulate", CAR, "--bus", "virtual"], stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert any("doors" in line for line in program.stdout)
    program.send_signal(signal.SIGINT)
    rest, _ = program.communicate(timeout=30)
    assert program.returncode in (130, -signal.SIGINT)
    assert rest in (NOTHING_ASKED, "")  # the latter if it came before they were bound


def test_requests_are_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bus = isotp.VirtualBus()
    monkeypatch.setattr(simulate, "open_bus", lambda *_: bus)

    def ask(car: Any, seconds: float | None) -> None:
        with car, isotp.SoftSocket(bus, 30.0) as tester:
            tester.bind(rxid=0x7E8, txid=0x7E0)
            for request in ("22 F1 90", "31 01 02 05", "22 02 00"):
                tester.send(bytes.fromhex(request))
                tester.recv()

    monkeypatch.setattr(Car, "run", ask)
    monkeypatch.setattr(simulate, "load_car", load_quick)
    assert main(["simulate", CAR, "--bus", "virtual", "--verbose"]) == 0
    shown = capsys.readouterr().out.removeprefix(DESCRIBED).splitlines()
    assert shown[:6] == [
        "engine <- 22 F1 90",
        "engine -> 62 F1 90 57 56 57 5A 5A 5A 31 4A 5A 58 57 30 30 30 30 30 31",
        "engine <- 31 01 02 05",
        "engine -> 71 01 02 05 after 0.001 s",
        "engine <- 22 02 00",
        "engine -> 7F 22 22",
    ]
    assert shown[6] == "engine: 3 requests, 2 replies, NRC 0x22: 1"


def load_quick(path: str) -> tuple[Ecu, ...]:
    """The car, with a reply that takes a millisecond at most."""
    ecus = load_car(path)
    ecus[0].rules["31 01 02 05 *"] = Reply("71 01 02 05", after_s=0.001)
    return ecus


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        ([CAR], 2, "--bus is missing"),
        ([], 2, "FILE"),
        ([CAR, "--bus", "x:"], 2, "allowed is virtual, or an interface of python-can"),
        pytest.param(
            *([CAR, "--bus", "udp_multicast"], 2, "allowed is virtual, or an interface of python-can with its channel"),
            marks=pytest.mark.skipif(not find_spec("can"), reason="python-can is not installed"),
        ),
        ([CAR, "--bus", "vcan0", "--bitrate", "500000"], 2, "--bitrate 500000 is for an adapter of python-can"),
        ([CAR, "--bus", "virtual", "--soft"], 2, "--bus always takes the engine: leave out --soft"),
        (["nothing.toml", "--check"], 1, "No such file or directory: nothing.toml"),
    ],
)
def test_what_cannot_be(arguments: list[str], status: int, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *arguments]) == status
    assert told in capsys.readouterr().err


def test_a_file_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "car.toml"
    path.write_text("[[ecu]]\nrxid = 1\ntxid = 2\nboot = 'x'")
    assert main(["simulate", os.fspath(path), "--check"]) == 1
    told = "ecu[0].boot: 'x': allowed is a number from 0 to 1e+06 seconds, without quotes"
    assert capsys.readouterr().err == f"{path}: {told}\n"
