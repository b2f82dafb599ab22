"""Run QEMU. It gets pipes and a file in memory, so nothing is written to disk."""

from __future__ import annotations

import os
import platform
import queue
import select
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from . import TIMED_OUT, NotRunError, guest, needs, say
from .kernels import Kernel

DRAIN_S = 5.0
QUEUE = 1024


@dataclass(frozen=True)
class Machine:
    """The options of the VM, and how long it may run."""

    cpus: int
    memory: str
    timeout_s: float
    kvm: bool
    verbose: bool


class Pump(threading.Thread):
    """Copies one stream of QEMU to a file descriptor, or only into `kept`.

    While QEMU's output is not read, a guest that writes spins in its kernel. So what the reader of our output does not
    take at once waits here, up to QUEUE chunks.
    """

    def __init__(self, to_fd: int | None, keep: int = 0) -> None:
        super().__init__(daemon=True)
        self.source, self.qemu_end = os.pipe()
        self.to_fd = to_fd
        self.kept: deque[int] = deque(maxlen=keep)
        self.waiting: queue.Queue[bytes] = queue.Queue(QUEUE)
        self.broken = threading.Event()  # the reader has gone away

    def run(self) -> None:
        """Copy until QEMU has closed its end and all is written (see threading.Thread)."""
        writer = threading.Thread(target=self._write, daemon=True)
        writer.start()
        while chunk := os.read(self.source, 1 << 16):
            self.kept.extend(chunk if self.kept.maxlen else b"")
            self.waiting.put(chunk)
        os.close(self.source)
        self.waiting.put(b"")
        writer.join()

    def _write(self) -> None:
        while chunk := self.waiting.get():
            if self.to_fd is not None and not self.broken.is_set():
                try:
                    write_all(self.to_fd, chunk)
                except OSError:
                    self.broken.set()

    def text(self) -> str:
        """What was kept."""
        return bytes(self.kept).decode(errors="replace")


def write_all(fd: int, data: bytes) -> None:
    """Write to a descriptor that may be non-blocking (a terminal shared with others)."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])


def run(kernel: Kernel, busybox: Path, job: guest.Job, machine: Machine) -> int:
    """Boot, run the job, end; returns the command's exit status or one of our own."""
    archive = os.memfd_create("initramfs", 0)
    write_all(archive, guest.initramfs(kernel, busybox, job))
    pumps = {
        "stdout": Pump(1),
        "stderr": Pump(2),
        "status": Pump(None, 4096),
        "console": Pump(2 if machine.verbose else None, 1 << 16),
        "qemu": Pump(2 if machine.verbose else None, 1 << 12),
    }
    ends = {name: pump.qemu_end for name, pump in pumps.items()}
    vm = subprocess.Popen(
        command_line(kernel, job, machine, ends, archive),
        stdin=subprocess.DEVNULL, stdout=ends["qemu"], stderr=ends["qemu"],
        pass_fds=[archive, *ends.values()], start_new_session=True,
    )  # fmt: skip
    for fd in (archive, *ends.values()):
        os.close(fd)
    for pump in pumps.values():
        pump.start()
    broken = pumps["stdout"].broken
    try:
        timed_out = not wait(vm, time.monotonic() + machine.timeout_s, broken)
    finally:
        vm.kill()
        vm.wait()
    for pump in pumps.values():
        # after a kill do not wait for a reader that does not read
        pump.join(DRAIN_S if timed_out or broken.is_set() else None)
    if broken.is_set():
        return 128 + signal.SIGPIPE
    return verdict(pumps, timed_out, machine)


def wait(vm: subprocess.Popen[bytes], until: float, broken: threading.Event) -> bool:
    """Wait for the VM to end, or for the reader of its output to go away; False: out of time."""
    while vm.poll() is None and not broken.is_set():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def verdict(pumps: dict[str, Pump], timed_out: bool, machine: Machine) -> int:
    """The exit status, from the last line of the guest; NotRunError if the VM died."""
    lines = pumps["status"].text().splitlines()
    last = lines[-1] if lines else ""
    if last.startswith("exit "):
        return int(last.removeprefix("exit "))
    running = last == "started"
    if timed_out:
        where = "the command was running" if running else "the VM had not reached the command"
        say(f"no end after {machine.timeout_s:g} s; {where}")
        return TIMED_OUT
    if last.startswith("fail "):
        raise NotRunError(last.removeprefix("fail "))
    said = pumps["console"].text().splitlines() + pumps["qemu"].text().splitlines()
    why = [line.strip() for line in said if "Kernel panic" in line or line.startswith("qemu")]
    why = why or [line.strip() for line in said[-1:]] or ["no word of why (try --verbose)"]
    when = "while the command was running" if running else "before it reached the command"
    raise NotRunError("\n  ".join([f"the VM ended {when}", *why]))


def command_line(kernel: Kernel, job: guest.Job, machine: Machine, ends: dict[str, int], archive: int) -> list[str]:
    """QEMU's arguments; every channel to the guest is one of our pipes."""
    intel = platform.machine() == "x86_64"
    console = "ttyS0" if intel else "ttyAMA0"
    quiet = "" if machine.verbose else " quiet"
    line = [
        "setpriv", "--pdeathsig", "KILL", "--",  # QEMU dies when we die
        needs.qemu(), "-name", "isotp-kernel-run", "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-machine", "pc" if intel else "virt",
        *(["-accel", "kvm"] if machine.kvm else ["-accel", "tcg,thread=multi"]),
        "-cpu", "host" if machine.kvm else "max",
        "-smp", str(machine.cpus), "-m", machine.memory,
        "-kernel", str(kernel.image), "-initrd", f"/proc/self/fd/{archive}",
        "-append", f"console={console} panic=-1 mitigations=off random.trust_cpu=on{quiet}",
        "-device", "virtio-serial-pci",
    ]  # fmt: skip
    for name in ("stdout", "stderr", "status", "console"):
        line += ["-chardev", f"file,id={name},path=/proc/self/fd/{ends[name]}"]
    line += ["-serial", "chardev:console"]
    for name in ("stdout", "stderr", "status"):
        line += ["-device", f"virtserialport,name={name},chardev={name}"]
    shares = [("root", "/", True), ("modules", str(kernel.modules), True)]
    shares += [(f"rw{number}", path, False) for number, path in enumerate(job.rwdirs)]
    for tag, path, readonly in shares:
        options = f"local,id={tag},path={path.replace(',', ',,')},security_model=none"
        options += ",multidevs=remap" + (",readonly=on" if readonly else "")
        line += ["-fsdev", options, "-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return line
