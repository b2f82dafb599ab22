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
    linklayer,
)

FlowControlOpts = FlowControlOptions
LinkLayerOpts = LinkLayerOptions


class GeneralOpts(GeneralOptions):
    """`isotp.opts.general`, whose `write` has can-isotp 2's names in its order."""

    __slots__ = ()

    @classmethod
    def write(  # type: ignore[override]
        cls,
        s: object,
        optflag: int | None = None,
        frame_txtime: int | None = None,
        ext_address: int | None = None,
        txpad: int | None = None,
        rxpad: int | None = None,
        rx_ext_address: int | None = None,
        tx_stmin: int | None = None,
    ) -> GeneralOptions:
        """See `isotp.opts.general.write`."""
        return GeneralOptions.write(
            s,
            optflag,
            frame_txtime=frame_txtime,
            ext_address=ext_address,
            txpad=txpad,
            rxpad=rxpad,
            rx_ext_address=rx_ext_address,
            tx_stmin=tx_stmin,
        )


general = GeneralOpts

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
