"""isotp send: messages from arguments, standard input or a file."""

import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Final

import typer

from ..sockets import IsoTpSocket
from . import status, values
from .addresses import Way
from .link import Link, with_link
from .progress import Bar

EXAMPLES: Final = (
    "isotp send --bus virtual -s 7E0 -d 7E8 -w 22 F1 90",
    "isotp send vcan0 -s 7E0 -d 7E8 22 F1 90",
    "echo 22 F1 90 | isotp send vcan0 -s 7E0 -d 7E8",
    "isotp send can0 -s 7E0 -d 7E8 --file firmware.bin",
)

_REPLY_S: Final = 2.0
_LONG: Final = 2000  # bytes of a message that may take long enough to be watched


@with_link
def command(
    link: Link,
    data: Annotated[
        list[str] | None,
        typer.Argument(metavar="HEX", help="the message; without it each line of standard input is one"),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="PATH", help="send the bytes of a file as one message; - is standard input")
    ] = None,
    repeat: Annotated[int, typer.Option(metavar="N", min=0, help="send it so often; 0: until Ctrl-C")] = 1,
    interval: Annotated[
        float,
        typer.Option(
            metavar="TIME",
            parser=values.seconds,
            show_default=False,
            help="from the begin of one message to the next: 100ms, 2s",
        ),
    ] = 0.0,
    wait_reply: Annotated[
        bool, typer.Option("-w", "--wait-reply", help="wait for a message after each one sent, and print it")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(metavar="TIME", parser=values.seconds, help="longest wait for a reply; 2s unless given"),
    ] = None,
    functional: Annotated[
        bool, typer.Option("--functional", help="to many receivers: single frames only, -s is enough")
    ] = False,
) -> int:
    """Send messages, and wait until each is through.

    What fails is told with its N_Result, which is the exit status, too: 11 for N_TIMEOUT_Bs, where nobody answers.
    """
    link, words = link.words(data)
    if words and file:
        raise typer.BadParameter("give the message as HEX or as --file, not both")
    if repeat != 1 and not words and not file:
        raise typer.BadParameter(
            "--repeat is for a message given as HEX or --file; lines of standard input are sent once"
        )
    if interval and repeat == 1 and (words or file):
        raise typer.BadParameter("--interval is between messages, and this is one: say --repeat")
    if timeout is not None and not wait_reply:
        raise typer.BadParameter("--timeout is for the reply: say -w to wait for one")
    if functional and wait_reply:
        raise typer.BadParameter("--functional only sends: receive the replies with isotp recv, one for each receiver")
    reply_timeout = (_REPLY_S if timeout is None else timeout) if wait_reply else None
    way = Way.SEND if functional else Way.BOTH
    message = _message(words, file) if words or file else None
    messages = _paced(_lines() if message is None else _repeated(message, repeat), interval)
    with Bar("bytes", len(message or b"") * repeat) as bar:
        is_watched = bar.is_wanted and repeat and message is not None and len(message) >= _LONG
        _send(link.open(way=way, advance=bar.advance if is_watched else None), messages, reply_timeout, bar)
    return status.DONE


def _send(
    opening: AbstractContextManager[IsoTpSocket], messages: Iterable[bytes], reply_timeout: float | None, bar: Bar
) -> None:
    with opening as sock:
        for message in messages:
            sock.settimeout(None)
            sock.send(message)
            if reply_timeout is not None:
                sock.settimeout(reply_timeout)
                reply = sock.recv()
                with bar.hidden():
                    print(reply.hex(" ").upper(), flush=True)


def _message(words: list[str], file: Path | None) -> bytes:
    if file is None:
        try:
            return values.hex_data(" ".join(words))
        except ValueError as e:
            raise typer.BadParameter(str(e)) from None
    return sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()


def _repeated(message: bytes, repeat: int) -> Iterable[bytes]:
    return (message for _ in (range(repeat) if repeat else itertools.count()))


def _lines() -> Iterator[bytes]:
    """The messages in the lines of standard input, as isotprecv prints them."""
    for number, line in enumerate(sys.stdin.buffer, 1):
        try:
            if message := values.hex_data(line.decode()):
                yield message
        except UnicodeDecodeError:
            raise OSError("standard input is not text; for bytes as they are: --file -") from None
        except ValueError as e:
            raise OSError(f"line {number} of standard input: {e}") from None


def _paced(messages: Iterable[bytes], interval: float) -> Iterator[bytes]:
    """`messages`, the next one not sooner than `interval` seconds after the one before it."""
    due = time.monotonic()
    for message in messages:
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        due = max(due, time.monotonic() - interval) + interval
        yield message
