"""The module name of can-isotp 2 for `isotp.opts`."""

from ..linux.constants import (
    CAN_ISOTP_LL_OPTS,
    CAN_ISOTP_OPTS,
    CAN_ISOTP_RECV_FC,
    CAN_ISOTP_RX_STMIN,
    CAN_ISOTP_TX_STMIN,
    SOL_CAN_ISOTP,
)
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
    "CAN_ISOTP_LL_OPTS",
    "CAN_ISOTP_OPTS",
    "CAN_ISOTP_RECV_FC",
    "CAN_ISOTP_RX_STMIN",
    "CAN_ISOTP_TX_STMIN",
    "SOL_CAN_ISOTP",
    "FlowControlOpts",
    "GeneralOpts",
    "LinkLayerOpts",
    "LinkLayerProtocol",
    "flags",
    "flowcontrol",
    "general",
    "linklayer",
]
