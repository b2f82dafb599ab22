"""How much of a CAN bus two SoftSockets fill, with how much of a processor; and how exactly they keep STmin.

The buses have the frame times of real ones: each frame occupies them for so long. Both ends are in one process, on a
VirtualBus, or in two, on a bus of this file. A share is the time of all frames of the messages, divided by the time
that passed. A processor's share is the processor time of all threads and processes, divided by the same.

    python benchmarks/bus_limit.py
"""

import marshal
import multiprocessing
import socket
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise, takewhile
from multiprocessing.connection import Connection
from typing import NamedTuple

from contest import Report, message

import isotp
from isotp.bus import Bus, CanFrame, Received
from isotp.stmin import STmin

LONG = 1 << 20
TOGETHER_NS = 500_000  # as VirtualBus
MOST_OF_A_PROCESSOR = 0.35  # of each process


class Case(NamedTuple):
    """A bus, and the least share of it that messages have to fill."""

    name: str
    frame_ns: int
    tx_dl: int
    least: float


CASES = (
    Case("Classical, 500 kbit/s", 232_000, 8, 0.97),
    Case("Classical, 1 Mbit/s", 116_000, 8, 0.9),
    Case("CAN FD, 500 kbit/s and 2 Mbit/s", 338_000, 64, 0.97),
    Case("CAN FD, 1 Mbit/s and 8 Mbit/s", 100_000, 64, 0.9),
)
Entry = tuple[int, CanFrame]


class SharedBus(Bus):
    """One end of a bus of two processes: a frame is handed over at once, with the time at which it will have arrived.

    Args:
        end: one of two connected sockets that keep the borders of messages.
        frame_ns: how long a frame occupies the bus.
    """

    name, has_can_fd, echoes, window = "shared", True, True, 64

    def __init__(self, end: socket.socket, frame_ns: int) -> None:
        self._end = end
        self._frame_ns = frame_ns
        self._free_ns = 0
        self._ours: deque[Entry] = deque()
        self._theirs: deque[Entry] = deque()

    def open(self, wake: Callable[[], None]) -> None:
        self._end.setblocking(False)

    def close(self) -> None:
        self._end.close()

    def fileno(self) -> int:
        return self._end.fileno()

    def send(self, frames: Sequence[CanFrame]) -> int:
        begin_ns = max(time.monotonic_ns(), self._free_ns)
        entries = [(begin_ns + n * self._frame_ns, frame) for n, frame in enumerate(frames, 1)]
        try:
            self._end.send(marshal.dumps([(due_ns, tuple(frame)) for due_ns, frame in entries]))
        except BlockingIOError:
            return 0
        self._free_ns = entries[-1][0]
        self._ours += entries
        return len(frames)

    def receive(self) -> Received:
        try:
            while batch := self._end.recv(1 << 16):
                self._theirs += [(due_ns, CanFrame(*frame)) for due_ns, frame in marshal.loads(batch)]
                self._free_ns = max(self._free_ns, self._theirs[-1][0])
        except BlockingIOError:
            pass
        now = time.monotonic_ns()
        ours, theirs = (_arrived(entries, now) for entries in (self._ours, self._theirs))
        frames = [frame for _, frame in theirs]
        return Received(frames, [frame for _, frame in ours], ours[-1][0] if ours else None)

    def get_timer(self) -> int | None:
        return min((_last_together(entries) for entries in (self._ours, self._theirs) if entries), default=None)


def _arrived(entries: deque[Entry], now: int) -> list[Entry]:
    found = []
    while entries and entries[0][0] <= now:
        found.append(entries.popleft())
    return found


def _last_together(entries: deque[Entry]) -> int:
    last_ns = entries[0][0] + TOGETHER_NS
    return max(due_ns for due_ns, _ in takewhile(lambda entry: entry[0] <= last_ns, entries))


def bound(bus: Bus, rxid: int, txid: int, tx_dl: int = 8, stmin: int = 0) -> isotp.SoftSocket:
    sock = isotp.SoftSocket(bus, timeout=60)
    if tx_dl > 8:
        sock.set_ll_opts(mtu=sock.LinkLayerProtocol.CAN_FD, tx_dl=tx_dl)
    sock.set_fc_opts(stmin=stmin)
    sock.set_engine_opts(max_pdu_size=LONG)
    sock.bind(rxid=rxid, txid=txid)
    return sock


