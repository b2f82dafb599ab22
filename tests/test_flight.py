"""The message in flight: whose failure it is, and when it is told."""

import errno
import os
import select
import socket
from typing import cast

import pytest

import isotp
from isotp import TransferError
from isotp.kernel import translate
from isotp.kernel.binding import Binding
from isotp.kernel.flight import UNKNOWN_SIZE, Flight

S = isotp.errors
ADDRESS = isotp.Address.extended(rxid=1, txid=2, target_address=3, source_address=4)


class Native:
    """A native socket as far as it is looked at: one error slot, and whether it is sending."""

    def __init__(self) -> None:
        self.slot = 0
        self.sending = False

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        number, self.slot = self.slot, 0
        return number

    def send(self, data: bytes, flags: int) -> int:
        assert (data, flags) == (b"", socket.MSG_DONTWAIT)
        number = errno.EAGAIN if self.sending else errno.EINVAL
        raise OSError(number, os.strerror(number))


@pytest.fixture
def native() -> Native:
    return Native()


BOUND = Binding("vcan0", ADDRESS, True, True, True, True, 6)
OUT, ERR = select.POLLOUT, select.POLLERR


@pytest.fixture
def flight(native: Native, monkeypatch: pytest.MonkeyPatch) -> Flight:
    monkeypatch.setattr(Flight, "poll_is_truthful", True)
    monkeypatch.setattr(translate, "names", lambda: ["vcan0"])
    flight = Flight(cast(socket.socket, native))
    flight.bound, flight.size = BOUND, 20
    return flight


TRANSMISSION, RECEPTION, BOTH, NEITHER = "transmission", "reception", "both", "neither"


@pytest.mark.parametrize(
    ("number", "in_flight", "sending", "side"),
    [
        (S.ECOMM, 20, False, TRANSMISSION),
        (S.ECOMM, 0, False, NEITHER),  # of a message sent past us, on the native socket
        (S.EMSGSIZE, 20, False, TRANSMISSION),
        (S.ETIMEDOUT, 20, True, RECEPTION),
        (S.ETIMEDOUT, 0, False, RECEPTION),
        (S.EILSEQ, 20, False, RECEPTION),
        (S.EBADMSG, 0, False, RECEPTION),  # nothing was being sent: it cannot be flow control
        (S.EBADMSG, 20, False, TRANSMISSION),  # the transmission has ended with it
        (S.EBADMSG, 3, False, RECEPTION),  # a single frame has no flow control
        (S.EBADMSG, 20, True, RECEPTION),  # the transmission goes on: padding of a received frame
        (S.EBADMSG, UNKNOWN_SIZE, False, TRANSMISSION),
        (S.ENETDOWN, 0, False, RECEPTION),
        (S.ENETDOWN, 20, True, BOTH),
        (S.ENETDOWN, 20, False, RECEPTION),  # it had ended before
        (errno.ENODEV, 20, False, BOTH),
    ],
)
def test_sorting(flight: Flight, native: Native, number: int, in_flight: int, sending: bool, side: str) -> None:
    native.sending = sending
    flight.size = in_flight
    assert flight.sort(number)
    assert flight.transmission == (number if side in (TRANSMISSION, BOTH) else 0)
    assert flight.reception == (number if side in (RECEPTION, BOTH) else 0)
    assert flight.take_reception() == (number if side in (RECEPTION, BOTH) else 0)
    assert flight.take_reception() == 0  # told once


@pytest.mark.parametrize("number", [0, errno.EAGAIN, errno.EBADF, S.EADDRNOTAVAIL, errno.EINTR, errno.EINVAL])
def test_not_from_the_slot(flight: Flight, number: int) -> None:
    assert not flight.sort(number)
    assert (flight.transmission, flight.reception) == (0, 0)
    slot_errnos = {S.ECOMM, S.EMSGSIZE, S.EBADMSG, S.ETIMEDOUT, S.EILSEQ, S.ENETDOWN, errno.ENODEV}
    assert slot_errnos == translate.SLOT_ERRNOS


def test_the_first_failure_counts(flight: Flight, native: Native) -> None:
    """After the interface went down the kernel says two seconds later that nobody answered."""
    native.sending = True
    flight.sort(S.ENETDOWN)
    native.sending = False
    flight.sort(S.ECOMM)
    assert type(flight.take_outcome()) is isotp.InterfaceDownError


def test_overwritten_whoever_fetches_it(flight: Flight) -> None:
    """The message has ended and a receiver fetches what may have been written over its failure."""
    assert flight.sort(S.ETIMEDOUT)
    assert type(flight.take_outcome()) is isotp.UnknownOutcomeError


def test_is_transmitting(flight: Flight, native: Native) -> None:
    for native.sending in (True, False):
        assert flight.is_transmitting() is native.sending


def test_all_is_well(flight: Flight, native: Native) -> None:
    native.slot = S.ECOMM
    assert not flight.look(0)
    assert native.slot == S.ECOMM  # nothing happened, so nothing is fetched
    native.slot = 0
    assert flight.look(OUT)
    assert flight.take_outcome() is None
    assert flight.size == 0


