"""isotp.socket's own promises: confirmed sends, whole messages, waiting, closing."""

import asyncio
import contextlib
import errno
import functools
import gc
import os
import random
import select
import selectors
import signal
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

import isotp
from isotp.kernel.transmission import REST_SECONDS, Message, Transmission

from ..loops import LOOPS, runner
from ..waiting import until
from .conftest import A_TO_B, B_TO_A, Background, Bus, Link, Pair, Sockets, Task, always_show_out, payload

MakePair = Callable[..., Pair]
LONG = payload(100)

T = TypeVar("T")


def lonely(new_socket: Sockets, vcan: Link, timeout: float | None = 10.0) -> isotp.socket:
    """A bound socket whose receiver is the test's raw socket, or nobody."""
    s = new_socket(timeout)
    s.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    return s


def hesitating(native: Callable[[Any, int], T], meanwhile: Callable[[], Task[Any]]) -> Callable[[Any, int], T]:
    """A native call that keeps an error to itself while a task that is started then tries to overtake it."""

    def call(first: Any, flags: int) -> T:
        try:
            return native(first, flags)
        except BlockingIOError:
            raise
        except OSError:
            task = meanwhile()
            with contextlib.suppress(AssertionError):
                until(lambda: task.is_done, 0.2)
            raise

    return call


@contextlib.contextmanager
def on_alarm(handler: Callable[..., object]) -> Iterator[None]:
    """Have a handler for SIGALRM. No garbage is collected: Python ignores what is raised in a finalizer."""
    before = signal.signal(signal.SIGALRM, handler)
    gc.disable()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()


alarmed = pytest.mark.timeout(method="thread")  # the other method has a SIGALRM of its own


def with_alarm(call: Callable[[], T]) -> T:
    """Make a call; SIGALRM comes in 0.2 s."""
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    return call()


# --- the example of the README


def test_the_example_of_the_readme_works_to_the_letter() -> None:
    s, s2 = isotp.socket(), isotp.socket()
    s.set_fc_opts(stmin=5, bs=10)
    s.bind("vcan0", rxid=0x123, txid=0x456)
    s2.bind("vcan0", rxid=0x456, txid=0x123)
    s2.send(b"Hello, this is a long payload sent in small chunks of 8 bytes.")
    assert s.recv() == b"Hello, this is a long payload sent in small chunks of 8 bytes."
    assert s._socket.getsockname() == ("vcan0", 0x123, 0x456)
    s.close()
    s2.close()


def test_native_sockets_take_the_options(vcan: Link, new_socket: Sockets) -> None:
    native = new_socket.native()
    isotp.opts.flowcontrol.write(native, stmin=5)
    padding = isotp.opts.flags.CAN_ISOTP_TX_PADDING | isotp.opts.flags.CAN_ISOTP_RX_PADDING
    isotp.opts.general.write(native, optflags=padding)
    native.bind((vcan, B_TO_A, A_TO_B))
    assert isotp.opts.general.read(native).optflags == padding
    assert isotp.opts.flowcontrol.read(native).stmin == 5


# --- sending


def test_send_returns_when_the_message_is_on_the_bus(pair: MakePair, bus: Bus) -> None:
    a, b = pair(configure_b=lambda s: s.set_fc_opts(stmin=20))
    start = time.monotonic()
    assert a.send(LONG) == 100
    took = time.monotonic() - start
    frames = bus.take(16)  # FF, FC, 14 CF: all there already
    assert bus.is_silent()
    assert took >= (frames[-1].timestamp_ns - frames[0].timestamp_ns) / 1e9 >= 13 * 0.020
    assert b.recv() == LONG


def test_send_without_confirmation_returns_at_once(pair: MakePair) -> None:
    a, b = pair(configure_b=lambda s: s.set_fc_opts(stmin=100))
    start = time.monotonic()
    assert a.send(LONG, confirm=False) == 100
    assert time.monotonic() - start < 13 * 0.100
    a.confirm()
    assert time.monotonic() - start >= 13 * 0.100
    assert b.recv() == LONG


def test_failure_without_confirmation_waits_for_confirm(vcan: Link, new_socket: Sockets) -> None:
    a = lonely(new_socket, vcan)
    a.send(LONG, confirm=False)
    a.send(b"single")  # waits for the first one, and is not blamed for it
    a.send(LONG, confirm=False)
    with pytest.raises(isotp.FlowControlTimeoutError) as caught:
        a.confirm()
    assert caught.value.__notes__ == ["1 more message(s) sent without confirmation failed after it"]
    a.confirm()  # told once


