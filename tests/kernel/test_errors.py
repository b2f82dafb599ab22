"""Every failure the kernel reports, raised as its class by the call it belongs to, and told in words."""

import errno
import os
import select
import subprocess
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import isotp
from isotp import Address, N_Result
from isotp.opts import flags

from ..waiting import until
from .conftest import A_TO_B, B_TO_A, Background, Bus, Link, Links, Pair, Sockets, Task, payload, segment

MakePair = Callable[..., Pair]

CTS = bytes([0x30, 0, 0])
WAIT = bytes([0x31, 0, 0])
OVERFLOW = bytes([0x32, 0, 0])
FIRST, SECOND, LAST = segment(payload(20))
IN_VM = os.environ.get("ISOTP_KERNEL_RUN") == "vm"


@pytest.fixture
def a(new_socket: Sockets, vcan: Link) -> isotp.socket:
    """An end whose peer is the raw socket."""
    sock = new_socket()
    sock.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    return sock


def check(
    error: isotp.IsoTpError, cls: type[isotp.IsoTpError], number: int, n_result: N_Result | None, link: str
) -> None:
    """The class, its numbers, and a message with what, where and what to do."""
    assert type(error) is cls
    assert (error.errno, error.n_result) == (number, n_result)
    assert not isinstance(error, TimeoutError)
    what, where, remedy = str(error).splitlines()
    assert errno.errorcode[number] in what
    assert n_result is None or n_result.name in what
    assert where.startswith(f"  link: {link}")
    assert len(remedy.removeprefix("  to do: ")) > 10


def link_of(interface: str) -> str:
    return f"{interface} rxid=0x7E8 txid=0x7E0"


def wait_for_error(sock: isotp.socket) -> None:
    """Wait until the kernel has an error for `sock`, without taking it."""
    poll = select.poll()
    poll.register(sock, 0)
    assert poll.poll(30_000) == [(sock.fileno(), select.POLLERR)]


# --- sending


def test_nobody_answers(a: isotp.socket, vcan: Link) -> None:
    began = time.monotonic()
    with pytest.raises(isotp.FlowControlTimeoutError) as caught:
        a.send(payload(100))
    assert 0.9 < time.monotonic() - began < 10
    check(caught.value, isotp.FlowControlTimeoutError, errno.ECOMM, N_Result.N_TIMEOUT_Bs, link_of(vcan))
    assert "100 bytes" in caught.value.what
    assert a.send(b"short") == 5


@pytest.mark.parametrize(
    ("answer", "cls", "number", "n_result"),
    [
        (OVERFLOW, isotp.BufferOverflowError, errno.EMSGSIZE, N_Result.N_BUFFER_OVFLW),
        (b"\x33\x00\x00", isotp.InvalidCanDataError, errno.EBADMSG, N_Result.N_INVALID_FS),
        (b"\x3f\x00\x00", isotp.InvalidCanDataError, errno.EBADMSG, N_Result.N_INVALID_FS),
        (b"\x30\x00", isotp.InvalidCanDataError, errno.EBADMSG, N_Result.N_INVALID_FS),
        (b"\x30", isotp.InvalidCanDataError, errno.EBADMSG, N_Result.N_INVALID_FS),
    ],
    ids=["overflow", "reserved 3", "reserved F", "short", "shorter"],
)
@pytest.mark.parametrize("later", [False, True], ids=["first", "second"])
def test_flow_control_that_ends_a_message(
    a: isotp.socket,
    vcan: Link,
    bus: Bus,
    background: Background,
    answer: bytes,
    cls: type[isotp.IsoTpError],
    number: int,
    n_result: N_Result,
    later: bool,
) -> None:
    sending = background(lambda: a.send(payload(100)))
    bus.recv()
    if later:
        bus.send(B_TO_A, bytes([0x30, 1, 0]))
        bus.recv()
    bus.send(B_TO_A, answer)
    with pytest.raises(cls) as caught:
        sending.result()
    assert isinstance(caught.value, isotp.IsoTpError)
    check(caught.value, cls, number, n_result, link_of(vcan))
    sending = background(lambda: a.send(payload(10)))
    bus.recv()
    bus.send(B_TO_A, CTS)
    assert sending.result() == 10


