"""How late calls of a SoftSocket end on a bus with more traffic than Python can handle: `make bench`.

Another thread puts frames on a VirtualBus without pause. The target: a call ends within its timeout plus 50 ms, and
close within 0.5 s, on a machine without other work. tests/soft/test_busy_bus.py has what holds on any machine.
"""

import contextlib
import statistics
import sys
import threading
import time
from collections.abc import Callable

from contest import Report

import isotp
from isotp.bus import CanFrame

TIMEOUT_S = 0.2
ROUNDS = 15
FLOODS = {
    "frames of no link": CanFrame(0x555, bytes(8)),
    "consecutive frames": CanFrame(2, b"\x21" + bytes(7)),
    "flow control": CanFrame(2, b"\x30\0\0"),
}


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    with contextlib.suppress(TimeoutError):
        call()
    return time.perf_counter() - begin


def measure(flood: CanFrame) -> tuple[float, float]:
    """Medians in seconds: how late `recv` was, and how long `close` took."""
    bus, stop = isotp.VirtualBus(), threading.Event()

    def send() -> None:
        while not stop.is_set():
            bus.inject(flood)

    thread = threading.Thread(target=send)
    thread.start()
    late, closing = [], []
    for _ in range(ROUNDS):
        s = isotp.SoftSocket(bus, TIMEOUT_S)
        s.bind(rxid=2, txid=1)
        late.append(seconds(s.recv) - TIMEOUT_S)
        closing.append(seconds(s.close))
    stop.set()
    thread.join()
    return statistics.median(late), statistics.median(closing)


def main() -> int:
    """How many targets were missed."""
    missed = 0
    for name, flood in FLOODS.items():
        report = Report(f"a VirtualBus flooded with {name}, medians of {ROUNDS}")
        late, closing = measure(flood)
        report.figure("recv ends after its timeout, in ms", late * 1e3, at_most=50)
        report.figure("close, in ms", closing * 1e3, at_most=500)
        missed += report.missed
    return missed


if __name__ == "__main__":
    sys.exit(bool(main()))
