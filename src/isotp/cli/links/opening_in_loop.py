"""A bound asyncio socket on the link of a command. It is apart from `opening`: asyncio takes time to import."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import isotp

from ...bus.base import Bus
from ...errors import IsoTpError
from ...sockets import AsyncIsoTpSocket
from .link import BIGGEST, Link
from .opening import bind_shared, engine_bus
from .remedies import in_options, in_use
from .virtual_peer import bind_peer


@contextmanager
def opened_in_loop(link: Link) -> Iterator[AsyncIsoTpSocket]:
    """A bound socket for the event loop that is running, within a `with` block.

    Raises:
        WrongUsage: the options of the link contradict each other.
        OSError: as `isotp.AsyncSocket` and `isotp.AsyncSoftSocket`, with remedies for users of the command line.
    """
    link.check()
    with ExitStack() as stack:
        stack.enter_context(in_options(link))
        sock: AsyncIsoTpSocket
        if link.bus is not None and link.is_shared:
            sock = isotp.AsyncRemoteSocket(None, link.bus.channel)
            stack.callback(sock.close)
            bind_shared(sock, link)
            stack.enter_context(in_use())
            yield sock
            return
        if link.bus is None and not link.soft:
            sock = isotp.AsyncSocket()
        else:
            bus = engine_bus(stack, link)
            if link.bus is not None and link.bus.is_virtual:
                join_in_loop(stack, bus, link)
            sock = isotp.AsyncSoftSocket(bus, rcvbuf=BIGGEST)
            sock.set_engine_opts(max_pdu_size=BIGGEST)
        stack.callback(sock.close)
        link.configure(sock)
        sock.bind(None if link.bus is not None else link.interface, link.address)
        stack.enter_context(in_use())
        yield sock


def join_in_loop(stack: ExitStack, bus: Bus, link: Link) -> None:
    """Put a peer that echoes on a virtual bus until `stack` unwinds."""
    sock = isotp.AsyncSoftSocket(bus)
    stack.callback(sock.close)
    bind_peer(sock, link)
    stack.callback(asyncio.get_running_loop().create_task(_echo(sock)).cancel)


async def _echo(sock: "isotp.AsyncSoftSocket") -> None:
    while not sock.closed:
        with contextlib.suppress(IsoTpError):  # a message that broke off: the other end has the error, too
            await sock.send(await sock.recv(), confirm=False)
