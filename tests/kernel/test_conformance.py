"""The suite of the standard against this kernel, and `isotp conform` on a vcan.

All cases take four minutes in the VM: of those that differ in a number alone a few are run here. To run them all:

    tools/kernel-run --cpus 1 --timeout 600 -- isotp conform vcan0 --of kernel
"""

import re
import subprocess
import sys
from fnmatch import fnmatchcase

import pytest

import isotp
from isotp.testing.conformance import Case, Report, Verdict, all_cases, run_cases
from isotp.testing.conformance.differences import KERNEL
from isotp.testing.conformance.socket_subject import KernelSubject

from .conftest import Background, Link, Sockets

LATE_S = 2.0


def chosen() -> list[Case]:
    """Of the cases whose names are the same but for numbers the first and the last one."""
    alike: dict[str, list[Case]] = {}
    for case in all_cases():
        alike.setdefault(re.sub(r"[0-9A-F]*[0-9][0-9A-F]*", "#", case.name), []).append(case)
    few = [one for cases in alike.values() for one in (cases[0], *(() if differs(cases[-1]) else cases[1:][-1:]))]
    return [case for case in few if not re.search(r"\b40\d\d bytes", case.name)]


def differs(case: Case) -> bool:
    """Whether it is known to; then it takes a time limit or two."""
    return any(fnmatchcase(case.name, one.cases) for one in KERNEL)


# Timing is not: a frame 900 ms after another one comes too late where the machine has other work. It is in simulated
# time for the engine; for a kernel run the command above on an idle machine.
GROUPS = sorted({case.name.split("/")[0] for case in all_cases()} - {"timing"})


@pytest.mark.parametrize("group", GROUPS)
def test_this_kernel(vcan: Link, group: str) -> None:
    """Nothing fails but what is listed, and what is listed does differ."""
    cases = [case for case in chosen() if case.name.startswith(f"{group}/")]
    report = Report("the kernel", run_cases(cases, KernelSubject(vcan, LATE_S), KERNEL))
    assert report.counts[Verdict.FAILED] == 0, str(report)
    assert report.counts[Verdict.PASSED] > 0
    differing = {one.case.name for one in report.results if one.verdict is Verdict.DIFFERS}
    assert differing == {case.name for case in cases if differs(case)}


def test_an_interface_in_use_is_refused(vcan: Link, new_socket: Sockets) -> None:
    new_socket(None).bind(vcan, rxid=0x7E0, txid=0x7E8)
    program = [sys.executable, "-m", "isotp", "conform", vcan, "--of", "kernel", "--cases", "sequence/*"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(re.findall("is in use by another program", done.stderr)) == 1, done.stderr
    assert "Traceback" not in done.stderr


def test_an_ecu_on_a_kernel_socket(vcan: Link, new_socket: Sockets, background: Background) -> None:
    ecu = new_socket(None)
    ecu.bind(vcan, rxid=0x7E0, txid=0x7E8)

    def serve() -> None:
        while True:
            try:
                ecu.recv()
                ecu.send(b"\x7e\x00")
            except isotp.SocketClosedError:
                return
            except isotp.TransferError:  # a message that broke off, as it does in some cases
                continue

    background(serve)
    program = [sys.executable, "-m", "isotp", "conform", vcan, "-s", "7E0", "-d", "7E8", "--cases", "ECU/request/*"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60)
    ecu.close()
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r": 18 cases: 18 passed", done.stdout)
