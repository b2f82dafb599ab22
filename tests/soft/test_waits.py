"""How long calls wait: for their turn, for a transfer that gets on or stands still, for a message that begins."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

import isotp
from isotp.can_frame import CanFrame
from isotp.deadline import NEVER, NOW, Deadline
from isotp.sockets import MSG_DONTWAIT
from isotp.soft.inbox import Inbox
from isotp.soft.outbox import Outbox
from isotp.soft.request import Outgoing, Request, Wakeup
from isotp.soft.waits import Patience, waits_for

from ..conformance.blocking import LoopThread, blocking
from ..waiting import until

LONG = bytes(range(100))
FIRST, SECOND, WRONG = b"\x10\x64" + LONG[:6], b"\x21" + LONG[6:13], b"\x25" + LONG[:7]
CTS, WAIT, OVERFLOW = (bytes((0x30 + status, 0, 0)) for status in range(3))
Open = Callable[..., Any]


class Queue:
    """An outbox that is told what it has done."""

    longest_pause_s = 2.0

    def __init__(self) -> None:
        self.progress: tuple[object, int] = None, 0


def outbox() -> tuple[Queue, Outbox]:
    queue = Queue()
    return queue, cast(Outbox, queue)


# --- a transfer that gets on, and one that does not


def slept_until_standstill(timeout: float | None, progress_at: dict[int, tuple[object, int]]) -> float:
    """Seconds until a call gives up that looks when it is told to; `progress_at`: in seconds."""
    now = [1000.0]
    queue, box = outbox()
    turn = cast(Deadline, SimpleNamespace(left=lambda: timeout))
    for left in waits_for(box, Request(Wakeup()), turn, lambda: True, lambda: now[0]):
        assert left is not None
        now[0] += left
        for seconds, progress in progress_at.items():
            if now[0] - 1000 >= seconds:
                queue.progress = progress
    return now[0] - 1000


@pytest.mark.parametrize(("timeout", "least"), [(0, 2.0), (0.1, 2.0), (1.9, 2.0), (10.0, 10.0)])
def test_what_the_protocol_allows_is_no_standstill(timeout: float, least: float) -> None:
    assert slept_until_standstill(timeout, {}) == pytest.approx(least)


@pytest.mark.parametrize("timeout", [0.1, 10.0])
def test_a_standstill_begins_with_the_last_progress(timeout: float) -> None:
    longest = max(2.0, timeout)
    slept = slept_until_standstill(timeout, {n: (None, n) for n in range(1, 6)})
    assert 5 + longest <= slept <= 5 + longest * 9 / 8 + 0.001


def test_another_message_with_as_many_bytes_is_progress() -> None:
    assert slept_until_standstill(0.1, {n: (n, 6) for n in range(1, 6)}) >= 5 + 2


def test_without_timeout_nothing_stands_still() -> None:
    assert Patience(outbox()[1], None).left() is None


def test_a_request_that_begins_when_its_time_is_up_is_waited_for() -> None:
    """The driver may begin it after the call has looked and before it cancels it."""
    request = Outgoing(b"x", Wakeup(), is_awaited=True)

    def cancel() -> bool:
        request.begin()
        return False

    waits = waits_for(outbox()[1], request, NOW, cancel)
    assert next(waits) == 2.0 / 8
    request.end()
    assert list(waits) == []


def test_a_request_that_does_not_begin_in_time_is_cancelled() -> None:
    request = Outgoing(b"x", Wakeup(), is_awaited=True)
    assert list(waits_for(outbox()[1], request, NOW, lambda: True)) == []
    assert not request.is_done
    assert next(waits_for(outbox()[1], request, NEVER, lambda: False)) is None


def test_confirm_waits_for_what_is_being_sent() -> None:
    waits = waits_for(outbox()[1], Request(Wakeup()), Deadline.after(0.001), lambda: True)
    assert next(waits) == 2.0 / 8


# --- the same through each kind of socket


@pytest.fixture
def bus() -> isotp.VirtualBus:
    return isotp.VirtualBus()


@pytest.fixture(params=["threads", "asyncio"])
def new_socket(request: pytest.FixtureRequest, bus: isotp.VirtualBus) -> Iterator[Open]:
    """`new_socket(timeout)`: a bound socket. A message of it stands still after 1.177 s: N_As, N_Bs and 127 ms."""
    with contextlib.ExitStack() as stack:
        loop = None
        if request.param == "asyncio":
            loop = LoopThread()
            stack.callback(loop.close)

        def new(timeout: float | None, rxid: int = 1, txid: int = 2, stmin: int = 0, **engine: Any) -> Any:
            s: Any = isotp.SoftSocket(bus, timeout)
            if loop is not None:
                s = blocking(loop, isotp.AsyncSoftSocket(bus, timeout))
            stack.enter_context(s)
            s.set_fc_opts(stmin=stmin)
            s.set_engine_opts(**{"n_as_ns": 50_000_000, **engine})
            s.bind(rxid=rxid, txid=txid)
            return s

        yield new


def test_a_transfer_may_take_longer_than_a_standstill(new_socket: Open) -> None:
    a, b = new_socket(0.05), new_socket(30, rxid=2, txid=1, stmin=127)
    begin = time.monotonic()
    a.send(LONG)
    assert time.monotonic() - begin > 1.177
    assert b.recv() == LONG


@contextlib.contextmanager
def asking_to_wait(bus: isotp.VirtualBus, at_last: bytes) -> Iterator[None]:
    """The receiver sends WAIT, again and again, and at last another flow control."""
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.02):
            bus.inject(CanFrame(1, WAIT))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    bus.inject(CanFrame(1, at_last))


def test_a_receiver_that_only_asks_to_wait(new_socket: Open, bus: isotp.VirtualBus) -> None:
    a = new_socket(0.1)
    with asking_to_wait(bus, at_last=CTS):
        begin = time.monotonic()
        with pytest.raises(
            TimeoutError, match=r"100 bytes are still being sent .*; confirm\(\) waits for the outcome$"
        ):
            a.send(LONG)
        with pytest.raises(TimeoutError, match=r"\(100 bytes\) is still being sent") as caught:
            a.confirm()
        assert time.monotonic() - begin >= 2 * 1.177
        assert not isinstance(caught.value, isotp.IsoTpError)
    a.settimeout(None)
    a.confirm()
    assert a.send(b"x") == 1


def test_a_failure_after_the_call_gave_up_is_for_confirm(new_socket: Open, bus: isotp.VirtualBus) -> None:
    a = new_socket(0.1)
    with asking_to_wait(bus, at_last=OVERFLOW), pytest.raises(TimeoutError):
        a.send(LONG)
    with pytest.raises(isotp.BufferOverflowError):
        a.confirm()
    a.confirm()


def test_half_duplex_waits_for_its_turn(bus: isotp.VirtualBus) -> None:
    with isotp.SoftSocket(bus, 0.05) as a:
        a.set_general_opts(optflags=isotp.opts.flags.HALF_DUPLEX)
        a.bind(rxid=1, txid=2)
        bus.inject(CanFrame(1, FIRST))
        until(lambda: a._end.inbox.is_receiving)
        with pytest.raises(TimeoutError, match="still being received"):
            a.send(b"x")


# --- a message that begins


def inbox_of(s: Any) -> Inbox:
    inbox: Inbox = vars(s).get("_sock", s)._end.inbox
    return inbox


def receiving(s: Any) -> None:
    """Wait until the first frame of a message was received."""
    until(lambda: inbox_of(s).is_receiving)


def test_a_message_under_way_is_waited_for(new_socket: Open, bus: isotp.VirtualBus) -> None:
    b = new_socket(0)
    bus.inject(CanFrame(1, b"\x10\x0d" + LONG[:6]))
    receiving(b)
    with pytest.raises(BlockingIOError):
        b.recv()
    with pytest.raises(BlockingIOError):
        b.recv(flags=MSG_DONTWAIT, begins_within=5)
    later = threading.Timer(0.1, bus.inject, (CanFrame(1, SECOND),))
    later.start()
    assert b.recv(begins_within=0) == LONG[:13]
    later.join()
    with pytest.raises(TimeoutError, match="no message on virtual rxid=0x001 txid=0x002 began within 0 s"):
        b.recv(begins_within=0)


@pytest.mark.parametrize("begins_within", [0.05, 30, float("inf")])
def test_a_message_that_begins_and_breaks_off(new_socket: Open, bus: isotp.VirtualBus, begins_within: float) -> None:
    """The failure ends the call, sooner than N_Cr or later than the wait for the begin."""
    b = new_socket(None, n_cr_ns=300_000_000)
    bus.inject(CanFrame(1, FIRST))
    receiving(b)
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError):
        b.recv(begins_within=begins_within)
    bus.inject(CanFrame(1, FIRST))
    receiving(b)
    bus.inject(CanFrame(1, WRONG))
    with pytest.raises(isotp.WrongSequenceNumberError):
        b.recv_message(begins_within=begins_within)


def test_of_two_receivers_one_gets_the_message_and_the_other_is_too_late(
    new_socket: Open, bus: isotp.VirtualBus
) -> None:
    b = new_socket(None)
    outcomes: list[object] = []

    def receive() -> None:
        try:
            outcomes.append(b.recv(begins_within=0.05))
        except TimeoutError as e:
            outcomes.append(type(e))

    bus.inject(CanFrame(1, b"\x10\x0d" + LONG[:6]))
    receiving(b)
    threads = [threading.Thread(target=receive) for _ in range(2)]
    for thread in threads:
        thread.start()
    threads[0].join(0.2)
    assert outcomes == [], "both wait for the end"
    bus.inject(CanFrame(1, SECOND))
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes, key=str) == sorted([LONG[:13], TimeoutError], key=str)


@pytest.mark.parametrize("begins_within", [-1, float("nan")])
def test_a_time_that_is_none(new_socket: Open, bus: isotp.VirtualBus, begins_within: float) -> None:
    b = new_socket(30)
    bus.inject(CanFrame(1, b"\x01x"))
    with pytest.raises(ValueError, match="begins_within="):
        b.recv(begins_within=begins_within)
    assert b.recv() == b"x"


def test_close_ends_the_wait_for_the_end_of_a_message(new_socket: Open, bus: isotp.VirtualBus) -> None:
    b = new_socket(None)
    bus.inject(CanFrame(1, FIRST))
    receiving(b)
    outcome: list[BaseException] = []

    def receive() -> None:
        try:
            b.recv(begins_within=0)
        except OSError as e:
            outcome.append(e)

    thread = threading.Thread(target=receive)
    thread.start()
    until(lambda: inbox_of(b).waiters)
    b.close()
    thread.join(30)
    assert isinstance(outcome[0], isotp.SocketClosedError)