def test_failure_nobody_asked_about_is_told_at_close(vcan: Link, new_socket: Sockets) -> None:
    a = lonely(new_socket, vcan)
    a.send(LONG, confirm=False)
    with pytest.warns(isotp.UnconfirmedSendWarning, match="no flow control"):
        a.close()


def test_failure_of_a_message_that_was_not_awaited_is_for_confirm(vcan: Link, new_socket: Sockets) -> None:
    a = lonely(new_socket, vcan, timeout=0.1)
    a.send(LONG, confirm=False)
    with pytest.raises(TimeoutError, match="earlier message"):
        a.send(b"next")
    a.settimeout(None)
    a.send(b"next")
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.confirm()


def test_not_blocking(pair: MakePair) -> None:
    a, b = pair(configure_b=lambda s: s.set_fc_opts(stmin=100))
    a.setblocking(False)
    b.setblocking(False)
    with pytest.raises(BlockingIOError):
        b.recv()
    assert a.send(LONG) == 100  # taken; confirm() tells
    with pytest.raises(BlockingIOError, match="still being sent"):
        a.send(b"next")
    with pytest.raises(BlockingIOError):
        a.confirm()
    poll = select.poll()
    poll.register(a, select.POLLOUT)
    assert poll.poll(30_000) == [(a.fileno(), select.POLLOUT)]
    a.confirm()
    assert b.recv() == LONG
    assert b.gettimeout() == 0
    assert not b.getblocking()


def test_dontwait_flag_is_for_one_call(pair: MakePair) -> None:
    a, b = pair()
    with pytest.raises(BlockingIOError):
        b.recv(flags=socket.MSG_DONTWAIT)
    a.send(b"abc", socket.MSG_DONTWAIT)
    assert b.recv() == b"abc"


def test_wait_tx_done_is_taken_over(vcan: Link, new_socket: Sockets) -> None:
    a = new_socket(0.2)
    a.set_general_opts(isotp.opts.flags.WAIT_TX_DONE)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    assert a.get_general_opts().optflags == isotp.opts.flags.WAIT_TX_DONE
    assert isotp.opts.general.read(a.native).optflags == 0  # the kernel's own would be deaf to close
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.send(LONG, confirm=False)
    a.confirm()


@pytest.mark.parametrize("truthful", [None, False])
def test_a_poll_that_lies_about_writability(
    monkeypatch: pytest.MonkeyPatch, vcan: Link, new_socket: Sockets, truthful: bool | None
) -> None:
    """Kernels before 6.3 show POLLOUT all the time: the outcome is awaited all the same, without spinning."""
    monkeypatch.setattr(Transmission, "poll_is_truthful", truthful)
    a = lonely(new_socket, vcan)
    if truthful is False:
        always_show_out(a)
    look, looks = Transmission.look, []

    def counted(self: Transmission) -> bool:
        looks.append(self)
        return look(self)

    monkeypatch.setattr(Transmission, "look", counted)
    start = time.monotonic()
    a.send(b"single")
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.send(LONG)
    took = time.monotonic() - start
    assert took >= 0.9
    assert len(looks) <= took / REST_SECONDS + 10  # it rests between two looks
    if truthful is None:
        assert Transmission.poll_is_truthful  # learned from seeing no POLLOUT while it was sending


def test_the_message_can_be_any_buffer(pair: MakePair) -> None:
    a, b = pair()
    for data in (bytearray(LONG), memoryview(LONG), memoryview(LONG).cast("B", (10, 10))):
        assert a.send(data) == 100
        assert b.recv() == LONG
    for wrong in ("text", 5, None):
        with pytest.raises(TypeError):
            a.send(wrong)
    assert a.send(b"still works") == 11
    assert b.recv() == b"still works"


def test_a_broken_reception_does_not_fail_a_send(vcan: Link, new_socket: Sockets, bus: Bus) -> None:
    a = lonely(new_socket, vcan)
    bus.send(B_TO_A, b"\x10\x14abcdef")
    assert bus.recv().can_id == A_TO_B  # its flow control
    bus.send(B_TO_A, b"\x25ghijklm")
    until(lambda: select.select([a], [], [], 0)[0])
    assert a.send(b"single") == 6
    with pytest.raises(isotp.WrongSequenceNumberError):
        a.recv()


