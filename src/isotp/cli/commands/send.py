"""isotp send: messages from arguments, standard input or a file."""

import argparse
import errno
import itertools
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO, Final

from ...sockets import IsoTpSocket
from .. import status
from ..links.link import BIGGEST, link_of
from ..links.opening import opened
from ..options import values
from ..options.addresses import Way
from ..options.can_utils import add_answers
from ..options.groups import INTERFACE, add_link, interface_of
from ..output.progress import Bar
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] INTERFACE [HEX ...]"
DESCRIPTION: Final = """
Send messages, and wait until each is through.

A failure is printed with its N_Result, which is the exit status, too: 11 for N_TIMEOUT_Bs, where no receiver
answers.
"""
EXAMPLES: Final = (
    "isotp send --bus virtual -s 7E0 -d 7E8 -w 22 F1 90",
    "isotp send vcan0 -s 7E0 -d 7E8 22 F1 90",
    "echo 22 F1 90 | isotp send vcan0 -s 7E0 -d 7E8",
    "isotp send can0 -s 7E0 -d 7E8 --file firmware.bin",
)

_REPLY_S: Final = 2.0
_LONG: Final = 2000  # bytes of a message that may take long enough to be watched


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="INTERFACE HEX",
        help=f"{INTERFACE}; and the bytes of the message in hexadecimal, two digits each. "
        "Without HEX each line of standard input is a message",
    )
    parser.add_argument("--file", metavar="PATH", help="send the bytes of a file as one message; - is standard input")
    parser.add_argument(
        "--repeat",
        metavar="N",
        type=values.number(0),
        default=1,
        help="how many times to send the message (default: 1); 0: until Ctrl-C",
    )
    parser.add_argument(
        "--interval",
        metavar="TIME",
        type=values.seconds,
        default=0.0,
        help="time from the begin of one message to the next, with its unit: 100ms, 2s (default: 0)",
    )
    parser.add_argument(
        "-w", "--wait-reply", action="store_true", help="wait for a message after each one sent, and print it"
    )
    parser.add_argument(
        "--timeout",
        metavar="TIME",
        type=values.seconds,
        help="longest wait for a reply, with its unit (default: 2s)",
    )
    parser.add_argument(
        "--functional", action="store_true", help="send to many receivers: single frames only, needs -s alone"
    )
    add_link(parser, takes_shared=True)
    add_answers(parser, "send")


def run(arguments: argparse.Namespace) -> int:
    """Send the messages; 0 when all are through."""
    # With --bus all words are bytes of the message.
    own = 0 if arguments.bus is not None else 1
    way = Way.SEND if arguments.functional else Way.BOTH
    link = link_of(arguments, interface_of(arguments.words[:own], arguments.bus), way)
    words, file, repeat = arguments.words[own:], arguments.file, arguments.repeat
    _check(arguments, bool(words))
    timeout = _REPLY_S if arguments.timeout is None else arguments.timeout
    message = _message(words, file) if words or file else None
    messages = _paced(_lines() if message is None else _repeated(message, repeat), arguments.interval)
    with Bar("bytes", len(message or b"") * repeat) as bar:
        is_watched = bar.is_wanted and repeat and message is not None and len(message) >= _LONG
        opening = opened(link, advance=bar.advance if is_watched else None)
        _send(opening, messages, timeout if arguments.wait_reply else None, bar)
    return status.DONE


def _check(arguments: argparse.Namespace, has_words: bool) -> None:
    """Refuse what contradicts itself, and what would have no effect."""
    has_message = has_words or bool(arguments.file)
    if has_words and arguments.file:
        raise WrongUsage("give the message as HEX or as --file, not both")
    if arguments.repeat != 1 and not has_message:
        raise WrongUsage("--repeat is for a message given as HEX or --file; lines of standard input are sent once")
    if arguments.interval and arguments.repeat == 1 and has_message:
        raise WrongUsage("--interval is between messages, and this is one: say --repeat")
    if arguments.timeout is not None and not arguments.wait_reply:
        raise WrongUsage("--timeout is for the reply: say -w to wait for one")
    if arguments.functional and arguments.wait_reply:
        raise WrongUsage("--functional only sends: receive the replies with isotp recv, one for each receiver")


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


def _message(words: list[str], file: str | None) -> bytes:
    if file is None:
        try:
            return values.hex_data(" ".join(words))
        except values.WrongValue as e:
            raise WrongUsage(str(e)) from None
    if file == "-":
        return _whole(sys.stdin.buffer, "standard input")
    with open(file, "rb") as opened:
        return _whole(opened, file)


def _whole(file: BinaryIO, name: str) -> bytes:
    message = file.read(BIGGEST + 1)
    if len(message) > BIGGEST:
        raise OSError(errno.EMSGSIZE, f"longer than {BIGGEST} bytes, the longest message", name)
    return message


def _repeated(message: bytes, repeat: int) -> Iterable[bytes]:
    return (message for _ in (range(repeat) if repeat else itertools.count()))


def _lines() -> Iterator[bytes]:
    """The messages in the lines of standard input, as isotprecv prints them."""
    is_empty = True
    longest = BIGGEST * len("0x22 ")
    for number, line in enumerate(iter(lambda: sys.stdin.buffer.readline(longest + 2), b""), 1):
        if len(line.rstrip(b"\r\n")) > longest:
            raise OSError(
                f"line {number} of standard input is longer than {longest} characters; a message has at most "
                f"{BIGGEST} bytes"
            )
        try:
            message = values.hex_data(line.decode())
        except UnicodeDecodeError:
            raise OSError("standard input is not text; for bytes as they are: --file -") from None
        except values.WrongValue as e:
            raise OSError(f"line {number} of standard input: {e}") from None
        if message:
            is_empty = False
            yield message
    if is_empty:
        raise OSError("nothing was sent: there is no message in standard input, and none on the command line")


def _paced(messages: Iterable[bytes], interval: float) -> Iterator[bytes]:
    """`messages`, the next one not sooner than `interval` seconds after the one before it."""
    due = time.monotonic()
    for message in messages:
        if (wait := due - time.monotonic()) > 0:
            time.sleep(wait)
        due = max(due, time.monotonic() - interval) + interval
        yield message
