"""The options, and whether the command runs in a namespace or in a VM."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
from types import FrameType

from . import NOT_RUN, NotRunError, StoppedError, guest, kernels, needs, netns, say, vm
from .store import locked

DESCRIPTION = """\
Run a command inside a real Linux kernel with ISO-TP: can-isotp and can-raw loaded, vcan0 up.

Where this machine's kernel has ISO-TP, the command runs on it in a private network namespace, away
from every real bus.  Elsewhere, or with --vm, it runs in a VM under QEMU with the distribution's
current kernel: the VM shows this machine's files, same paths, same Python; what the command writes
is lost at the end, except under --rwdir.
"""
EPILOG = """\
examples:
  isotp-kernel -- python3 -m pytest tests
  isotp-kernel --kernel sid --timeout 300 -- python3 -m pytest tests
  isotp-kernel --vm --rwdir reports -- python3 -m pytest --junitxml=reports/junit.xml
  isotp-kernel --prepare --kernel trixie      fetch all that a VM needs, run nothing

stdout and stderr are the command's own, byte for byte.  In the VM stdin is /dev/null, there is no
network but lo and vcan0, the command is root, and the environment is PATH (with the sbin folders
added), HOME, TERM, LANG, LC_*, CI, NO_COLOR, COLUMNS, LINES, LD_LIBRARY_PATH, VIRTUAL_ENV, PYTHON*,
PYTEST_ADDOPTS, ISOTP_* and what --env names.  ISOTP_KERNEL_RUN is `vm` or `netns`.

