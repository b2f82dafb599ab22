"""The programs that a VM needs: found, installed by root, or named in an error."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from . import NotRunError, apt, say
from .store import fresh

QEMU = {"x86_64": "qemu-system-x86_64", "aarch64": "qemu-system-aarch64"}
QEMU_PACKAGE = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def path_with_sbin() -> str:
    """PATH, and the sbin folders, which the PATH of a user often lacks."""
    return os.environ.get("PATH", os.defpath) + ":" + SBIN


def find(program: str) -> str | None:
    """The path of a program, None if it is not installed."""
    return shutil.which(program, path=path_with_sbin())


def programs() -> dict[str, str]:
    """The programs, and the package of each."""
    machine = platform.machine()
    if machine not in QEMU:
        raise NotRunError(f"no VM for {machine}: only for {' and '.join(QEMU)}")
    return {QEMU[machine]: QEMU_PACKAGE[machine], "depmod": "kmod", "ip": "iproute2"}


def provide(cache: Path) -> None:
    """Install missing programs as root; for others raise NotRunError with the command that does."""
    missing = [package for program, package in programs().items() if not find(program)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise NotRunError(
            f"missing: {' '.join(missing)}. Run:\n  sudo apt-get install --no-install-recommends {' '.join(missing)}"
        )
    say(f"installing {' '.join(missing)}")
    apt.Apt(cache).install(missing)


def qemu() -> str:
    """The path of QEMU for this machine's processor."""
    path = find(QEMU[platform.machine()])
    assert path, "provide() comes first"
    return path


def download(cache: Path, package: str, into: Path) -> None:
    """Put the .deb file of a package of this machine's suite into a folder; AptError if it cannot be had."""
    error: apt.AptError | None = None
    for source in apt.sources(cache, ""):
        try:
            return source.download([package], into)
        except apt.AptError as failed:
            error = failed
    raise error or NotRunError(f"no package {package}")


def extracted(cache: Path, package: str, program: str) -> Path:
    """A program from its package, extracted into the cache; nothing is installed."""
    kept = cache / "bin" / program
    if not kept.exists():
        kept.parent.mkdir(exist_ok=True)
        with fresh(cache) as tmp:
            download(cache, package, tmp)
            apt.unpack(list(tmp.glob("*.deb")), tmp, [f"bin/{program}"])
            found = [*tmp.glob(f"bin/{program}"), *tmp.glob(f"usr/bin/{program}")]
            if not found:
                raise NotRunError(f"the package {package} has no bin/{program}")
            found[0].rename(kept)
    return kept


def busybox(cache: Path) -> Path:
    """For the scripts in the VM; a static program, since no library is mounted yet."""
    return extracted(cache, "busybox-static", "busybox")


def zstd(cache: Path) -> Path:
    """The program zstd: the installed one, or one from its package."""
    installed = find("zstd")
    return Path(installed) if installed else extracted(cache, "zstd", "zstd")
