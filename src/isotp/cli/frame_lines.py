"""A line for each frame of a link, as isotpdump has it, and one below for what went wrong."""

from typing import Final

from ..core.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, SingleFrame, decode
from ..core.stream import Fault, ObservedMessage, Stream
from . import terminal, uds
from .look import Look, stmin_text
from .message_lines import error_text
from .writer import Writer

FLOW_STATUS: Final = ("CTS", "WAIT", "OVFLW")
_DETAIL: Final = 12


class FrameLines:
    """Shows frames.

    Args:
        look: how.
        names: whether UDS services are named.
        out: where lines go.
    """

    shows_frames = True

    def __init__(self, look: Look, names: bool, out: Writer) -> None:
        self._look = look
        self._names = names
        self._out = out
        self._heads: dict[tuple[str, Stream], str] = {}
        self.flush = out.flush

    def frame(self, channel: str, stream: Stream, time_ns: int, data: bytes, is_fd: bool) -> None:
        """See `Display`."""
        look = self._look
        # The colour is that of the first sight: whose partner is not known yet may change it.
        head = self._heads.get((channel, stream))
        if head is None:
            if len(self._heads) > 10_000:
                self._heads.clear()
            head = self._heads[channel, stream] = look.head(channel, stream, with_partner=False)
        n_pdu = decode(data, stream.address_size)
        if isinstance(n_pdu, ConsecutiveFrame):
            meaning = f"CF SN {n_pdu.sn:X}        {look.text(n_pdu.data)}"
        elif isinstance(n_pdu, SingleFrame):
            meaning = f"SF len {len(n_pdu.data):<7}{look.text(n_pdu.data)}{self._name(n_pdu.data)}"
        elif isinstance(n_pdu, FirstFrame):
            meaning = f"FF len {n_pdu.length:<7}{look.text(n_pdu.data)}{self._name(n_pdu.data)}"
        elif isinstance(n_pdu, FlowControl):
            status = FLOW_STATUS[n_pdu.status] if n_pdu.status < len(FLOW_STATUS) else f"reserved {n_pdu.status}"
            meaning = f"FC {status:<6} BS {n_pdu.bs}, STmin {stmin_text(n_pdu.stmin)}"
        else:
            self._out.line(f"{look.time(time_ns)}  {head}  {look.paint('??', terminal.RED)} {data.hex(' ').upper()}")
            return
        self._out.line(f"{look.time(time_ns)}  {head}  {meaning}")

    def _name(self, data: bytes) -> str:
        if not self._names:
            return ""
        words = uds.describe(data)
        return "" if words is None else f"  {words}"

    def event(self, channel: str, event: ObservedMessage | Fault) -> None:
        """See `Display`: what failed, below the frame that showed it."""
        if isinstance(event, Fault):
            what = event.reason
        elif event.error is not None:
            what = error_text(event.error)
        else:
            return
        link = self._look.head(channel, event.stream, with_partner=True)
        self._out.line(f"    {link}  {self._look.paint(f'! {what}', terminal.RED)}", counts=False)