def test_sends_of_several_threads_each_have_their_outcome(pair: MakePair, background: Background) -> None:
    a, b = pair()
    messages = [payload(50 + i, seed=i) for i in range(12)]
    tasks = [background(functools.partial(a.send, m)) for m in messages]
    received = [b.recv() for _ in messages]
    assert sorted(received) == sorted(messages)
    assert [t.result() for t in tasks] == [len(m) for m in messages]


def test_another_thread_may_ask_for_a_sender_that_is_just_over(
    vcan: Link, new_socket: Sockets, background: Background
) -> None:
    a = lonely(new_socket, vcan, timeout=0.5)
    a.send(LONG, confirm=False)
    sender = background(lambda: a.send(b"next"))
    until(lambda: a._waits.waiting)
    (wait,) = a._waits.waiting
    with pytest.raises(TimeoutError):
        sender.result()
    assert not wait.is_due()
    del wait  # it holds a descriptor
    a.settimeout(30)
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.confirm()


def test_sender_and_receiver_share_the_error_slot_fairly(
    vcan: Link, new_socket: Sockets, background: Background
) -> None:
    """A thread blocked in recv must neither raise nor swallow the failure of a send."""
    a = lonely(new_socket, vcan, timeout=5)
    receiver = background(a.recv)
    receiver.wait_until_polling()
    for _ in range(2):
        with pytest.raises(isotp.FlowControlTimeoutError):
            a.send(LONG)
    with pytest.raises(TimeoutError, match="no message"):
        receiver.result()


def test_receiver_learns_what_the_sender_caught(
    vcan: Link, new_socket: Sockets, bus: Bus, background: Background
) -> None:
    """Both are blocked when a reception breaks off: whoever looks first, recv raises and send goes on."""
    a = lonely(new_socket, vcan)
    receiver = background(a.recv)
    receiver.wait_until_polling()
    sender = background(lambda: a.send(LONG))
    assert bus.recv().data[:1] == b"\x10"
    bus.send(B_TO_A, b"\x10\x14abcdef")
    assert bus.recv().data[:1] == b"\x30"
    bus.send(B_TO_A, b"\x25ghijklm")
    with pytest.raises(isotp.WrongSequenceNumberError):
        receiver.result()
    assert not sender.is_done
    bus.send(B_TO_A, b"\x30\x00\x00")
    assert sender.result() == 100


def test_a_message_is_not_called_through_while_a_receiver_has_its_failure(
    vcan: Link, new_socket: Sockets, background: Background
) -> None:
    a = lonely(new_socket, vcan, timeout=0.5)
    a.send(LONG, confirm=False)
    until(lambda: not a._end.transmission.is_transmitting())  # failed, and nobody looked
    tasks: list[Task[None]] = []

    def confirm() -> Task[None]:
        tasks.append(background(a.confirm))
        return tasks[0]

    a._end._native_recv = hesitating(a._end._native_recv, confirm)
    with pytest.raises(TimeoutError, match="no message"):
        a.recv()
    with pytest.raises(isotp.FlowControlTimeoutError):
        tasks[0].result()


def test_confirm_never_calls_a_failed_message_through(vcan: Link, new_socket: Sockets, bus: Bus) -> None:
    """Its failure was overwritten by that of a reception, which recv fetched."""
    a = lonely(new_socket, vcan)
    a.send(LONG, confirm=False)
    until(lambda: not a._end.transmission.is_transmitting())  # failed, and nobody looked
    bus.send(B_TO_A, b"\x10\x14abcdef")
    bus.send(B_TO_A, b"\x25ghijklm")
    with pytest.raises(isotp.WrongSequenceNumberError):
        a.recv()
    with pytest.raises(isotp.UnknownOutcomeError):
        a.confirm()


def test_a_message_that_is_out_is_not_blamed_for_a_reception(pair: MakePair, bus: Bus, background: Background) -> None:
    """It breaks off between the end of the message and the moment when its sender says so."""
    a, b = pair(configure_b=lambda s: s.set_fc_opts(stmin=10))  # long enough for the sender to wait
    transmission = a._end.transmission
    raise_failure, tasks = transmission.raise_failure, list[Task[bytes]]()

    def hesitate(message: Message) -> None:
        bus.send(B_TO_A, b"\x10\x14abcdef")
        bus.send(B_TO_A, b"\x25ghijklm")
        tasks.append(background(a.recv))
        until(lambda: tasks[0].is_done)
        raise_failure(message)

    transmission.raise_failure = hesitate  # type: ignore[method-assign]
    assert a.send(LONG) == len(LONG)
    with pytest.raises(isotp.WrongSequenceNumberError):
        tasks[0].result()
    assert b.recv() == LONG


