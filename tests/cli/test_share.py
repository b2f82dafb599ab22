"""isotp share as a process on --bus virtual, and the commands that use what it shares."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from isotp.cli.main import main

from ..remote.edges import free_port
from .test_virtual import ISOTP

NAME = "garage/car7/engine"
SHARED = ["--bus", f"zenoh:{NAME}"]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def sharing(port: int) -> Iterator["subprocess.Popen[str]"]:
    endpoint = f"tcp/127.0.0.1:{port}"
    command = [*ISOTP, "share", "--bus", "virtual", "-s", "7E0", "-d", "7E8", "--as", NAME, "--listen", endpoint]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"offered: {NAME}  rxid=0x7E8 txid=0x7E0\n"
        assert process.stderr.readline() == f"reached at: {endpoint}\n"
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143


@pytest.fixture(autouse=True)
def client(sharing: "subprocess.Popen[str]", port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"mode": "client", "connect": {"endpoints": [f"tcp/127.0.0.1:{port}"]}}
    path = tmp_path / "client.json5"
    path.write_text(json.dumps(config | {"scouting": {"multicast": {"enabled": False}}}))
    monkeypatch.setenv("ZENOH_CONFIG", str(path))


def test_a_message_there_and_back(sharing: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send", *SHARED, "-w", "22", "F1", "90"]) == 0
    assert capsys.readouterr().out == "22 F1 90\n"
    assert sharing.stderr is not None
    told = [sharing.stderr.readline().partition(f"{NAME}: ")[2].rstrip() for _ in range(3)]
    assert told == ["opened rxid=0x7E8 txid=0x7E0", "sent 3 bytes, 22 f1 90", "closed"]


def test_what_is_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["remote", "list"]) == 0
    assert capsys.readouterr().out == f"{NAME}  rxid=0x7E8 txid=0x7E0\n"
    assert main(["remote", "list", "garage/*/engine", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"link": NAME, "address": "rxid=0x7E8 txid=0x7E0", "holders": []}
    assert main(["remote", "list", "lab/**"]) == 1
    assert capsys.readouterr() == ("", "no such link is offered\n")


@pytest.mark.parametrize(
    ("words", "ended", "says"),
    [
        (["recv", *SHARED, "--timeout", "1ms"], 3, "no message"),
        (["recv", *SHARED, "--timeout", "1ms", "--listen"], 3, "no message"),
        (["send", *SHARED, "--bs", "8", "22"], 1, "bs=8"),
        (["send", *SHARED, "-s", "1", "-d", "2", "22"], 1, "leave the address out"),
        (["send", "--bus", "zenoh:a//b", "22"], 1, "cannot name a link"),
        (["dump", *SHARED], 2, "isotp recv --bus"),
        (["scan", *SHARED, "--range", "700-701"], 2, "whole messages"),
        (["share", "edge.toml", "--as", "x"], 2, "edge file says it all"),
        (["share", "can0", "-s", "1", "-d", "2"], 2, "--as is missing"),
        (["share", "can0", "-s", "1", "-d", "2", "--as", "x", "--listen", "tcp/0.0.0.0:1"], 1, "--insecure"),
    ],
)
def test_what_ends_otherwise(words: list[str], ended: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == ended
    assert says in capsys.readouterr().err


def test_the_access_control_for_a_router(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "edge.toml"
    path.write_text(
        'connect = "tcp/127.0.0.1:1"\n[[link]]\nname = "a/b"\nbus = "virtual"\ntxid = 1\nrxid = 2\n'
        '[[client]]\nname = "alice"\nlinks = ["a/*"]\n'
    )
    assert main(["share", str(path), "--router-config"]) == 0
    control = json.loads(capsys.readouterr().out)["access_control"]
    assert control["default_permission"] == "deny"
    assert control["rules"][0]["key_exprs"] == ["isotp/a/*/@by/alice"]
