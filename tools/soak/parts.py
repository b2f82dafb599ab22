"""One process of the soak: its links, and what it watches."""

import asyncio
import gc
import math
import os
import resource
import subprocess
import threading
import time
import warnings
from collections.abc import Callable
from ctypes import Array, c_double

import isotp

from . import engines
from .judge import Record
from .links import QUIET_S, Plan, TaskLink, ThreadLink, Where

THREAD_LINKS, TASK_LINKS = 10, 50  # in a process; one of threads has three
ON_INTERFACE = 3, 5  # the processor of a VM is slow
EVERY_S = 10.0  # between two outages
GROWTH = 0.1  # of the memory, from the first half to the end
SETTLE_S = 30.0


_outage = (c_double * 2)()


def share(outage: "Array[c_double]") -> None:
    """Say in a new process where it sees when the interface is down."""
    global _outage
    _outage = outage


def run(work: tuple[str, str | None, int, float]) -> Record:
    """Run "engines", "soft" or "kernel", on an interface or none, with a seed, for so many seconds."""
    part, interface, seed, seconds = work
    if part == "engines":
        return engines.run(seed, seconds)
    warnings.simplefilter("ignore", isotp.UnconfirmedSendWarning)  # a cancelled send, and a fault
    before = _resources()
    memory: list[int] = []
    record = Record()
    until = time.monotonic() + seconds
    where = Where(interface, seed, _outage)
    watch = threading.Thread(target=_watch, args=(until, memory))
    watch.start()
    _links(part, where, seed, until, record)
    watch.join()
    gc.collect()
    end = time.monotonic() + SETTLE_S
    while _resources() != before and time.monotonic() < end:
        time.sleep(0.1)
    if _resources() != before:
        record.complain(f"threads and descriptors before {before}, after {_resources()}")
    half = memory[len(memory) // 2 :]
    if half and half[-1] > half[0] * (1 + GROWTH):
        record.complain(f"memory grew from {half[0]} kB to {half[-1]} kB in the second half")
    record.counts["kB of memory"] = memory[-1] if memory else 0
    return record


def _links(part: str, where: Where, seed: int, until: float, record: Record) -> None:
    """Run links of blocking and asyncio sockets until then."""
    bus, loop_bus = where.new_bus(), where.new_bus()
    soft, async_soft = lambda: isotp.SoftSocket(bus), lambda: isotp.AsyncSoftSocket(loop_bus)
    make, make_async = (isotp.socket, isotp.AsyncSocket) if part == "kernel" else (soft, async_soft)
    first = 1000 * (part == "kernel")  # the processes on an interface have different identifiers
    in_threads, in_tasks = ON_INTERFACE if where.interface else (THREAD_LINKS, TASK_LINKS)
    plans = [Plan(where, first + i, seed + i, Record(), part) for i in range(in_threads + in_tasks)]
    threads = [threading.Thread(target=ThreadLink(plan, make).run, args=(until,)) for plan in plans[:in_threads]]
    for thread in threads:
        thread.start()

    async def tasks() -> None:
        await asyncio.gather(*(TaskLink(plan, make_async).run(until) for plan in plans[in_threads:]))

    asyncio.run(tasks())
    for thread in threads:
        thread.join()
    for plan in plans:
        record.add(plan.record)


def _watch(until: float, memory: list[int]) -> None:
    """Note the memory in use."""
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(10.0, left))
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _resources() -> tuple[int, int]:
    """Threads and descriptors of this process."""
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


class Outages:
    """An interface that goes down now and then; the processes of the soak know when.

    Args:
        interface: its name; None: nothing is done.
        outage: see `Where`.
    """

    def __init__(self, interface: str | None, outage: "Array[c_double]") -> None:
        self._interface, self._outage = interface, outage

    def run(self, is_over: Callable[[], bool]) -> None:
        """Set the interface down and up until then."""
        while not is_over():
            time.sleep(EVERY_S)
            if self._interface and not is_over():
                self._outage[:] = [time.monotonic(), math.inf]
                for state in ("down", "up"):
                    subprocess.run(["ip", "link", "set", self._interface, state], check=True)
                    time.sleep(0.2)
                time.sleep(2 * QUIET_S)
                self._outage[1] = time.monotonic()
