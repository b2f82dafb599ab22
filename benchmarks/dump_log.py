"""How long the messages of a recording take, against plain reading of the same file by python-can, and the memory.

Each run is a process of its own; rounds are interleaved, medians are compared. What python-can does not read is
compared with a candump log of the same frames. The exit status is 1 if a target is missed.

    python benchmarks/dump_log.py [FRAMES] [SUFFIX ...]
"""

import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROUNDS: Final = 3
SUFFIXES: Final = (".log", ".blf", ".asc", ".trc", ".csv", ".pcap")
PLAIN: Final = "import sys, can\nfor message in can.LogReader(sys.argv[1]): pass"
MESSAGES: Final = "import sys, isotp\nfor message in isotp.capture.messages(sys.argv[1]): message.timing"
COMMANDS: Final = {
    "python-can": [sys.executable, "-c", PLAIN],
    "capture.messages": [sys.executable, "-c", MESSAGES],
    "dump --messages": [sys.executable, "-m", "isotp", "dump", "--messages"],
    "dump": [sys.executable, "-m", "isotp", "dump"],
    "perf": [sys.executable, "-m", "isotp", "perf"],
}
TARGETS: Final = {".log": 0.5, ".blf": 1.2, ".asc": 1.2, ".pcap": 1.0}
"""Of `capture.messages`: at most so many times python-can's plain reading; for .pcap, times those of .log."""


def traffic(count: int) -> Iterator[tuple[float, int, bytes]]:
    """Four links that talk UDS, up to 4000 bytes a message, and sixty identifiers of other traffic."""
    chance = random.Random(1)
    now = 1_700_000_000.0

    def endless() -> Iterator[tuple[int, bytes]]:
        while True:
            tester = 0x7E0 + chance.randrange(4)
            for _ in range(chance.randrange(60)):
                yield 0x100 + chance.randrange(60), chance.randbytes(8)
            yield tester, b"\x03\x22\xf1\x90\xcc\xcc\xcc\xcc"
            size = chance.choice([20, 100, 500, 4000])
            data = b"\x62\xf1\x90" + chance.randbytes(size - 3)
            yield tester + 8, (0x1000 | size).to_bytes(2, "big") + data[:6]
            yield tester, b"\x30\x00\x00\xcc\xcc\xcc\xcc\xcc"
            for sn, begin in enumerate(range(6, size, 7), 1):
                yield tester + 8, bytes((0x20 | sn & 15,)) + data[begin : begin + 7].ljust(7, b"\xcc")

    for _, (can_id, data) in zip(range(count), endless(), strict=False):
        now += 0.00025
        yield now, can_id, data


def write(path: Path, count: int) -> None:
    """A recording in the format that its suffix says."""
    if path.suffix == ".pcap":
        with path.open("wb") as file:
            file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0xFFFF, 227))
            for now, can_id, data in traffic(count):
                file.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), 8 + len(data), 8 + len(data)))
                file.write(struct.pack(">IB3x", can_id, len(data)) + data)
        return
    import can

    with can.Logger(str(path)) as log:
        for now, can_id, data in traffic(count):
            log(can.Message(timestamp=now, arbitration_id=can_id, data=data, is_extended_id=False, channel=0))


def run(command: list[str], path: Path) -> tuple[float, int]:
    """Seconds of the processor, which other work on the machine disturbs less, and the peak of memory in kilobytes."""
    process = subprocess.Popen([*command, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, command
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def measure(path: Path, others: list[Path]) -> dict[str, list[tuple[float, int]]]:
    """Runs of each command; the plain reading of what python-can cannot read is our reading of `others`."""
    results: dict[str, list[tuple[float, int]]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS):
        for name, command in COMMANDS.items():
            if others and name == "python-can":
                results[name].append(run(COMMANDS["capture.messages"], others[0]))
            else:
                results[name].append(run(command, path))
    return results


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    missed = []
    for suffix in sys.argv[2:] or SUFFIXES:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"bus{suffix}"
            others = [path.with_suffix(".log")] if suffix == ".pcap" else []
            for each in (path, *others):
                write(each, count)
            results = measure(path, others)
        plain = statistics.median(seconds for seconds, _ in results["python-can"])
        against = "the time of .log" if others else "python-can's time"
        print(f"{suffix}: {count:,} frames")
        for name, runs in results.items():
            seconds = statistics.median(seconds for seconds, _ in runs)
            memory = max(kilobytes for _, kilobytes in runs) / 1024
            shown = "messages of .log" if others and name == "python-can" else name
            print(f"  {shown:16} {seconds:6.2f} s  {count / seconds:9,.0f} frames/s  {memory:4.0f} MB", end="")
            print(f"  {seconds / plain:.2f} of {against}")
            if name == "capture.messages" and seconds / plain > TARGETS.get(suffix, float("inf")):
                missed.append(f"{suffix}: {seconds / plain:.2f}, at most {TARGETS[suffix]}")
    if missed:
        sys.exit(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
