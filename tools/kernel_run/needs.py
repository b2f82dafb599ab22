"""Programs the VM is made of: found, installed when root, or named."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from kernel_run import NotRunError, apt, say
from kernel_run.store import fresh

QEMU = {"x86_64": "qemu-system-x86_64", "aarch64": "qemu-system-aarch64"}
QEMU_PACKAGE = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def path_with_sbin() -> str:
    """PATH, with the folders a user's PATH often lacks."""
    return os.environ.get("PATH", os.defpath) + ":" + SBIN


def find(program: str) -> str | None:
    return shutil.which(program, path=path_with_sbin())


def programs() -> dict[str, str]:
    """Program -> the package that has it."""
    machine = platform.machine()
    if machine not in QEMU:
        raise NotRunError(f"no VM for {machine}: only for {' and '.join(QEMU)}")
    return {QEMU[machine]: QEMU_PACKAGE[machine], "depmod": "kmod", "ip": "iproute2"}


def provide(cache: Path) -> None:
    """Install what is missing when root, else say which command would."""
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
    path = find(QEMU[platform.machine()])
    assert path, "provide() comes first"
    return path


def download(cache: Path, package: str, into: Path) -> None:
    error: apt.AptError | None = None
    for source in apt.sources(cache, ""):
        try:
            return source.download([package], into)
        except apt.AptError as failed:
            error = failed
    raise error or NotRunError(f"no package {package}")


def extracted(cache: Path, package: str, program: str) -> Path:
    """A program taken out of its package into the cache: nothing is installed for it."""
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
    """For the guest's first seconds: it must be the static one."""
    return extracted(cache, "busybox-static", "busybox")


def zstd(cache: Path) -> Path:
    installed = find("zstd")
    return Path(installed) if installed else extracted(cache, "zstd", "zstd")