def test_a_delivered_message_is_not_blamed_for_what_comes_later(vcan: Link, new_socket: Sockets, bus: Bus) -> None:
    a = new_socket()
    flags = isotp.opts.flags
    a.set_general_opts(flags.RX_PADDING | flags.CHK_PAD_DATA, rxpad=0xAA)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    a.send(b"abc", confirm=False)
    assert bus.recv().data == b"\x03abc"
    bus.send(B_TO_A, b"\x02hi\x00\x00\x00\x00\x00")
    with pytest.raises(isotp.InvalidCanDataError):
        a.recv()
    vcan.down()
    with pytest.raises(isotp.InterfaceDownError):
        a.recv()
    a.confirm()


def test_the_interface_goes_down_under_sender_and_receiver(
    vcan: Link, new_socket: Sockets, bus: Bus, background: Background
) -> None:
    a = lonely(new_socket, vcan)
    receiver = background(a.recv)
    receiver.wait_until_polling()
    sender = background(lambda: a.send(LONG))
    assert bus.recv().data[:1] == b"\x10"
    vcan.down()
    for call in (sender, receiver):
        with pytest.raises(isotp.InterfaceDownError):
            call.result()


def test_a_send_while_the_interface_is_down_is_not_told_to_recv(vcan: Link, new_socket: Sockets) -> None:
    a = lonely(new_socket, vcan, timeout=0.1)
    vcan.down()
    with pytest.raises(isotp.InterfaceDownError):
        a.recv()
    for _ in range(2):
        with pytest.raises(isotp.InterfaceDownError):
            a.send(b"x")
    vcan.up()
    with pytest.raises(TimeoutError):
        a.recv()


def test_a_failure_on_the_native_socket_is_its_own(vcan: Link, new_socket: Sockets) -> None:
    a = lonely(new_socket, vcan, timeout=1.5)
    a.real_socket().send(LONG)
    with pytest.raises(TimeoutError):
        a.recv()  # fetches ECOMM meanwhile
    assert a.send(b"single") == 6
    a.confirm()


def test_the_time_for_the_turn_is_not_taken_from_the_transfer(vcan: Link, new_socket: Sockets) -> None:
    a = lonely(new_socket, vcan, timeout=1.5)
    a.send(LONG, confirm=False)  # fails after 1 s
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.send(LONG)  # waits for that, and 1 s for its own failure
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.confirm()


def test_settimeout_while_others_wait(pair: MakePair, background: Background) -> None:
    _, b = pair()
    b.settimeout(0.4)
    receiver = background(b.recv)
    receiver.wait_until_polling()
    b.settimeout(None)
    with pytest.raises(TimeoutError):
        receiver.result()


# --- receiving


def test_a_broken_reception_is_told_before_what_came_after_it(vcan: Link, new_socket: Sockets, bus: Bus) -> None:
    a = lonely(new_socket, vcan)
    bus.send(B_TO_A, b"\x10\x14abcdef")
    bus.send(B_TO_A, b"\x25ghijklm")
    bus.send(B_TO_A, b"\x02hi")
    until(lambda: select.select([a], [], [], 0)[0])
    with pytest.raises(isotp.WrongSequenceNumberError):
        a.recv()
    assert a.recv() == b"hi"


def test_a_broken_reception_is_told_first_though_a_sender_just_found_it(
    vcan: Link, new_socket: Sockets, bus: Bus, background: Background
) -> None:
    a = lonely(new_socket, vcan)
    bus.send(B_TO_A, b"\x10\x14abcdef")
    bus.send(B_TO_A, b"\x25ghijklm")
    until(lambda: select.select([a], [], [], 0)[0])
    tasks: list[Task[bytes]] = []

    def receive_what_came_after_it() -> Task[bytes]:
        bus.send(B_TO_A, b"\x02hi")
        tasks.append(background(a.recv))
        return tasks[0]

    a._end._native_send = hesitating(a._end._native_send, receive_what_came_after_it)
    assert a.send(b"single") == 6
    with pytest.raises(isotp.WrongSequenceNumberError):
        tasks[0].result()
    assert a.recv() == b"hi"


