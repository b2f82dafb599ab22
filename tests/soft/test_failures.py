"""When the bus, a callback or a peer misbehaves: everything is told, nothing is lost or blocked."""

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import isotp
from isotp.bus.base import Received
from isotp.bus.virtual import VirtualBus
from isotp.can_frame import CanFrame
from isotp.engine.events import Event, MessageReceived, MessageSent
from isotp.errors import InterfaceError
from isotp.testing import bus_gone

LONG = bytes(i % 251 for i in range(100))


class Flaky(VirtualBus):
    """Raises `error` from `receive` when the frame `at` is under way."""

    error: Exception | None = None
    at: bytes = b""

    def send(self, frames: Sequence[CanFrame]) -> int:
        taken = super().send(frames)
        if self.error is not None and any(self.at in frame.data for frame in frames):
            self.failing = True
        return taken

    failing = False

    def receive(self) -> Received:
        if self.failing and self.error is not None:
            error, self.error = self.error, None
            raise error
        return super().receive()


def test_a_failure_does_not_swallow_what_was_through() -> None:
    bus = Flaky()
    with isotp.SoftSocket(bus, 30) as a, isotp.SoftSocket(bus, 30) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        a.send(b"before")
        bus.error, bus.at = InterfaceError("it went down for a moment"), b"now"
        with pytest.raises(isotp.InterfaceError, match="for a moment"):
            a.send(b"now")
        assert b.recv() == b"before"
        with pytest.raises(isotp.InterfaceError, match="for a moment"):
            b.recv()
        a.send(LONG)
        messages = [b.recv()]
        if messages == [b"now"]:  # it was on the bus, whatever became of its confirmation
            messages.append(b.recv())
        assert messages[-1] == LONG


def test_messages_received_before_the_end_can_be_read_and_each_error_is_new() -> None:
    bus = Flaky()
    with isotp.SoftSocket(bus, 30) as a, isotp.SoftSocket(bus, 30) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        a.send(b"before")
        bus.error, bus.at = RuntimeError("boom"), b"now"
        with pytest.raises(isotp.InterfaceError, match="RuntimeError: boom"):
            a.send(b"now")
        assert b.recv() == b"before"
        errors = []
        for _ in range(3):
            with pytest.raises(isotp.InterfaceError, match="RuntimeError: boom") as caught:
                b.recv()
            errors.append(caught.value)
        assert len({id(error) for error in errors}) == 3
        with pytest.raises(isotp.InterfaceError), isotp.SoftSocket(bus) as c:
            c.bind(rxid=3, txid=4)
    with isotp.SoftSocket(bus) as c:  # once all are closed it can be used again
        c.bind(rxid=3, txid=4)


def test_a_removed_interface_is_final() -> None:
    bus = VirtualBus()
    with isotp.SoftSocket(bus, 30) as a:
        a.bind(rxid=1, txid=2)
        with bus_gone(bus), pytest.raises(isotp.InterfaceError, match="is gone"):
            a.send(b"now")
        with pytest.raises(isotp.InterfaceError, match="close all sockets of this bus"):
            a.send(b"again")


def test_a_flow_control_nobody_has_room_for_does_not_block_the_link() -> None:
    bus = VirtualBus(frame_ns=60_000_000_000, queue_length=1)
    with contextlib.ExitStack() as stack:
        other, a = (stack.enter_context(isotp.SoftSocket(bus, 30)) for _ in range(2))
        for end in (other, a):
            end.set_engine_opts(n_as_ns=100_000_000, n_ar_ns=100_000_000, max_pdu_size=1000)
        other.bind(rxid=3, txid=4)
        a.bind(rxid=1, txid=2)
        other.send(b"occupies the bus"[:7], confirm=False)
        link = next(link for link in bus.driver.hub._links if link.rx.can_id == 1)

        def refuse() -> None:  # a first frame of a message too long: its OVFLW has no timer
            link.engine.receive_frame(CanFrame(1, b"\x1f\xff123456"), time.monotonic_ns())
            bus.driver.hub.touch(link)

        bus.driver.call(refuse)
        with pytest.raises(isotp.TransmitTimeoutError):
            a.send(b"x")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", isotp.UnconfirmedSendWarning)
            other.close()


def test_links_share_a_bus_that_has_a_bit_rate() -> None:
    bus = VirtualBus(frame_ns=1_000_000)
    with contextlib.ExitStack() as stack:
        a, b, c, d = (stack.enter_context(isotp.SoftSocket(bus, 30)) for _ in range(4))
        for end, rxid, txid in ((a, 1, 2), (b, 2, 1), (c, 3, 4), (d, 4, 3)):
            end.set_engine_opts(max_pdu_size=10_000, n_as_ns=1_000_000_000)
            end.bind(rxid=rxid, txid=txid)
        a.send(bytes(10_000), confirm=False)
        c.send(b"urgent")
        assert a._end.is_sending, "it did not have to wait for the long one"
        a.confirm()
        assert b.recv() == bytes(10_000)


