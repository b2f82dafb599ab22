"""How long `isotp dump` takes for a log file, against plain reading of the same file by python-can, and its memory.

Each run is a process of its own; rounds are interleaved, medians are compared.

    python benchmarks/dump_log.py [FRAMES] [SUFFIX ...]
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROUNDS: Final = 3
SUFFIXES: Final = (".log", ".blf", ".asc")
PLAIN: Final = "import sys, can\nfor message in can.LogReader(sys.argv[1]): pass"
COMMANDS: Final = {
    "python-can": [sys.executable, "-c", PLAIN],
    "dump --messages": [sys.executable, "-m", "isotp", "dump", "--messages"],
    "dump": [sys.executable, "-m", "isotp", "dump"],
    "perf": [sys.executable, "-m", "isotp", "perf"],
}


def write(path: Path, count: int) -> None:
    """Four links that talk UDS, up to 4000 bytes a message, and sixty identifiers of other traffic."""
    import can

    chance = random.Random(1)
    left, now = count, 1_700_000_000.0
    with can.Logger(str(path)) as log:

        def put(can_id: int, data: bytes) -> None:
            nonlocal left, now
            now += 0.00025
            if left > 0:
                left -= 1
                log(can.Message(timestamp=now, arbitration_id=can_id, data=data, is_extended_id=False, channel=0))

        while left > 0:
            tester = 0x7E0 + chance.randrange(4)
            for _ in range(chance.randrange(60)):
                put(0x100 + chance.randrange(60), chance.randbytes(8))
            put(tester, b"\x03\x22\xf1\x90\xcc\xcc\xcc\xcc")
            size = chance.choice([20, 100, 500, 4000])
            data = b"\x62\xf1\x90" + chance.randbytes(size - 3)
            put(tester + 8, (0x1000 | size).to_bytes(2, "big") + data[:6])
            put(tester, b"\x30\x00\x00\xcc\xcc\xcc\xcc\xcc")
            for sn, begin in enumerate(range(6, size, 7), 1):
                put(tester + 8, bytes((0x20 | sn & 15,)) + data[begin : begin + 7].ljust(7, b"\xcc"))


def run(command: list[str], path: Path) -> tuple[float, int]:
    """Seconds, and the peak of memory in kilobytes."""
    begin = time.perf_counter()
    process = subprocess.Popen([*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return time.perf_counter() - begin, usage.ru_maxrss


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    for suffix in sys.argv[2:] or SUFFIXES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"bus{suffix}"
            write(path, count)
            results: dict[str, list[tuple[float, int]]] = {name: [] for name in COMMANDS}
            for _ in range(ROUNDS):
                for name, command in COMMANDS.items():
                    results[name].append(run(command, path))
        plain = statistics.median(seconds for seconds, _ in results["python-can"])
        print(f"{suffix}: {count:,} frames")
        for name, runs in results.items():
            seconds = statistics.median(seconds for seconds, _ in runs)
            memory = max(kilobytes for _, kilobytes in runs) / 1024
            print(f"  {name:16} {seconds:6.2f} s  {count / seconds:9,.0f} frames/s  {memory:4.0f} MB", end="")
            print(f"  {seconds / plain:.2f} of python-can's time")


if __name__ == "__main__":
    main()
