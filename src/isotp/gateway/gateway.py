"""Gateway: a DoIP entity (ISO 13400-2) in front of ISO-TP links, in one event loop without threads."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import isotp  # which imports the kernel's sockets when they are used

from ..bus.base import Bus
from ..sockets import AsyncIsoTpSocket
from .codec import Activation, Nack
from .connection import Connection
from .discovery import Discovery, Place
from .exchange import Line, Request, carry
from .listening import broadcast_of, common_name, listening_socket
from .routing import Confirm, Routing
from .settings import TLS_PORT, UDP_AND_TCP_PORT, FunctionalTarget, Limits, Setup, Target, Timers

Open = Callable[[Target | FunctionalTarget], AsyncIsoTpSocket]
"""Opens and binds the socket of an ECU."""

_GOODBYE_S: Final = 0.5


class Gateway:
    """Lets DoIP testers talk to ECUs on ISO-TP links.

        async with Gateway(load_gateway("gateway.toml"), "can0"):
            ...  # it serves

    Args:
        setup: the vehicle, its ECUs, and who may reach them.
        where: where the links are: a bus, the name of a CAN interface, or a function that opens the socket of an ECU.
        host: the IP address to listen on.
        port: for TCP and UDP; 0: any free ones.
        tls: the context of TLS; None: there is no TLS.
        tls_port: for TLS; 0: any free one.
        plain: whether routing can be activated without TLS; None: if there is no TLS.
        announce_to: where announcements go; None: to all of the network of `host`, at port 13400; (): nowhere.
        limits: what testers may take.
        timers: how long it waits.
        say: called with lines about testers and what goes wrong.
        confirm: called for a tester whose activations somebody has to agree to; without it these are refused.
    """

    def __init__(
        self,
        setup: Setup,
        where: Bus | str | Open,
        *,
        host: str = "127.0.0.1",
        port: int = UDP_AND_TCP_PORT,
        tls: ssl.SSLContext | None = None,
        tls_port: int = TLS_PORT,
        plain: bool | None = None,
        announce_to: Place | tuple[()] | None = None,
        limits: Limits | None = None,
        timers: Timers | None = None,
        say: Callable[[str], object] = lambda line: None,
        confirm: Confirm | None = None,
    ) -> None:
        self.setup, self.say = setup, say
        self.limits, self.timers = limits or Limits(), timers or Timers()
        self.address = setup.vehicle.address
        self.held = 0
        """Bytes of requests that are not on the bus yet."""
        self.port = self.udp_port = self.tls_port = 0
        """Where it listens, once it has started."""
        self._open = _opener(where, self.limits.message)
        self._host, self._ports, self._tls = host, (port, tls_port), tls
        self._announce_to = announce_to
        is_plain = tls is None if plain is None else plain
        self._routing = Routing(setup.testers, self.limits.clients, is_plain, confirm, say)
        self._clients: dict[Connection, None] = {}  # the oldest first
        self._tasks: set[asyncio.Task[None]] = set()
        self._carried: set[asyncio.Task[None]] = set()
        self._targets: dict[int, tuple[AsyncIsoTpSocket, list[Line], int]] = {}
        self._stack = contextlib.ExitStack()

    # --- start and end

    async def start(self) -> None:
        """Open the links and listen.

        Raises:
            OSError: a link cannot be opened, or it cannot listen there.
        """
        try:
            self._open_links()
            self.port = self._listen(self._ports[0], None)
            if self._tls is not None:
                self.tls_port = self._listen(self._ports[1], self._tls)
            discovery = await self._discovery()
            place = broadcast_of(self._host) if self._announce_to is None else self._announce_to
            if place:
                self._begin(discovery.announce(place))
        except BaseException:
            await self.close()
            raise

    def _begin(self, coroutine: Any) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(coroutine))

    def _open_links(self) -> None:
        for ecu in self.setup.ecus:
            sock = self._opened(ecu)
            line = Line(ecu, sock, self.timers, self.say)
            self._targets[ecu.address] = sock, [line], ecu.longest
            self._stack.callback(line.close)
            self._begin(line.receive())
        for group in self.setup.functional:
            lines = [self._targets[address][1][0] for address in group.ecus]
            self._targets[group.address] = self._opened(group), lines, self.limits.message

    def _opened(self, target: Target | FunctionalTarget) -> AsyncIsoTpSocket:
        sock = self._open(target)
        self._stack.callback(sock.close)
        return sock

    def _listen(self, port: int, tls: ssl.SSLContext | None) -> int:
        try:
            sock = listening_socket(self._host, port)
        except OSError as e:
            raise OSError(e.errno, f"cannot listen on {self._host} port {port}: {e.strerror or e}") from None
        self._stack.callback(sock.close)
        self._begin(self._accept(sock, tls))
        return int(sock.getsockname()[1])

    async def _discovery(self) -> Discovery:
        def make() -> Discovery:
            return Discovery(self.setup.vehicle, self.limits, self.timers, lambda: len(self._routing), self.say)

        port = self._ports[0]
        try:
            transport, discovery = await asyncio.get_running_loop().create_datagram_endpoint(
                make, (self._host, port), allow_broadcast=True
            )
        except OSError as e:
            raise OSError(e.errno, f"cannot listen on {self._host} UDP port {port}: {e.strerror or e}") from None
        self._stack.callback(transport.close)
        self.udp_port = transport.get_extra_info("sockname")[1]
        return discovery

    async def close(self) -> None:
        """End all connections and close the links. What is being sent has half a second to get there."""
        await _cancel(self._tasks)  # first of all: no client comes any more
        for client in list(self._clients):
            client.close("the gateway ends")
        running = {*(client.task for client in self._clients), *self._carried}
        if running:
            await asyncio.wait(running, timeout=_GOODBYE_S)
        self._stack.close()
        await _cancel(running)
        for sock, _, _ in self._targets.values():
            await sock.wait_closed()
        self._targets.clear()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- connections

    async def _accept(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, place = await loop.sock_accept(listening)
            except OSError as e:  # such as no descriptor left
                self.say(f"warning: a connection has to wait: {e.strerror or e}")
                await asyncio.sleep(self.timers.retry)
                continue
            self._make_room()
            client = Connection(self, "{} port {}".format(*place[:2]))
            self._clients[client] = None
            client.task = loop.create_task(self._run(client, sock, tls))
            client.task.add_done_callback(partial(self._has_ended, client))
            await asyncio.sleep(0)  # it owns its socket before anything can cut it off

    def _make_room(self) -> None:
        """Close the oldest connection without routing, if there are too many."""
        waiting = [each for each in self._clients if each.tester is None and not each.is_cut_off]
        if len(waiting) >= self.limits.waiting:
            waiting[0].cut_off(f"{self.limits.waiting} others have no routing, either")

    async def _run(self, client: Connection, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        handshake_s = None if tls is None else self.timers.initial
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, sock, ssl=tls, ssl_handshake_timeout=handshake_s
            )
        except OSError as e:  # the handshake failed: a wrong certificate, or garbage
            self.say(f"{client.name} went: no TLS: {e}")
            return
        except asyncio.CancelledError:
            self.say(f"{client.name} was cut off in its handshake")
            raise
        if tls is not None:
            client.is_tls = True
            client.certificate = common_name(transport.get_extra_info("peercert"))
        await client.run(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    def _has_ended(self, client: Connection, task: "asyncio.Task[None]") -> None:
        del self._clients[client]

    def leave(self, client: Connection) -> None:
        """See `Room`."""
        self._routing.leave(client)
        for _, lines, _ in self._targets.values():
            for line in lines:
                line.leave(client)

    async def activate(self, client: Connection, source: int, kind: int) -> Activation:
        """See `Room`."""
        return await self._routing.activate(client, source, kind)

    async def confirmed(self, client: Connection, source: int, kind: int) -> Activation:
        """See `Room`."""
        return await self._routing.confirmed(client, source, kind)

    # --- requests

    def start_request(self, client: Connection, request: Request) -> Nack | None:
        """See `Room`."""
        tester, found = client.tester, self._targets.get(request.target)
        is_allowed = tester is not None and (tester.targets is None or request.target in tester.targets)
        if found is None or not is_allowed:
            return Nack.UNKNOWN_TARGET
        sock, lines, longest = found
        if len(request.data) > longest:
            return Nack.TOO_LARGE
        carrying = carry(request, lines, sock, self.timers, self.say)
        task = client.requests[request] = asyncio.get_running_loop().create_task(carrying)
        self.held += len(request.data)
        self._carried.add(task)
        task.add_done_callback(partial(self._carried_out, client, request))
        return None

    def _carried_out(self, client: Connection, request: Request, task: "asyncio.Task[None]") -> None:
        self.held -= len(request.data)
        self._carried.discard(task)
        client.requests.pop(request, None)


async def _cancel(tasks: "set[asyncio.Task[None]]") -> None:
    """Cancel tasks, and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    tasks.clear()


def _opener(where: Bus | str | Open, longest: int) -> Open:
    """What opens the socket of an ECU, for messages of so many bytes."""
    if not isinstance(where, Bus | str):
        return where

    def open_link(target: Target | FunctionalTarget) -> AsyncIsoTpSocket:
        place = target.bus or where
        with contextlib.ExitStack() as stack:
            sock: AsyncIsoTpSocket
            if isinstance(place, str):
                sock = isotp.AsyncSocket()
            else:
                sock = isotp.AsyncSoftSocket(place)
                sock.set_engine_opts(max_pdu_size=longest)
            stack.callback(sock.close)
            sock.bind(place if isinstance(place, str) else None, target.link)
            stack.pop_all()
        return sock

    return open_link
