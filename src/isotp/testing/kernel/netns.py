"""Run the command on this machine's kernel, in a private network namespace without real buses."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from typing import NoReturn

from . import TIMED_OUT, StoppedError, needs, say

AF_CAN, CAN_RAW, CAN_ISOTP = 29, 1, 6
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GRACE_S = 10.0
MODULES = ("can-raw", "can-isotp", "vcan")

libc = ctypes.CDLL(None, use_errno=True)


def run(command: list[str], extra: dict[str, str], timeout_s: float, modprobe: bool = False) -> int | None:
    """Run it; returns its exit status, None if this kernel or this user cannot do it. `modprobe`: load modules."""
    if sys.platform != "linux":
        return None
    if modprobe:
        load_modules()
    if not has_isotp():
        return None
    sys.stdout.flush()
    # Processes that the command leaves behind become our children, so that we can end them.
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    read_end, write_end = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        become(command, extra, write_end)
    os.close(write_end)
    try:
        with open(read_end) as pipe:  # ends with the exec: `write_end` is close-on-exec
            refusal = pipe.read()
        if refusal:
            os.waitpid(child, 0)
            say(f"no private network namespace ({refusal}); using a VM")
            return None
        status = wait(child, started + timeout_s)
        if status is None:
            say(f"no end after {timeout_s:g} s; the command was running")
        return TIMED_OUT if status is None else status
    except StoppedError as stop:
        # A terminal sends Ctrl-C to the command as well. It gets some time to end.
        if not (stop.signum == signal.SIGINT and os.isatty(0)):
            os.kill(child, stop.signum)
        wait(child, time.monotonic() + GRACE_S)
        raise
    finally:
        end_descendants()


def load_modules() -> None:
    """Load the modules of this machine's kernel, as root; what does not work is told."""
    modprobe = needs.find("modprobe") or "modprobe"
    say(f"{modprobe} -a {' '.join(MODULES)}")
    try:
        done = subprocess.run([modprobe, "-a", *MODULES], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            say(done.stderr.strip())
    except OSError as error:
        say(f"{modprobe}: {error.strerror}")


def has_isotp() -> bool:
    """Whether this kernel has both protocols; where that is allowed it loads them itself when a socket is opened."""
    try:
        for kind, protocol in ((socket.SOCK_RAW, CAN_RAW), (socket.SOCK_DGRAM, CAN_ISOTP)):
            socket.socket(AF_CAN, kind, protocol).close()
    except OSError:
        return False
    return True


def become(command: list[str], extra: dict[str, str], write_end: int) -> NoReturn:
    """In the child: enter new namespaces, make vcan0, exec the command."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python's own settings are not the command's
    try:
        enter()
    except (OSError, subprocess.SubprocessError) as error:
        os.write(write_end, (getattr(error, "strerror", None) or str(error)).encode())
        os._exit(0)
    env = os.environ | {"PATH": needs.path_with_sbin(), "ISOTP_KERNEL_RUN": "netns"} | extra
    try:
        os.execvpe(command[0], command, env)
    except OSError as error:
        print(f"isotp-kernel: {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def enter() -> None:
    """New network namespace (as root of a new user namespace if need be) with vcan0 up in it."""
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWNET | (CLONE_NEWUSER if uid else 0)):
        raise OSError(f"unshare: {os.strerror(ctypes.get_errno())}")
    if uid:
        maps = {"setgroups": "deny", "uid_map": f"0 {uid} 1", "gid_map": f"0 {gid} 1"}
        for name, line in maps.items():
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    # The command dies when we die. After the change of user, which would clear it.
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    ip = needs.find("ip") or "ip"
    for words in ("link set lo up", "link add vcan0 type vcan", "link set vcan0 up"):
        done = subprocess.run([ip, *words.split()], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise OSError(f"ip {words}: {done.stderr.strip()}")


def wait(child: int, until: float) -> int | None:
    """Exit status of the child, 128+N after signal N; None: the time is over."""
    pause_s = 0.001
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        if time.monotonic() > until:
            return None
        time.sleep(pause_s)
        pause_s = min(pause_s * 2, 0.05)


def end_descendants() -> None:
    """Kill all our children, and theirs, which become ours, until none is left."""
    while True:
        for pid in children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def children() -> list[int]:
    """The process ids of our children."""
    me = str(os.getpid())
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                with open(f"/proc/{entry.name}/stat") as file:
                    if file.read().rpartition(")")[2].split()[1] == me:
                        found.append(int(entry.name))
            except OSError:
                continue  # gone meanwhile
    return found
