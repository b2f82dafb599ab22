"""isotp serve: one ISO-TP link on a TCP port, in the protocol of isotpserver."""

import argparse
import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from ...errors import IsoTpError, SocketClosedError, TransferError
from ...sockets import IsoTpSocket
from .. import status
from ..links.link import BIGGEST, link_of
from ..links.opening import opened
from ..options import values
from ..options.can_utils import add_answers
from ..options.groups import INTERFACE, add_link, interface_of
from ..output import angle_brackets
from ..output.terminal import to_stderr
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] INTERFACE"
DESCRIPTION: Final = """
Offer one ISO-TP link on a TCP port, in the protocol of isotpserver: messages in hexadecimal, <22F190>.

Every client gets every message received, and may send. There is no password: everyone who reaches the port reaches
the bus.
"""
EXAMPLES: Final = (
    "isotp serve --bus virtual -s 7E0 -d 7E8 --port 28700",
    "isotp serve can0 -s 7E0 -d 7E8",
    "isotp serve can0 -s 7E0 -d 7E8 --host 0.0.0.0 --port 3000",
)

_CHUNK: Final = 1 << 16
_BACKLOG_MAX: Final = 1 << 20  # bytes that a client may leave unread


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("words", nargs="*", metavar="INTERFACE", help=INTERFACE)
    parser.add_argument(
        "-l",
        "--port",
        metavar="N",
        type=values.number(0, 65535),
        default=28700,
        help="TCP port; 0: any free one (default: 28700)",
    )
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 or :: serves other machines, too (default: 127.0.0.1)",
    )
    add_link(parser)
    add_answers(parser, "serve")


def run(arguments: argparse.Namespace) -> int:
    """Serve until the link fails, or until Ctrl-C."""
    link = link_of(arguments, interface_of(arguments.words, arguments.bus))
    if not arguments.host:  # asyncio would take it for all of them
        raise WrongUsage("--host is empty: an address of this machine, or 0.0.0.0 or :: for all of them")
    with opened(link) as sock:
        asyncio.run(_Server(sock).run(arguments.host, arguments.port))
    return status.DONE


class _Server:
    """The clients, and the link they share. A thread receives from it, another one sends."""

    def __init__(self, sock: IsoTpSocket) -> None:
        self._sock = sock
        self._clients: dict[asyncio.StreamWriter, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sender = ThreadPoolExecutor(1, "isotp serve sends")

    async def run(self, host: str, port: int) -> None:
        """Serve until the link fails or Ctrl-C comes."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        try:
            server = await asyncio.start_server(self._serve, host, port, limit=_CHUNK)
        except OSError as e:
            raise OSError(e.errno, f"cannot listen on {host} port {port}: {_reason(e)}") from e
        receiver = threading.Thread(target=self._receive, args=(loop, ended), name="isotp serve receives", daemon=True)
        receiver.start()
        for listening in server.sockets:
            where = listening.getsockname()
            to_stderr(f"{self._sock.interface} {self._sock.address} on {where[0]} port {where[1]}")
        try:
            await ended
        finally:
            server.close()
            for client in self._clients:
                client.transport.abort()
            self._sock.close()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            receiver.join()
            self._sender.shutdown()

    # --- from the bus

    def _receive(self, loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[None]") -> None:
        def hand_over(call: Callable[..., object], *arguments: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, and all clients are gone
                loop.call_soon_threadsafe(call, *arguments)

        while True:
            try:
                message = self._sock.recv()
            except TransferError as e:
                to_stderr(f"warning: {_short(e)}")
            except SocketClosedError:
                return
            except Exception as e:
                hand_over(lambda error: None if ended.done() else ended.set_exception(error), e)
                return
            else:
                hand_over(self._broadcast, angle_brackets.wrap(message))

    def _broadcast(self, wrapped: bytes) -> None:
        for client, name in list(self._clients.items()):
            if client.transport.get_write_buffer_size() + len(wrapped) > _BACKLOG_MAX:
                to_stderr(f"{name} is cut off: it has not read {_BACKLOG_MAX} bytes")
                client.transport.abort()
            else:
                client.write(wrapped)

    # --- from a client

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        name = "{} port {}".format(*writer.get_extra_info("peername")[:2])
        task = asyncio.current_task()
        assert task is not None
        self._clients[writer] = name
        self._tasks.add(task)
        to_stderr(f"{name} came")
        unwrapper = angle_brackets.Unwrapper(BIGGEST)
        try:
            while data := await reader.read(_CHUNK):
                for found in unwrapper.feed(data):
                    if isinstance(found, str):
                        to_stderr(f"warning: {name}: {found}")
                    else:
                        await self._send(found, name)
        except ConnectionError:
            pass
        finally:
            del self._clients[writer]
            self._tasks.discard(task)
            writer.transport.abort()
            to_stderr(f"{name} went")

    async def _send(self, message: bytes, name: str) -> None:
        """Send one message; nothing is read from the client meanwhile, so that no messages pile up."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._sender, self._sock.send, message)
        except SocketClosedError:
            pass
        except IsoTpError as e:
            to_stderr(f"warning: {name}: {_short(e)}")


def _short(e: IsoTpError) -> str:
    return f"{e.what} ({e.n_result.name})" if e.n_result else e.what


def _reason(e: OSError) -> str:
    return os.strerror(e.errno) if e.errno and e.errno > 0 else str(e)
