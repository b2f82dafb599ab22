"""What works on macOS and Windows, as far as it can be seen on Linux; `.github/workflows` has the real systems."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.parametrize("platform", ["darwin", "win32"])

ROOT = Path(__file__).resolve().parents[1]


def run(platform: str, program: str) -> str:
    """What a program prints after names of Linux were taken away."""
    begin = f"from tests.other_systems import become\nbecome({platform!r})\n"
    done = subprocess.run([sys.executable, "-c", begin + program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_public_name_can_be_imported(platform: str) -> None:
    program = """
import importlib
for room in ("isotp", "isotp.opts", "isotp.engine", "isotp.bus", "isotp.capture", "isotp.testing", "isotp.compat"):
    module = importlib.import_module(room)
    for name in module.__all__:
        getattr(module, name)
print("all")
"""
    assert run(platform, program) == "all\n"


def test_sockets_of_the_engine(platform: str) -> None:
    program = """
import asyncio, isotp
bus = isotp.VirtualBus()
with isotp.SoftSocket(bus, 20) as a, isotp.SoftSocket(bus, 20) as b:
    a.bind(rxid=1, txid=2), b.bind(rxid=2, txid=1)
    a.send(bytes(300))
    print(len(b.recv()))
async def main():
    bus = isotp.VirtualBus()
    async with isotp.AsyncSoftSocket(bus, 20) as a, isotp.AsyncSoftSocket(bus, 20) as b:
        a.bind(rxid=1, txid=2), b.bind(rxid=2, txid=1)
        await a.send(bytes(400))
        print(len(await b.recv()))
asyncio.run(main())
"""
    assert run(platform, program) == "300\n400\n"


@pytest.mark.parametrize(
    "opens",
    ["socket()", "AsyncSocket()", "SoftSocket(isotp.SocketCanBus('vcan0')).bind(rxid=1, txid=2)"],
)
def test_what_needs_linux_says_so(platform: str, opens: str) -> None:
    program = f"""
import isotp
try:
    isotp.{opens}
except isotp.UnavailableError as e:
    print(e)
"""
    told = run(platform, program)
    assert f"exist on Linux only, and this is {platform}" in told
    assert "SoftSocket" in told or "PythonCanBus" in told, "what to use here"
    assert "modprobe" not in told


@pytest.mark.parametrize(
    "words",
    ["send can0 -s 1 -d 2 01", "recv can0 -s 1 -d 2", "send can0 --soft -s 1 -d 2 01", "dump can0", "vcan list",
     "serve can0 -s 1 -d 2", "scan can0"],
)  # fmt: skip
def test_commands_that_need_linux_name_the_engine(platform: str, words: str) -> None:
    program = f"""
import sys
from isotp.cli.main import main
sys.stderr = sys.stdout
print("status", main({words.split()!r}))
"""
    told = run(platform, program)
    assert told.endswith("status 1\n")
    assert f"this is {platform}" in told
    assert "the engine" in told
    assert "--bus" in told


def test_captures(platform: str) -> None:
    program = """
import isotp.capture
for message in isotp.capture.messages("tests/capture/cases/radio_text.log"):
    print(len(message.data))
"""
    assert run(platform, program)


@pytest.mark.parametrize("words", [["demo"], ["doctor"], ["--help"], ["send", "--help"], ["perf", "--help"]])
def test_commands(platform: str, words: list[str]) -> None:
    program = f"""
import sys
from isotp.cli.main import main
try:
    main({words!r})
except SystemExit:
    pass
"""
    assert run(platform, program)
