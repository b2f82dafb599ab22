"""The options of an ISO-TP socket (linux/can/isotp.h): `general`, `flowcontrol`, `linklayer`, `flags`.

Each group has `read(sock)` and `write(sock, ...)`; `sock` is a native ISO-TP socket or an `isotp.socket`.
A parameter left out of `write` keeps its value. Options can only be written before `bind`.
"""

from .optflags import flags, kernel_honours
from .records import CANFD_BRS, CANFD_ESI, GeneralFields, LinkLayerProtocol
from .sockopt import FlowControlOptions, GeneralOptions, LinkLayerOptions, flowcontrol, general, linklayer

__all__ = [
    "CANFD_BRS",
    "CANFD_ESI",
    "FlowControlOptions",
    "GeneralFields",
    "GeneralOptions",
    "LinkLayerOptions",
    "LinkLayerProtocol",
    "flags",
    "flowcontrol",
    "general",
    "kernel_honours",
    "linklayer",
]
