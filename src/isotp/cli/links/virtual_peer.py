"""The peer at the other end of a link on `--bus virtual`: it echoes each message, or sends messages of its own."""

import itertools
import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import isotp

from ...address import Address, AsymmetricAddress, CanAddress
from ...bus.base import Bus
from ...errors import IsoTpError, SocketClosedError, UnconfirmedSendWarning
from ..options.addresses import AnyAddress
from .link import BIGGEST, Link

_EVERY_S: Final = 1.0


def join(stack: ExitStack, bus: Bus, link: Link, speaks: bool) -> Callable[[], None]:
    """Put the peer of `link` on `bus` until `stack` unwinds; it starts when the function that is returned is called."""
    sock = isotp.SoftSocket(bus, linger=0)
    bind_peer(sock, link)
    ending = threading.Event()
    run = _speak if speaks else _echo
    thread = threading.Thread(target=run, args=(sock, ending), name="virtual peer", daemon=True)

    def leave() -> None:
        ending.set()
        with warnings.catch_warnings():  # what it is sending is for a command that has ended
            warnings.simplefilter("ignore", UnconfirmedSendWarning)
            sock.close()
        if thread.ident is not None:
            thread.join()

    stack.callback(leave)
    return thread.start


def bind_peer(sock: "isotp.SoftSocket | isotp.AsyncSoftSocket", link: Link) -> None:
    """Bind to the other end of `link`."""
    tx, rx = link.padding or (None, None)
    sock.set_general_opts(txpad=rx, rxpad=tx)
    sock.set_engine_opts(max_pdu_size=BIGGEST)
    if frames := link.frames:
        sock.set_ll_opts(*frames)
    sock.bind(opposite(link.address))


def opposite(address: AnyAddress) -> AnyAddress:
    """The same link from its other end."""
    tx = address.rx and _half(address.rx, sends=True)
    rx = address.tx and _half(address.tx, sends=False)
    if tx and rx:
        return AsymmetricAddress(tx, rx)
    half = tx or rx
    assert half is not None
    return half


def _half(one: CanAddress, sends: bool) -> Address:
    if one.address_byte is None:
        return Address.normal(txid=one.can_id) if sends else Address.normal(rxid=one.can_id)
    if sends:
        return Address.extended(txid=one.can_id, target_address=one.address_byte)
    return Address.extended(rxid=one.can_id, source_address=one.address_byte)


def _echo(sock: isotp.SoftSocket, ending: threading.Event) -> None:
    while not ending.is_set():
        try:
            message = sock.recv()
            if sock.address is not None and sock.address.tx is not None:
                sock.send(message, confirm=False)
        except SocketClosedError:
            return
        except IsoTpError:  # a message that broke off: the other end has the error, too, and may try again
            continue


def _speak(sock: isotp.SoftSocket, ending: threading.Event) -> None:
    # A peer that only listens gets single frames: 6 bytes at the most.
    form = "Hello over ISO-TP, number {}" if sock.address and sock.address.rx else "Hi {}"
    for number in itertools.count(1):
        try:
            sock.send(form.format(number).encode())
        except SocketClosedError:
            return
        except IsoTpError:
            pass
        if ending.wait(_EVERY_S):
            return