def test_recv_takes_any_length(pair: MakePair) -> None:
    a, b = pair()
    data = payload(8300)
    a.send(data)
    assert b.recv() == data


def test_too_small_a_buffer_keeps_the_message(pair: MakePair) -> None:
    a, b = pair()
    a.send(LONG)
    with pytest.raises(isotp.ReceiveBufferTooSmallError, match="100 bytes and the buffer 99") as caught:
        b.recv(99)
    assert (caught.value.needed, caught.value.given) == (100, 99)
    buffer = bytearray(200)
    with pytest.raises(isotp.ReceiveBufferTooSmallError):
        b.recv_into(buffer, 10)
    assert b.recv(100, socket.MSG_PEEK) == LONG
    assert b.recv_into(buffer) == 100
    assert buffer[:100] == LONG
    with pytest.raises(BlockingIOError):
        b.recv(100, socket.MSG_DONTWAIT)


def test_timeout_of_recv_is_the_builtin(pair: MakePair) -> None:
    _, b = pair()
    b.settimeout(0.1)
    for receive in (b.recv, b.recv_message, lambda: b.recv(10), lambda: b.recv_into(bytearray(9))):
        start = time.monotonic()
        with pytest.raises(TimeoutError) as caught:
            receive()
        assert not isinstance(caught.value, isotp.IsoTpError)
        assert 0.1 <= time.monotonic() - start < 10


def test_receive_timestamp_is_that_of_the_last_frame(pair: MakePair, bus: Bus) -> None:
    a, b = pair(configure_b=lambda s: s.set_fc_opts(stmin=10))
    a.send(LONG)
    last = bus.take(16)[-1]
    message = b.recv_message()
    assert message.data == LONG
    assert message.timestamp_ns == last.timestamp_ns
    assert abs(message.timestamp_ns - time.time_ns()) < 60_000_000_000
    assert message.dropped == 0


def test_dropped_messages_are_counted_and_told(pair: MakePair) -> None:
    a, b = pair()
    for i in range(60):
        a.send(payload(4095, seed=i), confirm=True)
    lost = b.dropped
    assert lost > 0
    kept = [b.recv_message() for _ in range(60 - lost)]
    assert [m.data for m in kept] == [payload(4095, seed=i) for i in range(60 - lost)]
    b.setblocking(False)
    with pytest.warns(isotp.MessagesDroppedWarning, match=f"dropped {lost} message"), pytest.raises(BlockingIOError):
        b.recv()
    a.send(b"next")
    assert b.recv_message().dropped == lost
    b.close()  # told already: warns no more
    assert b.dropped == lost


def test_drops_not_told_before_are_told_at_close(pair: MakePair) -> None:
    a, b = pair(configure_b=lambda s: s._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096))
    for i in range(20):
        a.send(payload(500, seed=i))
    assert b.dropped > 0
    with pytest.warns(isotp.MessagesDroppedWarning):
        b.close()


def test_drops_are_told_while_the_queue_never_empties(pair: MakePair) -> None:
    a, b = pair(configure_b=lambda s: s._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30_000))
    for i in range(60):
        a.send(payload(500, seed=i))
    assert b.dropped > 0
    b._end.drops.unchecked = 1  # one more without a look
    assert b.recv() == payload(500)
    with pytest.warns(isotp.MessagesDroppedWarning):
        assert b.recv() == payload(500, seed=1)


def test_recv_into_what_cannot_be_written_takes_nothing(pair: MakePair) -> None:
    a, b = pair()
    a.send(b"abc")
    with pytest.raises(TypeError, match="read-only"):
        b.recv_into(bytes(10))
    with pytest.raises(ValueError, match="nbytes=-1"):
        b.recv_into(bytearray(10), -1)
    buffer = bytearray(10)
    assert b.recv_into(buffer) == 3


def test_rcvbuf_keeps_more(vcan: Link, new_socket: Sockets) -> None:
    a, b = new_socket(), new_socket(rcvbuf=4_000_000)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    for i in range(60):
        a.send(payload(4095, seed=i))
    assert b.dropped == 0
    assert [b.recv() for _ in range(60)] == [payload(4095, seed=i) for i in range(60)]


def test_several_receivers_lose_nothing(pair: MakePair, background: Background) -> None:
    a, b = pair()
    receivers = [background(b.recv) for _ in range(5)]
    messages = [payload(30, seed=i) for i in range(5)]
    for message in messages:
        a.send(message)
    assert sorted(r.result() for r in receivers) == sorted(messages)


