"""Links between sockets on one bus, in real time: threads and tasks, with faults, closes, cancellations and forks."""

import asyncio
import os
import queue
import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from ctypes import Array, c_double
from pathlib import Path

import isotp
from isotp.bus import Bus, CanFrame
from isotp.sockets import AsyncIsoTpSocket, IsoTpSocket
from isotp.testing import Faults

from .judge import Outcome, Record

LATE_S = 20.0
"""Longest time in seconds from a message's end at the sender to that at the receiver, on a busy machine."""
QUIET_S = 2.5
"""After a fault, how long in seconds to wait for what the receiver may still tell (N_Cr is 1 s)."""
_DROPPED = "statistics/rx_dropped"  # in sysfs


class Where:
    """The buses, or the interface, that all links of a process share, and what is done to them."""

    def __init__(self, interface: str | None, seed: int, outage: "Array[c_double]") -> None:
        self.interface = interface
        self.outage = outage
        """Begin and end (of `time.monotonic`) of the last outage; its end is infinite while it lasts."""
        self.faults: dict[int, Faults] = {}
        self._chance = random.Random(seed)

    def new_bus(self) -> Bus:
        """A bus for sockets of one kind: those that block, or those of asyncio."""
        return isotp.SocketCanBus(self.interface) if self.interface else isotp.VirtualBus(fate=self._fate)

    def dropped(self) -> int:
        """How many frames the interface has dropped: a vcan drops those above net.core.netdev_max_backlog."""
        return int(Path("/sys/class/net", self.interface, _DROPPED).read_text()) if self.interface else 0

    def _fate(self, frame: CanFrame) -> list[tuple[int, CanFrame]]:
        return self.faults[frame.can_id](frame)

    def link_faults(self, *can_ids: int) -> Faults:
        """The faults of a link; on an interface there are none."""
        faults, chance = Faults(self._chance.randrange(1 << 32)), self._chance
        if self.interface is None and chance.random() < 0.5:
            faults.lose(chance=0.0002).double(chance=0.0002).jitter(chance=0.01, seconds=0.001)
        self.faults |= dict.fromkeys(can_ids, faults)
        return faults


class Plan:
    """What one link does: its options, messages, and what happens to it."""

    def __init__(self, where: Where, number: int, seed: int, record: Record, name: str) -> None:
        self.where, self.record = where, record
        self.chance = random.Random(seed)
        self.ids = (2 * number + 0x10000 | isotp.CAN_EFF_FLAG, 2 * number + 0x10001 | isotp.CAN_EFF_FLAG)
        self.faults = where.link_faults(*self.ids)
        self.name = f"{name} {number} (seed {seed})"
        self._own: list[str] = []
        self._began, self._dropped = 0.0, 0

    def addresses(self) -> list[isotp.Address]:
        """What both ends bind to."""
        one, other = self.ids
        return [isotp.Address.normal(rxid=one, txid=other), isotp.Address.normal(rxid=other, txid=one)]

    def configure(self, sock: IsoTpSocket | AsyncIsoTpSocket) -> None:
        """Set options, drawn anew."""
        sock.set_fc_opts(bs=self.chance.choice((0, 0, 8, 1)), stmin=self.chance.choice((0, 0, 0, 0xF1, 0xF5)))

    def message(self) -> bytes:
        """The next one to send."""
        largest = self.chance.choice((7, 7, 7, 7, 7, 7, 62, 62, 500, 4095))
        return self.chance.randbytes(self.chance.randint(1, largest))

    def begin(self) -> None:
        """A message is about to be sent: causes are those from now on."""
        self._own.clear()
        self.faults.done.clear()
        self._began, self._dropped = time.monotonic(), self.where.dropped()

    def cause(self, what: str) -> None:
        """Note what is done to this link."""
        self._own.append(what)
        self.record.counts[what] += 1

    def causes(self) -> list[str]:
        """What was done to the link since `begin`."""
        begin, end = self.where.outage
        outage = [f"outage from {begin} to {end}"] if end >= self._began else []
        dropped = self.where.dropped() - self._dropped
        drops = [f"{dropped} frames dropped by {self.where.interface}"] if dropped else []
        return [*self._own, *map(str, self.faults.done), *outage, *drops]

    def wait_s(self, received: list[Outcome], failure: Exception | None) -> float:
        """How long to wait, in seconds, for what else the receiver may tell of the message."""
        if failure or self.causes():
            return QUIET_S
        return 0.0 if received else LATE_S

    def judge(self, message: bytes, failure: Exception | None, received: list[Outcome]) -> None:
        """See `Record.judge`."""
        self.record.judge(self.name, message, failure, received, self.causes())


