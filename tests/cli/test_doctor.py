"""isotp.doctor on any machine, with ISO-TP or without; tests/kernel/test_doctor.py has the rest."""

import json
import os
import platform
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import isotp
from isotp.checkup import doctor as module
from isotp.checkup.doctor import Finding, Report
from isotp.linux import native, rtnetlink
from isotp.linux.interface import CanInterface
from isotp.linux.rtnetlink import query_link

DOCTOR = [sys.executable, "-m", "isotp", "doctor"]
SOURCE = str(Path(isotp.__file__).parents[1])


def finding(report: Report, name: str) -> Finding:
    (found,) = (f for f in report.findings if f.name == name)
    return found


def test_the_exit_status_says_whether_it_works() -> None:
    done = subprocess.run([*DOCTOR, "--json"], capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["works"] else 1)
    assert done.stderr == ""
    assert {"python", "package", "system", "socket", "live transfer"} <= {f["name"] for f in told["findings"]}
    assert all(set(f) == {"name", "ok", "what", "remedy"} for f in told["findings"])


def test_text_and_json_say_the_same() -> None:
    report = isotp.doctor()
    told = report.as_dict()
    assert json.loads(json.dumps(told)) == told
    text = str(report)
    for line in report.findings:
        assert line.name in text
        assert " ".join(line.what.split()) in " ".join(text.split())
    assert ("ISO-TP works here" in text) is report.works
    assert all(len(line) <= 120 for line in report.table(120).splitlines())


def test_a_python_without_can_isotp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "CAN_ISOTP", raising=False)
    report = isotp.doctor()
    assert not report.works
    assert finding(report, "python").ok is (sys.platform != "linux")
    assert finding(report, "socket").ok is False
    assert finding(report, "socket").remedy
    assert finding(report, "live transfer").ok is None


