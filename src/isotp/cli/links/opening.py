"""A bound socket on the link of a command."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

import isotp  # which imports a kind of socket when it is used: each takes time

from ...bus.base import Bus
from ...opts.optflags import flags
from ...sockets import AnySocket, IsoTpSocket
from ..options.addresses import Way
from .buses import open_bus, socketcan_bus
from .link import BIGGEST, Link
from .remedies import in_options, in_use
from .virtual_peer import join

Advance = Callable[[int], None]

_PROGRESS_STEP: Final = 1000  # bytes


@contextmanager
def opened(
    link: Link,
    timeout: float | None = None,
    *,
    rcvbuf: int | None = None,
    advance: Advance | None = None,
    peer_speaks: bool = False,
) -> Iterator[IsoTpSocket]:
    """A bound socket, within a `with` block.

    Args:
        link: where.
        timeout: of the socket, in seconds.
        rcvbuf: bytes of messages to keep until they are read.
        advance: called, in any thread, with the number of bytes sent since it was called last.
        peer_speaks: the peer on the virtual bus sends a message every second instead of echoing.

    Raises:
        WrongUsage: the options of the link contradict each other.
        OSError: as `isotp.socket` and `isotp.SoftSocket`, with remedies for users of the command line.
    """
    link.check()
    with ExitStack() as stack:
        stack.enter_context(in_options(link))
        if link.is_shared:
            sock = _shared_socket(stack, link, timeout, rcvbuf)
        elif link.bus is None and not link.soft:
            sock = _kernel_socket(stack, link, timeout, rcvbuf, advance)
        else:
            sock = _soft_socket(stack, link, timeout, rcvbuf, advance, peer_speaks)
        stack.enter_context(in_use())
        try:
            yield sock
        except KeyboardInterrupt:
            if not sock.closed:
                sock.abort()  # so that closing it does not wait for a receiver
            raise


def bind_shared(sock: AnySocket, link: Link) -> None:
    """Set what is given and bind; what is left out is as the owner of the shared link has it."""
    link.configure(sock)
    if link.way is Way.LISTEN:
        sock.set_general_opts(optflags=flags.LISTEN_MODE)
    if link.has_address:
        sock.bind(link.address)
    else:
        sock.bind()


def _shared_socket(stack: ExitStack, link: Link, timeout: float | None, rcvbuf: int | None) -> IsoTpSocket:
    assert link.bus is not None
    sock = stack.enter_context(isotp.RemoteSocket(None, link.bus.channel, timeout, rcvbuf=rcvbuf or BIGGEST))
    bind_shared(sock, link)
    return sock


def _kernel_socket(
    stack: ExitStack, link: Link, timeout: float | None, rcvbuf: int | None, advance: Advance | None
) -> IsoTpSocket:
    assert link.interface is not None
    sock = stack.enter_context(isotp.socket(timeout, rcvbuf=rcvbuf))
    link.configure(sock)
    sock.bind(link.interface, link.address)
    if advance is not None and link.address.tx is not None:
        from .sent_bytes import counting  # not without progress: it takes the engine

        stack.enter_context(counting(link.interface, link.address.tx, advance))
    return sock


def _soft_socket(
    stack: ExitStack,
    link: Link,
    timeout: float | None,
    rcvbuf: int | None,
    advance: Advance | None,
    peer_speaks: bool,
) -> IsoTpSocket:
    bus = engine_bus(stack, link)
    start_peer = join(stack, bus, link, peer_speaks) if link.bus is not None and link.bus.is_virtual else None
    on_event = None
    if advance is not None:
        from .sent_bytes import of_engine

        on_event = of_engine(advance)
    sock = stack.enter_context(isotp.SoftSocket(bus, timeout, rcvbuf=rcvbuf or BIGGEST, on_event=on_event))
    sock.set_engine_opts(max_pdu_size=BIGGEST, progress_step=_PROGRESS_STEP if advance else 0)
    link.configure(sock)
    sock.bind(link.address)
    if start_peer is not None:
        start_peer()
    return sock


def engine_bus(stack: ExitStack, link: Link) -> Bus:
    """The bus for the engine; it is closed when `stack` unwinds."""
    if link.bus is None:
        return socketcan_bus(link.interface or "")
    return open_bus(stack, link.bus, link.bitrate, link.is_fd)
