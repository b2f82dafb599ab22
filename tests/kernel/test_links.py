"""Many links at once, both directions at once, several threads on one socket: every message exact."""

import threading
from typing import NamedTuple

import pytest

import isotp

from .conftest import Background, Bus, Link, Sockets, payload

LINKS = 20
ROUNDS = 5


def test_twenty_threads_on_twenty_links(new_socket: Sockets, vcan: Link, background: Background) -> None:
    pairs = []
    for n in range(LINKS):
        a, b = new_socket(30), new_socket(30)
        a.set_fc_opts(bs=n % 4, stmin=0)
        b.set_fc_opts(bs=(n + 1) % 4, stmin=0)
        a.bind(vcan, rxid=0x700 + n, txid=0x600 + n)
        b.bind(vcan, rxid=0x600 + n, txid=0x700 + n)
        pairs.append((a, b))
    together = threading.Barrier(LINKS)

    def use(n: int) -> int:
        a, b = pairs[n]
        together.wait(100)
        for turn in range(ROUNDS):
            request, response = payload(100 + 10 * n + turn, n), payload(300 - 10 * n + turn, 100 + n)
            a.send(request)
            assert b.recv() == request
            b.send(response)
            assert a.recv() == response
        return n

    tasks = [background(lambda n=n: use(n)) for n in range(LINKS)]  # type: ignore[misc]
    assert [task.result(50) for task in tasks] == list(range(LINKS))
    for a, b in pairs:
        for end in (a, b):
            assert end.dropped == 0
            end.settimeout(0)
            with pytest.raises(BlockingIOError):
                end.recv()


def test_links_that_share_identifiers(new_socket: Sockets, vcan: Link, background: Background) -> None:
    """Every frame reaches the sockets of all links; the address byte tells whose it is."""
    pairs = []
    for n in range(LINKS):
        a, b = new_socket(30), new_socket(30)
        a.bind(vcan, isotp.Address.extended(txid=0x600, rxid=0x601, target_address=n, source_address=0x80 + n))
        b.bind(vcan, isotp.Address.extended(txid=0x601, rxid=0x600, target_address=0x80 + n, source_address=n))
        pairs.append((a, b))

    def use(n: int) -> None:
        a, b = pairs[n]
        a.send(payload(60 + n, n))
        assert b.recv() == payload(60 + n, n)
        b.send(payload(90 - n, n))
        assert a.recv() == payload(90 - n, n)

    for task in [background(lambda n=n: use(n)) for n in range(LINKS)]:  # type: ignore[misc]
        task.result(50)


class Way(NamedTuple):
    """One direction of a link."""

    sender: isotp.socket
    receiver: isotp.socket
    seed: int


def test_full_duplex(new_socket: Sockets, vcan: Link, background: Background) -> None:
    a, b = new_socket(30), new_socket(30)
    a.bind(vcan, rxid=0x7E8, txid=0x7E0)
    b.bind(vcan, rxid=0x7E0, txid=0x7E8)
    ways = (Way(a, b, 1), Way(b, a, 2))
    together = threading.Barrier(4)

    def send(way: Way) -> None:
        together.wait(100)
        for turn in range(30):
            way.sender.send(payload(50 + 5 * turn, way.seed))

    def receive(way: Way) -> None:
        together.wait(100)
        for turn in range(30):
            assert way.receiver.recv() == payload(50 + 5 * turn, way.seed)

    tasks = [background(lambda do=do, way=way: do(way)) for way in ways for do in (send, receive)]  # type: ignore[misc]
    for task in tasks:
        task.result(50)


def test_several_senders_take_turns_and_each_keeps_its_order(
    new_socket: Sockets, vcan: Link, background: Background
) -> None:
    a, b = new_socket(30), new_socket(30)
    a.bind(vcan, rxid=0x7E8, txid=0x7E0)
    b.bind(vcan, rxid=0x7E0, txid=0x7E8)

    def send(n: int) -> None:
        for turn in range(10):
            assert a.send(bytes([n, turn]) + payload(40 + n, turn)) == 42 + n

    tasks = [background(lambda n=n: send(n)) for n in range(5)]  # type: ignore[misc]
    received = [b.recv() for _ in range(50)]
    for task in tasks:
        task.result()
    for n in range(5):
        of_this = [message for message in received if message[0] == n]
        assert of_this == [bytes([n, turn]) + payload(40 + n, turn) for turn in range(10)]


def test_several_senders_get_each_its_own_outcome(
    new_socket: Sockets, vcan: Link, bus: Bus, background: Background
) -> None:
    a = new_socket(30)
    a.bind(vcan, rxid=0x7E8, txid=0x7E0)
    answers = {0: b"\x30\x00\x00", 1: b"\x32\x00\x00", 2: b"\x33\x00\x00"}
    errors = {0: None, 1: isotp.BufferOverflowError, 2: isotp.InvalidCanDataError}

    def send(n: int) -> type[BaseException] | None:
        try:
            a.send(bytes([n]) + payload(9))
        except isotp.TransferError as e:
            return type(e)
        return None

    tasks = [background(lambda n=n: send(n)) for n in range(12)]  # type: ignore[misc]
    for _ in range(12):
        first = bus.recv()
        assert first.data[:2] == b"\x10\x0a"
        kind = first.data[2] % 3
        bus.send(0x7E8, answers[kind])
        if kind == 0:
            assert bus.recv().data[0] == 0x21
    assert [task.result() for task in tasks] == [errors[n % 3] for n in range(12)]


def test_several_receivers_share_what_arrives(new_socket: Sockets, vcan: Link, background: Background) -> None:
    a, b = new_socket(30), new_socket(30)
    a.bind(vcan, rxid=0x7E8, txid=0x7E0)
    b.bind(vcan, rxid=0x7E0, txid=0x7E8)
    tasks = [background(lambda: [b.recv() for _ in range(10)]) for _ in range(4)]
    for n in range(40):
        a.send(payload(30, n))
    received = [message for task in tasks for message in task.result()]
    assert sorted(received) == sorted(payload(30, n) for n in range(40))
