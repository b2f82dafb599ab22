"""The transmission: whose failure an errno is, and which call raises it."""

import errno
import os
import select
import socket
from typing import cast

import pytest

import isotp
from isotp import TransferError
from isotp.address import CanAddress
from isotp.kernel import translate
from isotp.kernel.binding import Binding
from isotp.kernel.states import TRANSMISSION, TxEvent, TxState
from isotp.kernel.transmission import Message, Transmission

S = isotp.errors
ADDRESS = isotp.Address.extended(rxid=1, txid=2, target_address=3, source_address=4)
BOUND = Binding("vcan0", ADDRESS, True, True, True, True, 6, CanAddress(1, 4), CanAddress(2, 3), False)
LINK = str(BOUND)
OUT, ERR = select.POLLOUT, select.POLLERR


class Native:
    """A native socket as far as it is looked at: one error slot, and whether it is sending."""

    def __init__(self) -> None:
        self.slot = 0
        self.sending = False
        self.always_out = False

    def fileno(self) -> int:
        return 1000

    def getsockopt(self, level: int, option: int) -> int:
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR)
        number, self.slot = self.slot, 0
        return number

    def send(self, data: bytes, flags: int) -> int:
        assert (data, flags) == (b"", socket.MSG_DONTWAIT)
        number = errno.EAGAIN if self.sending else errno.EINVAL
        raise OSError(number, os.strerror(number))

    def poll(self, timeout_ms: float | None = None, /) -> list[tuple[int, int]]:
        events = (0 if self.sending and not self.always_out else OUT) | (ERR if self.slot else 0)
        return [(1000, events)] if events else []


@pytest.fixture
def native() -> Native:
    return Native()


@pytest.fixture
def tx(native: Native, monkeypatch: pytest.MonkeyPatch) -> Transmission:
    monkeypatch.setattr(Transmission, "poll_is_truthful", True)
    monkeypatch.setattr(translate, "is_removed", lambda name: name != "vcan0")
    tx = Transmission(cast(socket.socket, native))
    tx.poll = native.poll
    tx.bound = BOUND
    return tx


def offer(tx: Transmission, size: int = 20, is_awaited: bool = False) -> Message:
    message = Message()
    message.size, message.is_sent, message.is_awaited = size, True, is_awaited
    tx.offer(message)
    return message


def find(tx: Transmission, number: int) -> None:
    tx.found.append(number)
    tx.sort()
    assert tx.found == []


def failure(tx: Transmission) -> isotp.IsoTpError | None:
    """What `confirm` raises."""
    try:
        tx.raise_unconfirmed()
    except isotp.IsoTpError as e:
        return e
    return None


# --- the table


def test_every_state_has_a_row_and_every_event_a_use() -> None:
    assert set(TRANSMISSION) == set(TxState)
    assert {event for row in TRANSMISSION.values() for event in row} == set(TxEvent)


def test_every_state_is_reached_and_left_for_idle() -> None:
    reached = {TxState.IDLE}
    for _ in TxState:
        reached |= {target for state in reached for target in TRANSMISSION[state].values()}
    assert reached == set(TxState)
    assert all(row.get(TxEvent.END) is TxState.IDLE for state, row in TRANSMISSION.items() if state is not TxState.IDLE)


# --- where an errno belongs

TRANSMITTED, RECEIVED, BOTH, NEITHER = "transmission", "reception", "both", "neither"


