"""isotp perf: the throughput of the transfers seen on a bus or in a log file."""

import argparse
from dataclasses import dataclass, field
from typing import Final

from ...capture.message import Message
from ...capture.observer import Event
from .. import status
from ..links.sources import add_source, open_capture, report
from ..links.watching import Watch
from ..options import values
from ..options.can_utils import add_answers
from ..output import terminal
from ..output.display import Writer
from ..output.look import Look, Times
from ..output.message_lines import error_text, timing_words
from ..output.units import duration, rate, short_address
from ..parser import Parser, WrongUsage

USAGE: Final = "[OPTIONS] SOURCE"
DESCRIPTION: Final = """
Show how fast transfers on a bus or in a log file are, and sum up at the end (Ctrl-C). Nothing is sent, except with
--self.

For each message of several frames: bytes, time from its first frame to the last, throughput, BS and STmin asked for
and the shortest gap there was, the longest waits for flow control (N_Bs) and for consecutive frames (N_Cr).
"""
EXAMPLES: Final = ("isotp perf vcan0", "isotp perf drive.log", "isotp perf vcan0 -s 7E0 -d 7E8", "isotp perf --self")

_LINKS_MAX: Final = 10_000


@dataclass(slots=True)
class _Total:
    """All transfers of one direction."""

    transfers: int = 0
    """Those that failed included."""
    failed: int = 0
    size: int = 0
    busy_ns: int = 0
    slowest: float = float("inf")
    fastest: float = 0.0

    def add(self, message: Message) -> None:
        """Count one more."""
        self.transfers += 1
        if message.error is not None:
            self.failed += 1
            return
        if (speed := message.rate) is not None:
            self.size += message.length
            self.busy_ns += message.end_ns - message.begin_ns
            self.slowest = min(self.slowest, speed)
            self.fastest = max(self.fastest, speed)

    def __str__(self) -> str:
        text = f"{self.transfers} transfer{'s' if self.transfers != 1 else ''}"
        if self.failed:
            text += f", {self.failed} failed"
        if self.busy_ns:
            text += f", {self.size:,} bytes in {duration(self.busy_ns)}: {rate(self.size * 1e9 / self.busy_ns)}"
        if self.transfers - self.failed > 1 and self.fastest:
            text += f" ({rate(self.slowest)} to {rate(self.fastest)})"
        return text


@dataclass
class _Transfers:
    """Shows a line for each message of several frames; the time of a single frame cannot be seen."""

    look: Look
    out: Writer
    totals: dict[tuple[str, str], _Total] = field(default_factory=dict)
    shows_frames: bool = False

    def begin(self, time_ns: int) -> None:
        """See `Display`."""
        self.look.begin(time_ns)

    def event(self, event: Event) -> None:
        """See `Display`."""
        if not isinstance(event, Message) or (timing := event.timing) is None:
            return
        link = self.look.link(event.channel, event.source, event.target)
        words = "; ".join(timing_words(event, timing))
        failure = self.look.paint(f"! {error_text(event.error)}", terminal.RED) if event.error else ""
        line = self.look.fit(f"{self.look.time(event.end_ns)}  {link}  {event.length} bytes", words)
        self.out.line(self.look.fit(line, failure) if failure else line)
        name = f"{short_address(event.source)} > {short_address(event.target) if event.target else '?'}"
        key = event.channel, name
        if key in self.totals or len(self.totals) < _LINKS_MAX:
            self.totals.setdefault(key, _Total()).add(event)

    def flush(self) -> None:
        """See `Display`."""
        self.out.flush()

    def sum_up(self) -> None:
        """Print a line for each direction."""
        for (channel, name), total in self.totals.items():
            self.out.line(self.look.fit(f"{terminal.visible(channel)}  {name}", str(total)))
        self.out.flush()


def add_arguments(parser: Parser) -> None:
    """Add the options of the command."""
    add_source(parser)
    parser.add_argument(
        "--self",
        action="store_true",
        help="measure the paths of this machine instead; SOURCE is a vcan then (default: the first one that is up), "
        "never a real bus",
    )
    parser.add_argument(
        "--size",
        metavar="N",
        type=values.number(1),
        help="with --self: bytes of each message (default: 7, and then 4095)",
    )
    add_answers(parser, "perf")


def run(arguments: argparse.Namespace) -> int:
    """Show the transfers; 0 when there was any traffic, or when it was live."""
    if arguments.self:
        return _measure(arguments)
    if arguments.size is not None:
        raise WrongUsage("--size is for --self: transfers that are seen have the size they have")
    capture = open_capture(arguments)
    display = _Transfers(Look(Times.ZERO, False), Writer())
    watch = Watch(capture, display, arguments.max_memory)
    try:
        watch.run()
    finally:
        display.sum_up()
        report(arguments, capture, watch)
    return status.DONE if capture.frames or capture.is_live else status.FAILED


def _measure(arguments: argparse.Namespace) -> int:
    own = {"words", "self", "size"}
    if any(value not in (None, False) for name, value in vars(arguments).items() if name not in own):
        raise WrongUsage("--self has its own links, on a vcan: leave out all options of buses and addresses")
    if len(arguments.words) > 1:
        raise WrongUsage(f"--self takes one vcan, and these are {len(arguments.words)}: {', '.join(arguments.words)}")
    from .perf_self import measure  # not for the captures: the sockets take time to import

    return measure(next(iter(arguments.words), None), arguments.size)
