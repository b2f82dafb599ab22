"""The timeout of a send: how long the transfer may stand still, with a peer that says exactly what it is told to."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import isotp
from isotp.sockets import STANDSTILL_S

from ..waiting import async_until, until
from .conftest import A_TO_B, B_TO_A, Background, Bus, Link, Sockets, Task, payload

LONG = payload(100)  # a first frame and 14 consecutive frames
WAIT, CTS, OVERFLOW = b"\x31\x00\x00", b"\x30\x00\x00", b"\x32\x00\x00"
ONE = b"\x30\x01\x00"  #: one frame, then the next flow control
Open = Callable[..., Any]


class Peer:
    """Sends the same flow control again and again, every `seconds`."""

    def __init__(self, bus: Bus, background: Background, answer: bytes, seconds: float) -> None:
        self.answer = answer
        self._bus, self._seconds = bus, seconds
        self._is_over = False
        self._task: Task[None] = background(self._run)

    def _run(self) -> None:
        while not self._is_over:
            self._bus.send(B_TO_A, self.answer)
            time.sleep(self._seconds)

    def stop(self) -> None:
        self._is_over = True
        self._task.result()


@pytest.fixture
def peer(bus: Bus, background: Background) -> Iterator[Callable[[bytes, float], Peer]]:
    peers: list[Peer] = []

    def make(answer: bytes, seconds: float) -> Peer:
        peers.append(Peer(bus, background, answer, seconds))
        return peers[-1]

    yield make
    for one in peers:
        one.stop()


def test_a_transfer_may_take_longer_than_the_timeout(open_socket: Open, vcan: Link) -> None:
    """As udsoncan's IsoTPSocketConnection has it: a timeout of 0.1 s; this takes 0.26 s."""
    a = open_socket(0.1)
    with isotp.socket(30.0) as b:
        b.set_fc_opts(stmin=20)
        b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
        for _ in range(2):
            assert a.send(LONG) == 100
            assert b.recv() == LONG


def test_a_transfer_that_takes_several_times_as_long(open_socket: Open, vcan: Link) -> None:
    """So long that its frames are watched."""
    a = open_socket(0.1)
    with isotp.socket(30.0) as b:
        b.set_fc_opts(stmin=127)
        b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
        start = time.monotonic()
        assert a.send(payload(220)) == 220
        assert time.monotonic() - start > 3 * STANDSTILL_S
        a.send(payload(150), confirm=False)
        a.confirm()
        assert [b.recv(), b.recv()] == [payload(220), payload(150)]


@pytest.mark.parametrize("timeout", [0.001, 0.1, 2.0])
def test_a_receiver_that_does_not_answer(open_socket: Open, timeout: float) -> None:
    """It is absent, or its identifiers are swapped: the kernel knows after 1 s, whatever the timeout is."""
    a = open_socket(timeout)
    for _ in range(2):
        with pytest.raises(isotp.FlowControlTimeoutError) as caught:
            a.send(LONG)
        assert caught.value.n_result is isotp.N_Result.N_TIMEOUT_Bs


def test_a_receiver_that_asks_to_wait_for_ever(open_socket: Open, peer: Callable[[bytes, float], Peer]) -> None:
    a, waiting = open_socket(0.1), peer(WAIT, 0.2)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"100 bytes are still .* without a frame for 1\.2 s; confirm\(\)"):
        a.send(LONG)
    assert time.monotonic() - start >= STANDSTILL_S
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"an earlier message \(100 bytes\) is still being sent on .* after 0\.1 s"):
        a.send(b"next")
    assert time.monotonic() - start < STANDSTILL_S
    with pytest.raises(TimeoutError, match=r"without a frame for 1\.2 s"):
        a.confirm()
    waiting.answer = CTS
    a.settimeout(30.0)
    a.confirm()


def test_a_receiver_that_makes_it_wait_before_each_frame(
    open_socket: Open, peer: Callable[[bytes, float], Peer]
) -> None:
    """Each frame that it lets pass counts: the transfer stands still now and then, and never for long."""
    a = open_socket(0.1)
    peer(ONE, 0.5)
    start = time.monotonic()
    assert a.send(payload(50)) == 50
    assert time.monotonic() - start > 2 * STANDSTILL_S


def test_frames_of_another_link_are_not_ours(
    open_socket: Open, bus: Bus, background: Background, peer: Callable[[bytes, float], Peer]
) -> None:
    """It has the same identifiers and another address byte."""
    address = isotp.Address.extended(rxid=B_TO_A, txid=A_TO_B, target_address=0x10, source_address=0xF1)
    a = open_socket(0.1, address)
    is_over = False

    def send_others() -> None:
        while not is_over:
            bus.send(A_TO_B, b"\x11\x21other")
            bus.send(A_TO_B, b"\x10\x30\x00\x00")  # ours, and flow control
            time.sleep(0.1)

    others = background(send_others)
    peer(b"\xf1" + WAIT, 0.2)
    try:
        with pytest.raises(TimeoutError, match="still being sent"):
            a.send(LONG)
    finally:
        is_over = True
    others.result()
    bus.send(B_TO_A, b"\xf1\x32\x00\x00")
    with pytest.raises(isotp.BufferOverflowError):
        a.confirm()


def test_without_a_timeout_a_receiver_may_ask_to_wait_for_long(
    open_socket: Open, background: Background, peer: Callable[[bytes, float], Peer]
) -> None:
    a, waiting = open_socket(None), peer(WAIT, 0.2)
    sending = background(lambda: a.send(LONG))
    time.sleep(3 * STANDSTILL_S)
    assert not sending.is_done
    waiting.answer = CTS
    assert sending.result() == 100


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_close_while_the_frames_are_watched(
    vcan: Link, new_socket: Sockets, background: Background, peer: Callable[[bytes, float], Peer]
) -> None:
    waiting, a = peer(WAIT, 0.2), new_socket(2.0)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    sending = background(lambda: a.send(LONG))
    sending.wait_until_polling()
    before = descriptors()
    until(lambda: descriptors() > before)  # it watches
    waiting.answer = OVERFLOW
    a.close()
    with pytest.raises(isotp.SocketClosedError):
        sending.result()


def test_a_cancelled_send_leaves_no_descriptor(vcan: Link, peer: Callable[[bytes, float], Peer]) -> None:
    waiting = peer(WAIT, 0.2)

    async def test() -> None:
        async with isotp.AsyncSocket(0.1) as a:
            a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
            sending = asyncio.create_task(a.send(LONG))
            await asyncio.sleep(0)
            before = descriptors()
            await async_until(lambda: descriptors() > before)  # it watches
            sending.cancel()
            await asyncio.wait([sending])
            assert descriptors() == before
            waiting.answer = CTS
            await a.confirm()

    asyncio.run(test())
