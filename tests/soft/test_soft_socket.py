"""What SoftSocket and its reactor promise beyond the conformance suite."""

import contextlib
import gc
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

import isotp
from isotp import Faults, VirtualBus
from isotp.bus.base import Received
from isotp.can_frame import CanFrame
from isotp.engine.events import Direction, FirstFrameReceived, IgnoreReason, MessageReceived, MessageSent, Progress
from isotp.testing.outages import bus_down

from ..waiting import until

LONG = bytes(i % 251 for i in range(100))
Pair = Callable[..., tuple[isotp.SoftSocket, isotp.SoftSocket]]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """`pair(bus)` gives two sockets, bound to each other; further arguments go to the second one."""
    before = threading.enumerate()
    with contextlib.ExitStack() as stack:

        def make(
            bus: VirtualBus, configure: Callable[[isotp.SoftSocket], object] = lambda s: None, **others: Any
        ) -> tuple[isotp.SoftSocket, isotp.SoftSocket]:
            a = stack.enter_context(isotp.SoftSocket(bus, 30))
            b = stack.enter_context(isotp.SoftSocket(bus, 30, **others))
            for end in (a, b):
                configure(end)
            a.bind(rxid=0x7E8, txid=0x7E0)
            b.bind(rxid=0x7E0, txid=0x7E8)
            return a, b

        yield make
    assert threading.enumerate() == before


# --- one reactor


def test_a_thousand_links_cost_one_thread_and_take_their_own_frames_only() -> None:
    bus, before = VirtualBus(), threading.active_count()
    with contextlib.ExitStack() as stack:
        pairs = []
        for n in range(500):
            ends = [stack.enter_context(isotp.SoftSocket(bus, 30)) for _ in range(2)]
            ends[0].bind(rxid=2 * n, txid=2 * n + 1)
            ends[1].bind(rxid=2 * n + 1, txid=2 * n)
            pairs.append(ends)
        assert threading.active_count() == before + 1
        for n, (a, _) in enumerate(pairs):
            a.send(n.to_bytes(2, "big") * 10)
        assert [b.recv() for _, b in pairs] == [n.to_bytes(2, "big") * 10 for n in range(500)]
        for end in itertools.chain(*pairs):
            with pytest.raises(BlockingIOError):
                end.recv(flags=0x40)
    assert threading.active_count() == before


def test_a_bus_can_be_used_again(pair: Pair) -> None:
    bus = VirtualBus()
    for _ in range(3):
        with isotp.SoftSocket(bus, 30) as a, isotp.SoftSocket(bus, 30) as b:
            a.bind(rxid=1, txid=2)
            b.bind(rxid=2, txid=1)
            a.send(LONG)
            assert b.recv() == LONG


def test_links_told_apart_by_their_address_byte(pair: Pair) -> None:
    with contextlib.ExitStack() as stack:
        bus = VirtualBus()
        tester, *ecus = (stack.enter_context(isotp.SoftSocket(bus, 30)) for _ in range(4))
        tester.bind(isotp.Address.extended(rxid=0x6F1, txid=0x600, target_address=2, source_address=0xF1))
        for n, ecu in enumerate(ecus):
            ecu.bind(isotp.Address.extended(rxid=0x600, txid=0x6F1, target_address=0xF1, source_address=n))
        tester.send(LONG)
        assert ecus[2].recv() == LONG
        for ecu in ecus[:2]:
            with pytest.raises(BlockingIOError):
                ecu.recv(flags=0x40)


class BrokenBus(VirtualBus):
    """Breaks when told to."""

    error: Exception | None = None

    def receive(self) -> Received:
        if self.error is not None:
            raise self.error
        return super().receive()


def test_an_exception_in_the_reactor_reaches_the_callers(pair: Pair) -> None:
    bus = BrokenBus()
    a, b = pair(bus)
    outcome: list[BaseException] = []

    def receive() -> None:
        try:
            b.recv()
        except OSError as e:
            outcome.append(e)

    receiver = threading.Thread(target=receive)
    receiver.start()
    bus.error = KeyError("a bug")
    bus.inject(CanFrame(0x7E0, b"\x01x"))
    receiver.join(30)
    assert isinstance(outcome[0], isotp.InterfaceError)
    assert isinstance(outcome[0].__cause__, KeyError)
    with pytest.raises(isotp.InterfaceError, match="virtual failed: KeyError: 'a bug'"):
        a.send(b"x")
    with pytest.raises(isotp.InterfaceError, match="a bug"):
        isotp.SoftSocket(bus).bind(rxid=5, txid=6)


def test_a_bus_that_comes_back(pair: Pair) -> None:
    bus = VirtualBus()
    a, b = pair(bus)
    with bus_down(bus):
        for call in (partial(a.send, LONG), b.recv):
            with pytest.raises(isotp.InterfaceDownError):
                call()
    a.send(LONG)
    assert b.recv() == LONG


# --- time


