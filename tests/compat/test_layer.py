"""TransportLayer between `start` and `stop`."""

import contextlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import isotp
from isotp.compat.layer_engine import LayerEngine
from isotp.compat.rate_limiter import RateLimiter
from isotp.engine import Params
from isotp.errors import BlockingSendFailure, BlockingSendTimeout, BusyError, FlowControlTimeoutError, InterfaceError

from ..waiting import until


class Cable:
    """Two layers, each with a queue of frames, and the errors of each."""

    def __init__(self) -> None:
        self.queues: list[queue.Queue[isotp.CanMessage]] = [queue.Queue(), queue.Queue()]
        self.errors: list[list[Exception]] = [[], []]
        self.layers: list[isotp.TransportLayer] = []

    def layer(self, which: int, **params: Any) -> isotp.TransportLayer:
        own, others = self.queues[which], self.queues[1 - which]

        def rxfn(timeout: float) -> isotp.CanMessage | None:
            try:
                return own.get(timeout=timeout)
            except queue.Empty:
                return None

        address = isotp.Address(txid=which + 1, rxid=2 - which)
        layer = isotp.TransportLayer(
            rxfn, others.put, address, error_handler=self.errors[which].append, params=params, read_timeout=0.02
        )
        self.layers.append(layer)
        return layer

    def pair(self, **params: Any) -> tuple[isotp.TransportLayer, isotp.TransportLayer]:
        """Two layers that are started; `params` of the first."""
        a, b = self.layer(0, **params), self.layer(1)
        a.start()
        b.start()
        return a, b


@pytest.fixture
def cable() -> Iterator[Cable]:
    threads = threading.active_count()
    made = Cable()
    yield made
    for layer in made.layers:
        layer.stop()
    until(lambda: threading.active_count() == threads)


def test_messages_of_every_length(cable: Cable) -> None:
    a, b = cable.pair(stmin=0xF1)
    for size in (1, 7, 8, 4095):
        a.send(bytes(size))
        b.send(bytes(size))
        assert b.recv(block=True, timeout=30) == bytearray(size)
        assert a.recv(block=True, timeout=30) == bytearray(size)
    until(lambda: not a.transmitting())
    assert cable.errors == [[], []]


def test_many_messages_are_queued(cable: Cable) -> None:
    a, b = cable.pair()
    for i in range(200):
        a.send(i.to_bytes(20, "big"))
    assert [b.recv(block=True, timeout=30) for _ in range(200)] == [
        bytearray(i.to_bytes(20, "big")) for i in range(200)
    ]


def test_start_stop_and_what_is_refused_in_between(cable: Cable) -> None:
    a = cable.layer(0)
    a.stop()  # does nothing
    a.start()
    assert a.started is True
    for refused in (a.start, a.process, a.reset):
        with pytest.raises(RuntimeError):
            refused()
    a.stop()
    a.stop()
    a.send(b"1")
    assert a.process().sent == 1


def test_a_queued_message_goes_out_at_start(cable: Cable) -> None:
    a, b = cable.layer(0), cable.layer(1)
    a.send(b"early")
    b.start()
    a.start()
    assert b.recv(block=True, timeout=30) == bytearray(b"early")


def test_a_message_that_process_has_begun_goes_on_after_start(cable: Cable) -> None:
    a = cable.layer(0, rx_flowcontrol_timeout=20)
    a.send(bytes(100))
    a.process()
    a.start()
    until(lambda: not a.transmitting())
    until(lambda: cable.errors[0])
    assert [type(error) for error in cable.errors[0]] == [FlowControlTimeoutError]


