"""A message with its name in UDS and how it was timed: one line of output, or a few on a terminal."""

from typing import Final

from ...capture import uds
from ...capture.message import Fault, LinkFrame, Message, Timing
from ...capture.observer import Event
from ...errors import TransferError
from ...stmin import STmin
from . import terminal
from .display import Writer
from .look import DIM, INDENT, Look, characters, columns, wrapped
from .units import duration, rate, stmin_text

_CLOCK_NS: Final = 1000  # recordings have microseconds


class MessageLines:
    """Shows messages.

    Args:
        look: how.
        names: whether UDS services are named.
        head: how many bytes of each message to show; 0 for all.
        out: where lines go.
    """

    shows_frames = False

    def __init__(self, look: Look, names: bool, head: int, out: Writer) -> None:
        self._look = look
        self._names = names
        self._head = head
        self._out = out
        self.begin, self.flush = look.begin, out.flush

    def event(self, event: Event) -> None:
        """See `Display`."""
        if isinstance(event, Fault):
            self._fault(event)
        elif not isinstance(event, LinkFrame):
            self._message(event)

    def _fault(self, fault: Fault) -> None:
        look, stream = self._look, fault.stream
        what = look.paint(f"! {fault.reason}", terminal.RED)
        line = f"{look.time(fault.time_ns)}  {look.link(stream.channel, stream.address, stream.target)}  {what}"
        self._out.line(look.fit(line, fault.frame_data.hex(" ").upper()))

    def _message(self, message: Message) -> None:
        look = self._look
        link = look.link(message.channel, message.source, message.target)
        words = uds.describe(message.data, message.length) if self._names else None
        name = ""
        if words is not None:
            name = look.paint(str(words), terminal.RED) if words.kind.startswith("negative") else str(words)
        first = f"{look.time(message.end_ns)}  {link}  [{message.length}]"
        if look.width is None:
            self._out.line("  ".join(filter(None, (first, self._bytes(message), name, *self._remarks(message)))))
        else:
            self._out.line("\n".join(self._lines(first, name, message, look.width)))

    def _shown(self, data: bytes) -> tuple[bytes, str]:
        """The bytes to show, and how many that leaves out."""
        if not self._head or len(data) <= self._head:
            return data, ""
        return data[: self._head], f"... ({len(data) - self._head} more)"

    def _bytes(self, message: Message) -> str:
        data, more = self._shown(message.data)
        return f"{self._look.text(data)} {more}".rstrip()

    def _remarks(self, message: Message) -> list[str]:
        """What is to be said about it: timing, and why it failed."""
        remarks = []
        if message.timing is not None:
            text = "; ".join(timing_words(message, message.timing))
            remarks.append(self._look.paint(f"({text})", DIM))
        if message.error is not None:
            remarks.append(self._look.paint(f"! {error_text(message.error)}", terminal.RED))
        return remarks

    def _lines(self, first: str, name: str, message: Message, width: int) -> list[str]:
        """As many lines as it takes on a terminal."""
        text = self._bytes(message)
        on_one = f"{first}  {text}  {name}".rstrip()
        if columns(on_one) <= width:
            lines = [on_one]
        else:
            on_one = f"{first}  {name}".rstrip()
            lines = [on_one] if columns(on_one) <= width else [first, *wrapped(name, width)]
            lines += self._rows(message.data, width)
        for remark in self._remarks(message):
            lines += wrapped(remark, width)
        return lines

    def _rows(self, data: bytes, width: int) -> list[str]:
        shown, more = self._shown(data)
        room = width - len(INDENT)
        each = max(8, room // 4 - 1 if self._look.ascii_too else (room + 1) // 3)
        each -= each % 8
        rows = []
        for begin in range(0, len(shown), each):
            row = shown[begin : begin + each]
            tail = f"  {characters(row)}" if self._look.ascii_too else ""
            rows.append(f"{INDENT}{row.hex(' ').upper():{3 * min(each, len(shown)) - 1}}{tail}".rstrip())
        return [*rows, f"{INDENT}{more}"] if more else rows


def timing_words(message: Message, timing: Timing) -> list[str]:
    """How it was timed, in the standard's words."""
    words = [duration(message.end_ns - message.begin_ns)]
    if (speed := message.rate) is not None:
        words.append(rate(speed))
    if timing.bs is None or timing.stmin is None:
        words.append("no flow control seen")
    else:
        words.append(f"BS {timing.bs}")
        words.append(f"STmin {stmin_text(timing.stmin)}{_kept(timing.min_gap_ns, timing.stmin)}")
    if timing.waits:
        words.append(f"{timing.waits} x WAIT")
    if timing.n_bs_ns is not None:
        words.append(f"N_Bs {duration(timing.n_bs_ns)}")
    if timing.n_cr_ns is not None:
        words.append(f"N_Cr {duration(timing.n_cr_ns)}")
    return words


def _kept(min_gap_ns: int | None, stmin: int) -> str:
    """Whether the sender kept to it: the shortest gap that was seen."""
    if min_gap_ns is None:
        return ""
    asked_ns = STmin(stmin).ns
    if min_gap_ns + _CLOCK_NS < asked_ns:
        return f" NOT KEPT, {duration(min_gap_ns)}"
    return f", {'kept ' if asked_ns else 'gaps from '}{duration(min_gap_ns)}"


def error_text(error: TransferError) -> str:
    """What went wrong, with its N_Result."""
    return f"{error.what} ({error.n_result.name})"
