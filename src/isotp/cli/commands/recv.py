"""isotp recv: messages as they come, in hexadecimal, as text, as JSON, or as they are."""

import argparse
import itertools
import sys
from collections.abc import Callable
from typing import BinaryIO, Final

from ...errors import TransferError
from ...sockets import IsoTpSocket, ReceivedMessage
from .. import status
from ..links.link import link_of
from ..links.opening import opened
from ..options import values
from ..options.addresses import AnyAddress, Way
from ..options.can_utils import add_answers
from ..options.groups import INTERFACE, add_link, interface_of
from ..output import terminal, units
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] INTERFACE"
DESCRIPTION: Final = """
Receive messages and print them, each as a line of hexadecimal that isotpsend reads.

A message that broke off ends the command, with the N_Result as the exit status; --follow prints it on stderr and
goes on.
"""
EXAMPLES: Final = (
    "isotp recv --bus virtual -s 7E8 -d 7E0 --count 2 --ascii",
    "isotp recv vcan0 -s 7E8 -d 7E0",
    "isotp recv --bus zenoh:garage/car7/engine --listen",
    "isotp recv vcan0 -s 7E8 -d 7E0 --follow --json",
    "isotp recv vcan0 -s 7E8 -d 7E0 | isotpsend -s 7E0 -d 7E8 vcan1",
    "isotp recv can0 -s 7E8 -d 7E0 --raw firmware.bin",
)


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument("words", nargs="*", metavar="INTERFACE", help=INTERFACE)
    parser.add_argument(
        "-n", "--count", metavar="N", type=values.number(1), help="how many messages to receive (default: 1)"
    )
    parser.add_argument("-f", "-l", "--follow", action="store_true", help="receive until Ctrl-C")
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=values.seconds,
        help="longest wait for each message, with its unit: 100ms, 2s (default: no limit)",
    )
    parser.add_argument("--ascii", action="store_true", help="print text, with a dot for each byte that is none")
    parser.add_argument("--json", action="store_true", help="print a JSON object a line, with the keys of isotp dump")
    parser.add_argument("--raw", metavar="PATH", help="write the bytes as they are into a file; - is stdout")
    parser.add_argument(
        "--listen",
        action="store_true",
        help="never send flow control: overhear others, or receive functional requests; needs -d alone",
    )
    parser.add_argument(
        "--rcvbuf",
        metavar="BYTES",
        type=values.number(1, values.BUFFER_MAX),
        help="bytes of messages to keep until they are printed (default: what the system gives)",
    )
    add_link(parser, takes_shared=True)
    add_answers(parser, "recv")


def run(arguments: argparse.Namespace) -> int:
    """Receive; 0 when all messages that were asked for came."""
    if arguments.follow and len(arguments.words) > 1 and arguments.words[0].isdecimal():
        raise WrongUsage("-f is --follow here and has no value; the -f of isotprecv (rx stmin) is not offered")
    way = Way.LISTEN if arguments.listen else Way.BOTH
    link = link_of(arguments, interface_of(arguments.words, arguments.bus), way)
    if arguments.ascii + arguments.json + (arguments.raw is not None) > 1:
        raise WrongUsage("--ascii, --json and --raw exclude each other")
    if arguments.follow and arguments.count is not None:
        raise WrongUsage("--count ends after so many messages and --follow never does: leave out one")
    if link.tx_stmin is not None:
        raise WrongUsage("--tx-stmin is for sending: the separation time to ask the sender for is --stmin")
    limit = None if arguments.follow else arguments.count or 1
    with opened(link, arguments.timeout, rcvbuf=arguments.rcvbuf, peer_speaks=True) as sock:
        if arguments.raw == "-":
            _receive(sock, limit, _writer(sys.stdout.buffer))
        elif arguments.raw is not None:
            with open(arguments.raw, "wb") as file:
                _receive(sock, limit, _writer(file))
        else:
            form: Callable[[ReceivedMessage], str] = _hex
            if arguments.json and sock.address is not None:
                form = _json(str(link.interface or link.bus), sock.address)
            if arguments.ascii:
                form = _ascii
            _receive(sock, limit, lambda message: print(form(message), flush=True))
    return status.DONE


def _receive(sock: IsoTpSocket, limit: int | None, put: Callable[[ReceivedMessage], object]) -> None:
    dropped = 0
    for _ in itertools.count() if limit is None else range(limit):
        try:
            message = sock.recv_message()
        except TransferError as e:
            if limit is not None:
                raise
            terminal.to_stderr(f"warning: {e.what} ({e.n_result.name if e.n_result else ''})")
            continue
        if message.dropped > dropped:
            lost, dropped = message.dropped - dropped, message.dropped
            terminal.to_stderr(f"warning: {lost} message(s) dropped, more room: --rcvbuf")
        put(message)


def _writer(file: BinaryIO) -> Callable[[ReceivedMessage], None]:
    def write(message: ReceivedMessage) -> None:
        file.write(message.data)
        file.flush()

    return write


def _hex(message: ReceivedMessage) -> str:
    return message.data.hex(" ").upper()


def _ascii(message: ReceivedMessage) -> str:
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in message.data)


def _json(channel: str, address: AnyAddress) -> Callable[[ReceivedMessage], str]:
    assert address.rx is not None
    ends = units.json_link(channel, address.rx, address.tx)

    def form(message: ReceivedMessage) -> str:
        known = {"time": units.json_seconds(message.timestamp_ns), **ends, "length": len(message.data)}
        return units.json_text(known | {"data": message.data.hex(), "dropped": message.dropped})

    return form
