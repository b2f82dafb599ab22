"""AsyncCar: ECUs on a bus, served by tasks of an event loop, without a thread."""

import asyncio
import heapq
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import isotp  # which imports the kernel's sockets when they are used

from ...bus.base import Bus
from ...errors import (
    InterfaceDownError,
    IsoTpWarning,
    MessageSizeError,
    SocketClosedError,
    TransferError,
    TransmitQueueFullError,
)
from ...sockets import AsyncIsoTpSocket
from ...soft.async_socket import AsyncSoftSocket
from ...task_lock import running_loop
from ..simulated import clock_of
from .addresses import AnyAddress
from .base import LAST_WORDS_S, LONGEST_PDU, AnyCar, Reception
from .ecu import Ecu

_LATER_S: Final = 1e-6  # the session ends after S3, not at it

AsyncWhere = Bus | str | Callable[[Any], AsyncIsoTpSocket]


class AsyncCar(AnyCar[AsyncIsoTpSocket]):
    """Simulated ECUs on one bus, as `Car`, in the event loop: for tests of asyncio programs.

        async with isotp.testing.AsyncCar(isotp.VirtualBus(), engine, gearbox):
            ...  # they answer

    Args:
        where: a bus; the name of a CAN interface, for the kernel's sockets; or a function that returns an asyncio
            socket bound to the address that it is given.
        ecus: the ECUs.
        configure: called with each socket before it is bound, to set options.

    Raises:
        AddressError: two ECUs have the same identifier.
        TypeError: `where` is none of these, or one of `ecus` is no `Ecu`, or the bus has a `FakeClock`.
    """

    _kind = AsyncIsoTpSocket

    def __init__(self, where: AsyncWhere, *ecus: Ecu, configure: Callable[[Any], object] | None = None) -> None:
        super().__init__(where, *ecus, configure=configure)
        if clock_of(where) is not None:
            raise TypeError("AsyncCar works in real time, and this bus has a FakeClock: use Car, and no event loop")
        self._sockets: list[AsyncIsoTpSocket] = []
        self._receivers: list[asyncio.Task[None]] = []
        self._outlets: list[_Outlet] = []
        self._receptions: list[Reception[_Outlet]] = []

    def _kernel_socket(self) -> AsyncIsoTpSocket:
        return isotp.AsyncSocket()

    def _soft_socket(self, bus: Bus, on_event: Callable[[Any], object] | None) -> AsyncIsoTpSocket:
        sock = AsyncSoftSocket(bus)
        sock.set_engine_opts(max_pdu_size=LONGEST_PDU)
        return sock

    async def start(self) -> None:
        """Let the ECUs answer until `close`; see `Car.start`. RuntimeError if they do already."""
        if self._receivers:
            raise RuntimeError("the car runs already")
        running_loop()
        try:
            for ecu in self.ecus:
                ecu.power_on()
                own = self._serve(ecu, ecu.address)
                for address in ecu.functional if ecu.testers is None else ecu.testers.silent_functional:
                    self._serve(ecu, address, own)
                if ecu.testers is not None:
                    self._receptions.append(Reception(ecu, self.ecus, own, partial(self._serve, ecu)))
        except BaseException:
            await self._end()
            raise

    def _serve(self, ecu: Ecu, address: AnyAddress, outlet: "_Outlet | None" = None) -> "_Outlet":
        """Answer the requests to `address`, on `outlet` or where they come from."""
        sock = self._open(ecu, address)
        self._sockets.append(sock)
        if outlet is None:
            outlet = _Outlet(ecu, sock)
            self._outlets.append(outlet)
        self._receivers.append(asyncio.create_task(outlet.receive(sock), name=f"ECU {ecu.name}"))
        return outlet

    async def close(self) -> None:
        """Stop all of them. Closing again does nothing; see `Car.close` for what it raises."""
        error = await self._end()
        if error is not None:
            raise error

    async def _end(self) -> BaseException | None:
        """Stop, after the replies that are being sent; returns what has gone wrong.

        If it is cancelled, all is stopped just the same.
        """
        for reception in self._receptions:
            reception.close()
        for receiver in self._receivers:
            receiver.cancel()
        for outlet in self._outlets:
            outlet.end()
        senders = [outlet.sender for outlet in self._outlets]
        tasks, sockets = [*self._receivers, *senders], self._sockets
        self._receptions, self._receivers, self._outlets, self._sockets = [], [], [], []
        try:
            if senders:
                await asyncio.wait(senders, timeout=LAST_WORDS_S)
        finally:
            for sender in senders:
                sender.cancel()
            for sock in sockets:
                sock.close()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
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


class _Outlet:
    """Sends the replies to a tester when they are due.

    Args:
        ecu: the ECU.
        sock: the socket.
    """

    def __init__(self, ecu: Ecu, sock: AsyncIsoTpSocket) -> None:
        self.sock = sock
        self._ecu = ecu
        self._due: list[tuple[float, int, bytes]] = []  # a heap
        self._order = count()
        self._news = asyncio.Event()
        self._is_ending = False
        self.sender = asyncio.create_task(self._send(), name=f"ECU {ecu.name}")
        """Sends the replies, until the bus fails."""

    def end(self) -> None:
        """Send no more, after the reply that is being sent."""
        self._is_ending = True
        self._news.set()

    async def receive(self, sock: AsyncIsoTpSocket) -> None:
        """Take the requests that arrive on `sock`, until it fails."""
        loop, ecu = asyncio.get_running_loop(), self._ecu
        while True:
            try:
                data = (await sock.recv_message()).data
            except (TransferError, InterfaceDownError):
                ecu.counts["broken receptions"] += 1
            except IsoTpWarning:  # of dropped messages, where warnings are errors
                pass
            except SocketClosedError:
                return
            else:
                now_s = loop.time()
                for after_s, reply in ecu.serve(data, now_s, functional=sock is not self.sock):
                    heapq.heappush(self._due, (now_s + after_s, next(self._order), reply))
                self._news.set()  # also since the session ends at another time

    async def _send(self) -> None:
        loop, ecu = asyncio.get_running_loop(), self._ecu
        while not self._is_ending:
            self._news.clear()
            ecu.advance(loop.time())
            if self._due and self._due[0][0] <= loop.time():
                try:
                    await self.sock.send(heapq.heappop(self._due)[2])
                except (TransferError, InterfaceDownError, TransmitQueueFullError):
                    ecu.counts["broken replies"] += 1
                except MessageSizeError as e:
                    ecu.failures.append(e)
                except SocketClosedError:
                    return
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(self._due[0][0] if self._due else math.inf, ecu.due_s + _LATER_S)):
                    await self._news.wait()
