"""Where there is no ISO-TP: what is missing, and what to do about it."""

import errno
import gc
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import isotp
from isotp import UnavailableError
from isotp.linux import modules, native, traits
from isotp.linux import release as release_module

SRC = Path(isotp.__file__).parents[1]
ENGINE = "or use the engine in Python: isotp.SoftSocket(bus), isotp.AsyncSoftSocket(bus)"


def refusal() -> OSError | None:
    """How this machine's kernel refuses an ISO-TP socket."""
    try:
        socket.socket(socket.AF_CAN, socket.SOCK_DGRAM, socket.CAN_ISOTP).close()
    except OSError as e:
        return e
    return None


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel")


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """Whatever a test here makes fail, it leaves no file descriptor behind."""
    gc.collect()  # what other tests left to the garbage collector
    fds = Path("/proc/self/fd")
    before = set(os.listdir(fds)) if fds.exists() else set()
    yield
    after = set(os.listdir(fds)) if fds.exists() else set()
    assert after == before


def unavailable() -> UnavailableError:
    with pytest.raises(UnavailableError) as caught:
        isotp.socket()
    return caught.value


def test_this_machine() -> None:
    kernel_says = refusal() if sys.platform == "linux" and hasattr(socket, "CAN_ISOTP") else OSError(None)
    if kernel_says is None:
        pytest.skip("this kernel has ISO-TP")
    error = unavailable()
    assert error.missing in ("platform", "python", "kernel", "module", "permission")
    assert error.remedy
    if kernel_says.errno:
        assert error.errno == kernel_says.errno
        assert isinstance(error.__cause__, OSError)
        assert error.__cause__.errno == kernel_says.errno


# --- Python and platform


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_other_platforms(platform: str) -> None:
    """From the first import on, without what Linux alone has."""
    code = f"""
import asyncio, errno, os, select, socket, sys, subprocess
for module, words in (socket, ("CAN",)), (os, ("uname", "eventfd", "EFD")), (errno, ("ECOMM",)):
    for name in dir(module):
        if any(word in name for word in words):
            delattr(module, name)
if {platform!r} == "win32":
    sys.modules["fcntl"] = None
    for name in dir(select):
        if "poll" in name.lower():
            delattr(select, name)
    del socket.MSG_DONTWAIT
sys.platform = {platform!r}
import isotp
for kind in (isotp.socket, isotp.AsyncSocket):
    try:
        kind()
    except isotp.UnavailableError as e:
        assert e.missing == "platform"
        print(e)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.splitlines()
        == [
            f"kernel ISO-TP sockets exist on Linux only, and this is {platform} (EPROTONOSUPPORT)",
            f"  to do: run this on Linux (a virtual machine will do); {ENGINE}",
        ]
        * 2
    )


def test_python_built_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delattr(socket, "CAN_ISOTP", raising=False)
    error = unavailable()
    assert error.missing == "python"
    assert error.errno == errno.EPROTONOSUPPORT
    assert sys.executable in error.what
    assert "Python of your distribution" in str(error.remedy)


# --- the kernel


class Machine:
    """A machine in words: how its kernel refuses, its release, its module tree."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.error: OSError = OSError(errno.EPROTONOSUPPORT, "Protocol not supported")
        self.asked: list[tuple[int, int, int]] = []
        self._monkeypatch = monkeypatch
        monkeypatch.setattr(sys, "platform", "linux")
        for name, number in (("AF_CAN", 29), ("CAN_ISOTP", 6)):
            monkeypatch.setattr(socket, name, number, raising=False)
        monkeypatch.setattr(socket, "socket", self.refuse)
        monkeypatch.setattr(modules, "Path", self.path)
        monkeypatch.setattr(modules, "_PARAMETER", self.path("/sys/module/can_isotp/parameters/max_pdu_size"))
        self.runs("6.12.107-amd64")

    def path(self, *parts: str) -> Path:
        return self.root.joinpath(*(part.lstrip("/") for part in parts))

    def refuse(self, *which: int) -> socket.socket:
        self.asked.append((which[0], which[1], which[2]))
        raise self.error

    def runs(self, release: str) -> None:
        uname = ("Linux", "host", release, "#1 SMP", "x86_64")
        named = type("uname", (tuple,), {"release": release})(uname)
        for module in (modules, native, release_module):
            self._monkeypatch.setattr(module, "os", SimpleNamespace(uname=lambda: named))
        self.release = release

    def has_modules(self, *names: str, builtin: bool = False) -> None:
        tree = self.path("/lib/modules", self.release)
        tree.mkdir(parents=True, exist_ok=True)
        dep, built = ("", names) if builtin else (names, "")
        (tree / "modules.dep").write_text("".join(f"kernel/net/can/{n}: kernel/net/can/can.ko.xz\n" for n in dep))
        (tree / "modules.builtin").write_text("".join(f"kernel/net/can/{n}\n" for n in built))

    def writes(self, path: str, text: str) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_text(text)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_the_socket_asked_for(machine: Machine) -> None:
    unavailable()
    assert machine.asked == [(29, socket.SOCK_DGRAM, 6)]


