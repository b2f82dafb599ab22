"""Options that say which bus and which addresses; commands that need no whole link take them one by one."""

from typing import Annotated, Final

import typer

from . import values

BUS: Final = "Bus"
ADDRESSES: Final = "Addresses (hexadecimal, as in can-utils)"

Interface = Annotated[
    str | None, typer.Argument(metavar="INTERFACE", help="CAN interface, such as can0; none with --bus")
]
Bus = Annotated[
    values.Where | None,
    typer.Option(
        "--bus",
        metavar="WHERE",
        parser=values.where,
        help="virtual (in this process, a peer echoes) or an adapter of python-can, INTERFACE:CHANNEL",
        rich_help_panel=BUS,
    ),
]
Bitrate = Annotated[
    int | None,
    typer.Option("--bitrate", metavar="N", min=1, help="bit/s, for adapters of python-can", rich_help_panel=BUS),
]
Soft = Annotated[bool, typer.Option("--soft", help="the engine in Python, not the kernel's", rich_help_panel=BUS)]
TxId = Annotated[
    int | None,
    typer.Option(
        "-s",
        "--txid",
        metavar="ID",
        parser=values.can_id,
        help="source: identifier of the frames sent; 8 digits for 29 bits",
        rich_help_panel=ADDRESSES,
    ),
]
RxId = Annotated[
    int | None,
    typer.Option(
        "-d",
        "--rxid",
        metavar="ID",
        parser=values.can_id,
        help="destination: identifier of the frames received",
        rich_help_panel=ADDRESSES,
    ),
]
Extended = Annotated[
    values.Bytes2 | None,
    typer.Option(
        "-x",
        "--extended",
        metavar="TA[:SA]",
        parser=values.address_bytes,
        help="extended addressing: byte before the N_PCI of frames sent, of those received if it differs",
        rich_help_panel=ADDRESSES,
    ),
]
Mixed = Annotated[
    int | None,
    typer.Option(
        "--mixed",
        metavar="AE",
        parser=values.byte,
        help="mixed addressing: address extension of both directions",
        rich_help_panel=ADDRESSES,
    ),
]
Fixed = Annotated[
    values.Bytes2 | None,
    typer.Option(
        "--fixed",
        metavar="TA:SA",
        parser=values.target_and_source,
        help="normal fixed identifiers 18DA<TA><SA> in place of -s and -d; 18CE<TA><SA> with --mixed",
        rich_help_panel=ADDRESSES,
    ),
]
