"""The server of isotp serve: its clients, and the link they share, in one event loop without threads."""

import asyncio
import signal
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from ...errors import IsoTpError, SocketClosedError, TransferError
from ...sockets import AsyncIsoTpSocket
from ..output import angle_brackets
from ..output.calm import Complaints
from ..signals import catch_signals
from .serve_client import Client, Limits
from .serve_listening import Place

_GOODBYE_S: Final = 0.4
"""How long the end waits for clients to read the rest, and for a message that is being sent."""


class Server:
    """The clients take turns: in each turn some of what a client sent is looked at, and one message is sent.

    Args:
        sock: the link.
        limits: what clients may take.
        say: prints a line.
    """

    def __init__(self, sock: AsyncIsoTpSocket, limits: Limits, say: Callable[[str], object]) -> None:
        self.limits = limits
        self._say = say
        self._complaints = Complaints(say)
        self._sock = sock
        self._clients: dict[Client, None] = {}
        self._turns: dict[Client, None] = {}  # those that wait for a turn, in this order
        self._a_turn_is_wanted = asyncio.Event()
        self._numbers = count(1)
        self._said_no_descriptor = False

    async def run(self, place: Place) -> int:
        """Serve until the link fails, or until a signal comes; returns the number of that signal.

        Raises:
            OSError: it cannot listen there, or the link fails.
        """
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._handle_loop_error)
        signalled: asyncio.Future[int] = loop.create_future()
        catch_signals(loop, signalled)
        listening = await place.listen(lambda: Client(self, next(self._numbers)))
        tasks = [loop.create_task(self._receive()), loop.create_task(self._send())]
        ends: list[asyncio.Future[Any]] = [*tasks, signalled]
        try:
            for where in place.names(listening):
                self._say(f"{self._sock.interface} {self._sock.address} on {where}")
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            listening.close()
            place.remove()
            for task in tasks:
                task.cancel()
            await self._say_goodbye()
            failures = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure
        self._say(f"ended by {signal.Signals(signalled.result()).name}")
        return signalled.result()

    async def _say_goodbye(self) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _GOODBYE_S
        for client in list(self._clients):
            client.close()
        self._sock.close()
        closed = loop.create_task(self._sock.wait_closed())
        while (self._clients or not closed.done()) and loop.time() < until_s:
            await asyncio.sleep(0.005)
        for client in list(self._clients):
            client.abort()
        closed.cancel()
        self._complaints.say_left_out()

    # --- from the bus

    async def _receive(self) -> None:
        while True:
            try:
                message = await self._sock.recv()
            except TransferError as e:
                self.complain(f"warning: {_short(e)}")
            else:
                wrapped = angle_brackets.wrap(message)
                for client in list(self._clients):
                    client.hear(wrapped)
            await asyncio.sleep(0)  # a message that waits already is taken without a pause

    # --- from clients

    async def _send(self) -> None:
        while True:
            while not self._turns:
                self._a_turn_is_wanted.clear()
                await self._a_turn_is_wanted.wait()
            client = next(iter(self._turns))
            del self._turns[client]
            message = client.take()
            if client.wants_turn:
                self._turns[client] = None
            if message is not None:
                await self._send_one(client, message)
            await asyncio.sleep(0)

    async def _send_one(self, client: Client, message: bytes) -> None:
        client.is_sending = True
        try:
            await self._sock.send(message)
        except SocketClosedError:
            pass
        except IsoTpError as e:
            self.complain(f"warning: {client.name}: {_short(e)}")
        finally:
            client.is_sending = False
        client.was_sent()

    # --- for clients

    def complain(self, line: str) -> None:
        """See `Room`."""
        self._complaints.say(line)

    def enter(self, client: Client) -> bool:
        """See `Room`: one that sends no more, and may have gone, makes room."""
        if len(self._clients) >= self.limits.clients:
            for other in self._clients:
                if other.may_have_gone and not other.wants_turn:
                    other.close()
                    self.leave(other)
                    break
            else:
                return False
        self._clients[client] = None
        return True

    def leave(self, client: Client) -> None:
        """See `Room`."""
        if client in self._clients:
            del self._clients[client]
            self._turns.pop(client, None)
            self.complain(f"{client.name} went{client.forget_unsent()}")

    def has_sent(self, client: Client) -> None:
        """See `Room`; where all hold too much, the one that holds most is cut off."""
        self._turns.setdefault(client)
        self._a_turn_is_wanted.set()
        if sum(each.held for each in self._clients) > self.limits.held:
            most = max(self._clients, key=lambda each: each.held)
            most.cut_off(
                f"all clients together hold more than {self.limits.held} bytes (--max-held), and it holds most"
            )

    def _handle_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), OSError) or "accept" not in context["message"]:
            loop.default_exception_handler(context)
        elif not self._said_no_descriptor:
            self._said_no_descriptor = True
            self._say("no descriptor is left: more clients have to wait until others go (ulimit -n has the limit)")


def _short(e: IsoTpError) -> str:
    return f"{e.what} ({e.n_result.name})" if e.n_result else e.what
