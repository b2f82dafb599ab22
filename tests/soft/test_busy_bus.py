"""A bus with more traffic than Python can look at: every call ends. benchmarks/busy_bus.py measures how late."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import isotp
from isotp.can_frame import CanFrame

LONG = bytes(range(100))
FLOODS = {
    "for nobody": CanFrame(0x555, bytes(8)),
    "consecutive frames": CanFrame(2, b"\x21" + bytes(7)),
    "flow control": CanFrame(2, b"\x30\0\0"),
}


@pytest.fixture(params=FLOODS)
def flooded(request: pytest.FixtureRequest) -> Iterator[isotp.VirtualBus]:
    """A bus on which another node sends without pause, as soon as a socket is bound."""
    bus, stop = isotp.VirtualBus(), threading.Event()

    def flood() -> None:
        while not stop.is_set():
            bus.inject(FLOODS[request.param])

    thread = threading.Thread(target=flood)
    thread.start()
    yield bus
    stop.set()
    thread.join()


def bound(bus: isotp.VirtualBus, rxid: int, txid: int, timeout: float | None) -> isotp.SoftSocket:
    s = isotp.SoftSocket(bus, timeout)
    s.bind(rxid=rxid, txid=txid)
    return s


def ended_after(call: Callable[[], object]) -> float:
    """Seconds until `call` ends in a TimeoutError."""
    begin = time.monotonic()
    with pytest.raises(TimeoutError):
        call()
    return time.monotonic() - begin


def test_a_call_ends_at_its_timeout(flooded: isotp.VirtualBus) -> None:
    with bound(flooded, 2, 1, 0.3) as s:
        for _ in range(3):
            assert 0.3 <= ended_after(s.recv) < 3
        begin = time.monotonic()
    assert time.monotonic() - begin < 5, "close"


def test_a_message_gets_through(flooded: isotp.VirtualBus) -> None:
    with bound(flooded, 2, 1, 30) as a, bound(flooded, 1, 2, 30) as b, bound(flooded, 4, 3, 30) as c:
        other = bound(flooded, 3, 4, 30)
        with other:
            c.send(LONG)
            assert other.recv() == LONG
        # Frames of the flood may be taken for b's, even before a's flow control is out.
        with contextlib.suppress(isotp.WrongSequenceNumberError, isotp.FlowControlTimeoutError):
            b.send(LONG)
            assert a.recv() == LONG


def test_a_peer_that_does_not_answer_is_given_up(flooded: isotp.VirtualBus) -> None:
    with isotp.SoftSocket(flooded) as s:
        s.set_engine_opts(n_bs_ns=300_000_000)
        s.bind(rxid=0x7E8, txid=0x7E0)
        begin = time.monotonic()
        with pytest.raises(isotp.FlowControlTimeoutError):
            s.send(LONG)
        assert time.monotonic() - begin < 5