@pytest.mark.parametrize("number", [S.ECOMM, S.EMSGSIZE, S.EBADMSG])
@pytest.mark.parametrize("events", [OUT, OUT | ERR])
def test_the_failure_of_the_message(flight: Flight, native: Native, number: int, events: int) -> None:
    """POLLOUT alone says nothing of success: the kernel looks for errors first and at its state only then."""
    native.slot = number
    assert flight.look(events)
    failure = flight.take_outcome()
    assert isinstance(failure, TransferError)
    assert failure.errno == number
    assert failure.link == str(BOUND)
    assert "20 bytes" in failure.what
    assert flight.size == 0
    assert native.slot == 0


def test_a_reception_that_broke_off_meanwhile(flight: Flight, native: Native) -> None:
    native.slot, native.sending = S.ETIMEDOUT, True
    assert not flight.look(ERR)
    assert flight.reception == S.ETIMEDOUT
    native.sending = False
    assert flight.look(OUT)
    assert flight.take_outcome() is None
    assert flight.take_reception() == S.ETIMEDOUT  # left to the receiver


def test_a_reception_that_broke_off_at_the_end(flight: Flight, native: Native) -> None:
    """One number for both directions: an error of ours may have been under it."""
    native.slot = S.ETIMEDOUT
    assert flight.look(OUT | ERR)
    failure = flight.take_outcome()
    assert type(failure) is isotp.UnknownOutcomeError
    assert "20 bytes" in failure.what
    assert failure.remedy == "ask the receiver"
    flight.size = 20
    assert flight.look(OUT)
    assert flight.take_outcome() is None  # of the next message nothing is overwritten


@pytest.mark.parametrize(
    "bound", [BOUND._replace(single_frame_max=20), BOUND._replace(needs_flow_control=False)], ids=["one", "broadcast"]
)
def test_without_flow_control_nothing_can_be_overwritten(flight: Flight, native: Native, bound: Binding) -> None:
    flight.bound, native.slot = bound, S.EILSEQ
    assert flight.look(OUT)
    assert flight.take_outcome() is None
    flight.size, native.slot = 20, S.ECOMM
    assert flight.look(OUT)
    assert type(flight.take_outcome()) is isotp.TransmitTimeoutError


def test_an_interface_that_went_down_is_told_at_once_and_once(flight: Flight, native: Native) -> None:
    native.slot, native.sending = S.ENETDOWN, True
    assert flight.look(ERR)  # nothing to wait for
    assert type(flight.take_outcome()) is isotp.InterfaceDownError
    assert (flight.size, flight.told) == (20, True)  # the kernel is still at it
    assert not flight.look(0)
    native.slot, native.sending = S.ECOMM, False
    assert flight.look(OUT)
    assert flight.take_outcome() is None
    assert (flight.size, flight.told) == (0, False)


def test_a_message_of_unknown_size(flight: Flight, native: Native) -> None:
    """An interrupt between the kernel's call and ours: the message is under way and we were not told its length."""
    flight.size, native.slot = UNKNOWN_SIZE, S.ECOMM
    assert flight.look(OUT)
    failure = flight.take_outcome()
    assert isinstance(failure, TransferError)
    assert "-1" not in failure.what
    for number in (S.ECOMM, S.EMSGSIZE, S.EBADMSG, S.ENETDOWN, errno.ENODEV):
        assert "-1" not in translate.transmission_failed(number, UNKNOWN_SIZE, True, "can3", "link").what


def test_failures_nobody_asked_about(flight: Flight) -> None:
    first, others = isotp.FlowControlTimeoutError("first"), [isotp.BufferOverflowError("other") for _ in range(2)]
    flight.keep_failure(None)
    assert flight.failures == 0
    assert flight.take_failure() is None
    for failure in (first, *others):
        flight.keep_failure(failure)
    assert flight.failures == 3
    assert flight.take_failure() is first
    assert first.__notes__ == ["2 more message(s) sent without confirmation failed after it"]
    assert (flight.take_failure(), flight.failures) == (None, 0)
    flight.keep_failure(others[0])
    assert flight.take_failure() is others[0]
    assert not hasattr(others[0], "__notes__")


@pytest.mark.parametrize("known", [None, False])
def test_a_poll_that_shows_out_too_early(
    flight: Flight, native: Native, monkeypatch: pytest.MonkeyPatch, known: bool | None
) -> None:
    monkeypatch.setattr(Flight, "poll_is_truthful", known)
    native.sending = True
    assert not flight.look(OUT)
    flight.learn_poll(shows_out=True)
    assert flight.poll_is_truthful is known
    native.sending = False
    assert flight.look(OUT)


def test_a_poll_learned_to_be_truthful(flight: Flight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flight, "poll_is_truthful", None)
    flight.learn_poll(shows_out=False)
    assert Flight.poll_is_truthful is True
