from __future__ import annotations

import functools
import json
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from isotp.testing.kernel import NOT_RUN, NotRunError, __main__, apt, cli, guest, kernels, needs, netns, store, vm

from ..waiting import until

ROOT = Path(__file__).parents[2]
RUN = [sys.executable, str(ROOT / "tools/kernel-run")]
VM = [*RUN, "--vm", "--timeout", "500"]


def kernel_run(*words: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*VM, *words], capture_output=True, check=False)


def processes_naming(word: str | Path) -> list[str]:
    """Command lines in /proc that hold a word, our own and zombies left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(word) in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


def vms_naming(word: str | Path) -> list[str]:
    return [line for line in processes_naming(word) if "qemu" in line]


# --- what changes this machine -----------------------------------------------------------------


@pytest.mark.parametrize(("options", "ran"), [([], []), (["--modprobe"], [["-a", "can-raw", "can-isotp", "vcan"]])])
def test_modules_are_loaded_when_asked_for(
    options: list[str], ran: list[list[str]], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    started: list[list[str]] = []

    def run(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        started.append(words[1:])
        return subprocess.CompletedProcess(words, 1, "", "modprobe: no such module")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    has_isotp = netns.has_isotp

    def looked() -> bool:
        has_isotp()
        raise NotRunError("here the test ends")

    monkeypatch.setattr(netns, "has_isotp", looked)
    assert cli.main([*options, "--", "true"]) == NOT_RUN
    assert started == ran
    told = capfd.readouterr().err
    assert ("modprobe -a can-raw can-isotp vcan" in told) == bool(ran)
    assert ("no such module" in told) == bool(ran)


# --- which kernel -----------------------------------------------------------------------------


class Lists(apt.Apt):
    """Package lists from a table instead of from apt."""

    def __init__(self, table: dict[str, str]) -> None:
        self.table = table

    def depends(self, package: str) -> list[str] | None:
        show = self.table.get(package)
        return None if show is None else apt.parse_depends(show)


LISTS = {
    "debian 6.1": (
        {
            "linux-image-amd64": "Depends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)",
            "linux-image-6.1.0-56-amd64": "Depends: kmod, linux-base (>= 4.3~), "
            "initramfs-tools (>= 0.120) | linux-initramfs-tool",
        },
        "linux-image-amd64",
        "6.1.0-56-amd64",
        {"image"},
    ),
    "debian 7.2": (
        {
            "linux-image-amd64": "Depends: linux-image-7.2.13+deb14-amd64 (= 7.2.13-1)",
            "linux-image-7.2.13+deb14-amd64": "Depends: linux-base-7.2.13+deb14-amd64 (= 7.2.13-1), "
            "linux-binary-7.2.13+deb14-amd64 (= 7.2.13-1) | linux-binary-7.2.13+deb14-amd64-unsigned, "
            "linux-modules-7.2.13+deb14-amd64 (= 7.2.13-1)",
            "linux-base-7.2.13+deb14-amd64": "",
            "linux-binary-7.2.13+deb14-amd64": "",
            "linux-modules-7.2.13+deb14-amd64": "Depends: linux-base-7.2.13+deb14-amd64",
        },
        "linux-image-amd64",
        "7.2.13+deb14-amd64",
        {"image", "base", "binary", "modules"},
    ),
    "ubuntu": (
        {
            "linux-image-generic": "Depends: linux-image-6.8.0-45-generic, "
            "linux-modules-extra-6.8.0-45-generic, linux-firmware, intel-microcode",
            "linux-image-6.8.0-45-generic": "Depends: kmod, linux-base (>= 4.5), linux-modules-6.8.0-45-generic",
            "linux-modules-6.8.0-45-generic": "",
            "linux-modules-extra-6.8.0-45-generic": "Depends: linux-modules-6.8.0-45-generic",
        },
        "linux-image-generic",
        "6.8.0-45-generic",
        {"image", "modules", "modules-extra"},
    ),
}


@pytest.mark.parametrize("case", LISTS)
def test_resolves_through_the_meta_package(case: str) -> None:
    table, start, version, parts = LISTS[case]

    found = kernels.resolve(Lists(table), start)

    assert found is not None
    assert found[0] == version
    assert sorted(found[1]) == sorted(f"linux-{part}-{version}" for part in parts)


def test_a_package_that_the_lists_lack_resolves_to_nothing() -> None:
    assert kernels.resolve(Lists({}), "linux-image-amd64") is None


def test_modules_load_after_what_they_depend_on(tmp_path: Path) -> None:
    kernel = kernels.Kernel("6.1", tmp_path)
    kernel.modules.mkdir(parents=True)
    (kernel.modules / "modules.dep").write_text(
        "net/9p.ko: fs/netfs.ko net/core.ko\nfs/netfs.ko: net/core.ko\nnet/core.ko:\nnet/can-raw.ko:\n"
    )
    (kernel.modules / "modules.builtin").write_text("kernel/drivers/virtio/virtio_pci.ko\n")

    order = kernels.load_order(kernel, ("virtio_pci", "9p", "can-raw"))

    assert [path.name for path in order] == ["core.ko", "netfs.ko", "9p.ko", "can-raw.ko"]
    with pytest.raises(NotRunError, match=r"6\.1 has no can-isotp"):
        kernels.load_order(kernel, ("can-isotp",))


def test_falls_back_to_the_kernel_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / kernels.KERNELS / "6.1.0-9-amd64").mkdir(parents=True)
    (tmp_path / "resolved").mkdir()
    (tmp_path / "resolved/trixie").write_text("6.1.0-9-amd64")

    def offline(*_: object) -> None:
        raise apt.AptError("no network")

    monkeypatch.setattr(kernels, "sources", offline)

    assert kernels.provide(tmp_path, "trixie").version == "6.1.0-9-amd64"
    assert capsys.readouterr().err == "isotp-kernel: using 6.1.0-9-amd64 from the cache: no network\n"
    assert kernels.provide(tmp_path, "6.1.0-9-amd64").version == "6.1.0-9-amd64"
    with pytest.raises(NotRunError, match="no network"):
        kernels.provide(tmp_path, "sid")


def test_without_package_lists_the_kernel_it_has_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an image whose last step removes /var/lib/apt/lists."""
    (tmp_path / kernels.KERNELS / "6.1.0-9-amd64").mkdir(parents=True)
    (tmp_path / "resolved").mkdir()
    (tmp_path / "resolved/default").write_text("6.1.0-9-amd64")
    without = apt.Apt(tmp_path)
    without.lists = tmp_path / "none"
    monkeypatch.setattr(kernels, "sources", lambda *_: [without])

    assert kernels.provide(tmp_path, "").version == "6.1.0-9-amd64"


