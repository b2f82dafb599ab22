"""The descriptor of a SoftSocket: for selectors, and for code that was written for plain sockets."""

import selectors
from collections.abc import Iterator

import pytest

import isotp
from isotp.can_frame import CanFrame

Pair = tuple[isotp.SoftSocket, isotp.SoftSocket]
LONG = bytes(range(100))
FIRST = CanFrame(1, b"\x10\x64" + LONG[:6])


@pytest.fixture
def bus() -> isotp.VirtualBus:
    return isotp.VirtualBus()


@pytest.fixture
def pair(bus: isotp.VirtualBus) -> Iterator[Pair]:
    with isotp.SoftSocket(bus, 0.1) as a, isotp.SoftSocket(bus, 30) as b:
        a.bind(rxid=1, txid=2)
        b.set_fc_opts(stmin=20)
        b.bind(rxid=2, txid=1)
        yield a, b


def test_it_is_readable_as_long_as_something_waits(bus: isotp.VirtualBus, pair: Pair) -> None:
    a, b = pair
    with selectors.DefaultSelector() as selector:
        selector.register(a, selectors.EVENT_READ)
        assert selector.select(0) == []
        b.send(b"1")
        bus.inject(FIRST)
        b.send(b"2")  # before the message of the first frame has ended
        assert selector.select(30)
        assert a.recv() == b"1"
        assert selector.select(30)
        with pytest.raises(isotp.ReceptionInterruptedError):
            a.recv()
        assert selector.select(30)
        assert a.recv() == b"2"
        assert selector.select(0) == []


def test_a_socket_that_was_closed_leaves_a_selector(pair: Pair) -> None:
    a, _ = pair
    with selectors.DefaultSelector() as selector:
        selector.register(a, selectors.EVENT_READ)
        a.close()
        assert a.fileno() == -1
        selector.unregister(a)
        with pytest.raises(ValueError, match="-1"):
            selector.register(a, selectors.EVENT_READ)


def test_a_connection_of_udsoncan(pair: Pair) -> None:
    """Its request takes longer than the timeout of the socket, 0.1 s."""
    connections = pytest.importorskip("udsoncan.connections", reason="udsoncan is not installed (pip install udsoncan)")
    a, b = pair
    with connections.SocketConnection(a).open() as connection:
        connection.send(LONG)
        assert b.recv() == LONG
        b.send(LONG)
        assert connection.wait_frame(timeout=30) == LONG
