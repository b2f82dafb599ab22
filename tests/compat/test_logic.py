"""TransportLayerLogic, as the documentation of can-isotp 2 describes it."""

from typing import Any

import pytest

import isotp
from isotp import AddressingMode
from isotp.errors import (
    BadGeneratorError,
    ChangingInvalidRXDLError,
    ConsecutiveFrameTimeoutError,
    FlowControlTimeoutError,
    FrameTooLongError,
    InvalidCanDataError,
    InvalidCanFdFirstFrameRXDL,
    MaximumWaitFrameReachedError,
    MissingEscapeSequenceError,
    ReceptionInterruptedWithFirstFrameError,
    ReceptionInterruptedWithSingleFrameError,
    UnexpectedConsecutiveFrameError,
    UnexpectedFlowControlError,
    UnsupportedWaitFrameError,
    WrongSequenceNumberError,
)

from .layers import Layer, first_and_rest

DATA = bytes(range(20))
FIRST, *REST = first_and_rest(DATA)
FIXED = isotp.Address(AddressingMode.NormalFixed_29bits, target_address=1, source_address=2)


def sending(data: bytes = DATA, **params: Any) -> Layer:
    """A layer that has sent its first frame."""
    layer = Layer(**params)
    layer.send(data)
    layer.process()
    assert layer.take() == ["456 " + bytes.fromhex(f"1{len(data):03X}{data[:6].hex()}").hex(" ").upper()]
    return layer


# --- receiving


def test_all_frames_of_a_message_in_one_call() -> None:
    layer = Layer()
    layer.arrive("0101", FIRST, *REST, "0102")
    stats = layer.process()
    assert (stats.received, stats.received_processed, stats.sent, stats.frame_received) == (5, 5, 1, 3)
    assert [layer.recv(), layer.recv(), layer.recv()] == [bytearray(b"\1"), bytearray(DATA), bytearray(b"\2")]
    assert layer.recv() is None
    assert not layer.available()


def test_block_size_and_stmin_are_sent() -> None:
    layer = Layer(blocksize=2, stmin=5, tx_padding=0xAA)
    first, *rest = first_and_rest(bytes(34))
    assert layer.exchange(first) == ["456 30 02 05 AA AA AA AA AA"]
    assert layer.is_rx_active()
    assert layer.exchange(rest[0]) == []
    assert layer.exchange(rest[1]) == ["456 30 02 05 AA AA AA AA AA"]
    layer.exchange(*rest[2:])
    assert layer.recv() == bytearray(34)
    assert not layer.is_rx_active()


def test_frames_of_others_are_not_processed() -> None:
    layer = Layer()
    layer.arrive("0101", can_id=0x124)
    layer.arrive("0101", extended=True)
    stats = layer.process()
    assert (stats.received, stats.received_processed) == (2, 0)
    assert not layer.available()


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([FIRST, "22" + "00" * 7], WrongSequenceNumberError),
        ([FIRST, "0101"], ReceptionInterruptedWithSingleFrameError),
        ([FIRST, FIRST], ReceptionInterruptedWithFirstFrameError),
        ([FIRST, "2100"], ChangingInvalidRXDLError),
        (["2100"], UnexpectedConsecutiveFrameError),
        (["300000"], UnexpectedFlowControlError),
        (["1FFF" + "00" * 6], FrameTooLongError),
        (["100A0102"], InvalidCanFdFirstFrameRXDL),
        (["0A" + "00" * 11], MissingEscapeSequenceError),
        (["40"], InvalidCanDataError),
        ([""], InvalidCanDataError),
        (["08"], InvalidCanDataError),
    ],
)
def test_the_error_handler_gets_the_error(frames: list[str], error: type[Exception]) -> None:
    layer = Layer(max_frame_size=4094)
    layer.exchange(*frames)
    assert layer.take_errors() == [error]


def test_a_message_that_is_too_long_is_refused() -> None:
    assert Layer(max_frame_size=19).exchange(FIRST) == ["456 32 08 00"]


def test_a_message_that_breaks_off() -> None:
    layer = Layer(rx_consecutive_frame_timeout=300)
    layer.exchange(FIRST)
    layer.now_s += 0.299
    layer.process()
    assert layer.take_errors() == []
    layer.now_s += 0.002
    layer.process()
    assert layer.take_errors() == [ConsecutiveFrameTimeoutError]
    assert not layer.is_rx_active()


