"""The states of a kernel socket's transmission, and every transition between them.

The kernel sends one message per socket at a time, and has one number (sk_err) for whatever goes wrong in either
direction: recv, send and getsockopt(SO_ERROR) each return it once and clear it. `Transmission` sorts what they return,
and turns it into the events of this table. An event that is not in a state's row does not concern that state: a
failure while nothing is being sent belongs to a message that was sent on the native socket itself.
"""

from enum import Enum, auto
from typing import Final


class _Key(Enum):
    """Key of a table."""

    __hash__ = object.__hash__  # Enum's own is Python code


class TxState(_Key):
    """What is known about the transmission."""

    IDLE = "nothing is being sent"
    IN_FLIGHT = "the kernel has a message, or is just being given one"
    FAILED = "the message failed"
    UNKNOWN = "the outcome cannot be known: the error of a reception has overwritten the number"
    LINGERING = "the message was aborted or lost with its interface, and the kernel is not done with it yet"


class TxEvent(_Key):
    """What can happen to it."""

    OFFER = auto()
    """A message is given to the kernel."""
    REFUSE = auto()
    """The kernel did not take it."""
    FAIL = auto()
    """The number is about the message: no flow control, overflow, invalid flow control."""
    OVERWRITE = auto()
    """The number is about a reception, and the message has ended: its failure may have stood there before."""
    LOSE_INTERFACE = auto()
    """The number says that the interface is down or gone, while the message is being sent."""
    ABORT = auto()
    """The message is given up on this side."""
    END = auto()
    """The kernel is done with the message."""


_S, _E = TxState, TxEvent

TRANSMISSION: Final[dict[TxState, dict[TxEvent, TxState]]] = {
    _S.IDLE: {_E.OFFER: _S.IN_FLIGHT},
    _S.IN_FLIGHT: {
        _E.REFUSE: _S.IDLE,
        _E.FAIL: _S.FAILED,
        _E.OVERWRITE: _S.UNKNOWN,
        _E.LOSE_INTERFACE: _S.LINGERING,
        _E.ABORT: _S.LINGERING,
        _E.END: _S.IDLE,
    },
    _S.FAILED: {_E.END: _S.IDLE},
    _S.UNKNOWN: {_E.FAIL: _S.FAILED, _E.LOSE_INTERFACE: _S.LINGERING, _E.END: _S.IDLE},
    _S.LINGERING: {_E.END: _S.IDLE},
}
