"""The initramfs for one run in the VM, and the two scripts in it.

No udev, no systemd, nothing of the machine's boot: five modules, the machine's file system over
9p with a RAM disk laid over it, vcan0, the command, power off.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from .kernels import Kernel, load_order

BOOT_MODULES = ("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
CAN_MODULES = ("can", "can-raw", "can-isotp", "vcan")


@dataclass(frozen=True)
class Job:
    """A command, its folder, its environment, and the folders whose changes are kept."""

    command: list[str]
    cwd: str
    env: dict[str, str]
    rwdirs: list[str] = field(default_factory=list)


# Runs from the initramfs. `port NAME` waits for a virtio port, by which the guest sends its output.
BOOT = """\
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
for m in /modules/*; do $b insmod $m || echo "cannot load $m"; done
port() {
    n=0
    while [ $n -lt 500 ]; do
        for d in /sys/class/virtio-ports/*; do
            if [ "$($b cat $d/name)" = "$1" ]; then echo /dev/${d##*/}; return; fi
        done
        $b usleep 10000; n=$((n + 1))
    done
    echo /dev/console
}
status=$(port status) stdout=$(port stdout) stderr=$(port stderr)
fail() { echo "fail $*" >$status; $b reboot -f; }
. /params
p=trans=virtio,version=9p2000.L,msize=512000,access=any
$b mount -t 9p -o $p,ro,cache=loose root /lower || fail "cannot mount the file system"
$b mount -t tmpfs -o size=75% tmpfs /upper
$b mkdir /upper/data /upper/work
$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work root /root \\
    || fail "cannot mount an overlay on the file system"
cd /root
for d in dev proc sys run; do $b mkdir -p $d; done
for d in dev proc sys; do $b mount --move /$d $d; done
$b mount -t tmpfs -o mode=755 run run
$b mkdir -p dev/shm dev/pts run/lock run/isotp-kernel-run tmp
$b mount -t tmpfs -o mode=1777 tmpfs dev/shm
$b mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts dev/pts
for l in fd:fd stdin:fd/0 stdout:fd/1 stderr:fd/2; do $b ln -sf /proc/self/${l#*:} dev/${l%:*}; done
$b chmod 1777 tmp run/lock
$b mkdir -p "lib/modules/$version"
$b mount -t 9p -o $p,ro modules "lib/modules/$version" || fail "cannot mount the modules"
i=0
for d in "$@"; do
    $b mkdir -p "./$d"
    $b mount -t 9p -o $p,cache=mmap rw$i "./$d" || fail "cannot mount $d for writing"
    i=$((i + 1))
done
$b cp -r /bin/busybox /job /main /params run/isotp-kernel-run/
export status stdout stderr
exec $b switch_root /root /run/isotp-kernel-run/busybox sh /run/isotp-kernel-run/main
"""

# Runs as process 1 of the final root; `job` is the command with its environment and folder.
MAIN = """\
b=/run/isotp-kernel-run/busybox
cd /run/isotp-kernel-run
fail() { echo "fail $*" >$status; $b reboot -f; }
echo /sbin/modprobe >/proc/sys/kernel/modprobe
$b hostname localhost
$b ip link set lo up
$b ip link add vcan0 type vcan
$b ip link set vcan0 up || fail "no vcan0: $($b ip link 2>&1)"
$b mkfifo -m 666 out err
# A pipe before the port: /dev/stdout can be opened again, as it can with a pipe on the host.
# Not cat: it splices, and a spliced write does not wait for the host, so a power-off loses it.
$b dd bs=65536 <out >$stdout 2>/dev/null & c1=$!
$b dd bs=65536 <err >$stderr 2>/dev/null & c2=$!
exec 8>out 9>err
. ./params
[ -d "$cwd" ] || fail "the folder $cwd is not to be seen in the VM"
ulimit -c 0
ulimit -Hn 1048576
echo started >$status
$b sh ./job </dev/null >&8 2>&9 8>&- 9>&- &
wait $!
s=$?
# Processes that the command left behind keep the pipes open.
for p in /proc/[0-9]*; do
    case ${p#/proc/} in 1 | $c1 | $c2) ;; *) kill -9 ${p#/proc/} ;; esac
done 2>/dev/null
exec 8>&- 9>&-
wait $c1 $c2
$b sync
echo "exit $s" >$status
$b reboot -f
"""


def initramfs(kernel: Kernel, busybox: Path, job: Job) -> bytes:
    """A cpio archive with the scripts, the job and the modules."""
    version = kernel.version
    params = f"version={shlex.quote(version)} cwd={shlex.quote(job.cwd)}\n"
    params += f"set -- {shlex.join(job.rwdirs)}\n"
    archive = Cpio()
    for folder in ("bin", "dev", "lower", "modules", "proc", "root", "sys", "upper"):
        archive.add(folder, None)
    archive.add("bin/busybox", busybox.read_bytes())
    for number, path in enumerate(load_order(kernel, BOOT_MODULES + CAN_MODULES)):
        archive.add(f"modules/{number:02}-{path.name}", path.read_bytes())
    archive.add("init", BOOT.encode())
    archive.add("main", MAIN.encode())
    archive.add("params", params.encode(errors="surrogateescape"))
    archive.add("job", job_script(job).encode(errors="surrogateescape"))
    return archive.finish()


def job_script(job: Job) -> str:
    """A script that runs the command with exactly this environment; exit status 126 and 127 are from env."""
    variables = shlex.join(f"{name}={value}" for name, value in job.env.items())
    return (
        f"cd {shlex.quote(job.cwd)} || exit 126\n"
        # A job in the background has SIGINT and SIGQUIT ignored; the command must not inherit that.
        f"exec /usr/bin/setsid /usr/bin/env --default-signal -i {variables} {shlex.join(job.command)}\n"
    )


class Cpio:
    """The "newc" archive that the kernel unpacks as its first root."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.count = 0

    def add(self, name: str, content: bytes | None) -> None:
        """Add an executable file, or (content None) a folder."""
        self.count += 1
        body = content or b""
        mode = 0o040755 if content is None else 0o100755
        path = name.encode() + b"\0"
        # ino mode uid gid nlink mtime size devmajor devminor rdevmajor rdevminor namesize check
        fields = (self.count, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(path), 0)
        self.data += b"070701" + b"".join(b"%08x" % value for value in fields) + path
        self._pad()
        self.data += body
        self._pad()

    def finish(self) -> bytes:
        """The whole archive."""
        self.add("TRAILER!!!", b"")
        return bytes(self.data)

    def _pad(self) -> None:
        self.data += bytes(-len(self.data) % 4)
