"""Find and fetch a kernel, and keep the small part of it that a CAN test needs."""

from __future__ import annotations

import lzma
import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import NotRunError, image, needs, say
from .apt import Apt, AptError, sources, unpack
from .store import fresh

# One package until 6.19; several from 7.0 on, and on Ubuntu.
PART = re.compile(r"linux-(?:image|base|binary|modules|modules-extra)-(\d\S*)")

KERNELS = "kernels-2"  # in the cache; counts up when KEEP changes
KEEP = ["boot/vmlinuz-*", "lib/modules/*/vmlinuz", "lib/modules/*/modules.*"] + [
    f"lib/modules/*/kernel/{path}"
    for path in (
        "net/can/*", "drivers/net/can/v*can.ko*", "drivers/net/can/slcan*", "drivers/net/can/dev/*",
        "net/9p/*", "fs/9p/*", "fs/netfs/*", "fs/fscache/*", "fs/overlayfs/*",
        "drivers/virtio/*", "drivers/char/virtio_console.ko*", "net/sched/sch_netem.ko*",
    )
]  # fmt: skip
NEEDED = ("can", "can-raw", "can-isotp", "vcan", "9p", "9pnet_virtio", "overlay", "virtio_console")


@dataclass(frozen=True)
class Kernel:
    """A kernel in the cache: its image and some of its modules in lib/modules/VERSION."""

    version: str
    folder: Path

    @property
    def image(self) -> Path:
        """What QEMU boots."""
        return self.folder / "vmlinux"

    @property
    def modules(self) -> Path:
        """The folder of the modules."""
        return self.folder / "lib/modules" / self.version


def cached(cache: Path) -> list[Kernel]:
    """The kernels in the cache, oldest download first."""
    folders = sorted((cache / KERNELS).glob("*"), key=lambda path: path.stat().st_mtime)
    return [Kernel(path.name, path) for path in folders]


def provide(cache: Path, request: str) -> Kernel:
    """The kernel for a request: a version, a suite, or "" for the current one of this machine's suite."""
    have = {kernel.version: kernel for kernel in cached(cache)}
    if request in have:
        return have[request]
    record = cache / "resolved" / (request or "default")
    last = have.get(record.read_text()) if record.exists() else None
    try:
        kernel = find(cache, request, last, record.stat().st_mtime if last else 0.0)
    except NotRunError as error:
        if not last:
            raise
        say(f"using {last.version} from the cache: {str(error).splitlines()[0]}")
        return last
    if kernel is not last:
        record.parent.mkdir(exist_ok=True)
        record.write_text(kernel.version)
    return kernel


def find(cache: Path, request: str, last: Kernel | None, last_time: float) -> Kernel:
    """Find the kernel in the package lists, and fetch it if it is not `last`."""
    version = request if request[:1].isdigit() else ""
    starts = [f"linux-image-{version}"] if version else meta_packages()
    error: NotRunError | None = None
    for apt in sources(cache, "" if version else request):
        if last and not error and apt.updated() < last_time:
            return last
        found = next(filter(None, (resolve(apt, start) for start in starts)), None)
        if not found:
            continue
        kernel = Kernel(found[0], cache / KERNELS / found[0])
        try:
            if not kernel.folder.exists():
                fetch(cache, apt, kernel, found[1])
        except AptError as failed:  # superseded since the lists were made
            error = failed
        else:
            return kernel
    raise error or NotRunError(f"the package lists know no kernel {request or 'image'} (see --help)")


def meta_packages() -> list[str]:
    """Packages that depend on the current kernel: Debian's and Ubuntu's."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return [f"linux-image-{machine}", "linux-image-generic"]


def resolve(apt: Apt, start: str) -> tuple[str, list[str]] | None:
    """Version and packages of the kernel that a package depends on; None: not in the lists."""
    seen: dict[str, list[str]] = {}
    todo = [start]
    while todo:
        package = todo.pop()
        depends = apt.depends(package)
        if depends is not None:
            seen[package] = depends
            todo += [name for name in depends if PART.fullmatch(name) and name not in seen]
    parts = [name for name in seen if PART.fullmatch(name)]
    versions = [name.removeprefix("linux-image-") for name in parts if "linux-image-" in name]
    return (versions[0], parts) if versions else None


def fetch(cache: Path, apt: Apt, kernel: Kernel, packages: list[str]) -> None:
    """Download packages and keep the files of KEEP, modules uncompressed."""
    say(f"fetching {' '.join(packages)}")
    with fresh(cache) as tmp:
        apt.download(packages, tmp)
        out = Kernel(kernel.version, tmp / "out")
        out.folder.mkdir()
        unpack(list(tmp.glob("*.deb")), out.folder, KEEP)
        if (out.folder / "usr/lib/modules").is_dir():  # merged-/usr packages
            (out.folder / "lib").mkdir(exist_ok=True)
            (out.folder / "usr/lib/modules").rename(out.folder / "lib/modules")
        zstd = needs.zstd(cache)
        # from 7.0 on the image is beside the modules
        images = [out.modules / "vmlinuz", out.folder / f"boot/vmlinuz-{kernel.version}"]
        packed = next((path for path in images if path.exists()), None)
        if not packed:
            raise NotRunError(f"the packages of {kernel.version} hold no vmlinuz")
        plain = packed.read_bytes()
        out.image.write_bytes(image.uncompressed(plain, zstd) or plain)
        packed.unlink()
        expand(out.modules, zstd)
        depmod = needs.find("depmod") or "depmod"
        subprocess.run([depmod, "-b", out.folder, kernel.version], check=True)
        load_order(out, NEEDED)
        kernel.folder.parent.mkdir(exist_ok=True)
        out.folder.rename(kernel.folder)


def expand(modules: Path, zstd: Path) -> None:
    """Uncompress modules: the insmod in the VM cannot."""
    for path in modules.rglob("*.ko.xz"):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    packed = list(modules.rglob("*.ko.zst"))
    if packed:
        subprocess.run([zstd, "-q", "-d", "--rm", *packed], check=True)


def load_order(kernel: Kernel, names: tuple[str, ...]) -> list[Path]:
    """The module files to load for `names`, each after those it depends on; without built-in ones."""
    depends: dict[str, tuple[str, list[str]]] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        depends[module_name(path)] = (path, rest.split())
    builtin = (kernel.modules / "modules.builtin").read_text().splitlines()
    inside = {module_name(path) for path in builtin}
    order: list[str] = []
    for name in names:
        if module_name(name) in depends:
            path, rest_of = depends[module_name(name)]
            # modules.dep lists the nearest dependency first
            order += [item for item in [*reversed(rest_of), path] if item not in order]
        elif module_name(name) not in inside:
            raise NotRunError(f"kernel {kernel.version} has no {name} (a cloud or realtime build?)")
    return [kernel.modules / path for path in order]


def module_name(path: str) -> str:
    """The name of a module as the kernel has it, from its path or its other spelling."""
    return os.path.basename(path).split(".ko")[0].replace("-", "_")