def test_silence_after_the_first_block(a: isotp.socket, bus: Bus, background: Background) -> None:
    sending = background(lambda: a.send(payload(100)))
    bus.recv()
    bus.send(B_TO_A, bytes([0x30, 2, 0]))
    bus.take(2)
    with pytest.raises(isotp.FlowControlTimeoutError):
        sending.result()
    assert bus.is_silent()


def test_waits_are_waited_for(a: isotp.socket, bus: Bus, background: Background) -> None:
    sending = background(lambda: a.send(payload(10)))
    bus.recv()
    began = time.monotonic()
    for _ in range(8):
        bus.send(B_TO_A, WAIT)
        time.sleep(0.2)  # together longer than N_Bs
    assert not sending.is_done
    bus.send(B_TO_A, CTS)
    assert sending.result() == 10
    assert time.monotonic() - began > 1.5


def test_waits_and_then_silence(a: isotp.socket, bus: Bus, background: Background) -> None:
    sending = background(lambda: a.send(payload(10)))
    bus.recv()
    bus.send(B_TO_A, WAIT)
    with pytest.raises(isotp.FlowControlTimeoutError):
        sending.result()


def test_sizes_that_cannot_be_sent(a: isotp.socket, vcan: Link, bus: Bus) -> None:
    parameter = Path("/sys/module/can_isotp/parameters/max_pdu_size")
    limit = int(parameter.read_text()) if parameter.exists() else 66_000
    for size in (0, limit + 1):
        with pytest.raises(isotp.MessageSizeError) as caught:
            a.send(bytes(size))
        assert caught.value.errno == errno.EINVAL
        assert caught.value.link == link_of(vcan)
        assert isinstance(caught.value, ValueError)
    assert f"{limit + 1} bytes" in caught.value.what
    assert f"{limit} bytes" in caught.value.what
    assert caught.value.remedy
    assert ("max_pdu_size=" in caught.value.remedy) == parameter.exists()
    assert bus.is_silent()


def test_not_bound(new_socket: Sockets) -> None:
    sock = new_socket()
    for call in (lambda: sock.send(b"x"), lambda: sock.recv()):
        with pytest.raises(isotp.NotBoundError, match="bind") as caught:
            call()
        assert caught.value.errno == errno.EADDRNOTAVAIL


# --- receiving


def test_silence_after_the_first_frame(a: isotp.socket, vcan: Link, bus: Bus) -> None:
    bus.send(B_TO_A, FIRST)
    with pytest.raises(isotp.ConsecutiveFrameTimeoutError) as caught:
        a.recv()
    check(caught.value, isotp.ConsecutiveFrameTimeoutError, errno.ETIMEDOUT, N_Result.N_TIMEOUT_Cr, link_of(vcan))
    bus.send(B_TO_A, b"\x02ok")
    assert a.recv() == b"ok"


@pytest.mark.parametrize("wrong", ["lost", "doubled"])
def test_wrong_sequence_number(a: isotp.socket, vcan: Link, bus: Bus, wrong: str) -> None:
    for frame in (FIRST, LAST) if wrong == "lost" else (FIRST, SECOND, SECOND):
        bus.send(B_TO_A, frame)
    with pytest.raises(isotp.WrongSequenceNumberError) as caught:
        a.recv()
    check(caught.value, isotp.WrongSequenceNumberError, errno.EILSEQ, N_Result.N_WRONG_SN, link_of(vcan))
    for frame in (FIRST, SECOND, LAST):
        bus.send(B_TO_A, frame)
    assert a.recv() == payload(20)


def test_nothing_arrived_is_no_isotp_error(a: isotp.socket) -> None:
    a.settimeout(0.05)
    with pytest.raises(TimeoutError, match=r"no message .* after 0\.05 s") as caught:
        a.recv()
    assert not isinstance(caught.value, isotp.IsoTpError)
    a.settimeout(0)
    with pytest.raises(BlockingIOError):
        a.recv()


