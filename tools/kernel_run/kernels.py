"""Which kernel, where from, and the small part of it that a CAN test needs."""

from __future__ import annotations

import lzma
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kernel_run import NotRun, needs, say
from kernel_run.apt import Apt, AptError, private, unpack
from kernel_run.store import fresh

# One package up to 6.19, several from 7.0 on and on Ubuntu.
PART = re.compile(r"linux-(?:image|base|binary|modules|modules-extra)-(\d\S*)")

KEEP = ["boot/vmlinuz-*", "lib/modules/*/vmlinuz", "lib/modules/*/modules.*"] + [
    f"lib/modules/*/kernel/{path}"
    for path in (
        "net/can/*", "drivers/net/can/v*can.ko*", "drivers/net/can/slcan*", "drivers/net/can/dev/*",
        "net/9p/*", "fs/9p/*", "fs/netfs/*", "fs/fscache/*", "fs/overlayfs/*",
        "drivers/virtio/*", "drivers/char/virtio_console.ko*",
    )
]  # fmt: skip
NEEDED = ("can", "can-raw", "can-isotp", "vcan", "9p", "9pnet_virtio", "overlay", "virtio_console")


@dataclass(frozen=True)
class Kernel:
    """One trimmed kernel in the cache: boot/vmlinuz-VERSION and lib/modules/VERSION."""

    version: str
    folder: Path

    @property
    def image(self) -> Path:
        return self.folder / f"boot/vmlinuz-{self.version}"

    @property
    def modules(self) -> Path:
        return self.folder / "lib/modules" / self.version


def cached(cache: Path) -> list[Kernel]:
    """What is in the cache, oldest download first."""
    folders = sorted((cache / "kernels").glob("*"), key=lambda path: path.stat().st_mtime)
    return [Kernel(path.name, path) for path in folders]


def provide(cache: Path, request: str) -> Kernel:
    """The kernel asked for: a version, a suite, or "" for what is current on this machine."""
    have = {kernel.version: kernel for kernel in cached(cache)}
    if request in have:
        return have[request]
    resolved = cache / "resolved" / (request or "default")
    try:
        kernel = find(cache, request)
    except NotRun as error:
        last = resolved.read_text() if resolved.exists() else ""
        if last not in have:
            raise
        say(f"using {last} from the cache: {str(error).splitlines()[0]}")
        return have[last]
    resolved.parent.mkdir(exist_ok=True)
    resolved.write_text(kernel.version)
    return kernel


def find(cache: Path, request: str) -> Kernel:
    """Resolve against the package lists; fetch what is not in the cache."""
    version = request if request[:1].isdigit() else ""
    error: NotRun | None = None
    for apt in sources(cache, "" if version else request):
        for start in [f"linux-image-{version}"] if version else meta_packages():
            found = resolve(apt, start)
            if not found:
                continue
            kernel = Kernel(found[0], cache / "kernels" / found[0])
            try:
                if not kernel.folder.exists():
                    fetch(cache, apt, kernel, found[1])
                return kernel
            except AptError as failed:  # superseded since the lists were made
                error = failed
            break
    raise error or NotRun(f"the package lists know no kernel {request or 'image'} (see --help)")


def sources(cache: Path, suite: str) -> Iterator[Apt]:
    """Package lists to ask, each one tried after the one before it was of no use."""
    if suite:
        apt = private(cache, suite)
        yield apt
        apt.update()
        yield apt
        return
    apt = Apt(cache)
    yield apt
    if os.geteuid() == 0:
        apt.update()
        yield apt
    else:
        yield private(cache, platform.freedesktop_os_release()["VERSION_CODENAME"])


def meta_packages() -> list[str]:
    """What stands for the current kernel: Debian's name, Ubuntu's name."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return [f"linux-image-{machine}", "linux-image-generic"]


def resolve(apt: Apt, start: str) -> tuple[str, list[str]] | None:
    """Version and packages of the kernel that a package stands for; None: not in the lists."""
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
    """Download packages and keep what KEEP names, modules uncompressed."""
    say(f"fetching {' '.join(packages)}")
    with fresh(cache) as tmp:
        apt.download(packages, tmp)
        out = Kernel(kernel.version, tmp / "out")
        out.folder.mkdir()
        unpack(list(tmp.glob("*.deb")), out.folder, KEEP)
        if (out.folder / "usr/lib/modules").is_dir():  # merged-/usr packages
            (out.folder / "lib").mkdir(exist_ok=True)
            (out.folder / "usr/lib/modules").rename(out.folder / "lib/modules")
        out.image.parent.mkdir(exist_ok=True)
        if (out.modules / "vmlinuz").exists():  # 7.0 and newer
            (out.modules / "vmlinuz").rename(out.image)
        expand(out.modules)
        depmod = needs.find("depmod") or "depmod"
        subprocess.run([depmod, "-b", out.folder, kernel.version], check=True)
        load_order(out, NEEDED)
        if not out.image.exists():
            raise NotRun(f"the packages of {kernel.version} hold no vmlinuz")
        out.image.chmod(0o644)  # Ubuntu's is for root alone
        kernel.folder.parent.mkdir(exist_ok=True)
        out.folder.rename(kernel.folder)


def expand(modules: Path) -> None:
    """Uncompress modules: the guest's first seconds have nothing to do it with."""
    for path in modules.rglob("*.ko.xz"):
        path.with_suffix("").write_bytes(lzma.decompress(path.read_bytes()))
        path.unlink()
    packed = list(modules.rglob("*.ko.zst"))
    if packed:
        if not shutil.which("zstd"):
            raise NotRun("missing: zstd. Run:\n  sudo apt-get install zstd")
        subprocess.run(["zstd", "-q", "-d", "--rm", *packed], check=True)


def load_order(kernel: Kernel, names: tuple[str, ...]) -> list[Path]:
    """Module files to load for names, each after what it depends on; built-in ones left out."""
    depends: dict[str, tuple[str, list[str]]] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        depends[module_name(path)] = (path, rest.split())
    builtin = (kernel.modules / "modules.builtin").read_text().splitlines()
    inside = {module_name(path) for path in builtin}
    order: list[str] = []
    for name in map(module_name, names):
        if name in depends:
            path, rest_of = depends[name]
            # modules.dep lists the nearest dependency first
            order += [item for item in [*reversed(rest_of), path] if item not in order]
        elif name not in inside:
            raise NotRun(f"kernel {kernel.version} has no {name} (a cloud or realtime build?)")
    return [kernel.modules / path for path in order]


def module_name(path: str) -> str:
    return os.path.basename(path).split(".ko")[0].replace("-", "_")