# --- what is missing, what went wrong ----------------------------------------------------------


def test_names_the_command_that_installs_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs, "SBIN", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(NotRunError, match=r"sudo apt-get install .*qemu-system-\S+ kmod iproute2"):
        needs.provide(tmp_path)


@pytest.mark.parametrize(
    ("status", "console", "message"),
    [
        ("", "", "before it reached the command"),
        ("started\n", "[ 4.8] Kernel panic - not syncing: oops\n", "(?s)running.*Kernel panic"),
        ("started\n", "[ 4.8] reboot: Power down\n", "(?s)running.*Power down"),
        ("fail no vcan0\n", "", "^no vcan0$"),
    ],
)
def test_a_dead_vm_is_no_exit_status(status: str, console: str, message: str) -> None:
    with pytest.raises(NotRunError, match=message):
        verdict(status, console)


def test_exit_255_is_the_commands_own() -> None:
    assert verdict("started\nexit 255\n", "Kernel panic") == 255


def verdict(status: str, console: str) -> int:
    pumps = {name: vm.Pump(None, 4096) for name in ("status", "console", "qemu")}
    for pump in pumps.values():
        os.close(pump.source)
        os.close(pump.qemu_end)
    pumps["status"].kept.extend(status.encode())
    pumps["console"].kept.extend(console.encode())
    return vm.verdict(pumps, False, vm.Machine(1, "1G", 1.0, kvm=False, verbose=False))


