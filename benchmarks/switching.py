"""A program for can-isotp 2 (tests/compat/program.py) with can-isotp and with this package: what switching brings.

python benchmarks/switching.py --can-isotp /tmp/can-isotp
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

from contest import SRC, Report

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / "tests" / "compat" / "program.py"
ROUNDS = 5
IDLE_LAYERS, IDLE_S = 100, 2.0
IDLE = f"""
import threading, time
import isotp
def rxfn(timeout):
    time.sleep(timeout)
layers = [isotp.TransportLayer(rxfn, print, isotp.Address(txid=2 * i, rxid=2 * i + 1)) for i in range({IDLE_LAYERS})]
for layer in layers:
    layer.start()
threads, began = threading.active_count() - 1, time.process_time()
time.sleep({IDLE_S})
print("#", "idle", threads / {IDLE_LAYERS}, (time.process_time() - began) / {IDLE_S} / {IDLE_LAYERS}, 0)
for layer in layers:
    layer.stop()
"""


def figures(package: str, *arguments: str) -> dict[str, tuple[float, ...]]:
    """Of each part: threads, processor time and time per message in seconds."""
    command = [sys.executable, *arguments]
    env = os.environ | {"PYTHONPATH": package}
    printed = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [line.split()[1:] for line in printed.splitlines() if line.startswith("#")]
    return {part: tuple(map(float, values)) for part, *values in lines}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--can-isotp", required=True, help="a folder with the package can-isotp")
    theirs = parser.parse_args().can_isotp
    report = Report("a program for can-isotp 2: messages of 1024 and 20 bytes, ours / can-isotp's")
    rounds = [
        (figures(SRC, *what), figures(theirs, *what))
        for _ in range(ROUNDS)
        for what in ((str(PROGRAM), "--messages", "100"), ("-c", IDLE))
    ]
    for part in ("stacks", "notified", "functions", "idle"):
        pairs = [(ours[part], others[part]) for ours, others in rounds if part in ours]
        report.figure(f"{part}: threads, ours", pairs[0][0][0], at_most=pairs[0][1][0])
        report.figure(f"{part}: threads, can-isotp's", pairs[0][1][0])
        report.figure(f"{part}: processor time", median(ours[1] / others[1] for ours, others in pairs), at_most=1)
        if part != "idle":
            report.time(f"{part}: time per message, ours", median(ours[2] for ours, _ in pairs))
            report.figure(f"{part}: time per message", median(ours[2] / others[2] for ours, others in pairs), at_most=1)
    return int(report.missed > 0)


if __name__ == "__main__":
    sys.exit(main())
