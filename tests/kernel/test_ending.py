"""A message that never gets on ends all the same: by abort, by close, by Ctrl-C, by the end of a program."""

import asyncio
import os
import signal
import socket as native_module
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial

import pytest

import isotp
from isotp.kernel.listeners import listeners
from isotp.linux.closing import close_now

from .conftest import A_TO_B, B_TO_A, Background, Bus, Link, payload
from .processes import ISOTP, Programs, Start
from .test_standstill import CTS, WAIT, Open, Peer, peer

__all__ = ["peer"]

LONG = payload(100)
MakePeer = Callable[[bytes, float], Peer]


@pytest.fixture
def start() -> Iterator[Start]:
    programs = Programs()
    yield programs.start
    programs.close()


def is_free(vcan: Link) -> None:
    """Another socket can have the link: nothing of the first one is left in the kernel."""
    with isotp.socket(30.0) as s:
        s.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
        s.send(b"free")


# --- close


@pytest.mark.parametrize("linger", [0, 0.3])
def test_close_gives_up_what_stands_still(vcan: Link, peer: MakePeer, linger: float) -> None:
    peer(WAIT, 0.2)
    s = isotp.socket(30.0, linger=linger)
    s.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    s.send(LONG, confirm=False)
    with pytest.warns(isotp.UnconfirmedSendWarning, match="a message of 100 bytes was given up"):
        s.close()
    is_free(vcan)


def test_close_waits_as_long_as_it_gets_on(vcan: Link) -> None:
    """It takes 1.3 s, four times what it may stand still."""
    with isotp.socket(30.0) as b:
        b.set_fc_opts(stmin=100)
        b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
        with isotp.socket(30.0, linger=0.3) as a:
            a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
            a.send(LONG, confirm=False)
        assert b.recv() == LONG


def test_several_threads_close_at_the_same_time(vcan: Link, bus: Bus, background: Background) -> None:
    """Each in the middle of a message; the first flow control would come after 1 s at most."""
    natives = [native_module.socket(native_module.AF_CAN, native_module.SOCK_DGRAM, 6) for _ in range(8)]
    for number, native in enumerate(natives):
        native.bind((vcan, 0x100 + number, 0x200 + number))
        native.send(LONG)
        bus.send(0x100 + number, WAIT)
    for closing in [background(partial(close_now, native.close)) for native in natives]:
        closing.result()
    for number in range(8):
        bus.send(0x100 + number, CTS)
    assert {frame.data[0] for frame in bus.take(8)} == {0x10}
    assert bus.is_silent()


def test_a_message_of_the_native_socket_is_given_up_too(vcan: Link, peer: MakePeer) -> None:
    peer(WAIT, 0.2)
    s = isotp.socket(30.0, linger=0.3)
    s.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    s.native.send(LONG)
    s.close()
    is_free(vcan)


def test_a_task_closes_and_gives_up(vcan: Link, peer: MakePeer) -> None:
    peer(WAIT, 0.2)

    async def run() -> None:
        s = isotp.AsyncSocket(30.0, linger=0.3)
        s.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
        await s.send(LONG, confirm=False)
        s.close()
        with pytest.warns(isotp.UnconfirmedSendWarning, match="was given up"):
            await s.wait_closed()

    asyncio.run(run())
    is_free(vcan)


def test_a_loop_that_ends_gives_up(vcan: Link, peer: MakePeer) -> None:
    """At once: a process that ends while the kernel is still sending waits for the receiver."""
    peer(WAIT, 0.2)

    async def run() -> None:
        s = isotp.AsyncSocket(30.0)
        s.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
        await s.send(LONG, confirm=False)
        s.close()

    with pytest.warns(isotp.UnconfirmedSendWarning, match="was given up"):
        asyncio.run(run())
    assert not [of for of in listeners() if of[0] == vcan]


def test_many_close_at_the_same_time_in_a_loop(vcan: Link) -> None:
    """The kernel takes some 10 ms for each; threads wait for it, and end."""

    async def run() -> None:
        sockets = [isotp.AsyncSocket() for _ in range(60)]
        for number, s in enumerate(sockets):
            s.bind(vcan, rxid=0x100 + number, txid=0x200 + number)
        descriptors = [s.fileno() for s in sockets]
        for s in sockets:
            s.close()
        assert {s.fileno() for s in sockets} == {-1}
        assert sum(thread.name == "isotp closes" for thread in threading.enumerate()) <= 16
        await asyncio.gather(*(s.wait_closed() for s in sockets))
        for number in descriptors:
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.fstat(number)

    asyncio.run(run())
    assert not [of for of in listeners() if of[0] == vcan]


def test_an_address_is_free_as_soon_as_it_was_closed(vcan: Link) -> None:
    async def run() -> None:
        sockets = [isotp.AsyncSocket() for _ in range(40)]
        for number, s in enumerate(sockets):
            s.bind(vcan, rxid=0x100 + number, txid=0x200 + number)
        for s in sockets:
            s.close()
        async with isotp.AsyncSocket() as again:
            again.bind(vcan, rxid=0x127, txid=0x227)  # the one closed last; a warning is an error
            assert Counter(listeners())[vcan, 0x127] == 1
        await asyncio.gather(*(s.wait_closed() for s in sockets))

    asyncio.run(run())


# --- abort


def test_abort_ends_the_send_and_the_kernel_goes_on(
    open_socket: Open, bus: Bus, peer: MakePeer, background: Background
) -> None:
    a, waiting = open_socket(None), peer(WAIT, 0.2)
    sending = background(lambda: a.send(LONG))
    assert bus.recv().data[0] == 0x10
    a.abort()
    with pytest.raises(isotp.TransferAbortedError, match="a message of 100 bytes was given up"):
        sending.result()
    a.settimeout(0.1)
    with pytest.raises(TimeoutError, match=r"an earlier message \(100 bytes\)"):
        a.send(LONG)
    a.confirm()  # it was raised already
    waiting.answer = CTS
    a.settimeout(30.0)
    a.send(LONG)


# --- programs


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_isotp_send(
    vcan: Link, bus: Bus, peer: MakePeer, start: Start, number: signal.Signals, status: int
) -> None:
    peer(WAIT, 0.2)
    program = start([*ISOTP, "send", vcan, "-s", f"{A_TO_B:X}", "-d", f"{B_TO_A:X}", LONG.hex()], lambda: True)
    assert bus.recv().data[0] == 0x10
    program.send_signal(number)
    _, err = program.communicate(timeout=30)
    assert program.returncode == status
    assert b"a message of 100 bytes was given up" in err
    assert err.endswith(b"\nended by " + (b"Ctrl-C\n" if number == signal.SIGINT else b"SIGTERM\n"))
    is_free(vcan)
