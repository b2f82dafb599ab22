"""When messages begin: `begins_within`, and `begin_ns` of `recv_message`."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

import isotp
from isotp.kernel import begins

from .conftest import A_TO_B, B_TO_A, Background, Bus, Link, Sockets, payload, segment

Open = Callable[..., Any]
FIRST, SECOND, LAST = segment(payload(20))


@pytest.fixture
def ecu(vcan: Link, new_socket: Sockets) -> isotp.socket:
    """The other end."""
    sock = new_socket()
    sock.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    return sock


def slow(s: Any) -> None:
    s.set_fc_opts(stmin=20)


# --- begins_within


@pytest.mark.parametrize("receive", ["recv", "recv_message"])
def test_a_reply_that_takes_longer_than_it_may_take_to_begin(
    open_socket: Open, ecu: isotp.socket, background: Background, receive: str
) -> None:
    a = open_socket(0.1, configure=slow, watch_begin=True)
    reply = payload(600)  # 85 consecutive frames, 1.7 s
    sending = background(lambda: ecu.send(reply))
    start = time.monotonic()
    received = getattr(a, receive)(begins_within=1.0)
    assert time.monotonic() - start > 1.0
    assert reply in (received, received[0])
    assert sending.result() == 600


def test_a_message_that_began_before_the_call(open_socket: Open, ecu: isotp.socket, bus: Bus) -> None:
    a = open_socket(0.1, configure=slow, watch_begin=True)
    ecu.send(payload(100), confirm=False)
    bus.take(3)
    assert a.recv(begins_within=0.001) == payload(100)
    with pytest.raises(TimeoutError):
        a.recv(begins_within=0)


def test_nothing_begins(open_socket: Open) -> None:
    a = open_socket(30.0, watch_begin=True)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match=r"no message on .* began within 0\.1 s") as caught:
        a.recv(begins_within=0.1)
    assert time.monotonic() - start >= 0.1
    assert not isinstance(caught.value, isotp.IsoTpError)
    with pytest.raises(TimeoutError, match="began within 0 s"):
        a.recv_message(begins_within=0)
    with pytest.raises(BlockingIOError):
        a.recv(flags=socket.MSG_DONTWAIT, begins_within=30.0)


def test_a_message_that_began_and_broke_off(open_socket: Open, bus: Bus) -> None:
    a = open_socket(0.1, watch_begin=True)
    bus.send(B_TO_A, FIRST)
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError):
        a.recv(begins_within=0.2)
    with pytest.raises(TimeoutError, match="began within"):
        a.recv(begins_within=0.01)


def test_a_message_that_the_kernel_drops_without_an_error(open_socket: Open, bus: Bus) -> None:
    a = open_socket(0.1, watch_begin=True)
    bus.send(B_TO_A, b"\x10\x00" + (9_000_000).to_bytes(4, "big") + b"ab")
    assert bus.recv().data[0] == 0x32  # overflow
    start = time.monotonic()
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError, match="broke off"):
        a.recv(begins_within=0.2)
    assert time.monotonic() - start >= 1.0
    with pytest.raises(TimeoutError, match="began within"):
        a.recv(begins_within=0.01)


def test_a_reception_that_is_restarted(open_socket: Open, bus: Bus) -> None:
    a = open_socket(0.1, watch_begin=True)
    for frame in (FIRST, SECOND, FIRST, SECOND):
        bus.send(B_TO_A, frame)
    with pytest.raises(TimeoutError):
        a.recv()
    bus.send(B_TO_A, LAST)
    assert a.recv(begins_within=0.0) == payload(20)


def test_messages_of_others_do_not_begin(open_socket: Open, bus: Bus) -> None:
    address = isotp.Address.extended(rxid=B_TO_A, txid=A_TO_B, target_address=0x10, source_address=0xF1)
    a = open_socket(30.0, address, watch_begin=True)
    bus.send(B_TO_A, b"\xf2\x10\x20other")
    bus.send(B_TO_A, b"\xf1\x10\x20other".ljust(64, b"."), fd=True)
    bus.send(B_TO_A + 1, b"\xf1\x10\x20other")
    with pytest.raises(TimeoutError, match="began within"):
        a.recv(begins_within=0.1)
    bus.send(B_TO_A, b"\xf1" + FIRST[:7])
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError):
        a.recv(begins_within=0.1)


def test_it_has_to_be_asked_for(open_socket: Open) -> None:
    a = open_socket(30.0)
    for call in (a.recv, a.recv_message):
        with pytest.raises(isotp.OptionError, match="watch_begin=True"):
            call(begins_within=1.0)
    with pytest.raises(ValueError, match="begins_within=-1"):
        a.recv(begins_within=-1)


def test_close_ends_it(open_socket: Open, bus: Bus, background: Background) -> None:
    a = open_socket(30.0, watch_begin=True)
    receiving = background(lambda: a.recv(begins_within=30.0))
    bus.send(B_TO_A, FIRST)
    assert bus.recv().can_id == A_TO_B  # flow control
    a.close()
    with pytest.raises(isotp.SocketClosedError):
        receiving.result()


def test_several_receivers_and_one_message(
    new_socket: Sockets, vcan: Link, ecu: isotp.socket, background: Background
) -> None:
    a = new_socket(watch_begin=True)
    slow(a)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    receivers = [background(lambda: a.recv(begins_within=0.5)) for _ in range(3)]
    ecu.send(payload(300))
    outcomes = []
    for receiver in receivers:
        try:
            outcomes.append(receiver.result())
        except TimeoutError:
            outcomes.append(b"")
    assert sorted(outcomes) == [b"", b"", payload(300)]


# --- begin_ns


def test_the_time_of_the_first_frame(open_socket: Open, ecu: isotp.socket, bus: Bus) -> None:
    a = open_socket(30.0, configure=slow, watch_begin=True)
    sent = [payload(100), b"short", payload(20)]
    for message in sent:
        ecu.send(message)
    first_frames = [f for f in bus.take(16 + 1 + 4) if f.can_id == B_TO_A and f.data[0] >> 4 < 2]
    assert a.recv_message(socket.MSG_PEEK).begin_ns == first_frames[0].timestamp_ns
    received = [a.recv_message() for _ in sent]
    assert [m.data for m in received] == sent
    assert [m.begin_ns for m in received] == [f.timestamp_ns for f in first_frames]
    assert [m.begin_ns < m.timestamp_ns for m in received] == [True, False, True]


def test_the_time_is_known_of_messages_that_others_were_taken_before(
    open_socket: Open, ecu: isotp.socket, bus: Bus
) -> None:
    a = open_socket(30.0, watch_begin=True)
    for message in (payload(30), b"one", payload(40)):
        ecu.send(message)
    frames = [f for f in bus.take(6 + 1 + 7) if f.can_id == B_TO_A]
    assert [a.recv(), a.recv()] == [payload(30), b"one"]
    assert a.recv_message().begin_ns == frames[-6].timestamp_ns


def test_without_watching_it_is_not_known(open_socket: Open, ecu: isotp.socket) -> None:
    a = open_socket(30.0)
    ecu.send(b"abc")
    assert a.recv_message().begin_ns is None


@pytest.mark.parametrize("size", [5, 500])
def test_can_fd(open_socket: Open, vcan: Link, new_socket: Sockets, bus: Bus, size: int) -> None:
    def configure(s: Any) -> None:
        s.set_ll_opts(mtu=isotp.opts.LinkLayerProtocol.CAN_FD, tx_dl=64)

    a, b = open_socket(30.0, configure=configure, watch_begin=True), new_socket()
    configure(b)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    b.send(payload(size))
    assert a.recv_message(begins_within=1.0).begin_ns == bus.recv().timestamp_ns


def test_a_long_message_for_a_user_without_privileges(
    open_socket: Open, ecu: isotp.socket, bus: Bus, background: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More frames than its buffer holds: it is looked at meanwhile."""
    monkeypatch.setattr(begins, "_RCVBUF", 212_992)  # net.core.rmem_max
    a = open_socket(30.0, configure=lambda s: s.set_fc_opts(stmin=1), watch_begin=True)
    receiving = background(a.recv_message)
    ecu.send(payload(4095))
    assert receiving.result().begin_ns == bus.recv().timestamp_ns