def test_a_layer_that_only_listens() -> None:
    layer = Layer(listen_mode=True)
    assert layer.exchange("300000", FIRST, *REST) == []
    assert layer.recv() == bytearray(DATA)
    assert layer.take_errors() == []
    with pytest.raises(RuntimeError, match="listen_mode"):
        layer.send(b"1")


def test_can_fd_and_classical_frames_are_both_received() -> None:
    layer = Layer(can_fd=True, tx_data_length=64)
    layer.exchange("0101", is_fd=False)
    layer.exchange("0102", is_fd=True)
    assert [layer.recv(), layer.recv()] == [bytearray(b"\1"), bytearray(b"\2")]


def test_stop_receiving_keeps_what_is_complete() -> None:
    layer = Layer()
    layer.exchange("0101", FIRST)
    layer.stop_receiving()
    assert not layer.is_rx_active()
    assert layer.take_errors() == []
    layer.exchange(REST[0])
    assert layer.take_errors() == [UnexpectedConsecutiveFrameError]
    assert layer.recv() == bytearray(b"\1")


def test_recv_may_wait_for_a_while() -> None:
    assert Layer().recv(block=True, timeout=0.001) is None


# --- sending


def test_a_single_frame_and_a_long_message_after_it() -> None:
    layer = Layer()
    layer.send(b"123")
    layer.send(bytearray(DATA))
    assert layer.transmitting()
    assert layer.process().sent == 2
    assert layer.take() == ["456 03 31 32 33", "456 10 14 00 01 02 03 04 05"]
    assert layer.exchange("300000") == ["456 21 06 07 08 09 0A 0B 0C", "456 22 0D 0E 0F 10 11 12 13"]
    assert not layer.transmitting()


def test_blocks_and_the_separation_time() -> None:
    layer = sending(bytes(34))
    assert layer.exchange("300214") == []  # STmin 20 ms, before the first frame of a block, too
    assert layer.is_tx_transmitting_cf()
    assert layer.next_cf_delay() == pytest.approx(0.02)
    for _ in range(2):
        layer.now_s += 0.02
        assert len(layer.exchange()) == 1
        assert layer.exchange() == []
    layer.now_s += 0.02
    assert layer.exchange() == []
    assert layer.next_cf_delay() is None
    assert len(layer.exchange("300000")) == 2  # BS and STmin of each flow control count


def test_override_receiver_stmin() -> None:
    assert len(sending(override_receiver_stmin=0).exchange("300014")) == 2
    layer = sending(override_receiver_stmin=0.05)
    layer.exchange("300000")
    assert layer.next_cf_delay() == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("flow_control", "error"),
    [("320000", isotp.OverflowError), ("330000", InvalidCanDataError), ("3000", InvalidCanDataError)],
)
def test_a_flow_control_that_ends_the_message(flow_control: str, error: type[Exception]) -> None:
    layer = sending()
    layer.send(b"1")
    assert layer.exchange(flow_control) == ["456 01 31"]  # the next message
    assert layer.take_errors() == [error]


def test_no_flow_control() -> None:
    layer = sending(rx_flowcontrol_timeout=200)
    layer.now_s += 0.21
    layer.process()
    assert layer.take_errors() == [FlowControlTimeoutError]
    assert not layer.transmitting()


def test_without_wftmax_a_wait_is_reported_and_ignored() -> None:
    layer = sending()
    layer.exchange("310000")
    assert layer.take_errors() == [UnsupportedWaitFrameError]
    assert len(layer.exchange("300000")) == 2


def test_wftmax_is_the_number_of_waits() -> None:
    layer = sending(wftmax=2)
    layer.exchange("310000", "310000")
    assert layer.take_errors() == []
    layer.exchange("310000")
    assert layer.take_errors() == [MaximumWaitFrameReachedError]


