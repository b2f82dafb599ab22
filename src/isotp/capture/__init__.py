"""Traffic overheard or recorded, and the messages in it.

    for message in isotp.capture.messages("trace.asc"):
        print(message.source, message.target, message.data.hex(), message.error)

`Capture` is the same with counters; `Verdicts` judges what it finds.
"""

from .capture import Capture, FrameSource, messages
from .frames import Frame, Frames, frames_of
from .message import Fault, FlowControlSeen, LinkFrame, Message, Timing
from .readers import UnreadableError, open_recording
from .rules import Finding, check
from .stream import Stream
from .time_spent import TimeSpent, guess_bit_rate, time_spent
from .verdict import LinkVerdict, Verdicts

__all__ = [
    "Capture",
    "Fault",
    "Finding",
    "FlowControlSeen",
    "Frame",
    "FrameSource",
    "Frames",
    "LinkFrame",
    "LinkVerdict",
    "Message",
    "Stream",
    "TimeSpent",
    "Timing",
    "UnreadableError",
    "Verdicts",
    "check",
    "frames_of",
    "guess_bit_rate",
    "messages",
    "open_recording",
    "time_spent",
]
