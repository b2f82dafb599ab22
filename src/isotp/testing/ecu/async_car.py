"""AsyncCar: ECUs on a bus, served by tasks of an event loop, without a thread."""

import asyncio
import heapq
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import isotp  # which imports the kernel's sockets when they are used

from ...bus.base import Bus
from ...errors import InterfaceDownError, MessageSizeError, OptionError, SocketClosedError, TransferError
from ...sockets import AsyncIsoTpSocket
from ...soft.async_socket import AsyncSoftSocket
from .car import LONGEST_PDU
from .ecu import AnyAddress, Ecu

_DOWN_S: Final = 0.1  # until it is tried again

AsyncWhere = Bus | str | Callable[[Any], AsyncIsoTpSocket]


class AsyncCar:
    """Simulated ECUs on one bus, as `Car`, in the event loop: for tests of asyncio programs.

        async with isotp.testing.AsyncCar(isotp.VirtualBus(), engine, gearbox):
            ...  # they answer

    Args:
        where: a bus; the name of a CAN interface, for the kernel's sockets; or a function that returns an asyncio
            socket bound to the address that it is given.
        ecus: the ECUs.
        configure: called with each socket before it is bound, to set options.
    """

    def __init__(self, where: AsyncWhere, *ecus: Ecu, configure: Callable[[Any], object] | None = None) -> None:
        self.ecus = ecus
        self._where = where
        self._configure = configure
        self._sockets: list[AsyncIsoTpSocket] = []
        self._tasks: list[asyncio.Task[None]] = []

    def _open(self, address: AnyAddress) -> AsyncIsoTpSocket:
        where = self._where
        sock: AsyncIsoTpSocket
        if isinstance(where, str):
            sock = isotp.AsyncSocket()
        elif isinstance(where, Bus):
            sock = soft = AsyncSoftSocket(where)
            soft.set_engine_opts(max_pdu_size=LONGEST_PDU)
        else:
            sock = where(address)
        self._sockets.append(sock)
        if not sock.bound:
            if self._configure is not None:
                self._configure(sock)
            sock.bind(where if isinstance(where, str) else None, address)
        return sock

    async def start(self) -> None:
        """Let the ECUs answer until `close`; see `Car.start`.

        Raises:
            OptionError: an ECU is for any tester.
        """
        if self._tasks:
            raise RuntimeError("the car runs already")
        try:
            for ecu in self.ecus:
                if ecu.any_tester:
                    raise OptionError(
                        f"ECU {ecu.name!r}: any_tester works in a Car only", remedy="use Car, or leave it out"
                    )
                own, *others = (self._open(address) for address in (ecu.address, *ecu.functional))
                station = _Station(ecu, own)
                jobs = [station.send(), station.receive(own), *map(station.receive, others)]
                self._tasks += [asyncio.create_task(job, name=f"ECU {ecu.name}") for job in jobs]
        except BaseException:
            await self._end()
            raise

    async def close(self) -> None:
        """Stop all of them. Closing again does nothing; see `Car.close` for what it raises."""
        error = await self._end()
        if error is not None:
            raise error

    async def _end(self) -> BaseException | None:
        sockets, self._sockets = self._sockets, []
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for sock in sockets:
            sock.close()
        for sock in sockets:
            await sock.wait_closed()
        errors = [one for one in outcomes if isinstance(one, Exception)]
        return next(iter([*errors, *(failure for ecu in self.ecus for failure in ecu.failures)]), None)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        error = await self._end()
        if error is not None and value is None:
            raise error


class _Station:
    """An ECU, and what it has to send.

    Args:
        ecu: the ECU.
        own: its own socket, which sends its replies.
    """

    def __init__(self, ecu: Ecu, own: AsyncIsoTpSocket) -> None:
        self._ecu = ecu
        self._own = own
        self._due: list[tuple[float, int, bytes]] = []  # a heap
        self._order = count()
        self._news = asyncio.Event()

    async def receive(self, sock: AsyncIsoTpSocket) -> None:
        """Take the requests that arrive on `sock`, until it fails."""
        loop, ecu = asyncio.get_running_loop(), self._ecu
        while True:
            try:
                data = await sock.recv()
            except TransferError:
                ecu.counts["broken receptions"] += 1
            except InterfaceDownError:
                await asyncio.sleep(_DOWN_S)
            except SocketClosedError:
                return
            else:
                now_s = loop.time()
                for after_s, reply in ecu.request(data, now_s, functional=sock is not self._own):
                    heapq.heappush(self._due, (now_s + after_s, next(self._order), reply))
                self._news.set()

    async def send(self) -> None:
        """Send the replies when they are due, until the bus fails."""
        loop, ecu = asyncio.get_running_loop(), self._ecu
        while True:
            self._news.clear()
            if self._due and self._due[0][0] <= loop.time():
                try:
                    await self._own.send(heapq.heappop(self._due)[2])
                except (TransferError, InterfaceDownError):
                    ecu.counts["broken replies"] += 1
                except MessageSizeError as e:
                    ecu.failures.append(e)
                except SocketClosedError:
                    return
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._due[0][0] if self._due else None):
                    await self._news.wait()