@pytest.mark.parametrize(
    ("number", "missing", "words"),
    [
        (errno.EPERM, "permission", "does not let this process open CAN sockets"),
        (errno.EACCES, "permission", "does not let this process open CAN sockets"),
        (errno.EAFNOSUPPORT, "kernel", "this kernel (6.12.107-amd64) has no CAN"),
        (errno.EPROTONOSUPPORT, "module", "the kernel module can-isotp is not loaded (kernel 6.12.107-amd64)"),
        (errno.ESOCKTNOSUPPORT, "module", "the kernel module can-isotp is not loaded"),
        (errno.EPROTOTYPE, "module", "the kernel module can-isotp is not loaded"),
    ],
)
def test_what_is_missing(machine: Machine, number: int, missing: str, words: str) -> None:
    machine.error = OSError(number, "no")
    error = unavailable()
    assert error.missing == missing
    assert error.errno == number
    assert error.__cause__ is machine.error
    assert words in error.what
    if missing == "permission":
        assert "seccomp or AppArmor" in str(error.remedy)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM])
def test_an_error_of_another_kind_is_left_as_it_is(machine: Machine, number: int) -> None:
    machine.error = OSError(number, "no")
    with pytest.raises(OSError, match="no") as caught:
        isotp.socket()
    assert caught.value is machine.error
    assert caught.value.__cause__ is None


def remedy(machine: Machine, number: int = errno.EPROTONOSUPPORT) -> str:
    machine.error = OSError(number, "no")
    return str(unavailable().remedy)


@pytest.mark.parametrize("file", ["can-isotp.ko", "can-isotp.ko.xz", "can-isotp.ko.zst", "can-isotp.ko.gz"])
@pytest.mark.parametrize("builtin", [False, True])
def test_the_module_is_there(machine: Machine, file: str, builtin: bool) -> None:
    machine.has_modules("can.ko.xz", file, builtin=builtin)
    assert modules.is_module_loadable("can-isotp") is True
    otherwise = f"{ENGINE}; or a VM: isotp-kernel -- COMMAND"
    assert remedy(machine) == f"sudo modprobe can-isotp; {otherwise}"
    assert remedy(machine, errno.EAFNOSUPPORT) == f"sudo modprobe can; {otherwise}"


def test_a_module_of_a_similar_name_is_another(machine: Machine) -> None:
    machine.has_modules("can-isotp-extra.ko", "xcan-isotp.ko", "can-isotp.koala", "can-raw.ko")
    assert modules.is_module_loadable("can-isotp") is False
    assert modules.is_module_loadable("can") is False  # what others depend on is not listed for itself


def test_no_module_tree_as_in_a_container(machine: Machine) -> None:
    assert modules.is_module_loadable("can-isotp") is None
    text = remedy(machine)
    assert text.startswith("sudo modprobe can-isotp - on the host, if this is a container")
    assert "6.12.107-amd64" in text


def test_a_kernel_without_the_module(machine: Machine) -> None:
    machine.has_modules("can.ko.xz", "can-raw.ko.xz")
    text = remedy(machine)
    assert text.startswith("this kernel came without can-isotp: ")
    assert "linux-modules-extra-$(uname -r)" in text
    assert "CONFIG_CAN_ISOTP=m" in text


def test_a_cloud_kernel(machine: Machine) -> None:
    machine.runs("6.12.107+deb13-cloud-amd64")
    machine.has_modules("xen.ko")
    assert remedy(machine, errno.EAFNOSUPPORT).startswith(
        "Debian's cloud kernels have no CAN: sudo apt install linux-image-$(dpkg --print-architecture); "
    )


def test_loaded_modules(machine: Machine) -> None:
    machine.writes("/sys/module/can_isotp/refcnt", "0")
    assert modules.is_module_loaded("can-isotp")
    assert not modules.is_module_loaded("can-raw")


# --- what is known of this kernel


@pytest.mark.parametrize(
    ("release", "text", "size"),
    [
        ("6.12.0", "8300\n", 8300),
        ("6.12.0", "1049600\n", 1049600),
        ("6.1.0", None, 66000),
        ("6.12.0", None, 1049600),  # /sys cannot be read: the most it may be
        ("6.12.0", "?\n", 1049600),
    ],
)
def test_max_pdu_size(machine: Machine, release: str, text: str | None, size: int) -> None:
    machine.runs(release)
    if text is not None:
        machine.writes("/sys/module/can_isotp/parameters/max_pdu_size", text)
    assert modules.max_pdu_size() == size
    assert modules.has_max_pdu_size_parameter() is (text is not None)


@pytest.mark.parametrize(
    ("release", "truthful"),
    [
        ("5.10.200", None),
        ("6.1.0", None),
        ("6.1.59", None),
        ("6.1.60", True),
        ("6.1.192", True),
        ("6.2.16", None),
        ("6.3.0", True),
        ("6.12.107", True),
        ("7.0.0", True),
        ("unreadable", None),
    ],
)
def test_poll_is_truthful(machine: Machine, release: str, truthful: bool | None) -> None:
    machine.runs(release)
    assert (release_module.has(traits.TRUTHFUL_POLL) or None) is truthful


@on_linux
def test_a_failure_while_it_is_set_up_closes_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[socket.socket] = []

    class Refusing(socket.socket):
        def setsockopt(self, *_: Any) -> None:
            raise OSError(errno.ENOPROTOOPT, "no")

    def make() -> socket.socket:
        made.append(Refusing(socket.AF_UNIX, socket.SOCK_DGRAM))
        return made[0]

    monkeypatch.setattr(native, "open_native_socket", make)
    with pytest.raises(OSError, match="no"):
        isotp.socket()
    closed = made[0].fileno() == -1
    made[0].close()
    assert closed