@pytest.mark.parametrize(
    ("env", "folder"),
    [
        ({"HOME": "/h"}, "/h/.cache/isotp-kernel-run"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/isotp-kernel-run"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "relative"}, "/h/.cache/isotp-kernel-run"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x", store.VARIABLE: "~/mine"}, "/h/mine"),
    ],
)
def test_where_the_cache_is(env: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CACHE_HOME", store.VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert store.path() == Path(folder)


def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(store.VARIABLE, str(tmp_path / "file/cache"))
    with pytest.raises(NotRunError, match=f"no cache in .*Not a directory; name another folder in {store.VARIABLE}"):
        store.locked().__enter__()


def test_a_cache_that_cannot_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It belongs to another user, for one."""
    (tmp_path / "lock").mkdir()
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    with pytest.raises(NotRunError, match=f"no cache in .*Is a directory; name another folder in {store.VARIABLE}"):
        store.locked().__enter__()


def test_who_waits_for_the_cache_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))

    def use() -> None:
        with store.locked():
            pass

    with ThreadPoolExecutor() as pool:
        with store.locked():
            other = pool.submit(use)
            until(lambda: "waiting for another isotp-kernel" in capfd.readouterr().err or other.done())
            assert not other.done()
        other.result(30)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), subprocess.CalledProcessError(1, "depmod")])
def test_a_failure_of_its_own_is_no_exit_status_of_the_command(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def act(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "act", act)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert cli.main(["--", "true"]) == NOT_RUN
    assert capsys.readouterr().err == f"isotp-kernel: {error}\n"


@pytest.mark.parametrize("words", [["--timeout", "nan"], ["--timeout", "-1"], ["--kernel", "../x"], ["--cpus", "0"]])
def test_options_that_cannot_be(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main([*words, "--", "true"])
    assert f"argument {words[0]}: allowed is" in capsys.readouterr().err


def test_elsewhere_than_on_linux(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert __main__.main() == NOT_RUN
    assert capsys.readouterr().err.startswith("isotp-kernel: needs Linux, and this is win32")


def test_a_killed_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(store.VARIABLE, str(tmp_path))
    (tmp_path / "tmp-of-a-dead-process").mkdir()

    with store.locked() as cache, store.fresh(cache) as tmp:
        (tmp / "half").touch()

    assert list(tmp_path.glob("tmp-*")) == []


def test_words_of_the_job_survive_the_shell() -> None:
    job = guest.Job(["echo", "a b", "$HOME;'"], "/tmp/x y", {"A": "1 2"})

    assert "cd '/tmp/x y'" in guest.job_script(job)
    assert """A=1 2' echo 'a b' '$HOME;'"'"''""" in guest.job_script(job)


# --- in a VM -----------------------------------------------------------------------------------

pytestmark = pytest.mark.timeout(600)


@functools.cache
def cannot() -> str:
    """Why there can be no VM here; empty if there can. It also gets the kernel, which says so on stderr."""
    done = subprocess.run([*RUN, "--prepare"], capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


@pytest.fixture(autouse=True)
def prepared(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("vm") and (reason := cannot()):
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)


@pytest.mark.vm
def test_output_is_clean_and_the_status_is_the_commands(tmp_path: Path) -> None:
    data = os.urandom(300_000)
    (tmp_path / "data").write_bytes(data)
    log = tmp_path / "log"
    script = f"cat {tmp_path}/data; cat {tmp_path}/data >/dev/stderr; exit 3"
    with open(log, "wb") as file:  # a regular file with something in it already
        file.write(b"before\n")
        file.flush()
        done = subprocess.run([*VM, "--", "sh", "-c", script], stdout=file, stderr=subprocess.PIPE)

    assert done.returncode == 3
    assert log.read_bytes() == b"before\n" + data
    assert done.stderr == data


@pytest.mark.vm
def test_signal_and_what_may_be_written(tmp_path: Path) -> None:
    kept, lost = tmp_path / "kept, too", tmp_path / "lost"
    kept.mkdir()
    script = f"""
        echo $ISOTP_KERNEL_RUN $EXTRA >'{kept}/file' && echo x >'{lost}' && echo y >/tmp/isotp-lost || exit 1
        test "$(pwd)" = '{Path.cwd()}' || exit 2
        ip link show vcan0 | grep -q UP || exit 3
        rmmod can_isotp && modprobe can_isotp && modprobe vxcan && modprobe can_gw || exit 4
        sleep 1000 & setsid sleep 1000 &
        kill -SEGV $$
    """
    done = kernel_run("--rwdir", kept, "--env", "EXTRA=e x", "--", "sh", "-c", script)

    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGSEGV, b"", b"")
    assert (kept / "file").read_text() == "vm e x\n"
    assert not lost.exists()
    assert not Path("/tmp/isotp-lost").exists()


@pytest.mark.vm
def test_a_slow_reader_gets_all(tmp_path: Path) -> None:
    # more than pipes hold, and the VM has powered off before the reader starts
    command = [*VM, "--rwdir", str(tmp_path), "--", "sh", "-c", "head -c 5000000 /dev/zero; echo end >&2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stderr
        assert run.stdout
        assert run.stderr.readline() == b"end\n"
        until(lambda: not vms_naming(tmp_path))
        assert len(run.stdout.read()) == 5_000_000


@pytest.mark.vm
def test_a_command_that_is_not_there() -> None:
    done = kernel_run("--", "no-such-command")

    assert done.returncode == 127
    assert b"no-such-command" in done.stderr


@pytest.mark.vm
def test_a_panic_is_no_exit_status() -> None:
    done = kernel_run("--", "sh", "-c", "echo c >/proc/sysrq-trigger; sleep 100")

    assert done.returncode == 125
    assert b"while the command was running" in done.stderr
    assert b"Kernel panic" in done.stderr


@pytest.mark.vm
@pytest.mark.parametrize("way", ["limit", "signal", "closed pipe"])
def test_an_end_before_the_end_leaves_nothing_behind(way: str, tmp_path: Path) -> None:
    limit = "12" if way == "limit" else "500"
    command = [*VM, "--timeout", limit, "--rwdir", str(tmp_path), "--", "sh", "-c", "yes; sleep 1000"]
    if way == "limit":
        command[-1] = "sleep 1000"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        assert run.stdout
        assert run.stderr
        if way == "signal":
            until(lambda: vms_naming(tmp_path) or run.poll() is not None)
            run.terminate()
        elif way == "closed pipe":
            assert run.stdout.readline() == b"y\n"
            run.stdout.close()
        status = run.wait(100)
        told = run.stderr.read()

    assert status == {"limit": 124, "signal": -signal.SIGTERM, "closed pipe": 141}[way]
    assert (b"no end after 12 s" in told) == (way == "limit")
    assert processes_naming(tmp_path) == []


# Runs in the VM: there the machine's own kernel has ISO-TP, so isotp-kernel needs no VM.
INSIDE = """
import json, os, subprocess, sys, time
run, told = sys.argv[1:3], []
ask = "import os, socket; socket.socket(29, 2, 6); " \\
    "print(os.environ['ISOTP_KERNEL_RUN'], *[name for _, name in socket.if_nameindex()])"
for words in (
    [sys.executable, "-c", ask],
    ["sh", "-c", "setsid sleep 1111 & exit 3"],
    ["sh", "-c", "kill -SEGV $$"],
    ["no-such-command"],
    ["--timeout", "5", "--", "sh", "-c", "setsid sleep 1111 & sleep 1111"],
):
    command = [*run, *([] if words[0] == "--timeout" else ["--"]), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    told.append([done.returncode, done.stdout, done.stderr])
left = subprocess.run("cat /proc/[0-9]*/cmdline", shell=True, capture_output=True).stdout
left = left.count(b"sleep\\0" b"1111\\0")
print(json.dumps([os.getuid(), told, left]))
"""


@pytest.mark.vm
def test_where_the_kernel_has_isotp_a_namespace_does(tmp_path: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/bin") or sys.executable  # one that nobody may run
    (tmp_path / "inside.py").write_text(INSIDE)
    inside = f"{python} /tmp/it/inside.py {python} /tmp/it/tools/kernel-run"
    script = f"""
        ip link add bus0 type vcan || exit 1
        mkdir /tmp/it && cp -r {ROOT}/tools {ROOT}/src {tmp_path}/inside.py /tmp/it/ && chmod -R a+rX /tmp/it || exit 2
        export PATH=/usr/bin:/bin
        cd / && {inside} && setpriv --reuid 65534 --regid 65534 --clear-groups {inside}
    """
    done = kernel_run("--", "sh", "-c", script)

    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [uid for uid, _, _ in answers] == [0, 65534]
    for _, told, left in answers:
        assert told[0] == [0, "netns lo vcan0\n", ""]  # and no bus0
        assert told[1] == [3, "", ""]
        assert told[2] == [128 + signal.SIGSEGV, "", ""]
        assert told[3] == [127, "", "isotp-kernel: no-such-command: No such file or directory\n"]
        assert told[4] == [124, "", "isotp-kernel: no end after 5 s; the command was running\n"]
        assert left == 0
