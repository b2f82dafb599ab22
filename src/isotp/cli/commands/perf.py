"""isotp perf: the throughput of the transfers seen on a bus or in a log file."""

from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from ..capture.stream import Fault, ObservedMessage, Stream
from . import status, terminal
from .addresses import short_address
from .link_options import Bitrate, Fixed, Mixed, RxId, TxId
from .look import Look, Times, duration, rate
from .message_lines import error_text, timing_words
from .passive import Adapters, AnyExtended, CanFd, Target, observer_maker, open_source, report
from .watching import Watch
from .writer import Writer

EXAMPLES: Final = ("isotp perf vcan0", "isotp perf drive.log", "isotp perf vcan0 -s 7E0 -d 7E8", "isotp perf --self")
_LINKS_MAX: Final = 10_000


@dataclass(slots=True)
class _Total:
    """All transfers of one direction."""

    transfers: int = 0
    failed: int = 0
    size: int = 0
    busy_ns: int = 0
    slowest: float = float("inf")
    fastest: float = 0.0

    def add(self, message: ObservedMessage) -> None:
        """One more."""
        if message.error is not None:
            self.failed += 1
            return
        self.transfers += 1
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
        if self.transfers > 1 and self.fastest:
            text += f" ({rate(self.slowest)} to {rate(self.fastest)})"
        return text


@dataclass
class _Transfers:
    """Shows a line for each message of several frames; a single frame takes no time that can be seen."""

    look: Look
    out: Writer
    totals: dict[tuple[str, str], _Total] = field(default_factory=dict)
    shows_frames: bool = False

    def begin(self, time_ns: int) -> None:
        """See `Display`."""
        self.look.begin(time_ns)

    def frame(self, channel: str, stream: Stream, time_ns: int, data: bytes, is_fd: bool) -> None:
        """See `Display`; not called."""

    def event(self, channel: str, event: ObservedMessage | Fault) -> None:
        """See `Display`."""
        if isinstance(event, Fault) or event.timing is None:
            return
        link = self.look.head(channel, event.stream, with_partner=True)
        words = "; ".join(timing_words(event, event.timing))
        failure = self.look.paint(f"! {error_text(event.error)}", terminal.RED) if event.error else ""
        line = self.look.fit(f"{self.look.time(event.end_ns)}  {link}  {event.length} bytes", words)
        self.out.line(self.look.fit(line, failure) if failure else line)
        partner = event.stream.partner
        name = f"{short_address(event.stream.address)} > {short_address(partner.address) if partner else '?'}"
        if (channel, name) in self.totals or len(self.totals) < _LINKS_MAX:
            self.totals.setdefault((channel, name), _Total()).add(event)

    def flush(self) -> None:
        """See `Display`."""
        self.out.flush()

    def sum_up(self) -> None:
        """A line for each direction at the end."""
        for (channel, name), total in self.totals.items():
            self.out.line(self.look.fit(f"{channel}  {name}", str(total)))
        self.out.flush()


def command(
    source: Target = None,
    bus: Adapters = None,
    bitrate: Bitrate = None,
    can_fd: CanFd = False,
    txid: TxId = None,
    rxid: RxId = None,
    extended: AnyExtended = None,
    mixed: Mixed = None,
    fixed: Fixed = None,
    self_: Annotated[
        bool, typer.Option("--self", help="measure the paths of this machine instead, on a vcan, never on a real bus")
    ] = False,
    size: Annotated[int | None, typer.Option(metavar="N", min=1, help="with --self: bytes of each message")] = None,
) -> int:
    """Show how fast transfers on a bus or in a log file are, and sum up at the end (Ctrl-C).

    For each message of several frames: bytes, time from its first frame to the last, throughput, BS and STmin asked for
    and the shortest gap there was, the longest waits for flow control (N_Bs) and for consecutive frames (N_Cr).
    """
    if self_:
        if any(given not in (None, False) for given in (bus, bitrate, can_fd, txid, rxid, extended, mixed, fixed)):
            raise typer.BadParameter(
                "--self has its own links, on a vcan: leave out all options of buses and addresses"
            )
        from .perf_self import measure

        return measure(source, size)
    if size is not None:
        raise typer.BadParameter("--size is for --self: transfers that are seen have the size they have")
    new_observer = observer_maker(txid, rxid, extended, mixed, fixed)
    frames = open_source(source, bus, bitrate, can_fd)
    display = _Transfers(Look(Times.ZERO, False), Writer())
    watch = Watch(frames, new_observer, display)
    try:
        watch.run()
    finally:
        display.sum_up()
        report(frames, watch)
    return status.DONE if watch.frames or frames.is_live else status.FAILED