@pytest.mark.parametrize(
    ("params", "frames"),
    [
        ({}, ["456 02 31 32"]),
        ({"tx_padding": 0x55}, ["456 02 31 32 55 55 55 55 55"]),
        ({"tx_data_min_length": 6}, ["456 02 31 32 CC CC CC"]),
        ({"tx_data_min_length": 6, "tx_padding": 0x11}, ["456 02 31 32 11 11 11"]),
        ({"can_fd": True, "tx_data_length": 64, "tx_padding": 0x11}, ["456 02 31 32"]),
        ({"can_fd": True, "tx_data_length": 64, "tx_data_min_length": 8}, ["456 02 31 32 CC CC CC CC CC"]),
    ],
)
def test_padding(params: dict[str, Any], frames: list[str]) -> None:
    layer = Layer(**params)
    layer.send(b"12")
    assert layer.exchange() == frames


def test_can_fd() -> None:
    layer = Layer(can_fd=True, tx_data_length=64, bitrate_switch=True)
    layer.send(bytes(10))
    layer.process()
    (message,) = layer.sent
    assert (message.dlc, message.is_fd, message.bitrate_switch, message.is_extended_id) == (9, True, True, False)
    assert message.data == bytes((0, 10)) + bytes(10)


def test_a_generator_is_asked_for_the_bytes_of_each_frame() -> None:
    asked = []

    def generate() -> Any:
        for i in range(30):
            asked.append(i)
            yield i

    layer = Layer()
    layer.send((generate(), 20))
    assert not asked
    assert layer.exchange() == ["456 10 14 00 01 02 03 04 05"]
    assert asked == list(range(6))
    assert len(layer.exchange("300000")) == 2
    assert asked == list(range(20))


@pytest.mark.parametrize("values", [range(10), [0] * 12 + [256] * 9, "abcdefghijklmnopqrstuvwxyz"])
def test_a_generator_that_does_not_keep_its_word(values: Any) -> None:
    layer = Layer()
    layer.send(((value for value in values), 20))
    layer.exchange()
    layer.exchange("300000")
    assert layer.take_errors()[0] is BadGeneratorError
    assert not layer.transmitting()


@pytest.mark.parametrize("data", [None, 5, "abc", (b"1", 1), (iter([1]), -1), iter([1]), [256]])
def test_what_cannot_be_sent(data: Any) -> None:
    with pytest.raises(ValueError, match=r"allowed|range"):
        Layer().send(data)


@pytest.mark.parametrize("data", [b"", [], ""])
def test_nothing_is_sent_of_an_empty_message(data: Any) -> None:
    layer = Layer()
    layer.send(data)
    assert layer.exchange() == []
    assert not layer.transmitting()


def test_functional_messages_have_one_frame() -> None:
    layer = Layer()
    layer.send(b"12", isotp.TargetAddressType.Functional)
    layer.send(b"34", 1)
    assert layer.exchange() == ["456 02 31 32", "456 02 33 34"]
    with pytest.raises(ValueError, match="8 bytes are more than a functional message has, 7"):
        layer.send(bytes(8), isotp.TargetAddressType.Functional)


def test_functional_addressing_with_identifiers_of_its_own() -> None:
    layer = Layer(FIXED, default_target_address_type=isotp.TargetAddressType.Functional)
    layer.send(b"1")
    layer.send(b"2", isotp.TargetAddressType.Physical)
    assert layer.exchange() == ["18DB0102 01 31", "18DA0102 01 32"]
    layer.exchange("0101", can_id=0x18DA0201, extended=True)
    layer.exchange("0102", can_id=0x18DB0201, extended=True)
    assert [layer.recv(), layer.recv()] == [bytearray(b"\1"), bytearray(b"\2")]


def test_asymmetric_addresses() -> None:
    layer = Layer(
        isotp.AsymmetricAddress(
            isotp.Address(txid=5, tx_only=True),
            isotp.Address(AddressingMode.Mixed_11bits, rxid=0x123, address_extension=0x99, rx_only=True),
        )
    )
    layer.send(b"1234567")
    assert layer.exchange("990101", "980101") == ["5 07 31 32 33 34 35 36 37"]
    assert layer.recv() == bytearray(b"\1")
    assert not layer.available()


def test_stop_sending() -> None:
    layer = sending()
    layer.send(b"1")
    layer.stop_sending()
    assert not layer.transmitting()
    assert layer.exchange("300000") == []
    assert layer.take_errors() == [UnexpectedFlowControlError]


