"""The module name of can-isotp 2 for `isotp.opts`."""

from ..opts import (
    FlowControlOptions,
    GeneralOptions,
    LinkLayerOptions,
    LinkLayerProtocol,
    flags,
    flowcontrol,
    general,
    linklayer,
)

FlowControlOpts = FlowControlOptions
GeneralOpts = GeneralOptions
LinkLayerOpts = LinkLayerOptions

__all__ = [
    "FlowControlOpts",
    "GeneralOpts",
    "LinkLayerOpts",
    "LinkLayerProtocol",
    "flags",
    "flowcontrol",
    "general",
    "linklayer",
]