@pytest.mark.parametrize(
    ("number", "size", "sending", "side"),
    [
        (S.ECOMM, 20, False, TRANSMITTED),
        (S.ECOMM, 0, False, NEITHER),  # of a message sent on the native socket itself
        (S.EMSGSIZE, 20, False, TRANSMITTED),
        (S.ETIMEDOUT, 20, True, RECEIVED),
        (S.ETIMEDOUT, 0, False, RECEIVED),
        (S.EILSEQ, 20, True, RECEIVED),
        (S.EBADMSG, 0, False, RECEIVED),  # nothing was being sent: it cannot be flow control
        (S.EBADMSG, 20, False, TRANSMITTED),  # the transmission has ended with it
        (S.EBADMSG, 3, False, RECEIVED),  # a single frame has no flow control
        (S.EBADMSG, 20, True, RECEIVED),  # the transmission goes on: padding of a received frame
        (S.ENETDOWN, 0, False, RECEIVED),
        (S.ENETDOWN, 20, True, BOTH),
        (S.ENETDOWN, 3, False, RECEIVED),  # it had ended before
        (errno.ENODEV, 20, False, BOTH),
    ],
)
def test_sorting(tx: Transmission, native: Native, number: int, size: int, sending: bool, side: str) -> None:
    if size:
        offer(tx, size)
    native.sending = sending
    find(tx, number)
    native.sending = False
    tx.look()
    assert tx.reception == (number if side in (RECEIVED, BOTH) else 0)
    error = failure(tx)
    assert (error.errno if error else 0) == (number if side in (TRANSMITTED, BOTH) else 0)
    assert failure(tx) is None


def test_what_may_be_in_the_slot() -> None:
    slot_errnos = {S.ECOMM, S.EMSGSIZE, S.EBADMSG, S.ETIMEDOUT, S.EILSEQ, S.ENETDOWN, errno.ENODEV}
    assert slot_errnos == translate.SLOT_ERRNOS


def test_the_first_failure_counts(tx: Transmission, native: Native) -> None:
    """After the interface went down the kernel says two seconds later that there was no flow control."""
    message = offer(tx)
    native.slot, native.sending = S.ENETDOWN, True
    assert not tx.look()
    assert message.is_over  # no need to wait
    assert type(failure(tx)) is isotp.InterfaceDownError
    assert tx.current() is message  # the kernel is still at it
    native.slot, native.sending = S.ECOMM, False
    assert tx.look()
    assert failure(tx) is None


def test_an_outcome_that_was_overwritten(tx: Transmission, native: Native) -> None:
    """The message has ended, and a receiver fetches what may have been written over its failure."""
    offer(tx)
    find(tx, S.ETIMEDOUT)
    assert tx.look()
    error = failure(tx)
    assert type(error) is isotp.UnknownOutcomeError
    assert (error.link, error.remedy) == (LINK, "ask the receiver")
    assert "20 bytes" in error.what
    offer(tx)
    assert tx.look()
    assert failure(tx) is None  # of the next message nothing is overwritten


def test_a_failure_found_after_all(tx: Transmission, native: Native) -> None:
    offer(tx)
    find(tx, S.ETIMEDOUT)
    native.slot = S.EMSGSIZE
    assert tx.look()
    assert type(failure(tx)) is isotp.BufferOverflowError


@pytest.mark.parametrize(
    "bound", [BOUND._replace(single_frame_max=20), BOUND._replace(needs_flow_control=False)], ids=["one", "broadcast"]
)
def test_without_flow_control_nothing_can_be_overwritten(tx: Transmission, native: Native, bound: Binding) -> None:
    tx.bound = bound
    offer(tx)
    native.slot = S.EILSEQ
    assert tx.look()
    assert failure(tx) is None
    offer(tx)
    native.slot = S.ECOMM
    assert tx.look()
    assert type(failure(tx)) is isotp.TransmitTimeoutError


def test_a_reception_that_broke_off_meanwhile(tx: Transmission, native: Native) -> None:
    offer(tx)
    native.slot, native.sending = S.ETIMEDOUT, True
    assert not tx.look()
    assert tx.reception == S.ETIMEDOUT
    native.sending = False
    assert tx.look()
    assert failure(tx) is None


# --- looking


def test_all_is_well(tx: Transmission, native: Native) -> None:
    message = offer(tx)
    native.sending = True
    assert not tx.look()
    assert tx.current() is message
    native.sending = False
    assert tx.look()
    assert (message.is_over, message.failure, tx.current()) == (True, 0, None)