@pytest.mark.parametrize("frames", [(FIRST, FIRST, SECOND, LAST), (FIRST, SECOND, b"\x02ok")], ids=["FF", "SF"])
def test_a_new_message_takes_the_place_of_the_one_before(a: isotp.socket, bus: Bus, frames: tuple[bytes]) -> None:
    for frame in frames:
        bus.send(B_TO_A, frame)
    assert a.recv() == (b"ok" if frames[-1] == b"\x02ok" else payload(20))
    a.settimeout(0.05)
    with pytest.raises(TimeoutError):
        a.recv()


@pytest.mark.parametrize(
    "frame", [b"\x21abcdefg", b"\x00", b"\x10\x06abcdef", b"\x02", b"", b"\x40abc", b"\x30\x00\x00"], ids=bytes.hex
)
def test_frames_that_mean_nothing_are_ignored(a: isotp.socket, bus: Bus, frame: bytes) -> None:
    bus.send(B_TO_A, frame)
    bus.send(B_TO_A, b"\x02ok")
    assert a.recv() == b"ok"
    assert a.send(b"ok") == 2


def test_a_message_beyond_the_limit_is_answered_with_overflow(a: isotp.socket, bus: Bus) -> None:
    bus.send(B_TO_A, b"\x10\x00" + (9_000_000).to_bytes(4, "big") + b"ab")
    answer = bus.recv()
    assert (answer.can_id, answer.data[0]) == (A_TO_B, 0x32)
    bus.send(B_TO_A, b"\x02ok")
    assert a.recv() == b"ok"


# --- one error slot, two directions


def test_recv_does_not_raise_the_error_of_a_send(a: isotp.socket, bus: Bus, background: Background) -> None:
    receiving = background(lambda: a.recv())
    receiving.wait_until_polling()
    with pytest.raises(isotp.FlowControlTimeoutError):
        a.send(payload(100))
    assert not receiving.is_done
    bus.send(B_TO_A, b"\x02ok")
    assert receiving.result() == b"ok"


def test_recv_leaves_the_error_of_an_unconfirmed_send(a: isotp.socket, bus: Bus) -> None:
    a.send(payload(100), confirm=False)
    bus.recv()
    bus.send(B_TO_A, OVERFLOW)
    wait_for_error(a)
    bus.send(B_TO_A, b"\x02ok")
    assert a.recv() == b"ok"  # it is the recv that gets the errno from the kernel
    a.settimeout(0.05)
    with pytest.raises(TimeoutError):
        a.recv()
    with pytest.raises(isotp.BufferOverflowError):
        a.confirm()
    a.confirm()


def test_send_does_not_raise_the_error_of_a_reception(a: isotp.socket, bus: Bus, background: Background) -> None:
    for frame in (FIRST, LAST):
        bus.send(B_TO_A, frame)
    assert bus.recv().data == CTS
    wait_for_error(a)
    assert a.send(b"fine") == 4
    sending = background(lambda: a.send(payload(10)))
    assert bus.take(2)[1].data == segment(payload(10))[0]
    bus.send(B_TO_A, CTS)
    assert sending.result() == 10
    with pytest.raises(isotp.WrongSequenceNumberError):
        a.recv()
    a.settimeout(0)
    with pytest.raises(BlockingIOError):
        a.recv()


def test_send_survives_a_reception_that_breaks_off_meanwhile(a: isotp.socket, bus: Bus, background: Background) -> None:
    sending = background(lambda: a.send(payload(10)))
    bus.recv()
    sending.wait_until_polling()
    receiving = background(lambda: a.recv())
    for frame in (FIRST, LAST):
        bus.send(B_TO_A, frame)
    with pytest.raises(isotp.WrongSequenceNumberError):
        receiving.result()
    bus.send(B_TO_A, CTS)
    assert sending.result() == 10