def test_select_and_selectors(pair: MakePair) -> None:
    a, b = pair()
    with selectors.DefaultSelector() as selector:
        selector.register(b, selectors.EVENT_READ)
        assert not selector.select(0)
        a.send(b"abc")
        assert [key.fileobj for key, _ in selector.select(5)] == [b]
    assert b.recv() == b"abc"


# --- the native socket made non-blocking, as the loop.sock_* calls of asyncio want it


@pytest.mark.parametrize("timeout", [None, 0.1, 30.0])
@pytest.mark.parametrize("loop", LOOPS)
def test_calls_of_the_loop_on_the_socket(
    pair: MakePair, caplog: pytest.LogCaptureFixture, loop: str, timeout: float | None
) -> None:
    """As examples of can-isotp and odxtools do; the loop must go on meanwhile."""
    a, b = pair()
    for s in (a, b):
        s.settimeout(timeout)
        s._socket.setblocking(False)
        assert (s.gettimeout(), s.getblocking()) == (0, False)

    async def test() -> None:
        loop = asyncio.get_running_loop()
        receiving = asyncio.create_task(loop.sock_recv(b, 4095))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert not receiving.done()
        await loop.sock_sendall(a, LONG)  # type: ignore[arg-type]
        assert await receiving == LONG

    runner(loop, caplog)(test())
    with pytest.raises(BlockingIOError):
        b.recv()
    b.settimeout(5.0)  # from now on it waits again
    a.settimeout(5.0)
    a.confirm()
    assert a.send(b"x") == 1
    assert b.recv() == b"x"


# --- closing


@pytest.mark.parametrize("timeout", [None, 1000.0])
def test_close_ends_a_blocked_recv(pair: MakePair, background: Background, timeout: float | None) -> None:
    _, b = pair()
    b.settimeout(timeout)
    receivers: list[Task[Any]] = [background(b.recv), background(b.recv_message)]
    for receiver in receivers:
        receiver.wait_until_polling()
    b.close()
    for receiver in receivers:
        with pytest.raises(isotp.SocketClosedError):
            receiver.result()
    assert b.fileno() == -1


@pytest.mark.parametrize("timeout", [None, 1000.0])
def test_close_ends_a_blocked_send(
    vcan: Link, new_socket: Sockets, background: Background, timeout: float | None
) -> None:
    a = lonely(new_socket, vcan, timeout)
    senders = [background(lambda: a.send(LONG)), background(lambda: a.send(b"queued"))]
    for sender in senders:
        sender.wait_until_polling()
    a.close()
    for sender in senders:
        with pytest.raises(isotp.SocketClosedError):
            sender.result()


@alarmed
def test_close_from_a_signal_handler(pair: MakePair) -> None:
    """It runs on top of the blocked call it ends."""
    _, b = pair()
    with on_alarm(lambda *_: b.close()), pytest.raises(isotp.SocketClosedError):
        with_alarm(b.recv)


@alarmed
def test_exception_from_a_signal_handler_leaves_the_socket_usable(pair: MakePair) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    a, b = pair(configure_b=lambda s: s.set_fc_opts(stmin=100))
    calls: list[Callable[[], object]] = [b.recv, lambda: a.send(LONG)]
    with on_alarm(interrupt):
        for call in calls:
            with pytest.raises(KeyboardInterrupt):
                with_alarm(call)
    assert a.send(b"after") == 5
    assert [b.recv(), b.recv()] == [LONG, b"after"]
    a.confirm()


@alarmed
def test_close_in_a_signal_handler_on_top_of_a_send(vcan: Link, new_socket: Sockets) -> None:
    a = lonely(new_socket, vcan, timeout=None)
    with on_alarm(lambda *_: a.close()), pytest.raises(isotp.SocketClosedError):
        with_alarm(lambda: a.send(LONG))


@alarmed
def test_what_a_signal_handler_raises_does_not_send_again(pair: MakePair) -> None:
    """Not even what the kernel raises when it has no room."""

    def fail(*_: object) -> None:
        raise BlockingIOError

    a, b = pair()
    transmission = a._end.transmission
    poll = transmission.poll

    def interrupted(timeout: float | None = None) -> list[tuple[int, int]]:
        transmission.poll = poll
        signal.raise_signal(signal.SIGALRM)
        return poll(timeout)

    transmission.poll = interrupted
    with on_alarm(fail), pytest.raises(BlockingIOError):
        a.send(b"once")
    assert b.recv() == b"once"
    with pytest.raises(BlockingIOError):
        b.recv(flags=socket.MSG_DONTWAIT)


