"""isotp recv: messages as they come, in hexadecimal, as text, as JSON, or as they are."""

import itertools
import json
import sys
from collections.abc import Callable
from typing import Annotated, BinaryIO, Final

import typer

from ..address import Address, AsymmetricAddress
from ..errors import TransferError
from ..sockets import IsoTpSocket, ReceivedMessage
from . import json_keys, status, terminal, values
from .addresses import Way
from .link import Link, with_link

EXAMPLES: Final = (
    "isotp recv --bus virtual -s 7E8 -d 7E0 --count 2 --ascii",
    "isotp recv vcan0 -s 7E8 -d 7E0",
    "isotp recv vcan0 -s 7E8 -d 7E0 --follow --json",
    "isotp recv vcan0 -s 7E8 -d 7E0 | isotpsend -s 7E0 -d 7E8 vcan1",
    "isotp recv can0 -s 7E8 -d 7E0 --raw firmware.bin",
)


@with_link
def command(
    link: Link,
    count: Annotated[
        int | None, typer.Option("-n", "--count", metavar="N", min=1, help="so many messages, then end; 1 unless given")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="all messages, until Ctrl-C")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="TIME", parser=values.seconds, help="longest wait for each message")
    ] = None,
    ascii_: Annotated[bool, typer.Option("--ascii", help="as text, a dot for what is none")] = False,
    json_: Annotated[bool, typer.Option("--json", help="a JSON object a line, with the keys of isotp dump")] = False,
    raw: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="the bytes as they are, into a file; - is stdout"),
    ] = None,
    listen: Annotated[
        bool, typer.Option("--listen", help="never send flow control: overhear others, or functional requests")
    ] = False,
    rcvbuf: Annotated[
        int | None, typer.Option(metavar="BYTES", parser=values.buffer_size, help="room for messages not yet printed")
    ] = None,
) -> int:
    """Receive messages and print them, each in a line of hexadecimal that isotpsend reads.

    A message that broke off ends it, with the N_Result as the exit status; --follow says so on stderr and goes on.
    """
    if sum((ascii_, json_, raw is not None)) > 1:
        raise typer.BadParameter("--ascii, --json and --raw exclude each other")
    if follow and count is not None:
        raise typer.BadParameter("--count ends after so many messages and --follow never does: leave out one")
    if link.tx_stmin is not None:
        raise typer.BadParameter("--tx-stmin is for sending: the separation time to ask the sender for is --stmin")
    limit = None if follow else count or 1
    way = Way.LISTEN if listen else Way.BOTH
    with link.open(timeout, way=way, peer_speaks=True, rcvbuf=rcvbuf) as sock:
        if raw is None:
            form = _json(str(link.interface or link.bus), link.address(way)) if json_ else _ascii if ascii_ else _hex
            _receive(sock, limit, lambda message: print(form(message), flush=True))
        elif raw == "-":
            _receive(sock, limit, _writer(sys.stdout.buffer))
        else:
            with open(raw, "wb") as file:
                _receive(sock, limit, _writer(file))
    return status.DONE


def _receive(sock: IsoTpSocket, limit: int | None, put: Callable[[ReceivedMessage], object]) -> None:
    dropped = 0
    for _ in itertools.count() if limit is None else range(limit):
        try:
            message = sock.recv_message()
        except TransferError as e:
            if limit is not None:
                raise
            terminal.tell(f"warning: {e.what} ({e.n_result.name if e.n_result else ''})")
            continue
        if message.dropped > dropped:
            lost, dropped = message.dropped - dropped, message.dropped
            terminal.tell(f"warning: {lost} message(s) dropped, more room: --rcvbuf")
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


def _json(channel: str, address: Address | AsymmetricAddress) -> Callable[[ReceivedMessage], str]:
    assert address.rx is not None
    whose = json_keys.link(channel, address.rx, address.tx)

    def form(message: ReceivedMessage) -> str:
        known = {"time": json_keys.seconds(message.timestamp_ns), **whose, "length": len(message.data)}
        return json.dumps(known | {"data": message.data.hex(), "dropped": message.dropped})

    return form