def bus_ns(case: Case, size: int) -> int:
    """How long the frames of a message occupy the bus, flow control included."""
    of_first = case.tx_dl - (2 if size <= 4095 else 6)
    return case.frame_ns * (2 + -(-(size - of_first) // (case.tx_dl - 1)))


def exchange(one: isotp.SoftSocket, two: isotp.SoftSocket, size: int, count: int) -> None:
    def send() -> None:
        for _ in range(count):
            one.send(message(size), confirm=False)  # so the next one is in the queue when it has ended

    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(count):
        assert len(two.recv()) == size
    sender.join()


def in_one_process(case: Case, size: int, count: int) -> tuple[float, float]:
    """Seconds, and seconds of a processor, for `count` messages."""
    bus = isotp.VirtualBus(frame_ns=case.frame_ns)
    with bound(bus, 1, 2, case.tx_dl) as one, bound(bus, 2, 1, case.tx_dl) as two:
        exchange(one, two, 4095, 1)
        return seconds(partial(exchange, one, two, size, count))


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds that `call` takes, and of a processor."""
    begin, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - begin, time.process_time() - used


def in_two_processes(case: Case, size: int, count: int) -> tuple[float, float]:
    """As `in_one_process`."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent, child = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive_all, args=(child, ends[1], case, size, count))
    process.start()
    ends[1].close()
    with bound(SharedBus(ends[0], case.frame_ns), 1, 2, case.tx_dl) as one:
        parent.recv()
        one.send(message(4095))

        def send_all() -> None:
            for _ in range(count):
                one.send(message(size), confirm=False)
            assert parent.recv() == count

        passed, used = seconds(send_all)
        used += parent.recv()
    process.join()
    return passed, used


def receive_all(parent: "Connection[object, object]", end: socket.socket, case: Case, size: int, count: int) -> None:
    """The second process: receive messages, and report how many and their processor time."""
    with bound(SharedBus(end, case.frame_ns), 2, 1, case.tx_dl) as two:
        parent.send("bound")
        two.recv()
        used = time.process_time()
        parent.send(sum(len(two.recv()) == size for _ in range(count)))
        parent.send(time.process_time() - used)


def links_at_once(case: Case, links: int, count: int) -> tuple[float, float]:
    """The mean share of each of so many buses of one process, and how many of them a processor would carry."""
    pairs = []
    for _ in range(links):
        bus = isotp.VirtualBus(frame_ns=case.frame_ns)
        pairs.append((bound(bus, 1, 2), bound(bus, 2, 1)))
    threads = [threading.Thread(target=exchange, args=(*pair, 4095, count)) for pair in pairs]

    def run() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    passed, used = seconds(run)
    for sock in (end for pair in pairs for end in pair):
        sock.close()
    share = bus_ns(case, 4095) * count / 1e9 / passed
    return share, links * share * passed / used


def gaps(stmin: int, frame_ns: int, count: int) -> list[int]:
    """The times between the end of a consecutive frame and the beginning of the next, in nanoseconds."""
    bus = isotp.VirtualBus(frame_ns=frame_ns)
    ends: list[int] = []
    bus.listen(lambda frame: ends.append(bus._free_ns) if frame.data[0] >> 4 == 2 else None)
    found = []
    with bound(bus, 1, 2) as one, bound(bus, 2, 1, stmin=stmin) as two:
        for _ in range(count):
            ends.clear()
            exchange(one, two, 1024, 1)
            found += [later - earlier - frame_ns for earlier, later in pairwise(ends)]
    return found


def main() -> int:
    """How many targets were missed."""
    missed = 0
    for case in CASES:
        report = Report(f"{case.name}: {case.frame_ns / 1e3:g} us for each frame")
        for where, run in (("one process", in_one_process), ("two processes", in_two_processes)):
            for size, what in ((4095, "4095 bytes"), (LONG, "1 MiB")):
                count = max(1, 2_000_000_000 // bus_ns(case, size))
                passed, used = run(case, size, count)
                share = bus_ns(case, size) * count / 1e9 / passed
                report.figure(f"{where}, {what}: share of the bus", share, at_least=case.least)
                processes = 1 if run is in_one_process else 2
                most = MOST_OF_A_PROCESSOR * processes
                report.figure(f"{where}, {what}: share of a processor", used / passed, at_most=most)
        missed += report.missed
    report = Report("saturated links in one process, 500 kbit/s, 4095 bytes")
    for links in (1, 4, 8):
        share, carried = links_at_once(CASES[0], links, 10)
        report.figure(f"{links}: mean share of each bus", share)
        report.figure(f"{links}: links that one processor carries", carried)
    report = Report("STmin on a bus with 1 Mbit/s: gaps between consecutive frames, divided by STmin")
    for stmin_us, stmin in ((100, 0xF1), (300, 0xF3), (1000, 1)):
        assert STmin(stmin).ns == stmin_us * 1000
        found = gaps(stmin, 116_000, 8)
        report.figure(f"{stmin_us} us, mean", statistics.mean(found) / stmin_us / 1e3, at_most=1.05)
        report.figure(f"{stmin_us} us, median", statistics.median(found) / stmin_us / 1e3)
        report.figure(f"{stmin_us} us, least", min(found) / stmin_us / 1e3, at_least=1)
    return missed + report.missed


if __name__ == "__main__":
    sys.exit(bool(main()))