def interrupt_step(a: isotp.socket) -> None:
    """Let a signal come when the next message was just given to the kernel."""
    native = a._end._native_send

    def interrupted(data: Any, flags: int) -> int:
        a._end._native_send = native
        sent: int = native(data, flags)
        signal.raise_signal(signal.SIGALRM)
        return sent

    a._end._native_send = interrupted


@alarmed
def test_a_signal_handler_on_top_of_a_step_is_refused_all_but_close(pair: MakePair) -> None:
    a, b = pair()
    refused: list[str] = []

    def handler(*_: object) -> None:
        for call in (a.recv, a.confirm, lambda: a.send(b"x")):
            with pytest.raises(isotp.BusyError, match="signal handler") as caught:
                call()
            refused.append(caught.value.what)

    interrupt_step(a)
    with on_alarm(handler):
        assert a.send(b"through") == 7
    assert len(refused) == 3
    assert b.recv() == b"through"


@alarmed
def test_close_in_a_signal_handler_on_top_of_a_step(pair: MakePair) -> None:
    a, b = pair()
    descriptors: list[int] = []

    def handler(*_: object) -> None:
        a.close()
        descriptors.append(a.fileno())

    interrupt_step(a)
    with on_alarm(handler):
        assert a.send(b"through") == 7
    assert descriptors[0] >= 0  # the call that was interrupted still needed it
    assert (a.closed, a.fileno()) == (True, -1)
    assert b.recv() == b"through"


@alarmed
def test_what_a_signal_handler_raises_on_top_of_a_step_is_no_refusal(pair: MakePair) -> None:
    """As those that make a timeout out of SIGALRM: the message is sent, and its outcome is not lost."""

    def too_late(*_: object) -> None:
        raise TimeoutError("too late")

    a, b = pair()
    interrupt_step(a)
    with on_alarm(too_late), pytest.raises(TimeoutError, match="too late"):
        a.send(b"once")
    a.confirm()
    assert b.recv() == b"once"
    assert a.send(b"twice") == 5
    assert b.recv() == b"twice"


@alarmed
def test_no_interrupt_breaks_the_socket(pair: MakePair) -> None:
    """Ctrl-C may come after any instruction of send and recv."""
    armed = False

    def interrupt(*_: object) -> None:
        nonlocal armed
        if armed:
            armed = False
            raise KeyboardInterrupt

    a, b = pair()
    interrupts = 0
    with on_alarm(interrupt):
        while interrupts < 200:
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.0001, 0.005))
                while True:
                    a.send(b"x")
                    b.recv()
            except KeyboardInterrupt:
                interrupts += 1
                while select.select([b], [], [], 0)[0]:
                    b.recv()
    assert a.send(b"after") == 5
    assert b.recv() == b"after"
    a.confirm()


@alarmed
def test_no_interrupt_loses_an_outcome(vcan: Link, new_socket: Sockets, bus: Bus, background: Background) -> None:
    """Ctrl-C at any moment of a send that fails: it raises its failure, or confirm() does."""
    a = lonely(new_socket, vcan)
    stopped = threading.Event()

    def refuse() -> None:
        while not stopped.is_set():
            with contextlib.suppress(TimeoutError):
                if bus.recv(0.05).data[0] >> 4 == 1:
                    bus.send(B_TO_A, b"\x32\x00\x00")

    armed = False

    def interrupt(*_: object) -> None:
        if armed:
            raise KeyboardInterrupt

    numbers = random.Random(7)
    outcomes = {"send": 0, "confirm": 0}
    refusing = background(refuse)
    with on_alarm(interrupt):
        while outcomes["confirm"] < 100:
            raised: list[isotp.BufferOverflowError] = []
            before = a._end.transmission.message
            try:
                armed = True
                signal.setitimer(signal.ITIMER_REAL, numbers.uniform(0.0001, 0.003))
                try:
                    a.send(LONG)
                except isotp.BufferOverflowError as e:
                    armed = False
                    raised.append(e)
            except KeyboardInterrupt as e:
                armed = False
                if isinstance(e.__context__, isotp.BufferOverflowError):
                    raised.append(e.__context__)  # it was on its way out
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            message = a._end.transmission.message
            is_sent = message is not before and message.is_sent
            try:
                a.confirm()
            except isotp.BufferOverflowError:
                outcomes["confirm"] += 1
                assert not raised
            else:
                outcomes["send"] += bool(raised)
                assert raised or not is_sent
    stopped.set()
    refusing.result()