def test_the_rate_limit_holds_frames_back() -> None:
    layer = Layer(rate_limit_enable=True, rate_limit_max_bitrate=800, rate_limit_window_size=0.2)
    for _ in range(3):
        layer.send(bytes(7))
    assert len(layer.exchange()) == 2  # of 20 bytes allowed in 0.2 s
    assert layer.is_tx_throttled()
    layer.now_s += 0.21
    assert len(layer.exchange()) == 1
    assert not layer.is_tx_throttled()


# --- the rest


def test_post_send_callback() -> None:
    requests: list[Any] = []
    layer = isotp.TransportLayerLogic(
        lambda timeout: None, lambda message: None, Layer().address, post_send_callback=requests.append
    )
    layer.send(b"12")
    assert [request.data for request in requests] == [b"12"]
    assert not requests[0].success
    layer.process()
    assert requests[0].success


def test_blocking_send_waits_for_another_thread() -> None:
    layer = Layer(blocking_send=True)
    with pytest.raises(isotp.BlockingSendTimeout):
        layer.send(b"1", send_timeout=0.001)
    assert layer.exchange() == ["456 01 31"]


def test_the_address_and_the_parameters_can_be_changed() -> None:
    layer = Layer()
    layer.set_address(isotp.Address(txid=7, rxid=8))
    layer.params.set("stmin", 7)
    layer.params.set("tx_padding", 0)
    assert layer.exchange(FIRST, can_id=8) == ["7 30 08 07 00 00 00 00 00"]
    layer.params.set("blocksize", 1)  # counts from the next message on
    assert layer.exchange(*REST, can_id=8) == []
    assert layer.exchange(FIRST, can_id=8) == ["7 30 01 07 00 00 00 00 00"]
    layer.load_params()
    assert not layer.is_rx_active()


def test_reset_forgets_everything() -> None:
    layer = sending()
    layer.send(b"1")
    layer.exchange("0101", FIRST)
    layer.reset()
    assert not layer.transmitting()
    assert not layer.is_rx_active()
    assert not layer.available()
    assert layer.exchange() == []


def test_the_time_to_sleep() -> None:
    layer = Layer()
    assert layer.sleep_time() == 0.02
    layer.set_sleep_timing(1.0, 0.5)
    assert layer.sleep_time() == 1.0
    layer.send(DATA)
    layer.process()
    assert layer.sleep_time() == 0.5
    layer.exchange(FIRST)
    assert layer.sleep_time() == 0.001


def test_do_rx_and_do_tx() -> None:
    layer = Layer()
    layer.arrive("0101")
    layer.send(b"1")
    assert layer.process(do_rx=False).sent == 1
    assert not layer.available()
    layer.send(b"2")
    assert layer.process(do_tx=False).sent == 0
    assert layer.available()


def test_rxfn_may_take_no_timeout() -> None:
    frames = [isotp.CanMessage(0x123, 2, b"\1\1")]
    layer = isotp.TransportLayerLogic(lambda: frames.pop() if frames else None, print, Layer().address)
    layer.process(rx_timeout=10)
    assert layer.recv() == bytearray(b"\1")


def test_rxfn_gets_the_timeout_once() -> None:
    layer, timeouts = Layer(), []
    layer.arrive("0101", "0102")

    def rxfn(timeout: float) -> isotp.CanMessage | None:
        timeouts.append(timeout)
        return layer.frames.popleft() if layer.frames else None

    layer.set_rxfn(rxfn)
    layer.process(rx_timeout=0.5)
    assert timeouts == [0.5, 0, 0]


@pytest.mark.parametrize("data", [b"1", DATA])
def test_an_error_of_txfn_leaves_process_and_ends_the_message(data: bytes) -> None:
    layer = Layer()
    txfn = layer.txfn

    def fails(message: isotp.CanMessage) -> None:
        layer.txfn = txfn
        raise ValueError("queue full")

    layer.txfn = fails
    layer.send(data)
    with pytest.raises(ValueError, match="queue full"):
        layer.process()
    assert not layer.transmitting()
    layer.send(DATA)
    assert layer.exchange() == ["456 10 14 00 01 02 03 04 05"]
    assert len(layer.exchange("300000")) == 2
    assert layer.take_errors() == []


@pytest.mark.parametrize("address", [isotp.Address(txid=1, tx_only=True), None])
def test_an_address_without_both_directions(address: Any) -> None:
    with pytest.raises(isotp.AddressError, match="both directions"):
        Layer(address)