@pytest.mark.parametrize("stmin", [isotp.STmin.from_us(300), isotp.STmin.from_ms(2)])
def test_stmin_is_kept_and_not_rounded_to_milliseconds(pair: Pair, stmin: isotp.STmin) -> None:
    bus = VirtualBus()
    a, b = pair(bus, lambda s: s.set_fc_opts(stmin=stmin))
    sent: list[tuple[int, int]] = []
    bus.listen(lambda frame: sent.append((time.monotonic_ns(), frame.data[0] >> 4)))
    a.send(bytes(300))
    assert b.recv() == bytes(300)
    gaps = [after - before for (before, kind), (after, _) in itertools.pairwise(sent) if kind == 2]
    assert len(gaps) > 30
    assert stmin.ns <= min(gaps) < stmin.ns + 700_000


def test_a_full_queue_is_waited_out(pair: Pair) -> None:
    a, b = pair(VirtualBus(frame_ns=200_000, queue_length=3))
    a.send(bytes(400))
    assert b.recv() == bytes(400)


def test_a_queue_that_stays_full_ends_with_n_as(pair: Pair) -> None:
    a, _ = pair(VirtualBus(frame_ns=10**12, queue_length=1), lambda s: s.set_engine_opts(n_as_ns=30_000_000))
    for _ in range(2):
        with pytest.raises(isotp.TransmitTimeoutError, match="30 ms"):
            a.send(b"x")


def test_faults_end_in_the_message_or_in_an_error_of_their_own(pair: Pair) -> None:
    a, b = pair(
        VirtualBus(fate=Faults(11, loss=0.02)),
        lambda s: s.set_engine_opts(n_bs_ns=300_000_000, n_cr_ns=300_000_000),
    )
    outcomes: set[type] = set()
    for n in range(40):
        message = bytes([n]) * 200
        try:
            a.send(message)
        except isotp.TransferError as e:
            outcomes.add(type(e))
        try:
            while b.recv() != message:
                pytest.fail("a message arrived that was not sent")
            outcomes.add(bytes)
        except isotp.TransferError as e:
            outcomes.add(type(e))
        except TimeoutError:  # not even the first frame arrived
            pass
        b.settimeout(1.0)
    assert {bytes, isotp.WrongSequenceNumberError} <= outcomes


# --- what only an engine can do


def test_events_are_told(pair: Pair) -> None:
    events: list[Any] = []
    a, b = pair(VirtualBus(), lambda s: s.set_engine_opts(progress_step=40), on_event=events.append)
    a.send(LONG)
    b.send(b"x")
    until(lambda: len(events) >= 5)
    assert events[0] == FirstFrameReceived(100)
    assert [e.done for e in events if isinstance(e, Progress) and e.direction is Direction.RECEIVING] == [41, 83]
    assert MessageReceived(LONG) in events
    assert events[-1] == MessageSent(1)


@pytest.mark.parametrize("bs", [0, 2])
def test_a_sender_that_does_not_wait_for_flow_control(pair: Pair, bs: int) -> None:
    bus = VirtualBus()
    _, b = pair(bus, lambda s: s.set_fc_opts(bs=bs))
    for _ in range(20):
        bus.inject(CanFrame(0x7E0, b"\x10\x64" + LONG[:6]))
        for n, i in enumerate(range(6, 100, 7), 1):
            bus.inject(CanFrame(0x7E0, bytes((0x20 | n,)) + LONG[i : i + 7]))
        assert b.recv() == LONG


def test_ignored_frames_are_told(pair: Pair) -> None:
    events: list[Any] = []
    bus = VirtualBus()
    pair(bus, on_event=events.append)
    frame = CanFrame(0x7E0, b"\x21\x00")
    bus.inject(frame)
    until(lambda: events)
    (event,) = events
    assert (event.frame, event.why) == (frame, IgnoreReason.UNEXPECTED_CONSECUTIVE_FRAME)


def test_frames_can_be_padded_to_a_least_length(pair: Pair) -> None:
    bus, frames = VirtualBus(), list[CanFrame]()
    bus.listen(frames.append)
    a, b = pair(bus, lambda s: s.set_engine_opts(tx_min_dl=6))
    a.send(b"x")
    assert b.recv() == b"x"
    assert [frame.data.hex() for frame in frames] == ["0178cccccccc"]


def test_what_a_callback_raises_comes_out_of_the_next_call(pair: Pair) -> None:
    def callback(event: object) -> None:
        raise LookupError("in the callback")

    a, b = pair(VirtualBus(), on_event=callback)
    a.send(b"x")
    until(lambda: b._end.bound and b._end.bound.callback_error)
    with pytest.raises(LookupError, match="in the callback"):
        b.recv()
    assert b.recv() == b"x"


def test_a_callback_may_close_its_socket(pair: Pair) -> None:
    ends: list[isotp.SoftSocket] = []
    ends += pair(VirtualBus(), on_event=lambda event: ends[1].close())
    ends[0].send(b"x")
    until(lambda: ends[1].closed)


