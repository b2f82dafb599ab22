"""Messages that the application refuses when they begin."""

import asyncio
import gc
import weakref

import pytest

import isotp
from isotp.engine import Event, FrameIgnored, IgnoreReason


def test_the_sender_is_told_and_recv_gets_the_others() -> None:
    bus, events = isotp.VirtualBus(), list[Event]()
    with (
        isotp.SoftSocket(bus, 30) as a,
        isotp.SoftSocket(bus, 30, accept=lambda length: length <= 50, on_event=events.append) as b,
    ):
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        with pytest.raises(isotp.BufferOverflowError):
            a.send(bytes(51))
        a.send(bytes(50))
        a.send(b"x")
        assert [b.recv(), b.recv()] == [bytes(50), b"x"]
    assert [event.why for event in events if isinstance(event, FrameIgnored)] == [IgnoreReason.REFUSED]


def test_what_it_raises() -> None:
    def accept(length: int) -> bool:
        raise KeyError(length)

    bus = isotp.VirtualBus()
    with isotp.SoftSocket(bus, 30) as a, isotp.SoftSocket(bus, 30, accept=accept) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        with pytest.raises(isotp.BufferOverflowError):
            a.send(bytes(51))
        with pytest.raises(KeyError, match="51"):
            b.recv()
        a.send(b"x")
        assert b.recv() == b"x"


def test_asyncio() -> None:
    async def main() -> None:
        bus = isotp.VirtualBus()
        async with isotp.AsyncSoftSocket(bus, 30) as a, isotp.AsyncSoftSocket(bus, 30, accept=lambda _: False) as b:
            a.bind(rxid=1, txid=2)
            b.bind(rxid=2, txid=1)
            with pytest.raises(isotp.BufferOverflowError):
                await a.send(bytes(51))

    asyncio.run(main())


def test_simulated_time() -> None:
    bus = isotp.VirtualBus(clock=isotp.testing.FakeClock())
    with (
        isotp.testing.SimulatedSocket(bus, 30) as a,
        isotp.testing.SimulatedSocket(bus, 30, accept=lambda _: False) as b,
    ):
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        with pytest.raises(isotp.BufferOverflowError):
            a.send(bytes(51))


class Gateway:
    """An object that owns a socket which asks it."""

    def __init__(self, bus: isotp.VirtualBus) -> None:
        self.socket = isotp.SoftSocket(bus, 30, accept=self.accept)
        self.socket.bind(rxid=2, txid=1)

    def accept(self, length: int) -> bool:
        return False


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_socket_that_is_forgotten_is_freed() -> None:
    bus = isotp.VirtualBus()
    gateway = weakref.ref(Gateway(bus))
    gc.collect()
    assert gateway() is None
