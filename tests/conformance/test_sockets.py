"""What every ISO-TP socket of this library promises, run against each implementation."""

import errno
from collections.abc import Callable

import pytest

import isotp
from isotp.sockets import MSG_DONTWAIT, MSG_PEEK, IsoTpSocket

from .conftest import Sockets

LONG = bytes(i % 251 for i in range(100))
MS = 1_000_000


# --- messages


@pytest.mark.parametrize("size", [1, 7, 8, 62, 500, 4095])
def test_messages_arrive_whole(sockets: Sockets, size: int) -> None:
    a, b = sockets.pair()
    message = bytes(i % 251 for i in range(size))
    assert a.send(message) == size
    assert b.recv() == message
    assert b.send(memoryview(bytearray(message))) == size
    assert a.recv() == message


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (isotp.Address.normal(rxid=0x1E8, txid=0x1E0), isotp.Address.normal(rxid=0x1E0, txid=0x1E8)),
        (
            isotp.Address.normal_fixed(target_address=0x10, source_address=0xF1),
            isotp.Address.normal_fixed(target_address=0xF1, source_address=0x10),
        ),
        (
            isotp.Address.extended(rxid=0x1E8, txid=0x1E0, target_address=1, source_address=2),
            isotp.Address.extended(rxid=0x1E0, txid=0x1E8, target_address=2, source_address=1),
        ),
        (
            isotp.Address.mixed_11bits(rxid=0x1E8, txid=0x1E0, address_extension=9),
            isotp.Address.mixed_11bits(rxid=0x1E0, txid=0x1E8, address_extension=9),
        ),
    ],
    ids=["normal", "normal fixed", "extended", "mixed"],
)
def test_addressing_modes(sockets: Sockets, a: isotp.Address, b: isotp.Address) -> None:
    one, two = sockets(), sockets()
    sockets.world.bind(one, a)
    sockets.world.bind(two, b)
    one.send(LONG)
    assert two.recv() == LONG
    assert (one.address, two.address) == (a, b)


def test_address_bytes_by_options(sockets: Sockets) -> None:
    a, b = sockets(), sockets()
    a.set_general_opts(ext_address=1, rx_ext_address=2)
    b.set_general_opts(ext_address=2, rx_ext_address=1)
    sockets.world.bind(a, rxid=0x7E8, txid=0x7E0)
    sockets.world.bind(b, rxid=0x7E0, txid=0x7E8)
    a.send(LONG)
    assert b.recv() == LONG


def test_functional_messages_reach_many(sockets: Sockets) -> None:
    sender, *receivers = sockets(), sockets(), sockets()
    sockets.world.bind(sender, isotp.Address.normal(txid=0x7DF, functional=True))
    for receiver in receivers:
        receiver.set_general_opts(optflags=isotp.opts.flags.LISTEN_MODE)
        sockets.world.bind(receiver, isotp.Address.normal(rxid=0x7DF))
    assert sender.send(b"\x3e\x80") == 2
    assert [receiver.recv() for receiver in receivers] == [b"\x3e\x80"] * 2
    with pytest.raises(isotp.MessageSizeError, match="single frame"):
        sender.send(LONG)
    with pytest.raises(isotp.OneWayError):
        sender.recv()
    with pytest.raises(isotp.OneWayError):
        receivers[0].send(b"x")


