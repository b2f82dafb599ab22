"""Groups of options that several commands have; each option is declared once."""

from typing import Any, Final

from ..parser import Parser, WrongUsage
from . import values

INTERFACE: Final = "a CAN interface, such as can0; none with --bus"


def add_bus(parser: Parser, instead_of: str = "INTERFACE", has_virtual: bool = True, takes_shared: bool = False) -> Any:
    """Add --bus and --bitrate; returns their group.

    Args:
        parser: of the command.
        instead_of: the argument that --bus replaces.
        has_virtual: whether the command takes `--bus virtual`.
        takes_shared: whether it takes a link that an edge shares.
    """
    virtual = "'virtual' (a bus in this process, with a peer that echoes), or " if has_virtual else ""
    shared = "; or a shared link, such as zenoh:garage/car7/engine" if takes_shared else ""
    group = parser.group("Bus")
    group.add_argument(
        "--bus",
        metavar="WHERE",
        type=values.where,
        help=f"instead of {instead_of}: {virtual}an adapter of python-can, such as pcan:PCAN_USBBUS1" + shared,
    )
    group.add_argument(
        "--bitrate",
        metavar="N",
        type=values.number(1),
        help="bit rate of the python-can adapter in bit/s (default: as the adapter is set)",
    )
    return group


def add_addresses(parser: Parser, several: bool = False) -> None:
    """Add the options that say which identifiers and address bytes a link has.

    Args:
        parser: of the command.
        several: whether -s, -d and --fixed may be given several times, for several links.
    """
    group = parser.group("Addresses (hexadecimal, as in can-utils)")
    repeated = " (may be repeated: one for each link)" if several else ""
    action = "append" if several else "store"
    group.add_argument(
        "-s",
        "--txid",
        metavar="ID",
        action=action,
        type=values.can_id,
        help=f"source: identifier of the frames sent; up to 3 digits for 11 bits, 8 digits for 29 bits{repeated}",
    )
    group.add_argument(
        "-d",
        "--rxid",
        metavar="ID",
        action=action,
        type=values.can_id,
        help=f"destination: identifier of the frames received{repeated}",
    )
    group.add_argument(
        "-x",
        "--extended",
        metavar="TA[:SA]|any" if several else "TA[:SA]",
        type=values.any_address_bytes if several else values.address_bytes,
        help="extended addressing: the address byte of frames sent, and that of frames received if it differs"
        + ("; any: find the links that use it, with whatever addresses" if several else ""),
    )
    group.add_argument(
        "--mixed",
        metavar="AE",
        type=values.byte,
        help="mixed addressing: the address extension, for both directions",
    )
    _add_fixed(group, action, repeated)


def _add_fixed(group: Any, action: str, repeated: str) -> None:
    group.add_argument(
        "--fixed",
        metavar="TA:SA",
        action=action,
        type=values.target_and_source,
        help="normal fixed addressing, instead of -s and -d: identifiers 18DA<TA><SA> and 18DA<SA><TA>, "
        f"with --mixed 18CE<TA><SA> and 18CE<SA><TA>{repeated}",
    )
    add_base(group)


def add_base(group: Any, or_any: bool = False) -> None:
    """Add --base; `or_any`: with "any" for all priorities."""
    group.add_argument(
        "--base",
        metavar="HHHH|any" if or_any else "HHHH",
        type=values.any_base if or_any else values.base,
        help="the first four digits of the identifiers that --fixed makes; 14DA has priority 5"
        + (
            "; any: all priorities, 00DA, 04DA to 1CDA (default: 18DA)"
            if or_any
            else " (default: 18DA; 18CE with --mixed)"
        ),
    )


def add_frames(parser: Parser) -> None:
    """Add the options that say what CAN frames look like."""
    group = parser.group("CAN frames")
    group.add_argument("--fd", action="store_true", help="CAN FD, 64 bytes a frame (default: Classical CAN)")
    group.add_argument("--brs", action="store_true", help="CAN FD with the second bit rate for the data")
    group.add_argument(
        "-L",
        "--link-layer",
        metavar="MTU:DL:FLAGS",
        type=values.link_layer,
        help="MTU, TX_DL and flags in decimal, as in can-utils; 72:64:0 is --fd, 72:64:1 is --brs",
    )
    group.add_argument(
        "-p",
        "--padding",
        metavar="[TX]:[RX]",
        type=values.padding,
        help="padding bytes, hexadecimal, such as AA:55 or CC: TX fills up the frames sent, "
        "RX is what -P c and -P a expect in frames received (default: frames sent are not filled up)",
    )
    group.add_argument(
        "-P",
        "--check-padding",
        metavar="l|c|a",
        choices=("l", "c", "a"),
        help="refuse frames with padding of the wrong length (l), with the wrong content (c), or either (a)",
    )


def add_flow_control(parser: Parser) -> None:
    """Add the options of flow control."""
    group = parser.group("Flow control")
    group.add_argument(
        "--bs",
        metavar="N",
        type=values.number(0, 255),
        default=0,
        help="block size to ask the sender for: frames between two flow controls, decimal (default: 0, no limit)",
    )
    group.add_argument(
        "--stmin",
        metavar="TIME",
        type=values.stmin,
        help="separation time to ask the sender for, with its unit: 5ms, 300us (default: 0)",
    )
    group.add_argument(
        "--tx-stmin",
        metavar="TIME",
        type=values.tx_stmin,
        help="separation time to send with, whatever the receiver asks for, with its unit "
        "(default: what the receiver asks for)",
    )


def add_link(parser: Parser, takes_shared: bool = False) -> None:
    """Add all options of a link; `links.link.Link` is what they make. `takes_shared`: see `add_bus`."""
    add_bus(parser, takes_shared=takes_shared).add_argument(
        "--soft", action="store_true", help="on INTERFACE use the protocol engine in Python, not the kernel's"
    )
    add_addresses(parser)
    add_frames(parser)
    add_flow_control(parser)


def interface_of(words: list[str], bus: values.Where | None) -> str | None:
    """The INTERFACE among the arguments of a command that takes no others; None with --bus.

    Raises:
        WrongUsage: it is missing, or there are others.
    """
    if bus is not None:
        if words:
            raise WrongUsage(f"--bus says where: the interface {words[0]!r} is too many")
        return None
    if not words:
        raise WrongUsage("INTERFACE is missing: a CAN interface such as can0, or --bus virtual")
    if len(words) > 1:
        raise WrongUsage(f"one INTERFACE is needed, and these are {len(words)}: {', '.join(words)}")
    return words[0]
