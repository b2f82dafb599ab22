"""The states of sending and receiving, and every transition between them.

A link has two independent halves, a sender and a receiver. Each is in one state at a time. Whatever happens to it is
an input: a frame, a confirmation, a timer, a call. The tables say which inputs a state takes and which state follows.
An input that is not in a state's row is ignored: a flow control that is not expected, for instance (ISO 15765-2:2016,
9.8.3).

A frame is DUE until the driver takes it, then OUT until the driver confirms that it is on the bus. N_As and N_Ar run
while a frame is OUT. An answer may arrive before the confirmation of the frame that it answers, so it is accepted while
that frame is OUT.

Sending: a short message is one single frame. A long one is a first frame, then blocks of consecutive frames. Each block
is allowed by a flow control, for which the sender waits N_Bs. Within a block, STmin is the time from the confirmation
of one frame until the next one is handed out; without STmin the driver takes many frames at once.

Receiving: a first frame, and the end of each block, make a flow control DUE: CTS if the application is ready. If it is
not, a WAIT is sent after N_Br, and again, until the application is ready or N_WFTmax is reached. After each CTS and
each consecutive frame the receiver waits N_Cr for the next consecutive frame.

A sender need not wait for our flow control: another node may have answered first. So consecutive frames count as soon
as CTS is DUE, as in Linux. They belong to the block that it allows. At the block's end the CTS that is still DUE stands
for the next block, too; when the message is complete, it is dropped.
"""

from enum import Enum, auto
from typing import Final


class _Key(Enum):
    """Key of a table."""

    __hash__ = object.__hash__  # Enum's own is Python code, and every transition calls it three times


class SenderState(_Key):
    """What a sender is doing."""

    IDLE = "idle"
    SINGLE_DUE = "single frame waits to be taken"
    FIRST_DUE = "first frame waits to be taken"
    FIRST_OUT = "first frame is on its way to the bus"
    WAIT_FC = "waiting for flow control"
    BLOCK_DUE = "sending consecutive frames"
    BLOCK_OUT = "last frames of a block are on their way to the bus"
    LAST_OUT = "last frame is on its way to the bus"


class SenderInput(_Key):
    """What can happen to a sender."""

    SEND_SINGLE = auto()
    SEND_LONG = auto()
    TAKEN = auto()
    BLOCK_TAKEN = auto()
    LAST_TAKEN = auto()
    CONFIRMED = auto()
    """Every frame that was out is on the bus."""
    FC_CTS = auto()
    FC_WAIT = auto()
    FC_OVFLW = auto()
    FC_INVALID = auto()
    WFT_OVERRUN = auto()
    TIMEOUT_AS = auto()
    TIMEOUT_BS = auto()
    ABORT = auto()


class ReceiverState(_Key):
    """What a receiver is doing."""

    IDLE = "idle"
    NOT_READY = "application not ready"
    WAIT_DUE = "flow control WAIT waits to be taken"
    WAIT_OUT = "flow control WAIT is on its way to the bus"
    CTS_DUE = "flow control waits to be taken"
    CTS_OUT = "flow control is on its way to the bus"
    WAIT_CF = "waiting for consecutive frames"


class ReceiverInput(_Key):
    """What can happen to a receiver."""

    GRANT = auto()
    """The application is ready for the next block."""
    HOLD = auto()
    """The application is not ready for the next block."""
    LISTEN = auto()
    """We only listen: another node sends the flow control for the next block."""
    TAKEN = auto()
    CONFIRMED = auto()
    COMPLETE = auto()
    WRONG_SN = auto()
    BAD_PADDING = auto()
    INTERRUPTED = auto()
    WFT_OVERRUN = auto()
    TIMEOUT_AR = auto()
    TIMEOUT_BR = auto()
    TIMEOUT_CR = auto()
    ABORT = auto()


_S, _I = SenderState, SenderInput

_ANSWERED: Final = {
    _I.FC_CTS: _S.BLOCK_DUE,
    _I.FC_WAIT: _S.WAIT_FC,
    _I.FC_OVFLW: _S.IDLE,
    _I.FC_INVALID: _S.IDLE,
    _I.WFT_OVERRUN: _S.IDLE,
}
_OUT: Final = {_I.TIMEOUT_AS: _S.IDLE, _I.ABORT: _S.IDLE}

SENDER: Final[dict[SenderState, dict[SenderInput, SenderState]]] = {
    _S.IDLE: {_I.SEND_SINGLE: _S.SINGLE_DUE, _I.SEND_LONG: _S.FIRST_DUE},
    _S.SINGLE_DUE: {_I.LAST_TAKEN: _S.LAST_OUT, _I.ABORT: _S.IDLE},
    _S.FIRST_DUE: {_I.TAKEN: _S.FIRST_OUT, _I.ABORT: _S.IDLE},
    _S.FIRST_OUT: {_I.CONFIRMED: _S.WAIT_FC, **_ANSWERED, **_OUT},
    _S.WAIT_FC: {**_ANSWERED, **_OUT, _I.TIMEOUT_BS: _S.IDLE},
    _S.BLOCK_DUE: {
        _I.TAKEN: _S.BLOCK_DUE,
        _I.BLOCK_TAKEN: _S.BLOCK_OUT,
        _I.LAST_TAKEN: _S.LAST_OUT,
        **_OUT,
    },
    _S.BLOCK_OUT: {_I.CONFIRMED: _S.WAIT_FC, **_ANSWERED, **_OUT},
    _S.LAST_OUT: {_I.CONFIRMED: _S.IDLE, **_OUT},
}

_R, _J = ReceiverState, ReceiverInput

_BLOCK_END: Final = {_J.GRANT: _R.CTS_DUE, _J.HOLD: _R.NOT_READY}
_LAST_CF: Final = {_J.COMPLETE: _R.IDLE, _J.WRONG_SN: _R.IDLE, _J.BAD_PADDING: _R.IDLE}
_GOING_ON: Final = {_J.INTERRUPTED: _R.IDLE, _J.TIMEOUT_AR: _R.IDLE, _J.ABORT: _R.IDLE}

RECEIVER: Final[dict[ReceiverState, dict[ReceiverInput, ReceiverState]]] = {
    _R.IDLE: {**_BLOCK_END, _J.LISTEN: _R.WAIT_CF},
    _R.NOT_READY: {
        _J.GRANT: _R.CTS_DUE,
        _J.TIMEOUT_BR: _R.WAIT_DUE,
        _J.WFT_OVERRUN: _R.IDLE,
        **_GOING_ON,
    },
    _R.WAIT_DUE: {_J.GRANT: _R.CTS_DUE, _J.TAKEN: _R.WAIT_OUT, **_GOING_ON},
    _R.WAIT_OUT: {_J.GRANT: _R.CTS_DUE, _J.CONFIRMED: _R.NOT_READY, **_GOING_ON},
    _R.CTS_DUE: {
        _J.TAKEN: _R.CTS_OUT,
        **_BLOCK_END,
        **_LAST_CF,
        **_GOING_ON,
    },
    _R.CTS_OUT: {
        _J.CONFIRMED: _R.WAIT_CF,
        **_BLOCK_END,
        **_LAST_CF,
        **_GOING_ON,
    },
    _R.WAIT_CF: {
        **_BLOCK_END,
        **_LAST_CF,
        _J.TIMEOUT_CR: _R.IDLE,
        **_GOING_ON,
    },
}
