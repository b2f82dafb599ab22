"""isotp gateway as a process, before simulated ECUs; tests/gateway/ has the gateway itself."""

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from isotp.cli.commands.gateway_confirm import Confirmation
from isotp.cli.main import main

from ..waiting import async_until
from .test_virtual import Start, start

__all__ = ["start"]  # a fixture

ROOT = Path(__file__).parents[2]
FILE = str(ROOT / "examples" / "gateway.toml")
CAR = ["--car", str(ROOT / "examples" / "car.toml")]
ANY_PORT = ["--port", "0", "--no-announcement"]


def port_of(process: "subprocess.Popen[str]") -> int:
    """The port in its last line about itself."""
    assert process.stderr is not None
    while True:
        line = process.stderr.readline()
        assert line, "it ended"
        if line.startswith("on 127.0.0.1 port "):
            return int(line.split()[3].rstrip(","))


class Client:
    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._file = self._sock.makefile("rb")

    def send(self, kind: int, payload: str) -> None:
        data = bytes.fromhex(payload)
        self._sock.sendall(struct.pack(">BBHL", 2, 0xFD, kind, len(data)) + data)

    def read(self) -> tuple[int, str]:
        _, _, kind, length = struct.unpack(">BBHL", self._file.read(8))
        return kind, self._file.read(length).hex()

    def is_over(self) -> bool:
        return self._file.read() == b""

    def close(self) -> None:
        self._file.close()
        self._sock.close()


@pytest.mark.parametrize(("number", "ended"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_conversation_and_its_end(number: signal.Signals, ended: int, start: Start) -> None:
    process = start("gateway", FILE, *CAR, *ANY_PORT)
    tester = Client(port_of(process))
    tester.send(5, "0E00 00 00000000")
    assert tester.read() == (6, "0e0010001000000000")
    tester.send(0x8001, "0E00 0001 22F190")
    assert tester.read() == (0x8002, "00010e0000")
    assert tester.read() == (0x8001, "00010e0062f190" + b"WVWZZZ1JZXW000001".hex())
    tester.send(0x8001, "0E00 0018 3E00")
    assert tester.read() == (0x8002, "00180e0000")
    assert tester.read() == (0x8001, "00180e007e00")
    process.send_signal(number)
    assert tester.is_over()
    tester.close()
    _, err = process.communicate(timeout=60)
    assert process.returncode == ended
    assert "is tester 0x0e00: routing is active, type 0x00\n" in err
    assert err.endswith(f"ended by {number.name}\n")


def test_a_link_on_a_bus_that_the_file_names(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(
        '[gateway]\naddress = 9\n[[ecu]]\naddress = 1\nrxid = 0x7E8\ntxid = 0x7E0\nbus = "virtual"\n'
        "[[tester]]\naddress = 0x0E00\n",
        encoding="utf-8",
    )
    tester = Client(port_of(start("gateway", str(file), *ANY_PORT, "--fd", "--bs", "4")))
    tester.send(5, "0E00 00 00000000")
    assert tester.read()[0] == 6
    tester.send(0x8001, "0E00 0001 3E00")
    assert tester.read() == (0x8002, "00010e0000")
    tester.close()


def test_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert main(["gateway", FILE, *CAR, "--port", str(port)]) == 1
    assert f"cannot listen on 127.0.0.1 port {port}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "--bus is missing: where is the ECU 0x0001?"),
        ([*CAR, "--host", "0.0.0.0"], "--host 0.0.0.0 lets other machines send to the bus"),
        ([*CAR, "--host", "::"], "--host :: lets other machines send to the bus"),
        ([*CAR, "--max-clients", "256"], "--max-clients: '256': allowed is 1 to 255"),
        ([*CAR, "--initial-time", "5"], ""),
        ([*CAR, "--bus", "virtual", "--soft"], "--bus always takes the engine: leave out --soft"),
    ],
)
def test_what_is_refused(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    if told:
        assert main(["gateway", FILE, *options]) == 2
        assert told in capsys.readouterr().err
    else:
        assert main(["gateway", FILE, *options, "--check"]) == 0


def test_a_host_that_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", FILE, *CAR, "--host", "localhost"]) == 1
    assert "host='localhost': needed is an IP address" in capsys.readouterr().err


def test_check_shows_the_gateway(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gateway", FILE, "--check"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "gateway 0x1000, VIN WVWZZZ1JZXW000001",
        "0x0001 engine  rxid=0x7E8 txid=0x7E0",
        "0x0018 gearbox  rxid=0x18DAF118 txid=0x18DA18F1",
        "0xe000 to all of engine  txid=0x7DF",
    ]


@pytest.mark.parametrize(("typed", "agrees"), [(b"y\n", True), (b"yes\n", True), (b"n\n", False), (b"", False)])
def test_somebody_agrees_on_standard_input(typed: bytes, agrees: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    async def ask() -> bool:
        asked = asyncio.create_task(Confirmation(said.append)(0x0E00, "here"))
        await async_until(lambda: said)
        os.write(wfd, typed) if typed else os.close(wfd)
        return await asked

    rfd, wfd = os.pipe()
    with os.fdopen(rfd) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        assert asyncio.run(ask()) is agrees
        monkeypatch.undo()
    if typed:
        os.close(wfd)
    assert said == ["tester 0x0e00 at here asks for routing: let it in with y and Enter"]


def test_where_standard_input_is_a_file_nobody_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    with open(__file__, encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdin", file)
        assert not asyncio.run(_ask(said))
        monkeypatch.undo()
    assert said == ["tester 0x0e00 at here asks for routing, and nobody can be asked: it is refused"]


async def _ask(said: list[str]) -> bool:
    return await Confirmation(said.append)(0x0E00, "here")