# --- callbacks


def test_all_events_are_told_before_close_returns() -> None:
    bus = VirtualBus()
    for _ in range(20):
        events: list[Event] = []
        with isotp.SoftSocket(bus, 5, on_event=events.append) as s:
            s.bind(rxid=1, txid=2)
            s.send(b"x")
        assert events == [MessageSent(1)]


def test_a_callback_that_would_stop_the_bus_is_told() -> None:
    bus = VirtualBus()
    outcome: list[BaseException | None] = []
    done = threading.Event()

    def answer(event: Event, act: Callable[[], object]) -> None:
        if isinstance(event, MessageReceived):
            try:
                act()
                outcome.append(None)
            except isotp.IsoTpError as e:
                outcome.append(e)
            done.set()

    with contextlib.ExitStack() as stack:
        a = stack.enter_context(isotp.SoftSocket(bus, 30))
        b = stack.enter_context(isotp.SoftSocket(bus, 5, on_event=lambda e: answer(e, lambda: b.send(LONG))))
        b.set_engine_opts(n_bs_ns=100_000_000)
        a.set_fc_opts(stmin=5)
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        a.send(b"ask")
        assert done.wait(30)
        assert isinstance(outcome[0], isotp.BusyError)
        assert "confirm=False" in str(outcome[0])
        assert a.recv() == LONG, "it is sent all the same"
        b.confirm()


# --- limits


def test_an_endless_timeout() -> None:
    with isotp.SoftSocket(VirtualBus(), 1e300) as s:
        assert s.timeout is None


def test_frames_for_nobody_are_not_kept() -> None:
    bus = VirtualBus()
    heard: list[CanFrame] = []
    bus.listen(heard.append)
    bus.inject(CanFrame(1, b"\1x"))
    with isotp.SoftSocket(bus, 0) as s:
        s.bind(rxid=1, txid=2)
        with pytest.raises(BlockingIOError):
            s.recv()
    assert heard == [CanFrame(1, b"\1x")]


def test_a_listener_is_no_duplicate() -> None:
    bus = VirtualBus()
    with isotp.SoftSocket(bus) as listener, isotp.SoftSocket(bus) as ecu:
        listener.set_general_opts(optflags=isotp.opts.flags.LISTEN_MODE)
        listener.bind(rxid=1, txid=2)
        ecu.bind(rxid=1, txid=2)  # a warning would be an error


# --- each link has its own error, and nothing is bound that was warned of


def test_each_socket_raises_an_error_of_its_own() -> None:
    bus = Flaky()
    with isotp.SoftSocket(bus, 30) as a, isotp.SoftSocket(bus, 30) as b:
        a.bind(rxid=1, txid=2)
        b.bind(rxid=2, txid=1)
        bus.error, bus.at = InterfaceError("it went down", remedy="up with it"), b"now"
        with pytest.raises(isotp.InterfaceError) as by_a:
            a.send(b"now")
        with pytest.raises(isotp.InterfaceError) as by_b:
            b.recv()
    assert by_a.value is not by_b.value
    assert (by_a.value.link, by_b.value.link) == ("virtual rxid=0x001 txid=0x002", "virtual rxid=0x002 txid=0x001")
    assert (by_a.value.what, by_a.value.remedy) == ("it went down", "up with it")


@pytest.mark.parametrize("kind", [isotp.SoftSocket, isotp.AsyncSoftSocket])
def test_where_the_warning_is_an_error_nothing_is_bound(kind: type[isotp.SoftSocket] | type[Any]) -> None:
    bus = VirtualBus()
    first, second = kind(bus), kind(bus)
    first.bind(rxid=1, txid=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", isotp.DuplicateBindingWarning)
        with pytest.raises(isotp.DuplicateBindingWarning, match="exchange rxid and txid if they are swapped"):
            second.bind(rxid=1, txid=3)
    assert not second.bound
    second.bind(rxid=4, txid=3)
    first.close()
    second.close()


# --- what it is made for


def test_what_is_no_bus() -> None:
    with pytest.raises(TypeError, match=r"SocketCanBus\('can0'\) on Linux"):
        isotp.SoftSocket("vcan0")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [isotp.SoftSocket, isotp.AsyncSoftSocket])
def test_the_interface_may_be_named_where_it_is_the_buss_own(kind: type[Any]) -> None:
    s = kind(VirtualBus("vcan0"))
    with pytest.raises(isotp.InterfaceError, match="made for the bus 'vcan0', not 'can1'"):
        s.bind("can1", rxid=1, txid=2)
    assert not s.bound
    s.bind("vcan0", rxid=1, txid=2)
    assert s.interface == "vcan0"
    s.close()