def test_an_error_between_the_two_looks_of_poll(tx: Transmission, native: Native) -> None:
    """The kernel's poll looks for errors first and at its state only then: POLLOUT alone says nothing of success."""
    offer(tx)

    def poll_too_soon(timeout_ms: float | None = None, /) -> list[tuple[int, int]]:
        tx.poll = native.poll
        return [(1000, OUT)]

    tx.poll = poll_too_soon
    native.slot = S.ECOMM
    assert tx.look()
    assert type(failure(tx)) is isotp.FlowControlTimeoutError


def test_a_refused_message_is_not_over(tx: Transmission) -> None:
    message = offer(tx)
    tx.refuse()
    assert tx.look()
    assert not message.is_over


def test_is_transmitting(tx: Transmission, native: Native) -> None:
    for native.sending in (True, False):
        assert tx.is_transmitting() is native.sending


@pytest.mark.parametrize("known", [None, False])
def test_a_poll_that_shows_out_too_early(
    tx: Transmission, native: Native, monkeypatch: pytest.MonkeyPatch, known: bool | None
) -> None:
    monkeypatch.setattr(Transmission, "poll_is_truthful", known)
    message = offer(tx)
    native.sending = native.always_out = True
    assert not tx.look()
    assert tx.is_poll_useless
    assert tx.poll_is_truthful is known
    native.sending, native.slot = False, S.ECOMM
    assert tx.look()
    assert message.failure == S.ECOMM
    assert not tx.is_poll_useless


def test_a_poll_learned_to_be_truthful(tx: Transmission, native: Native, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transmission, "poll_is_truthful", None)
    offer(tx)
    native.sending = True
    assert not tx.look()
    assert Transmission.poll_is_truthful is True


# --- who raises it


@pytest.mark.parametrize("number", [S.ECOMM, S.EMSGSIZE, S.EBADMSG])
def test_the_failure_is_raised_by_its_own_call(tx: Transmission, native: Native, number: int) -> None:
    message = offer(tx, is_awaited=True)
    native.slot = number
    assert tx.look()
    assert failure(tx) is None  # not by confirm of another thread
    raised = []
    for _ in range(2):
        with pytest.raises(TransferError, match="20 bytes") as caught:
            tx.raise_failure(message)
        assert (caught.value.errno, caught.value.link) == (number, LINK)
        raised.append(caught.value)
    assert raised[0] is not raised[1]
    message.is_awaited = False
    assert failure(tx) is None


def test_a_call_that_was_interrupted_leaves_its_failure_to_confirm(tx: Transmission, native: Native) -> None:
    message = offer(tx, is_awaited=True)
    native.slot = S.ECOMM
    assert tx.look()
    message.is_awaited = False
    assert type(failure(tx)) is isotp.FlowControlTimeoutError


def test_of_several_failures_the_first_is_raised(tx: Transmission, native: Native) -> None:
    for number in (S.EMSGSIZE, S.ECOMM, S.ECOMM):
        offer(tx)
        native.slot = number
        assert tx.look()
    error = failure(tx)
    assert type(error) is isotp.BufferOverflowError
    assert error.__notes__ == ["2 more message(s) sent without confirmation failed after it"]
    assert failure(tx) is None


def test_failures_that_no_call_asks_about_take_no_memory(tx: Transmission, native: Native) -> None:
    for _ in range(1000):
        offer(tx)
        native.slot = S.ECOMM
        assert tx.look()
    assert len(tx._failed) == 100
    with pytest.warns(isotp.UnconfirmedSendWarning, match="1000 message"):
        tx.warn_of_failures()
    assert failure(tx) is None


def test_an_error_number_outlives_an_interrupt(
    tx: Transmission, native: Native, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C may come as soon as getsockopt has returned: the number is noted already."""
    offer(tx)
    native.slot = S.ECOMM

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tx, "sort", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tx.look()
    assert native.slot == 0
    monkeypatch.undo()
    monkeypatch.setattr(translate, "is_removed", lambda name: name != "vcan0")
    assert tx.look()
    assert type(failure(tx)) is isotp.FlowControlTimeoutError