@pytest.mark.parametrize("name", ["darwin", "win32"])
def test_another_platform(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", name)
    report = isotp.doctor()
    assert not report.works
    assert name in finding(report, "socket").what
    assert "Linux" in str(finding(report, "socket").remedy)
    assert "modules" not in str(report)


def notes_about(release: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(platform, "release", lambda: release)
    monkeypatch.setattr("isotp.linux.release.kernel_version", lambda: tuple(map(int, release.split("-")[0].split("."))))
    return "\n".join(f"{f.what}; {f.remedy}" for f in module._system() if f.name == "kernel")


def test_what_bites_on_this_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    old = notes_about("6.1.59", monkeypatch)
    assert "poll() may show a socket as writable while it still sends" in old
    assert "it is gone since Linux 6.3, in older series since 6.1.60" in old
    assert "stops the receive timer" in old
    assert "memory that was freed" in old
    assert "memory that was freed" not in notes_about("7.3.4", monkeypatch)


def test_wsl_and_containers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.exists", lambda path: path == "/.dockerenv")
    notes = notes_about("6.18.1-microsoft-standard-WSL2", monkeypatch)
    assert "WSL2" in notes
    assert "the kernel is the host's" in notes


def test_a_kernel_without_can(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> NoReturn:
        raise isotp.UnavailableError("this kernel has no CAN", remedy="another kernel")

    monkeypatch.setattr(native, "open_native_socket", refuse)
    report = isotp.doctor()
    assert not report.works
    assert finding(report, "socket") == Finding("socket", False, "this kernel has no CAN", "another kernel")


def test_a_check_that_breaks_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Iterator[Finding]:
        yield Finding("rights", True, "so far so good")
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(module, "_python", broken)
    report = isotp.doctor()
    assert finding(report, "python") == Finding("python", None, "not known: ZeroDivisionError: oh")
    assert finding(report, "package")


# --- who owns the name


def run_with(path: Path) -> tuple[bool | None, str, str]:
    """The finding "package" where `path` is on sys.path too."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([SOURCE, str(path)])}
    done = subprocess.run([*DOCTOR, "--json"], capture_output=True, env=environment, cwd="/")
    (found,) = (f for f in json.loads(done.stdout)["findings"] if f["name"] == "package")
    return found["ok"], found["what"], str(found["remedy"])


def test_this_package_alone(tmp_path: Path) -> None:
    ok, what, _ = run_with(tmp_path)
    assert ok
    assert isotp.__version__ in what


def test_the_command_in_bin_is_no_package(tmp_path: Path) -> None:
    """Its folder is on sys.path when it runs."""
    (tmp_path / "isotp").write_text("#!/usr/bin/python3\n")
    ok, what, _ = run_with(tmp_path)
    assert ok
    assert str(tmp_path) not in what


def test_the_engine_is_tried_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    report = isotp.doctor()
    engine = finding(report, "engine")
    assert engine.ok
    assert "isotp.SoftSocket(bus)" in engine.what
    for bus in ("isotp.VirtualBus()", "isotp.SocketCanBus(interface)", "isotp.PythonCanBus(bus)"):
        assert bus in engine.what
    assert "isotp.SoftSocket(bus)" in str(report).rpartition("\n\n")[2]


def test_what_is_not_ok_is_in_the_verdict() -> None:
    bad, good = Finding("package", False, "another"), Finding("socket", True, "opened")
    assert str(Report((good,), True)).endswith("\n\nISO-TP works here.")
    assert str(Report((bad, good), True)).endswith("ISO-TP works here, except for what is marked as not ok above.")
    assert "does not work here" in str(Report((bad,), False))
    assert "isotp-kernel -- COMMAND" in Report((bad,), False).table(1000)


def test_can_isotp_beside_this_package(tmp_path: Path) -> None:
    info = tmp_path / "can_isotp-2.0.6.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: can-isotp\nVersion: 2.0.6\n")
    (info / "RECORD").write_text("isotp/__init__.py,,\nisotp/protocol.py,,\n")
    ok, what, remedy = run_with(tmp_path)
    assert ok is False
    assert "can-isotp" in what
    assert "pip uninstall can-isotp" in remedy


@pytest.mark.parametrize("copy", ["isotp/__init__.py", "isotp.py"])
def test_a_copy_elsewhere_on_the_path(copy: str, tmp_path: Path) -> None:
    (tmp_path / copy).parent.mkdir(exist_ok=True)
    (tmp_path / copy).write_text("")
    ok, what, remedy = run_with(tmp_path)
    assert ok is False
    assert str(tmp_path / copy.removesuffix("/__init__.py")) in what
    assert "remove or rename" in remedy


# --- real CAN interfaces, which no test machine has


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link_reply(kind: bytes, state: int | None, up_and_running: int = 0x41) -> bytes:
    """RTM_NEWLINK as the kernel answers it (linux/if_link.h, linux/can/netlink.h)."""
    data = attribute(1, bytes(32)) + attribute(4, struct.pack("=I", state)) if state is not None else b""
    info = attribute(1, kind + b"\0") + (attribute(2 | 0x8000, data) if data else b"")
    body = struct.pack("=BxHiII", 0, 280, 3, up_and_running, 0) + attribute(3, b"can0\0") + attribute(18 | 0x8000, info)
    return struct.pack("=IHHII", 16 + len(body), 16, 0, 1, 0) + body


@pytest.mark.parametrize(
    ("reply", "is_up", "ok", "what", "remedy"),
    [
        (link_reply(b"can", 0), True, True, "can, ERROR-ACTIVE, Classical CAN", ""),
        (link_reply(b"can", 2), True, None, "ERROR-PASSIVE", "termination"),
        (link_reply(b"can", 3, 0x01), True, False, "BUS-OFF", "sudo ip link set can0 type can restart"),
        (link_reply(b"can", 4, 0x00), False, False, "STOPPED", "sudo ip link set can0 up type can bitrate"),
        (link_reply(b"vxcan", None, 0x01), True, False, "no carrier", "other end"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_the_state_of_an_interface(
    reply: bytes, is_up: bool, ok: bool | None, what: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rtnetlink, "_rtnetlink", lambda *_: reply)
    monkeypatch.setattr(socket, "if_nametoindex", lambda name: 3)
    monkeypatch.setattr("isotp.linux.interface.can_interfaces", lambda: [CanInterface("can0", True, is_up, 16)])
    (found,) = module._interfaces()
    assert (found.name, found.ok) == ("interface can0", ok)
    assert what in found.what
    assert remedy in str(found.remedy)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_query_link_asks_the_kernel() -> None:
    assert query_link("lo").kind is None
    with pytest.raises(OSError):
        query_link("nosuchinterface")