def test_both_fail_at_once_and_the_loss_is_told(a: isotp.socket, bus: Bus) -> None:
    a.send(payload(100), confirm=False)
    bus.recv()
    bus.send(B_TO_A, FIRST)
    bus.recv()
    bus.send(B_TO_A, OVERFLOW)
    bus.send(B_TO_A, LAST)
    wait_for_error(a)
    until(lambda: not _is_sending(a))
    bus.send(B_TO_A, b"\x02ok")  # frames go in order: once this is there, so is all before it
    poll = select.poll()
    poll.register(a, select.POLLIN)
    until(lambda: dict(poll.poll(1000)).get(a.fileno(), 0) & select.POLLIN)
    with pytest.raises(isotp.UnknownOutcomeError, match="cannot be known") as caught:
        a.confirm()
    assert caught.value.n_result is N_Result.N_ERROR
    with pytest.raises(isotp.WrongSequenceNumberError):
        a.recv()  # before what came after it
    assert a.recv() == b"ok"


def _is_sending(sock: isotp.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return not dict(poll.poll(0)).get(sock.fileno(), 0) & select.POLLOUT


def test_a_failure_nobody_asked_about_is_told_at_close(a: isotp.socket, bus: Bus) -> None:
    a.send(payload(100), confirm=False)
    bus.recv()
    bus.send(B_TO_A, OVERFLOW)
    wait_for_error(a)
    with pytest.warns(isotp.UnconfirmedSendWarning, match="no room for a message of 100 bytes") as told:
        a.close()
    assert told[0].filename == __file__


# --- the interface


def test_interface_goes_down_under_a_waiting_recv(a: isotp.socket, vcan: Link, background: Background) -> None:
    receiving = background(lambda: a.recv())
    receiving.wait_until_polling()
    vcan.down()
    with pytest.raises(isotp.InterfaceDownError) as caught:
        receiving.result(5)
    check(caught.value, isotp.InterfaceDownError, errno.ENETDOWN, None, link_of(vcan))
    assert vcan in caught.value.what
    assert f"sudo ip link set {vcan} up" in str(caught.value)


def test_interface_goes_down_under_a_send(a: isotp.socket, vcan: Link, bus: Bus, background: Background) -> None:
    sending = background(lambda: a.send(payload(100)))
    bus.recv()
    sending.wait_until_polling()
    vcan.down()
    with pytest.raises(isotp.InterfaceDownError) as caught:
        sending.result(5)
    check(caught.value, isotp.InterfaceDownError, errno.ENETDOWN, None, link_of(vcan))
    assert "100 bytes" in caught.value.what


@pytest.mark.parametrize("size", [5, 100])
def test_sending_on_an_interface_that_is_down(a: isotp.socket, vcan: Link, size: int) -> None:
    vcan.down()
    for _ in range(2):
        with pytest.raises(isotp.InterfaceDownError) as caught:
            a.send(payload(size))
        check(caught.value, isotp.InterfaceDownError, errno.ENETDOWN, None, link_of(vcan))


def test_interface_is_up_again(pair: MakePair, vcan: Link) -> None:
    a, b = pair()
    vcan.down()
    with pytest.raises(isotp.InterfaceDownError):
        a.recv()
    with pytest.raises(isotp.InterfaceDownError):
        a.send(b"x")
    vcan.up()
    a.send(b"first")
    with pytest.raises(isotp.InterfaceDownError):
        b.recv()  # it was not looking
    assert b.recv() == b"first"
    for sender, receiver in ((a, b), (b, a)):
        for size in (5, 100):
            assert sender.send(payload(size)) == size
            assert receiver.recv() == payload(size)


def test_who_did_not_look_is_told_later_that_it_was_down(a: isotp.socket, vcan: Link) -> None:
    vcan.down()
    vcan.up()
    a.settimeout(0)
    with pytest.raises(isotp.InterfaceDownError):
        a.recv()
    with pytest.raises(BlockingIOError):
        a.recv()


def check_gone(waiting: Task[Any], vcan: str) -> None:
    """Linux takes an interface down before it removes it; who waits may see either."""
    with pytest.raises(isotp.InterfaceError) as caught:
        waiting.result(5)
    if isinstance(caught.value, isotp.InterfaceDownError):
        check(caught.value, isotp.InterfaceDownError, errno.ENETDOWN, None, link_of(vcan))
    else:
        check(caught.value, isotp.InterfaceNotFoundError, errno.ENODEV, None, link_of(vcan))


def test_interface_is_deleted_under_a_waiting_recv(a: isotp.socket, vcan: Link, background: Background) -> None:
    receiving = background(lambda: a.recv())
    receiving.wait_until_polling()
    vcan.delete()
    check_gone(receiving, vcan)
    for _ in range(2):
        for call in (lambda: a.send(b"x"), lambda: a.send(payload(100)), lambda: a.recv()):
            with pytest.raises(isotp.InterfaceNotFoundError, match="was removed"):
                call()
    a.close()
    assert a.closed


def test_options_stay_fixed_when_the_interface_is_gone(a: isotp.socket, vcan: Link) -> None:
    vcan.delete()
    for change in (
        lambda: a.set_general_opts(txpad=1),
        lambda: a.set_fc_opts(bs=1),
        lambda: a.set_ll_opts(mtu=72),
        lambda: a.bind("vcan0", rxid=1, txid=2),
    ):
        with pytest.raises(isotp.AlreadyBoundError):
            change()


def test_interface_is_deleted_under_a_send(a: isotp.socket, vcan: Link, bus: Bus, background: Background) -> None:
    sending = background(lambda: a.send(payload(100)))
    bus.recv()
    sending.wait_until_polling()
    vcan.delete()
    check_gone(sending, vcan)
    with pytest.raises(isotp.InterfaceNotFoundError):
        a.recv()
    with pytest.raises(isotp.InterfaceNotFoundError):
        a.send(b"x")


@pytest.mark.parametrize("first", ["send", "recv"])
def test_interface_was_deleted_before_the_call(a: isotp.socket, vcan: Link, first: str) -> None:
    vcan.delete()
    calls: list[Callable[[], object]] = [lambda: a.send(payload(100)), lambda: a.recv()]
    for call in calls if first == "send" else reversed(calls):
        with pytest.raises(isotp.InterfaceNotFoundError):
            call()


def test_bind_to_an_interface_that_is_down(new_socket: Sockets, vcan: Link) -> None:
    vcan.down()
    sock = new_socket()
    with pytest.raises(isotp.InterfaceDownError, match=f"{vcan} is down") as caught:
        sock.bind(vcan, rxid=1, txid=2)
    assert caught.value.errno == errno.ENETDOWN
    assert f"sudo ip link set {vcan} up" in str(caught.value)
    vcan.up()
    sock.bind(vcan, rxid=1, txid=2)
    assert sock.send(b"x") == 1


def test_bind_to_an_interface_that_is_not_there(new_socket: Sockets, vcan: Link) -> None:
    sock = new_socket()
    for name in ("nosuch0", "", "a-name-too-long-for-linux", "nosuch0\0", "\N{SNOWMAN}"):
        with pytest.raises(isotp.InterfaceNotFoundError) as caught:
            sock.bind(name, rxid=1, txid=2)
        assert caught.value.errno == errno.ENODEV
        assert repr(name) in caught.value.what
        assert vcan in caught.value.what.split("CAN interfaces here: ")[1]
        assert "type vcan" in (caught.value.remedy or "")


def test_bind_to_an_interface_that_is_not_can(new_socket: Sockets, vcan: Link) -> None:
    with pytest.raises(isotp.NotACanInterfaceError, match="lo is not a CAN interface") as caught:
        new_socket().bind("lo", rxid=1, txid=2)
    assert caught.value.errno == errno.ENODEV
    assert vcan in str(caught.value)


def test_bind_with_one_identifier_for_both_directions(new_socket: Sockets, vcan: Link) -> None:
    with pytest.raises(isotp.AddressError, match="rx and tx are both 0x123") as caught:
        new_socket().bind(vcan, rxid=0x123, txid=0x123)
    assert caught.value.errno == errno.EINVAL


# --- another socket with the same identifier


@pytest.mark.parametrize("can_id", [0x7E8, 0x18DAF110])
def test_a_duplicate_is_warned_of(new_socket: Sockets, new_link: Links, can_id: int) -> None:
    here, elsewhere = new_link(), new_link()
    new_socket().bind(here, rxid=can_id, txid=can_id - 1)
    new_socket().bind(elsewhere, rxid=can_id, txid=can_id - 1)
    new_socket().bind(here, rxid=can_id - 1, txid=can_id)
    second = new_socket()
    with pytest.warns(isotp.DuplicateBindingWarning) as told:
        second.bind(here, rxid=can_id, txid=can_id - 2)
    assert len(told) == 1
    assert told[0].filename == __file__
    said = str(told[0].message)
    assert here in said
    assert f"{can_id:X}" in said
    assert second.bound


def test_listeners_and_shared_identifiers_are_no_duplicates(new_socket: Sockets, vcan: Link) -> None:
    new_socket().bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    listener = new_socket()
    listener.set_general_opts(flags.LISTEN_MODE)
    listener.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    new_socket().bind(vcan, Address.normal(rxid=B_TO_A))
    for n in range(3):
        new_socket().bind(vcan, Address.extended(rxid=0x600, txid=0x601, target_address=n, source_address=n))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        new_socket().bind(vcan, Address.mixed_11bits(rxid=0x600, txid=0x601, address_extension=9))
        new_socket().bind(vcan, Address.normal(txid=0x7DF, functional=True))
        new_socket().bind(vcan, Address.normal(txid=0x7DF, functional=True))
    assert told == []


def test_a_closed_socket_is_no_duplicate(new_socket: Sockets, vcan: Link) -> None:
    for _ in range(3):
        sock = new_socket()
        sock.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
        sock.close()


# --- messages nobody reads


def use_long_frames(sock: isotp.socket) -> None:
    """CAN FD: 4095 bytes are 66 frames instead of 586."""
    sock.set_ll_opts(mtu=72, tx_dl=64)


def overflow(a: isotp.socket, count: int) -> None:
    for number in range(count):
        a.send(number.to_bytes(2, "big") + payload(4093))


def test_dropped_messages_are_counted_and_told(pair: MakePair) -> None:
    a, b = pair(use_long_frames)
    overflow(a, 400)
    dropped = b.dropped
    assert 0 < dropped < 400
    kept = 400 - dropped
    for number in range(kept):
        message = b.recv_message()
        assert message.data == number.to_bytes(2, "big") + payload(4093)
        assert message.dropped == 0  # these were there before any was dropped
    b.settimeout(0)
    with (
        pytest.warns(isotp.MessagesDroppedWarning, match=rf"dropped {dropped} message\(s\)") as told,
        pytest.raises(BlockingIOError),
    ):
        b.recv()
    assert told[0].filename == __file__
    with pytest.raises(BlockingIOError):
        b.recv()  # told once
    a.send(b"next")
    b.settimeout(5)
    assert b.recv_message()[::2] == (b"next", dropped)
    assert a.dropped == 0


def test_dropped_messages_are_told_at_close(pair: MakePair) -> None:
    a, b = pair(use_long_frames)
    for _ in range(60):
        a.send(payload(4095))
    dropped = b.dropped
    assert dropped > 0
    with pytest.warns(isotp.MessagesDroppedWarning, match=f"dropped {dropped} "):
        b.close()
    assert b.dropped == dropped


def test_rcvbuf_keeps_more(new_socket: Sockets, vcan: Link) -> None:
    a, b = new_socket(), new_socket(rcvbuf=4 << 20)
    use_long_frames(a)
    use_long_frames(b)
    a.bind(vcan, rxid=B_TO_A, txid=A_TO_B)
    b.bind(vcan, rxid=A_TO_B, txid=B_TO_A)
    overflow(a, 150)  # six times what the default keeps
    assert b.dropped == 0
    for number in range(150):
        assert b.recv() == number.to_bytes(2, "big") + payload(4093)


# --- frames that do not get onto the bus


def test_transmit_queue_is_full(a: isotp.socket, vcan: Link, bus: Bus) -> None:
    vcan.take_no_frame()
    for size in (5, 100):
        with pytest.raises(isotp.TransmitQueueFullError) as caught:
            a.send(payload(size))
        check(caught.value, isotp.TransmitQueueFullError, errno.ENOBUFS, None, link_of(vcan))
        assert "txqueuelen" in str(caught.value)
    vcan.take_frames_again()
    assert a.send(b"fine") == 4
    assert bus.recv().data == b"\x04fine"


@pytest.fixture
def echoing() -> Iterator[None]:
    """vcan says itself when a frame is out, as real interfaces do; without it the CAN core does, too soon to fail."""
    if not IN_VM:
        pytest.skip("only in a VM: the module vcan is loaded anew, which removes all its interfaces")
    _reload_vcan("echo=1")
    yield
    _reload_vcan()


def _reload_vcan(*parameters: str) -> None:
    for command in (
        ["modprobe", "-r", "vcan"],
        ["modprobe", "vcan", *parameters],
        ["ip", "link", "add", "vcan0", "up", "type", "vcan"],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def slow_link(echoing: None, new_link: Links) -> Link:
    """An interface that echoes by itself."""
    return new_link()


@pytest.fixture
def slow(slow_link: Link, new_socket: Sockets) -> isotp.socket:
    """A socket on `slow_link`."""
    sock = new_socket()
    sock.bind(slow_link, rxid=B_TO_A, txid=A_TO_B)
    return sock


def test_a_single_frame_that_never_gets_out(slow: isotp.socket, slow_link: Link, new_bus: Callable[[str], Bus]) -> None:
    bus = new_bus(slow_link)
    assert slow.send(b"fine") == 4
    assert bus.recv().data == b"\x04fine"
    slow_link.lose_every_frame()
    began = time.monotonic()
    with pytest.raises(isotp.TransmitTimeoutError) as caught:
        slow.send(b"lost")
    assert 1.9 < time.monotonic() - began < 20
    check(caught.value, isotp.TransmitTimeoutError, errno.ECOMM, N_Result.N_TIMEOUT_A, link_of(slow_link))
    assert "bit rate" in str(caught.value)
    slow_link.take_frames_again()
    assert slow.send(b"fine") == 4
    assert [f.data for f in [bus.recv()]] == [b"\x04fine"]


def test_a_consecutive_frame_that_never_gets_out(
    slow: isotp.socket, slow_link: Link, new_bus: Callable[[str], Bus], background: Background
) -> None:
    """Seen only while the frames are watched: the transfer has taken longer than the timeout by then."""
    bus = new_bus(slow_link)
    slow.settimeout(2.1)
    sending = background(lambda: slow.send(bytes(200)))
    assert bus.recv().data[0] == 0x10
    bus.send(B_TO_A, b"\x30\x00\x7f")
    assert {frame.data[0] >> 4 for frame in bus.take(22)} == {2}
    slow_link.lose_every_frame()
    with pytest.raises(isotp.TransmitTimeoutError, match="a frame of 200 bytes did not get onto the bus"):
        sending.result()
    slow_link.take_frames_again()


def test_a_single_frame_that_gets_out_late(slow: isotp.socket, slow_link: Link) -> None:
    subprocess.run(["modprobe", "sch_netem"], check=False, capture_output=True)
    delay = subprocess.run(
        ["tc", "qdisc", "replace", "dev", slow_link, "root", "netem", "delay", "900ms"],
        check=False,
        capture_output=True,
        text=True,
    )
    if "unknown" in delay.stderr:
        pytest.skip("this kernel came without sch_netem")
    assert delay.returncode == 0, delay.stderr
    for confirm in (True, False):
        began = time.monotonic()
        assert slow.send(b"late", confirm=confirm) == 4
        assert (time.monotonic() - began >= 0.9) == confirm
    slow.confirm()
    assert time.monotonic() - began >= 0.9
    slow.settimeout(0.1)
    assert slow.send(b"late") == 4