def test_threads_that_send_clear_and_stop(cable: Cable) -> None:
    a, b = cable.pair()
    over = threading.Event()
    failed: list[Exception] = []

    def often(*calls: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                while not over.is_set():
                    for call in calls:
                        call()
            except Exception as e:
                failed.append(e)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def start() -> None:
        with contextlib.suppress(RuntimeError):  # it is started
            a.start()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [often(lambda: a.send(b"1"), a.clear_tx_queue) for _ in range(2)]
        threads += [often(start), often(a.stop), often(a.stop)]
        for _ in range(200):
            b.recv(block=True, timeout=0.01)
        over.set()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert failed == []
    assert cable.errors == [[], []]
    a.stop()
    b.clear_rx_queue()
    a.start()
    a.send(b"last")
    until(lambda: b.recv() == bytearray(b"last"))


def test_a_message_that_arrives_while_the_address_is_set_is_received_once(cable: Cable) -> None:
    a = cable.layer(0)
    a.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(200):
            cable.queues[0].put(isotp.CanMessage(2, 8, b"\x07" + number.to_bytes(7, "big")))
            a.set_address(a.address)
    finally:
        sys.setswitchinterval(interval)
    cable.queues[0].put(isotp.CanMessage(2, 8, b"\x07is last"))
    received = []
    while (message := a.recv(block=True, timeout=30)) != bytearray(b"is last"):
        received.append(message)
    assert received == [bytearray(number.to_bytes(7, "big")) for number in range(200)]


def test_a_fork_leaves_the_layer_to_the_parent(cable: Cable) -> None:
    a = cable.layer(0)
    a.start()
    child = os.fork()
    if child == 0:
        try:
            assert not a.started
            a.start()
            a.stop()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert a.started


def test_a_blocking_send_waits_for_the_outcome(cable: Cable) -> None:
    a, _ = cable.pair(blocking_send=True)
    a.send(bytes(100), send_timeout=30)
    assert not a.transmitting()


def test_a_blocking_send_to_an_absent_receiver(cable: Cable) -> None:
    a = cable.layer(0, blocking_send=True, rx_flowcontrol_timeout=100)
    a.start()
    with pytest.raises(BlockingSendFailure) as caught:
        a.send(bytes(100))
    assert isinstance(caught.value.__cause__, FlowControlTimeoutError)
    until(lambda: cable.errors[0])
    assert [type(error) for error in cable.errors[0]] == [FlowControlTimeoutError]


def test_the_error_handler_knows_before_a_blocking_send_fails(cable: Cable) -> None:
    a = cable.layer(0, blocking_send=True, rx_flowcontrol_timeout=20)
    requests: list[isotp.TransportLayer.SendRequest] = []
    ended: list[bool] = []
    a.post_send_callback = requests.append
    a.error_handler = lambda error: ended.append(requests[-1].complete_event.is_set())
    a.start()
    for message in (bytes(100), (iter(b"short"), 100)):
        with pytest.raises(BlockingSendFailure):
            a.send(message)
    assert ended == [False, False]


def test_a_blocking_send_whose_time_is_over(cable: Cable) -> None:
    a = cable.layer(0, blocking_send=True)
    a.start()
    with pytest.raises(BlockingSendTimeout):
        a.send(bytes(100), send_timeout=0.01)
    assert a.transmitting()


@pytest.mark.parametrize("end", [isotp.TransportLayer.stop, isotp.TransportLayer.stop_sending])
def test_a_blocking_send_that_is_given_up(cable: Cable, end: Callable[[isotp.TransportLayer], None]) -> None:
    a = cable.layer(0, blocking_send=True)
    a.start()
    caught: list[Exception] = []

    def send() -> None:
        try:
            a.send(bytes(100))
        except BlockingSendFailure as e:
            caught.append(e)

    thread = threading.Thread(target=send)
    thread.start()
    until(a.transmitting)
    end(a)
    thread.join(30)
    assert len(caught) == 1
    assert cable.errors == [[], []]


def test_stop_receiving_and_a_new_address(cable: Cable) -> None:
    a, b = cable.layer(0), cable.layer(1)
    b.start()
    a.send(bytes(100))
    a.process()
    until(b.is_rx_active)
    b.stop_receiving()
    assert not b.is_rx_active()
    b.set_address(isotp.Address(txid=2, rxid=5))
    a.set_address(isotp.Address(txid=5, rxid=2))
    a.start()
    a.send(b"new")
    assert b.recv(block=True, timeout=30) == bytearray(b"new")


@pytest.mark.parametrize("change", [isotp.TransportLayer.load_params, lambda a: a.set_address(a.address)])
def test_messages_that_wait_while_the_layer_is_changed(
    cable: Cable, change: Callable[[isotp.TransportLayer], None]
) -> None:
    a, b = cable.layer(0), cable.layer(1)
    a.start()
    a.send(bytes(100))  # nobody answers
    a.send(b"waits")
    until(lambda: not cable.queues[1].empty())
    change(a)
    b.start()
    assert b.recv(block=True, timeout=30) == bytearray(b"waits")
    assert cable.errors[0] == []


def test_parameters_set_while_it_is_started(cable: Cable) -> None:
    a, b = cable.layer(0), cable.layer(1)
    b.start()
    b.params.set("stmin", 3)
    a.send(bytes(100))
    a.process()
    flow_control = cable.queues[0].get(timeout=30)
    assert bytes(flow_control.data) == b"\x30\x08\x03"


def test_the_rate_limit_of_a_started_layer(cable: Cable) -> None:
    a, b = cable.pair(rate_limit_enable=True, rate_limit_max_bitrate=16000, rate_limit_window_size=0.05)
    for _ in range(10):
        a.send(bytes(80))  # 12 frames of 8 bytes, 100 bytes in 50 ms
        assert b.recv(block=True, timeout=30) == bytearray(80)


def test_the_timer_of_frames_that_the_rate_limit_holds_back() -> None:
    now = [0]
    limiter = RateLimiter(8000, 0.1, clock=lambda: now[0])
    limiter.enable()
    engine = LayerEngine(isotp.Address(txid=1, rxid=2), Params(), limiter)
    engine.send(bytes(7), 0)
    limiter.inform_byte_sent(98)
    assert engine.frames_to_send(0) == []
    assert engine.get_timer() == 100_000_000
    now[0] = 100_000_000
    limiter.update()  # the window moves on before the timer is asked for
    assert engine.get_timer() == 0
    assert len(engine.frames_to_send(now[0])) == 1
    assert engine.get_timer() == 100_000_000 + 1_000_000_000  # N_As


def test_an_error_handler_that_raises_or_sends(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Exception] = []
    layer: isotp.TransportLayer

    def handler(error: Exception) -> None:
        seen.append(error)
        if len(seen) == 1:
            layer.send(bytes(100))
        raise KeyError("in the handler")

    layer = isotp.TransportLayer(
        lambda timeout: None, bool, isotp.Address(txid=1, rxid=2), handler, {"rx_flowcontrol_timeout": 20}
    )
    layer.start()
    with caplog.at_level(logging.ERROR, "isotp"):
        layer.send(bytes(100))
        until(lambda: len(seen) == 2)
        layer.stop()
    assert "in the handler" in caplog.text


def test_an_error_handler_cannot_wait_and_sends_nothing(cable: Cable) -> None:
    seen: list[Exception] = []

    def handler(error: Exception) -> None:
        try:
            layer.send(b"1")
        except BusyError as e:
            seen.append(e)

    layer = cable.layer(0, blocking_send=True)
    layer.error_handler = handler
    layer.start()
    for number in (1, 2):
        cable.queues[0].put(isotp.CanMessage(2, 1, b"\x40"))
        until(lambda: len(seen) == number)  # noqa: B023 - called in this round
    assert cable.queues[1].empty()


def test_rxfn_that_fails() -> None:
    def rxfn(timeout: float) -> None:
        raise ValueError("no cable")

    errors: list[Exception] = []
    layer = isotp.TransportLayer(rxfn, bool, isotp.Address(txid=1, rxid=2), errors.append, {"blocking_send": True})
    layer.start()
    until(lambda: errors)
    assert [type(error) for error in errors] == [InterfaceError]
    with pytest.raises(BlockingSendFailure) as caught:
        layer.send(b"1")
    assert "no cable" in str(caught.value.__cause__)
    layer.stop()


def test_txfn_that_fails() -> None:
    def txfn(message: isotp.CanMessage) -> None:
        raise ValueError("no cable")

    layer = isotp.TransportLayer(
        lambda timeout: None, txfn, isotp.Address(txid=1, rxid=2), None, {"blocking_send": True}
    )
    layer.start()
    with pytest.raises(BlockingSendFailure) as caught:
        layer.send(b"1")
    assert "no cable" in str(caught.value.__cause__)
    layer.stop()


def test_an_rxfn_that_does_not_wait_is_not_called_all_the_time() -> None:
    rests: list[float] = []
    enough = threading.Event()

    def wait_func(seconds: float) -> None:
        rests.append(seconds)
        enough.wait(0.001)

    layer = isotp.TransportLayer(lambda: None, bool, isotp.Address(txid=1, rxid=2), None, {"wait_func": wait_func})
    layer.start()
    until(lambda: len(rests) > 3)
    layer.stop()
    assert set(rests) == {0.02}