class ThreadLink:
    """Two blocking sockets: one thread sends, another one receives at each end."""

    def __init__(self, plan: Plan, make: Callable[[], IsoTpSocket]) -> None:
        self._plan, self._make = plan, make

    def run(self, until: float) -> None:
        """Send messages until the time (of `time.monotonic`) has come."""
        while time.monotonic() < until:
            ends = [self._open(address) for address in self._plan.addresses()]
            arrived: list[queue.SimpleQueue[Outcome]] = [queue.SimpleQueue() for _ in ends]
            threads = [threading.Thread(target=_listen, args=pair) for pair in zip(ends, arrived, strict=True)]
            for thread in threads:
                thread.start()
            try:
                for _ in range(self._plan.chance.randint(1, 100)):
                    if time.monotonic() < until:
                        self._exchange(ends, arrived)
                    if any(end.closed for end in ends):
                        break
            finally:
                for end in ends:
                    end.close()
                for thread in threads:
                    thread.join()

    def _open(self, address: isotp.Address) -> IsoTpSocket:
        sock = self._make()
        self._plan.configure(sock)
        interface = self._plan.where.interface
        while True:
            try:
                sock.bind(interface if interface and not isinstance(sock, isotp.SoftSocket) else None, address)
            except isotp.InterfaceDownError:
                time.sleep(0.05)
            else:
                return sock

    def _exchange(self, ends: list[IsoTpSocket], arrived: list["queue.SimpleQueue[Outcome]"]) -> None:
        plan, chance = self._plan, self._plan.chance
        at = chance.randrange(2)
        sender, inbox, message = ends[at], arrived[1 - at], plan.message()
        plan.begin()
        if chance.random() < 0.005:
            plan.cause("close")
            threading.Timer(chance.random() * 0.01, ends[chance.randrange(2)].close).start()
        elif chance.random() < 0.002:
            _fork()
        failure: Exception | None = None
        try:
            sender.send(message)
        except (OSError, RuntimeError) as e:
            failure = e
        received: list[Outcome] = []
        with suppress(queue.Empty):
            while wait_s := plan.wait_s(received, failure):
                received.append(inbox.get(timeout=wait_s))
        plan.judge(message, failure, received)


def _listen(sock: IsoTpSocket, arrived: "queue.SimpleQueue[Outcome]") -> None:
    """Receive until the socket is closed."""
    while True:
        try:
            arrived.put(sock.recv())
        except isotp.SocketClosedError:
            return
        except isotp.InterfaceError:  # an outage, and of no message
            time.sleep(0.05)
        except (OSError, RuntimeError) as e:
            arrived.put(e)


def _fork() -> None:
    """A child process that inherits all sockets and ends."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


class TaskLink:
    """Two asyncio sockets."""

    def __init__(self, plan: Plan, make: Callable[[], AsyncIsoTpSocket]) -> None:
        self._plan, self._make = plan, make

    async def run(self, until: float) -> None:
        """Send messages until the time (of `time.monotonic`) has come."""
        while time.monotonic() < until:
            ends = [await self._open(address) for address in self._plan.addresses()]
            arrived: list[asyncio.Queue[Outcome]] = [asyncio.Queue() for _ in ends]
            tasks = [asyncio.create_task(self._listen(*pair)) for pair in zip(ends, arrived, strict=True)]
            try:
                for _ in range(self._plan.chance.randint(1, 100)):
                    if time.monotonic() < until:
                        await self._exchange(ends, arrived)
                    if any(end.closed for end in ends):
                        break
            finally:
                for end in ends:
                    end.close()
                    await end.wait_closed()
                await asyncio.gather(*tasks)

    async def _open(self, address: isotp.Address) -> AsyncIsoTpSocket:
        sock = self._make()
        self._plan.configure(sock)
        interface = self._plan.where.interface
        while True:
            try:
                sock.bind(interface if interface and not isinstance(sock, isotp.AsyncSoftSocket) else None, address)
            except isotp.InterfaceDownError:
                await asyncio.sleep(0.05)
            else:
                return sock

    async def _exchange(self, ends: list[AsyncIsoTpSocket], arrived: list["asyncio.Queue[Outcome]"]) -> None:
        plan, chance = self._plan, self._plan.chance
        at = chance.randrange(2)
        sender, inbox, message = ends[at], arrived[1 - at], plan.message()
        plan.begin()
        send = asyncio.create_task(sender.send(message))
        if chance.random() < 0.01:
            plan.cause("cancel")
            asyncio.get_running_loop().call_later(chance.random() * 0.01, send.cancel)
        elif chance.random() < 0.005:
            plan.cause("close")
            asyncio.get_running_loop().call_later(chance.random() * 0.01, ends[chance.randrange(2)].close)
        failure: Exception | None = None
        try:
            await send
        except asyncio.CancelledError:
            failure = isotp.UnknownOutcomeError("cancelled")
        except (OSError, RuntimeError) as e:
            failure = e
        received: list[Outcome] = []
        with suppress(TimeoutError):
            while wait_s := plan.wait_s(received, failure):
                received.append(await asyncio.wait_for(inbox.get(), wait_s))
        plan.judge(message, failure, received)

    @staticmethod
    async def _listen(sock: AsyncIsoTpSocket, arrived: "asyncio.Queue[Outcome]") -> None:
        while True:
            try:
                arrived.put_nowait(await sock.recv())
            except isotp.SocketClosedError:
                return
            except isotp.InterfaceError:  # an outage, and of no message
                await asyncio.sleep(0.05)
            except (OSError, RuntimeError) as e:
                arrived.put_nowait(e)