exit status: the command's own (128+N after signal N; 126, 127: it could not be started);
  124  the time limit was reached, and the VM or all processes of the command were ended
  125  isotp-kernel could not run it (something is missing, no network), or the VM died under it
       (panic, power-off); stderr says which (--verbose shows the VM's console)
  141  the reader of stdout went away

A VM needs Debian or Ubuntu with qemu-system-x86, kmod and iproute2.  Kernels are kept, some 75 MB each,
in the folder that ISOTP_KERNEL_RUN_CACHE names (default: isotp-kernel-run in XDG_CACHE_HOME, or in
~/.cache); delete it at any time.

what changes this machine:
  modprobe -a can-raw can-isotp vcan          only with --modprobe
and only if you run it as root, which it says when it does:
  apt-get install qemu-system-x86 kmod iproute2   what of it is missing, when there is to be a VM
  apt-get update                              when the package lists are missing or out of date
Run by others, it needs none of this for a kernel that has ISO-TP, prints the command that installs
what is missing for a VM, and keeps package lists of its own in its folder.
"""
CARRIED = {
    "PATH", "HOME", "TERM", "LANG", "CI", "NO_COLOR", "COLUMNS", "LINES", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "PYTEST_ADDOPTS",
}  # fmt: skip
CARRIED_PREFIXES = ("LC_", "PYTHON", "ISOTP_")


def which(word: str) -> str:
    """A kernel."""
    if not re.fullmatch(r"([0-9A-Za-z][\w.+~-]*)?", word):
        raise argparse.ArgumentTypeError(f"allowed is a version or a suite, such as sid, not {word!r}")
    return word


def seconds(word: str) -> float:
    """A time limit."""
    if not re.fullmatch(r"\d+(\.\d*)?", word):
        raise argparse.ArgumentTypeError(f"allowed is a number of seconds, not {word!r}")
    return float(word)


def count(word: str) -> int:
    """A number of processors."""
    if not re.fullmatch(r"[1-9]\d*", word):
        raise argparse.ArgumentTypeError(f"allowed is a number from 1 on, not {word!r}")
    return int(word)


def parser() -> argparse.ArgumentParser:
    """The options."""
    p = argparse.ArgumentParser(
        prog="isotp-kernel",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument(
        "--kernel", type=which, default="", metavar="WHICH",
        help="a version (6.1.0-56-amd64) or the current one of a suite (trixie, sid,"
        " bookworm-backports, experimental); implies --vm; default: this machine's suite",
    )  # fmt: skip
    p.add_argument(
        "--timeout", type=seconds, default=600, metavar="S",
        help="limit in seconds for boot and command (default: 600)",
    )  # fmt: skip
    p.add_argument("--vm", action="store_true", help="a VM even where this kernel has ISO-TP")
    p.add_argument(
        "--rwdir", action="append", default=[], metavar="DIR",
        help="a folder whose changes are kept (repeatable)",
    )  # fmt: skip
    p.add_argument(
        "--env", action="append", default=[], metavar="NAME[=VALUE]",
        help="set or carry over one more variable (repeatable)",
    )  # fmt: skip
    p.add_argument("--cpus", type=count, default=2, metavar="N", help="of the VM (default: 2)")
    p.add_argument("--memory", default="1G", metavar="SIZE", help="of the VM (default: 1G)")
    p.add_argument("--kvm", action="store_true", help="use /dev/kvm; default: emulation, which works anywhere")
    p.add_argument(
        "--modprobe", action="store_true",
        help="as root: load the modules of this machine's kernel first (default: they are used if they are"
        " loaded, or if the kernel loads them itself)",
    )  # fmt: skip
    p.add_argument("--verbose", action="store_true", help="the VM's console on stderr")
    p.add_argument("--prepare", action="store_true", help="fetch what a VM needs, run nothing")
    p.add_argument("--list", action="store_true", help="list the kernels in the cache")
    p.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    return p


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status. A signal to us ends the command or the VM first."""
    p = parser()
    args = p.parse_args(argv)
    if args.command[:1] == ["--"]:
        del args.command[0]
    if not (args.command or args.prepare or args.list):
        p.error("no command")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    for fd in (0, 1, 2):  # else the first pipe that we open would get the number of a closed one
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    try:
        return act(args)
    except (NotRunError, OSError, subprocess.SubprocessError) as error:
        say(str(error))
        return NOT_RUN
    except StoppedError as stop:
        signal.signal(stop.signum, signal.SIG_DFL)
        os.kill(os.getpid(), stop.signum)
        return 128 + stop.signum


def interrupt(signum: int, _frame: FrameType | None) -> None:
    """A signal handler: raise StoppedError."""
    raise StoppedError(signum)


def act(args: argparse.Namespace) -> int:
    """Do what the options say; returns the exit status."""
    if args.list:
        with locked() as cache:
            for kernel in kernels.cached(cache):
                print(kernel.version)
        return 0
    extra = {}
    for item in args.env:
        name, given, value = item.partition("=")
        extra[name] = value if given else os.environ.get(name, "")
    if not (args.vm or args.kernel or args.prepare):
        status = netns.run(args.command, extra, args.timeout, args.modprobe)
        if status is not None:
            return status
    with locked() as cache:
        needs.provide(cache)
        busybox = needs.busybox(cache)
        kernel = kernels.provide(cache, args.kernel)
    if args.prepare:
        print(kernel.version)
        return 0
    machine = vm.Machine(args.cpus, args.memory, args.timeout, args.kvm, args.verbose)
    return vm.run(kernel, busybox, job(args, extra), machine)


def job(args: argparse.Namespace, extra: dict[str, str]) -> guest.Job:
    """The command as the VM gets it."""
    env = {name: value for name, value in os.environ.items() if name in CARRIED or name.startswith(CARRIED_PREFIXES)}
    env |= {"PATH": needs.path_with_sbin(), "ISOTP_KERNEL_RUN": "vm"} | extra
    rwdirs = [os.path.realpath(folder) for folder in args.rwdir]
    for folder in rwdirs:
        if not os.path.isdir(folder):
            raise NotRunError(f"--rwdir {folder}: no such folder")
    return guest.Job(args.command, os.getcwd(), env, rwdirs)


if __name__ == "__main__":
    sys.exit(main())