def test_a_buffer_that_overflowed(open_socket: Open, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then some times are not known, and those that are, are right."""
    monkeypatch.setattr(begins, "_RCVBUF", 20_000)  # 44 frames
    a = open_socket(30.0, watch_begin=True)
    for n in range(150):
        bus.send(B_TO_A, bytes((1, n)))
    received = [a.recv_message() for _ in range(150)]
    assert [m.data[0] for m in received] == list(range(150))
    assert all(m.begin_ns in (None, m.timestamp_ns) for m in received)
    assert received[-1].begin_ns is None
    bus.send(B_TO_A, b"\x03new")
    message = a.recv_message()
    assert message.begin_ns == message.timestamp_ns


@pytest.mark.parametrize(("last", "outcome"), [(FIRST, isotp.ConsecutiveFrameTimeoutError), (b"\x03old", TimeoutError)])
def test_a_message_may_have_begun_where_frames_were_lost(
    open_socket: Open, bus: Bus, monkeypatch: pytest.MonkeyPatch, last: bytes, outcome: type[Exception]
) -> None:
    """The call waits for it a little longer, and does not claim that it broke off."""
    monkeypatch.setattr(begins, "_RCVBUF", 20_000)
    a = open_socket(0.1, watch_begin=True)
    for _ in range(99):
        bus.send(B_TO_A, b"\x03old")
    bus.send(B_TO_A, last)
    while True:
        try:
            assert a.recv(flags=socket.MSG_DONTWAIT) == b"old"
        except BlockingIOError:
            with pytest.raises(outcome):
                a.recv(begins_within=0.01)
            break
        except isotp.ConsecutiveFrameTimeoutError:  # of the kernel: reading took longer than N_Cr
            assert last == FIRST
            break


def test_an_interface_that_was_down(open_socket: Open, vcan: Link, ecu: isotp.socket) -> None:
    a = open_socket(30.0, watch_begin=True)
    vcan.down()
    with pytest.raises(isotp.InterfaceDownError):
        a.recv(begins_within=10.0)
    vcan.up()
    with pytest.raises(isotp.InterfaceDownError):
        ecu.recv()
    ecu.send(payload(30))
    message = a.recv_message(begins_within=10.0)
    assert message.begin_ns is not None
    assert message.begin_ns < message.timestamp_ns


# --- binding


def test_a_bind_that_fails_leaves_nothing_open(vcan: Link, new_socket: Sockets, ecu: isotp.socket) -> None:
    a = new_socket(watch_begin=True)
    for interface, rxid, error in ((vcan, A_TO_B, isotp.AddressError), ("none", 1, isotp.InterfaceNotFoundError)):
        with pytest.raises(error):
            a.bind(interface, rxid=rxid, txid=A_TO_B)
    with pytest.raises(isotp.NotBoundError):
        a.recv(begins_within=1.0)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    ecu.send(b"abc")
    assert a.recv(begins_within=1.0) == b"abc"


def test_a_socket_that_only_sends(open_socket: Open) -> None:
    a = open_socket(30.0, isotp.Address.normal(txid=0x7DF, functional=True), watch_begin=True)
    assert a.send(b"abc") == 3
    with pytest.raises(isotp.OneWayError):
        a.recv(begins_within=1.0)
