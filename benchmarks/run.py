"""Run the benchmarks, keep their figures as JSON, and compare them with those of benchmarks/record.json: `make bench`.

The figures go to build/bench.json, with the machine and the commit of each benchmark; those of benchmarks that were not
run are the record's. To make it the new record: cp build/bench.json benchmarks/record.json

    python benchmarks/run.py                    # all
    python benchmarks/run.py growth bus_limit   # these
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from contest import MARK, RECORDING

ROOT: Final = Path(__file__).parents[1]
RECORD: Final = ROOT / "benchmarks" / "record.json"
NEW: Final = ROOT / "build" / "bench.json"
PACKAGES: Final = Path(sys.prefix) / "contenders"  # of others, each in a folder of its own
IN_VM: Final = ("tools/kernel-run", "--vm", "--cpus", "1", "--")
IN_KERNEL: Final = ("tools/kernel-run", "--")
WORSE: Final = 1.1  # a ratio that is worse by more than a tenth is told

CAN_ISOTP: Final = ("--can-isotp", str(PACKAGES / "can-isotp"))
AUTOMOTIVE: Final = ("--automotive", str(PACKAGES / "automotive"))
OTHERS: Final = ("--py-uds", str(PACKAGES / "py-uds"), "--scapy", str(PACKAGES / "scapy"))
# The name of each in the record: where it runs, script and arguments.
BENCHMARKS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "core_engine": ((), ("core_engine.py", *CAN_ISOTP, *OTHERS)),
    "soft_socket": ((), ("soft_socket.py", *CAN_ISOTP)),
    "switching": ((), ("switching.py", *CAN_ISOTP)),
    "busy_bus": ((), ("busy_bus.py",)),
    "bus_limit": ((), ("bus_limit.py",)),
    "growth": ((), ("growth.py", "soft")),
    "growth_kernel": (IN_VM, ("growth.py", "kernel", "--most", "1000")),
    "soft_kernel": (IN_VM, ("soft_kernel.py", *CAN_ISOTP, *AUTOMOTIVE)),
    "async_soft": ((), ("async_sockets.py", "soft")),
    "kernel_socket": (IN_KERNEL, ("kernel_socket.py",)),
    "async_kernel": (IN_KERNEL, ("async_sockets.py", "kernel")),
    "many_sockets": (("tools/kernel-run", "--cpus", "1", "--"), ("many_sockets.py",)),
    "imports": ((), ("kernel_socket.py", "imports")),
    "dump_log": ((), ("dump_log.py",)),
}
Figures = list[dict[str, Any]]


def run(name: str) -> tuple[Figures, bool]:
    """The figures of a benchmark, which also prints them; and whether it met its targets."""
    where, (script, *arguments) = BENCHMARKS[name]
    path = str(ROOT / "benchmarks" / script)
    command = [*where, "env", f"{RECORDING}=1", sys.executable, path, *arguments]
    figures = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                figures.append(json.loads(line.removeprefix(MARK)))
            else:
                print(line, end="", flush=True)
    return figures, process.returncode == 0


def machine(name: str) -> str:
    """Where a benchmark runs, in words."""
    where = ", in a VM" if BENCHMARKS[name][0] == IN_VM else ""
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        where += ", before all other work (chrt)"
    return (
        f"{platform.machine()}, {os.cpu_count()} processors, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}{where}"
    )


def commit() -> str:
    """The commit of the checkout, with + if files are changed; "" if it is none."""
    git = ("git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*")
    return subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def worse(old: Figures, new: Figures) -> Iterator[str]:
    """What is worse in `new` by more than a tenth. Times are left out: they depend on the machine."""
    before = {(one["table"], one["what"]): one["value"] for one in old if "unit" not in one}
    for one in new:
        value, was = one["value"], before.get((one["table"], one["what"]))
        if was is None:
            continue
        now, then = (value, was) if "at_least" not in one else (was, value)  # more is worse, but for these
        if now > then * WORSE:
            yield f"{one['table']}: {one['what']}: {value:.3g}, was {was:.3g}"


def main() -> int:
    """Exit status: 0 if all targets were met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; none: all")
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"{', '.join(sorted(unknown))}: allowed is {', '.join(BENCHMARKS)}")
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    missed, told = [], []
    for name in names:
        figures, was_met = run(name)
        missed += [] if was_met else [name]
        if not figures:
            continue
        told += list(worse(record.get(name, {}).get("figures", []), figures))
        record[name] = {"machine": machine(name), "commit": commit(), "figures": figures}
        NEW.parent.mkdir(exist_ok=True)
        NEW.write_text(json.dumps(record, indent=1) + "\n")
    print(f"\nthe figures are in {NEW.relative_to(ROOT)}")
    if told:
        print(f"worse by more than a tenth than in {RECORD.relative_to(ROOT)}:", *told, sep="\n  ")
    if missed:
        print("targets missed, or failed:", *missed)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
