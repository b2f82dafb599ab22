"""ISO 15765-2 in user space, without I/O: no socket, no thread, no clock. Time is an argument.

An `Engine` is one end of one link. It takes the frames that arrive and the messages to send, and returns the frames to
send and what happened (events). Two engines, joined by hand:

>>> from isotp import Address
>>> from isotp.engine import Engine, MessageReceived, MessageSent
>>> tester = Engine(Address.normal(rxid=0x7E8, txid=0x7E0))
>>> ecu = Engine(Address.normal(rxid=0x7E0, txid=0x7E8))
>>> def carry(sender, receiver, now):
...     frames = sender.frames_to_send(now)
...     receiver.receive_frames(frames, now)
...     sender.frame_sent(now, len(frames))
...     return len(frames)
>>> tester.send(b"more than fits a single frame", now=0)
>>> while carry(tester, ecu, now=0) or carry(ecu, tester, now=0):
...     pass
>>> tester.next_event()
MessageSent(length=29)
>>> ecu.next_event(), ecu.next_event()
(FirstFrameReceived(length=29), MessageReceived(data=b'more than fits a single frame'))

With a real bus `now` is `time.monotonic_ns()`, and `get_timer` says when `handle_timer` is to be called; see `Engine`.
"""

from ..can_frame import CanFrame
from .engine import Engine
from .events import (
    Direction,
    Event,
    FirstFrameReceived,
    FrameIgnored,
    IgnoreReason,
    MessageReceived,
    MessageSent,
    Progress,
    TransferFailed,
)
from .n_pdu import (
    ConsecutiveFrame,
    FirstFrame,
    FlowControl,
    FlowStatus,
    Malformed,
    NPciType,
    NPdu,
    SingleFrame,
    decode,
)
from .params import Params
from .states import ReceiverState, SenderState

__all__ = [
    "CanFrame",
    "ConsecutiveFrame",
    "Direction",
    "Engine",
    "Event",
    "FirstFrame",
    "FirstFrameReceived",
    "FlowControl",
    "FlowStatus",
    "FrameIgnored",
    "IgnoreReason",
    "Malformed",
    "MessageReceived",
    "MessageSent",
    "NPciType",
    "NPdu",
    "Params",
    "Progress",
    "ReceiverState",
    "SenderState",
    "SingleFrame",
    "TransferFailed",
    "decode",
]