@pytest.mark.parametrize("bs", [0, 1, 3])
def test_flow_control_options(sockets: Sockets, bs: int) -> None:
    a, b = sockets.pair(lambda s: s.set_fc_opts(bs=bs, stmin=isotp.STmin.from_ms(2)))
    start = sockets.world.clock.monotonic_ns()
    a.send(LONG)
    assert sockets.world.clock.monotonic_ns() - start >= (13 - (13 // bs if bs else 0)) * 2 * MS
    assert b.recv() == LONG


def test_forced_stmin_overrules_the_receiver(sockets: Sockets) -> None:
    """A time below the receiver's STmin is possible only if it is overruled, however busy the machine is."""

    def configure(s: IsoTpSocket) -> None:
        s.set_fc_opts(stmin=127)
        s.set_general_opts(tx_stmin=1_000_000)

    a, b = sockets.pair(configure)
    times = []
    for _ in range(3):
        start = sockets.world.clock.monotonic_ns()
        a.send(LONG)
        times.append(sockets.world.clock.monotonic_ns() - start)
        assert b.recv() == LONG
    assert 13 * MS <= min(times) < 13 * 127 * MS


@pytest.mark.parametrize("tx_dl", [8, 64])
def test_can_fd(sockets: Sockets, tx_dl: int) -> None:
    a, b = sockets.pair(
        lambda s: s.set_ll_opts(mtu=isotp.opts.LinkLayerProtocol.CAN_FD, tx_dl=tx_dl, tx_flags=isotp.opts.CANFD_BRS)
    )
    for size in (10, 500):
        a.send(bytes(size))
        assert b.recv() == bytes(size)


def test_padding_that_is_checked(sockets: Sockets) -> None:
    flags = isotp.opts.flags.CHK_PAD_LEN | isotp.opts.flags.CHK_PAD_DATA
    a, b = sockets.pair(lambda s: s.set_general_opts(optflags=flags, txpad=0xAA, rxpad=0xAA))
    a.send(LONG)
    assert b.recv() == LONG


# --- sending


def test_nobody_answers(sockets: Sockets) -> None:
    a = sockets()
    sockets.world.bind(a, rxid=0x7E8, txid=0x7E0)
    with pytest.raises(isotp.FlowControlTimeoutError) as caught:
        a.send(LONG)
    assert caught.value.errno == isotp.errors.ECOMM
    assert caught.value.link == f"{a.interface} rxid=0x7E8 txid=0x7E0"
    assert a.send(b"frame") == 5


def test_failure_without_confirmation_waits_for_confirm(sockets: Sockets) -> None:
    a = sockets()
    sockets.world.bind(a, rxid=0x7E8, txid=0x7E0)
    a.send(LONG, confirm=False)
    a.send(b"single")  # waits for the first one, and is not blamed for it
    a.send(LONG, confirm=False)
    with pytest.raises(isotp.FlowControlTimeoutError) as caught:
        a.confirm()
    assert caught.value.__notes__ == ["1 more message(s) sent without confirmation failed after it"]
    a.confirm()  # told once


def test_failure_nobody_asked_about_is_told_at_close(sockets: Sockets) -> None:
    a = sockets()
    sockets.world.bind(a, rxid=0x7E8, txid=0x7E0)
    a.send(LONG, confirm=False)
    with pytest.warns(isotp.UnconfirmedSendWarning, match="no flow control"):
        a.close()


def test_the_timeout_does_not_end_a_transfer_that_gets_on(sockets: Sockets) -> None:
    a, b = sockets.pair(lambda s: s.set_fc_opts(stmin=100), timeout=0.05)
    assert a.send(LONG) == 100  # 1.3 s
    b.settimeout(30)
    assert b.recv() == LONG


def test_the_timeout_limits_the_wait_for_the_turn(sockets: Sockets) -> None:
    a, b = sockets.pair(lambda s: s.set_fc_opts(stmin=100))
    a.send(LONG, confirm=False)
    a.settimeout(0.05)
    with pytest.raises(TimeoutError, match="still being sent") as caught:
        a.send(b"next")
    assert not isinstance(caught.value, isotp.IsoTpError)
    a.confirm()
    assert b.recv() == LONG
    with pytest.raises(BlockingIOError):
        b.recv(flags=MSG_DONTWAIT)


@pytest.mark.parametrize("timeout", [0.05, 5.0])
def test_an_absent_receiver_is_no_matter_of_the_timeout(sockets: Sockets, timeout: float) -> None:
    a = sockets(timeout)
    sockets.world.bind(a, rxid=0x7E8, txid=0x7E0)
    for _ in range(2):
        with pytest.raises(isotp.FlowControlTimeoutError):
            a.send(LONG)


def test_sends_that_do_not_block(sockets: Sockets) -> None:
    a, b = sockets.pair(lambda s: s.set_fc_opts(stmin=100))
    assert a.send(LONG, MSG_DONTWAIT) == 100
    with pytest.raises(BlockingIOError) as caught:
        a.send(b"next", MSG_DONTWAIT)
    assert caught.value.errno == errno.EAGAIN
    a.confirm()
    assert b.recv() == LONG


def test_threads_share_a_socket(sockets: Sockets) -> None:
    a, b = sockets.pair()
    tasks = [sockets.task(lambda n=n: a.send(bytes([n]) * 50)) for n in range(8)]  # type: ignore[misc]
    received = sorted(b.recv() for _ in range(8))
    assert [task.outcome() for task in tasks] == [50] * 8
    assert received == [bytes([n]) * 50 for n in range(8)]


@pytest.mark.parametrize("data", [b"", bytes(2_000_000)], ids=["empty", "too long"])
def test_messages_that_cannot_be_sent(sockets: Sockets, data: bytes) -> None:
    a, b = sockets.pair()
    with pytest.raises(isotp.MessageSizeError) as caught:
        a.send(data)
    assert isinstance(caught.value, ValueError)
    a.send(b"after")
    assert b.recv() == b"after"


def test_what_is_not_bytes(sockets: Sockets) -> None:
    a, b = sockets.pair()
    with pytest.raises(TypeError):
        a.send("text")
    a.send(b"after")
    assert b.recv() == b"after"


# --- receiving


def test_nothing_arrives(sockets: Sockets) -> None:
    _, b = sockets.pair(timeout=0.05)
    with pytest.raises(TimeoutError) as caught:
        b.recv()
    assert not isinstance(caught.value, isotp.IsoTpError)
    with pytest.raises(BlockingIOError):
        b.recv(flags=MSG_DONTWAIT)
    b.setblocking(False)
    assert (b.gettimeout(), b.timeout, b.getblocking()) == (0.0, 0.0, False)
    with pytest.raises(BlockingIOError):
        b.recv_message()


def test_a_buffer_too_small_keeps_the_message(sockets: Sockets) -> None:
    a, b = sockets.pair()
    a.send(LONG)
    with pytest.raises(isotp.ReceiveBufferTooSmallError) as caught:
        b.recv(99)
    assert (caught.value.needed, caught.value.given) == (100, 99)
    buffer = bytearray(200)
    with pytest.raises(isotp.ReceiveBufferTooSmallError):
        b.recv_into(buffer, 50)
    assert b.recv(flags=MSG_PEEK) == LONG
    assert b.recv_into(buffer) == 100
    assert buffer[:100] == LONG


def test_recv_into_what_cannot_be_written_takes_nothing(sockets: Sockets) -> None:
    a, b = sockets.pair()
    a.send(b"abc")
    with pytest.raises(TypeError, match="read-only"):
        b.recv_into(bytes(10))
    with pytest.raises(ValueError, match="nbytes=-1"):
        b.recv_into(bytearray(10), -1)
    assert b.recv() == b"abc"


def test_a_message_and_its_time(sockets: Sockets) -> None:
    a, b = sockets.pair()
    before = sockets.world.clock.time_ns()
    a.send(b"abc")
    message = b.recv_message()
    assert (message.data, message.dropped) == (b"abc", 0)
    assert before <= message.timestamp_ns <= sockets.world.clock.time_ns()
    assert b.dropped == 0


def test_a_message_that_does_not_begin(sockets: Sockets) -> None:
    a, b = sockets.pair(timeout=None, watch_begin=True)
    for call in (b.recv, b.recv_message):
        with pytest.raises(TimeoutError, match="no message") as caught:
            call(begins_within=0.05)
        assert not isinstance(caught.value, isotp.IsoTpError)
        with pytest.raises(BlockingIOError):
            call(flags=MSG_DONTWAIT, begins_within=30)
        with pytest.raises(ValueError, match="-1"):
            call(begins_within=-1)
    a.send(b"abc")
    assert b.recv(begins_within=30) == b"abc"


def test_a_message_that_has_begun_is_received_to_its_end(sockets: Sockets) -> None:
    """It takes 1.3 s, longer than its begin may take and than the timeout of the socket."""
    a, b = sockets.pair(lambda s: s.set_fc_opts(stmin=100), timeout=0.05, watch_begin=True)
    a.send(LONG, confirm=False)
    assert b.recv(begins_within=1.0) == LONG
    a.send(LONG, confirm=False)
    assert b.recv_message(begins_within=1.0).data == LONG


def test_the_times_of_a_message(sockets: Sockets) -> None:
    a, b = sockets.pair(lambda s: s.set_fc_opts(stmin=20), watch_begin=True)
    before = sockets.world.clock.time_ns()
    a.send(LONG)
    message = b.recv_message()
    assert message.begin_ns is not None
    assert before <= message.begin_ns < message.timestamp_ns <= sockets.world.clock.time_ns()
    a.send(b"single")
    message = b.recv_message(begins_within=30)
    assert message.begin_ns == message.timestamp_ns


def test_messages_wait_in_order(sockets: Sockets) -> None:
    a, b = sockets.pair()
    for n in range(20):
        a.send(bytes([n]) * 10)
    assert [b.recv() for _ in range(20)] == [bytes([n]) * 10 for n in range(20)]


# --- options and binding


def test_options_are_kept(sockets: Sockets) -> None:
    s = sockets()
    s.set_fc_opts(bs=7, stmin=isotp.STmin.from_us(300))
    s.set_opts(isotp.opts.flags.TX_PADDING, txpad=0x55)
    s.set_ll_opts(mtu=isotp.opts.LinkLayerProtocol.CAN_FD, tx_dl=32)
    assert (s.get_fc_opts().bs, s.get_fc_opts().stmin) == (7, 0xF3)
    assert (s.get_opts().txpad, s.get_general_opts().optflag) == (0x55, isotp.opts.flags.TX_PADDING)
    assert (s.get_ll_opts().mtu, s.get_ll_opts().tx_dl, s.get_ll_opts().tx_flags) == (72, 32, 0)


@pytest.mark.parametrize(
    "write",
    [
        lambda s: s.set_fc_opts(bs=256),
        lambda s: s.set_fc_opts(stmin=0x80),
        lambda s: s.set_general_opts(txpad=-1),
        lambda s: s.set_general_opts(optflags=0x4000),
        lambda s: s.set_general_opts(rx_ext_address=1),
        lambda s: s.set_ll_opts(tx_dl=9),
        lambda s: s.set_ll_opts(tx_dl=64),
    ],
)
def test_options_that_cannot_be(sockets: Sockets, write: Callable[[IsoTpSocket], object]) -> None:
    s = sockets()
    before = s.get_general_opts(), s.get_fc_opts(), s.get_ll_opts()
    with pytest.raises(isotp.OptionError):
        write(s)
    assert (s.get_general_opts(), s.get_fc_opts(), s.get_ll_opts()) == before


def test_bound_is_bound(sockets: Sockets) -> None:
    a, _ = sockets.pair()
    for call in (lambda: a.set_fc_opts(bs=1), a.set_ll_opts, lambda: a.set_general_opts(txpad=0)):
        with pytest.raises(isotp.AlreadyBoundError, match="options cannot change"):
            call()
    with pytest.raises(isotp.AlreadyBoundError):
        sockets.world.bind(a, rxid=1, txid=2)


@pytest.mark.parametrize("ids", [{"rxid": 1, "txid": 1}, {"rxid": 1}, {}, {"rxid": 1, "txid": 1 << 29}])
def test_addresses_that_cannot_be(sockets: Sockets, ids: dict[str, int]) -> None:
    s = sockets()
    with pytest.raises(isotp.AddressError):
        sockets.world.bind(s, **ids)
    assert not s.bound
    sockets.world.bind(s, rxid=1, txid=2)


def test_what_is_no_address(sockets: Sockets) -> None:
    s = sockets()
    with pytest.raises(TypeError, match=r"isotp\.Address"):
        sockets.world.bind(s, 0x123)
    with pytest.raises(isotp.AddressError, match="both given"):
        sockets.world.bind(s, isotp.Address.normal(rxid=1, txid=2), rxid=1, txid=2)


def test_a_second_listener_is_told(sockets: Sockets) -> None:
    sockets.pair()
    with pytest.warns(isotp.DuplicateBindingWarning, match="1 other"):
        sockets.world.bind(sockets(), rxid=0x7E8, txid=0x123)


def test_a_socket_that_was_never_bound(sockets: Sockets) -> None:
    s = sockets()
    assert (s.bound, s.interface, s.address) == (False, None, None)
    assert "unbound" in repr(s)
    for call in (s.recv, lambda: s.send(b"x"), s.recv_message):
        with pytest.raises(isotp.NotBoundError, match="not bound"):
            call()
    s.confirm()


def test_what_a_socket_tells_of_itself(sockets: Sockets) -> None:
    a, _ = sockets.pair()
    assert a.bound
    assert a.address == isotp.Address.normal(rxid=0x7E8, txid=0x7E0)
    assert repr(a) == f"<isotp.{type(a).__name__} {a.interface} rxid=0x7E8 txid=0x7E0>"


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_bad_timeouts(sockets: Sockets, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        sockets(timeout)
    with pytest.raises(ValueError, match="timeout"):
        sockets().settimeout(timeout)


# --- giving up


def test_abort_ends_what_is_being_sent(sockets: Sockets) -> None:
    a, b = sockets.pair(lambda s: s.set_fc_opts(stmin=100))
    a.abort()  # nothing
    sending = sockets.task(lambda: a.send(LONG))
    while sending.is_alive:  # it may not have begun
        a.abort()
        sockets.world.clock.sleep(0.01)
    assert isinstance(sending.outcome(), isotp.TransferAbortedError)
    assert sending.outcome().n_result is isotp.N_Result.N_ERROR
    a.confirm()  # it was raised
    assert a.send(b"next") == 4
    received = b""
    while received != b"next":  # from the kernel all of it comes, from the engine only its beginning
        try:
            received = b.recv()
        except isotp.TransferError:
            continue


def test_abort_of_a_message_whose_sender_did_not_wait(sockets: Sockets) -> None:
    a, _ = sockets.pair(lambda s: s.set_fc_opts(stmin=100))
    a.send(LONG, confirm=False)
    a.abort()
    with pytest.raises(isotp.TransferAbortedError, match="given up"):
        a.confirm()


# --- closing


@pytest.mark.parametrize("timeout", [None, 1000.0])
def test_close_ends_a_blocked_recv(sockets: Sockets, timeout: float | None) -> None:
    _, b = sockets.pair(timeout=timeout)
    receivers = [sockets.task(b.recv), sockets.task(b.recv_message)]
    b.close()
    for receiver in receivers:
        assert isinstance(receiver.outcome(), isotp.SocketClosedError)


def test_close_ends_a_blocked_send(sockets: Sockets) -> None:
    a, b = sockets.pair(lambda s: s.set_fc_opts(stmin=50))
    a.send(LONG, confirm=False)
    calls = [sockets.task(a.confirm), sockets.task(lambda: a.send(LONG)), sockets.task(lambda: a.send(LONG))]
    a.close()
    for call in calls:
        assert isinstance(call.outcome(), isotp.SocketClosedError)
    assert b.recv() == LONG  # as the kernel does, close waits for what is being sent


def test_closed_is_closed(sockets: Sockets) -> None:
    _, b = sockets.pair()
    with b:
        pass
    b.close()
    assert b.closed
    assert repr(b).endswith(" closed>")
    for call in (
        b.recv,
        b.confirm,
        lambda: b.send(b"x"),
        b.get_fc_opts,
        lambda: b.set_fc_opts(bs=1),
        b.recv_message,
        b.abort,
    ):
        with pytest.raises(isotp.SocketClosedError) as caught:
            call()
        assert caught.value.errno == errno.EBADF
    with pytest.raises(isotp.SocketClosedError):
        sockets.world.bind(b, rxid=1, txid=2)


# --- functional requests


class Ecu:
    """An ECU: it listens to everybody, and replies to its tester."""

    def __init__(self, sockets: Sockets, number: int) -> None:
        self.ear, self.mouth = sockets(), sockets()
        self.ear.set_general_opts(optflags=isotp.opts.flags.LISTEN_MODE)
        sockets.world.bind(self.ear, isotp.Address.normal(rxid=0x7DF))
        sockets.world.bind(self.mouth, rxid=0x7E0 + number, txid=0x7E8 + number)


def one_tester(sockets: Sockets, ecus: int) -> tuple[IsoTpSocket, list[IsoTpSocket]]:
    sender, *receivers = (sockets() for _ in range(ecus + 1))
    sockets.world.bind(sender, isotp.Address.normal(txid=0x7DF, functional=True))
    for number, receiver in enumerate(receivers):
        sockets.world.bind(receiver, rxid=0x7E8 + number, txid=0x7E0 + number)
    return sender, receivers


def test_functional_request(sockets: Sockets) -> None:
    sender, receivers = one_tester(sockets, 3)
    ecus = [Ecu(sockets, number) for number in range(3)]
    asking = sockets.task(lambda: sockets.world.ask(sender, receivers, b"\x22\xf1\x90", timeout=30.0))
    for ecu in (ecus[2], ecus[0], ecus[1]):
        assert ecu.ear.recv() == b"\x22\xf1\x90"
        ecu.mouth.send(LONG)  # each with flow control of its own
    replies = asking.outcome()
    assert [(r.can_id, r.data, r.error) for r in replies] == [(n, LONG, None) for n in (0x7EA, 0x7E8, 0x7E9)]
    assert [r.timestamp_ns for r in replies] == sorted(r.timestamp_ns for r in replies)
    assert replies[0].socket is receivers[2] or replies[0].socket is receivers[2]._sock  # type: ignore[attr-defined]


def test_functional_request_until_the_deadline(sockets: Sockets) -> None:
    """Two replies of one ECU, one of another, none of the third; and an old message that is none."""
    sender, receivers = one_tester(sockets, 3)
    ecus = [Ecu(sockets, number) for number in range(2)]
    ecus[0].mouth.send(b"old")

    def reply() -> None:
        for ecu in ecus:
            assert ecu.ear.recv() == b"\x3e\x00"
        ecus[0].mouth.send(b"pending")
        ecus[0].mouth.send(b"done")
        ecus[1].mouth.send(b"only")

    replying = sockets.task(reply)
    start = sockets.world.clock.monotonic()
    with pytest.warns(isotp.MessagesDroppedWarning, match="1 message"):
        replies = sockets.world.ask(sender, receivers, b"\x3e\x00", timeout=2.0, limit=None)
    assert 2.0 <= sockets.world.clock.monotonic() - start < 20
    replying.outcome()
    assert [(r.can_id, r.data) for r in replies] == [(0x7E8, b"pending"), (0x7E8, b"done"), (0x7E9, b"only")]
    assert receivers[0].timeout == 30.0


def test_functional_requests_that_cannot_be(sockets: Sockets) -> None:
    sender, receivers = one_tester(sockets, 1)
    with pytest.raises(isotp.MessageSizeError, match="single frame"):
        sockets.world.ask(sender, receivers, LONG, timeout=0.1)
    for wrong in ({"timeout": -1.0}, {"timeout": float("inf")}, {"timeout": 1.0, "limit": 0}):
        with pytest.raises(ValueError, match="allowed is"):
            sockets.world.ask(sender, receivers, b"x", **wrong)
