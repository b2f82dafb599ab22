"""Traffic overheard or recorded, and the messages in it.

for message in isotp.capture.messages("trace.asc"):
print(message.source, message.target, message.data.hex(), message.error)
"""

from .capture import Capture, FrameSource, messages
from .frames import Frame, Frames, frames_of
from .message import Fault, FlowControlSeen, LinkFrame, Message, Timing
from .readers import UnreadableError, open_recording
from .stream import Stream

__all__ = [
    "Capture",
    "Fault",
    "FlowControlSeen",
    "Frame",
    "FrameSource",
    "Frames",
    "LinkFrame",
    "Message",
    "Stream",
    "Timing",
    "UnreadableError",
    "frames_of",
    "messages",
    "open_recording",
]
