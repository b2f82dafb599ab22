"""isotp.doctor where ISO-TP works, and where it was taken away."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import isotp
from isotp.checkup import live
from isotp.checkup.doctor import Finding, Report
from isotp.linux.rtnetlink import query_link
from isotp.opts import flags, kernel_honours

from .conftest import Link, Links, Sockets

pytestmark = pytest.mark.kernel

DOCTOR = [sys.executable, "-m", "isotp", "doctor"]
IN_VM = pytest.mark.skipif(os.environ.get("ISOTP_KERNEL_RUN") != "vm", reason="changes the whole system: in a VM only")
NO_RIGHTS = ["setpriv", "--bounding-set", "-sys_admin,-net_admin"]


def run(*before: str) -> tuple[int, dict[str, Any]]:
    """Exit status and findings by name."""
    done = subprocess.run([*before, *DOCTOR, "--json"], capture_output=True, text=True)
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["works"] is (done.returncode == 0)
    return done.returncode, {f["name"]: f for f in told["findings"]}


def finding(report: Report, name: str) -> Finding:
    (found,) = (f for f in report.findings if f.name == name)
    return found


def test_it_works_here() -> None:
    before = socket.if_nameindex()
    report = isotp.doctor()
    assert report.works
    assert finding(report, "socket").ok
    assert finding(report, "live transfer").ok
    assert "100 bytes sent and received both ways" in finding(report, "live transfer").what
    assert finding(report, "message size").ok
    assert socket.if_nameindex() == before, "the private vcan was not private"


def test_text_and_exit_status() -> None:
    done = subprocess.run(DOCTOR, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\n\nISO-TP works here.\n")
    assert "ok      live transfer" in done.stdout


def test_flags_are_observed_at_work() -> None:
    observed = live.live_transfer().honoured
    assert set(observed) == {"SF_BROADCAST", "CF_BROADCAST", "DYN_FC_PARMS"}
    assert observed == {name: kernel_honours(flags[name]) for name in observed}


def test_interfaces_and_their_state(new_link: Links) -> None:
    up, down, classical = new_link(), new_link(), new_link(mtu=16)
    down.down()
    report = isotp.doctor()
    assert finding(report, f"interface {up}").ok
    assert "vcan, up" in finding(report, f"interface {up}").what
    assert finding(report, f"interface {down}").ok is False
    assert finding(report, f"interface {down}").remedy == f"sudo ip link set {down} up"
    assert finding(report, f"interface {classical}").what == "vcan, up, Classical CAN"
    assert report.works, "an interface that is down is not a kernel that cannot"


def test_query_link_knows_a_vcan(vcan: Link) -> None:
    assert query_link(vcan) == ("vcan", True, None)


@pytest.mark.filterwarnings("ignore::isotp.DuplicateBindingWarning")
def test_sockets_in_use_are_listed(vcan: Link, new_socket: Sockets) -> None:
    for rxid, txid in ((0x123, 0x321), (0x18DAF110, 0x18DA10F1), (0x123, 0x322)):
        new_socket().bind(vcan, rxid=rxid, txid=txid)
    (found,) = (f for f in isotp.doctor().findings if f.name == "in use" and vcan in f.what)
    assert found.what == f"3 ISO-TP socket(s) listen on {vcan}: 0x123 (2 sockets), 0x18DAF110"
    assert "close one" in str(found.remedy)


def test_a_live_transfer_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_LIVE_SECONDS", 0.01)
    report = isotp.doctor()
    assert finding(report, "live transfer").ok is False
    assert not report.works


def test_a_child_that_breaks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever cannot even try has not failed."""
    monkeypatch.setattr(live, "_PACKAGE", tmp_path / "isotp")
    (tmp_path / "isotp").mkdir()
    (tmp_path / "isotp" / "__init__.py").write_text("raise ImportError('broken')")
    found = live.live_transfer()
    assert found.ok is None
    assert "ImportError: broken" in found.what


def _private_link_failure(number: int) -> Finding:
    """What the child tells if the kernel refuses the vcan with `number`."""
    program = (
        "import os, sys; from isotp.checkup import live; from isotp.linux import rtnetlink\n"
        "def refuse(*_): raise OSError(int(sys.argv[1]), os.strerror(int(sys.argv[1])))\n"
        "rtnetlink._rtnetlink = refuse; live.child()"
    )
    done = subprocess.run([sys.executable, "-c", program, str(number)], capture_output=True, check=True)
    told = json.loads(done.stdout)
    return Finding("live transfer", told["ok"], told["what"], told["remedy"])


def test_a_kernel_without_vcan_is_not_a_failure() -> None:
    found = _private_link_failure(95)
    assert found.ok is None
    assert "vcan" in str(found.remedy)


# --- with fewer rights


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
class TestWithoutRights:
    @IN_VM
    def test_a_user_namespace_does(self) -> None:
        status, found = run(*NO_RIGHTS)
        assert status == 0
        assert found["live transfer"]["ok"] is True
        assert "without root" in found["live transfer"]["what"]
        assert found["rights"]["ok"] is None

    @IN_VM
    def test_where_there_are_no_user_namespaces_the_socket_decides(self) -> None:
        limit = Path("/proc/sys/user/max_user_namespaces")
        with _changed(limit, "0"):
            status, found = run(*NO_RIGHTS)
        assert status == 0
        assert found["live transfer"]["ok"] is None
        assert "unshare" in found["live transfer"]["what"]
        assert "sysctl user.max_user_namespaces" in found["live transfer"]["remedy"]


# --- with ISO-TP taken away


@contextlib.contextmanager
def _changed(path: Path, value: str) -> Iterator[None]:
    before = path.read_text()
    path.write_text(value)
    try:
        yield
    finally:
        path.write_text(before)


@contextlib.contextmanager
def _unloaded(*modules: str) -> Iterator[None]:
    """Without these modules, and without the kernel loading them by itself."""
    with _changed(Path("/proc/sys/kernel/modprobe"), "/bin/false"):
        subprocess.run(["rmmod", *modules], check=True)
        try:
            yield
        finally:
            subprocess.run(["modprobe", "-a", *modules], check=True)


@IN_VM
def test_without_the_module() -> None:
    with _unloaded("can-isotp"):
        status, found = run()
        text = subprocess.run(DOCTOR, capture_output=True, text=True)
    assert status == 1
    assert found["socket"]["ok"] is False
    assert "can-isotp is not loaded" in found["socket"]["what"]
    assert found["socket"]["remedy"] == "sudo modprobe can-isotp"
    assert found["modules"]["ok"] is False
    assert "loadable: can-isotp" in found["modules"]["what"]
    assert found["live transfer"]["ok"] is None
    assert text.returncode == 1
    assert "not ok  socket" in text.stdout
    assert "to do: sudo modprobe can-isotp" in text.stdout
    assert run()[0] == 0


@IN_VM
def test_a_module_that_can_be_loaded_is_loaded_by_the_kernel() -> None:
    subprocess.run(["rmmod", "can-isotp"], check=True)
    try:
        assert run()[0] == 0
    finally:
        subprocess.run(["modprobe", "can-isotp"], check=True)


@IN_VM
def test_without_raw_sockets_flags_go_by_release() -> None:
    with _unloaded("can-raw"):
        status, found = run()
    assert status == 0
    assert found["live transfer"]["ok"] is True
    assert "release" in found["flags"]["what"]