@alarmed
def test_close_that_is_interrupted_has_closed(vcan: Link, new_socket: Sockets) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    a = lonely(new_socket, vcan)
    a.send(LONG, confirm=False)
    with on_alarm(interrupt), pytest.raises(KeyboardInterrupt):
        with_alarm(a.close)
    assert a.closed
    assert a.fileno() == -1
    with pytest.warns(isotp.UnconfirmedSendWarning, match="was given up"):
        a.close()


def test_several_threads_close_at_once(pair: MakePair, background: Background) -> None:
    for _ in range(10):
        a, b = pair()
        for task in [background(a.close) for _ in range(4)]:
            task.result()
        b.close()


def test_closed_is_closed(pair: MakePair) -> None:
    _, b = pair()
    with b:
        pass
    b.close()
    b.close()
    assert b.closed
    assert b.fileno() == -1
    assert "closed" in repr(b)
    for call in (b.recv, b.confirm, lambda: b.send(b"x"), b.get_fc_opts, lambda: b.set_fc_opts(bs=1), b.recv_message):
        with pytest.raises(isotp.SocketClosedError) as caught:
            call()
        assert caught.value.errno == errno.EBADF
    with pytest.raises(isotp.SocketClosedError):
        b.bind("vcan0", rxid=1, txid=2)


def test_close_while_many_threads_use_it(pair: MakePair, background: Background) -> None:
    """No call of another thread may touch a descriptor that is gone, whatever it is doing."""
    for _ in range(10):
        a, b = pair()
        received: list[bytes] = []

        def use(s: isotp.socket, received: list[bytes] = received) -> str:
            try:
                while True:
                    s.send(b"x" * 20)
                    received.append(s.recv())
            except (isotp.SocketClosedError, isotp.FlowControlTimeoutError) as e:
                return type(e).__name__

        a.settimeout(None)
        b.settimeout(None)
        users = [background(functools.partial(use, s)) for s in (a, b)]
        until(lambda: len(received) > random.randrange(10))  # noqa: B023 - called in this turn
        a.close()
        b.close()
        assert "SocketClosedError" in {u.result() for u in users}


def test_a_socket_that_was_never_bound() -> None:
    with isotp.socket(1.0) as s:
        assert not s.bound
        assert s.interface is None
        assert s.address is None
        assert "unbound" in repr(s)
        for call in (s.recv, lambda: s.send(b"x"), s.recv_message, lambda: s.recv(5)):
            with pytest.raises(isotp.NotBoundError, match="not bound"):
                call()
        s.confirm()


def test_what_a_socket_tells_of_itself(pair: MakePair, vcan: Link) -> None:
    a, _ = pair()
    assert a.bound
    assert a.interface == vcan
    assert a.address == isotp.Address.normal(rxid=B_TO_A, txid=A_TO_B)
    assert repr(a) == f"<isotp.socket {vcan} rxid=0x7E8 txid=0x7E0>"
    assert a.real_socket() is a._socket
    assert a._socket.getsockname() == (vcan, B_TO_A, A_TO_B)
    assert a.fileno() == a._socket.fileno()


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_bad_timeouts(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        isotp.socket(timeout)
    with isotp.socket() as s, pytest.raises(ValueError, match="timeout"):
        s.settimeout(timeout)


def test_warnings_made_errors_lose_nothing(pair: MakePair) -> None:
    a, b = pair(configure_b=lambda s: s._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096))
    for i in range(20):
        a.send(payload(500, seed=i))
    kept = 20 - b.dropped
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(isotp.MessagesDroppedWarning):
            b.recv()
        assert [b.recv() for _ in range(kept)] == [payload(500, seed=i) for i in range(kept)]
        a.send(b"next")
        assert b.recv() == b"next"


def test_no_descriptor_is_left_by_a_socket_forgotten(vcan: Link) -> None:
    before = len(os.listdir("/proc/self/fd"))
    s = isotp.socket(0.01)
    s.bind(vcan, rxid=1, txid=2)
    with pytest.raises(TimeoutError):
        s.recv()
    with pytest.warns(ResourceWarning):
        del s
    assert len(os.listdir("/proc/self/fd")) == before
    assert threading.active_count() == 1