def test_who_does_not_read_makes_senders_wait(pair: Pair) -> None:
    bus, waits = VirtualBus(), []
    bus.listen(lambda frame: waits.append(frame) if frame.data[0] == 0x31 else None)
    a, b = pair(bus, lambda s: s.set_engine_opts(n_br_ns=5_000_000), rcvbuf=150)
    a.send(LONG)
    a.send(LONG)  # more than was left: from here on b is not ready
    sender = threading.Thread(target=a.send, args=(LONG,))
    sender.start()
    until(lambda: len(waits) > 5)
    assert sender.is_alive()
    assert [b.recv() for _ in range(3)] == [LONG] * 3
    sender.join()


def test_single_frames_nobody_reads_are_dropped_and_counted(pair: Pair) -> None:
    a, b = pair(VirtualBus(), rcvbuf=2)
    for n in range(4):
        a.send(bytes([n]))
    assert (b.dropped, b.recv(), b.recv()) == (2, b"\0", b"\1")
    with pytest.warns(isotp.MessagesDroppedWarning, match="2 message"), pytest.raises(BlockingIOError):
        b.recv(flags=0x40)
    a.send(b"next")
    message = b.recv_message()
    assert (message.data, message.dropped) == (b"next", 2)


@pytest.mark.parametrize(
    "write",
    [
        lambda s: s.set_general_opts(optflags=isotp.opts.flags.CF_BROADCAST),
        lambda s: s.set_general_opts(rx_stmin=5),
        lambda s: s.set_ll_opts(mtu=72, tx_flags=isotp.opts.CANFD_ESI),
        lambda s: s.set_engine_opts(n_bs_ns=0),
    ],
)
def test_what_the_engine_does_not_do_is_refused(write: Callable[[isotp.SoftSocket], object]) -> None:
    with isotp.SoftSocket(VirtualBus()) as s:
        before = s.get_engine_opts()
        with pytest.raises(isotp.OptionError):
            write(s)
        assert s.get_engine_opts() == before


def test_frame_txtime_is_told_to_be_of_no_use() -> None:
    with isotp.SoftSocket(VirtualBus()) as s, pytest.warns(isotp.OptionIgnoredWarning, match="frame_txtime"):
        s.set_general_opts(frame_txtime=5)


def test_can_fd_on_a_classical_bus() -> None:
    threads = threading.enumerate()
    with isotp.SoftSocket(VirtualBus(can_fd=False)) as s:
        s.set_ll_opts(mtu=72)
        with pytest.raises(isotp.OptionError, match="Classical CAN"):
            s.bind(rxid=1, txid=2)
        assert not s.bound
        assert threading.enumerate() == threads


class Unechoing(VirtualBus):
    """Takes frames for good, as adapters do that do not echo."""

    echoes = False

    def send(self, frames: Sequence[CanFrame]) -> int:
        return len(frames)


def test_a_bus_that_does_not_echo(pair: Pair) -> None:
    a, b = pair(Unechoing())
    a.send(LONG)
    assert b.recv() == LONG


# --- ends


def test_a_forgotten_socket_is_told_of_and_its_thread_ends() -> None:
    threads, bus = threading.active_count(), VirtualBus()

    def forget() -> None:
        isotp.SoftSocket(bus).bind(rxid=1, txid=2)
        gc.collect()

    with pytest.warns(ResourceWarning, match="unclosed <isotp.SoftSocket virtual"):
        forget()
    until(lambda: threading.active_count() == threads)


def test_close_does_not_wait_for_a_receiver_that_only_asks_to_wait() -> None:
    bus = VirtualBus(fate=Faults().replace("FC", by=["FC WAIT"] * 1000, seconds=0.02))
    with isotp.SoftSocket(bus) as receiver:
        receiver.bind(rxid=1, txid=2)
        s = isotp.SoftSocket(bus)
        s.set_engine_opts(n_as_ns=50_000_000, n_bs_ns=1_000_000_000)
        s.bind(rxid=2, txid=1)
        s.send(LONG, confirm=False)
        with pytest.warns(isotp.UnconfirmedSendWarning, match=r"nothing of it was sent for 2\.5 s"):
            s.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("isotp")]


class Full(VirtualBus):
    """It has no room for frames of its sockets, yet."""

    has_room = False

    def send(self, frames: Sequence[CanFrame]) -> int:
        return super().send(frames) if self.has_room else 0


def test_a_message_whose_sender_heard_another_receiver_first() -> None:
    """All its consecutive frames are there before our flow control is out."""
    bus = Full()
    with isotp.SoftSocket(bus, 30) as s:
        s.bind(rxid=1, txid=2)
        bus.inject(CanFrame(1, b"\x10\x64" + LONG[:6]))
        for n in range(14):
            bus.inject(CanFrame(1, bytes([0x21 + n]) + LONG[6 + 7 * n : 13 + 7 * n]))
        assert s.recv() == LONG
        bus.has_room = True
        assert s.send(b"x") == 1
