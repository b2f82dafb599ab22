"""A line for each frame of a link, as isotpdump has it, and one below for what went wrong."""

from typing import Final

from ...capture import uds
from ...capture.stream import Fault, ObservedMessage, Stream
from ...engine.n_pdu import FirstFrame, FlowControl, NPciType, SingleFrame, decode
from . import terminal
from .display import Writer
from .look import Look
from .message_lines import error_text
from .units import stmin_text

FLOW_STATUS: Final = ("CTS", "WAIT", "OVFLW")
_HEADS_MAX: Final = 10_000
_CF: Final = int(NPciType.CF)


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
        self._heads: dict[Stream, str] = {}
        self._time, self._text, self._line = look.time, look.text, out.line
        self.begin, self.flush = look.begin, out.flush

    def frame(self, channel: str, stream: Stream, time_ns: int, data: bytes, is_fd: bool) -> None:
        """See `Display`."""
        look = self._look
        head = self._heads.get(stream) or self._head(channel, stream)
        size = stream.address_size
        if len(data) > size and data[size] >> 4 == _CF:  # most frames are such
            payload = self._text(data[size + 1 :])
            self._line(f"{self._time(time_ns)}  {head}  CF SN {data[size] & 15:X}       {payload}")
            return
        n_pdu = decode(data, size)
        name = ""
        if isinstance(n_pdu, SingleFrame):
            meaning = f"SF len {len(n_pdu.data):<7}{look.text(n_pdu.data)}"
            name = self._name(n_pdu.data)
        elif isinstance(n_pdu, FirstFrame):
            meaning = f"FF len {n_pdu.length:<7}{look.text(n_pdu.data)}"
            name = self._name(n_pdu.data)
        elif isinstance(n_pdu, FlowControl):
            status = FLOW_STATUS[n_pdu.status] if n_pdu.status < len(FLOW_STATUS) else f"reserved {n_pdu.status}"
            meaning = f"FC {status:<11}BS {n_pdu.bs}, STmin {stmin_text(n_pdu.stmin)}"
        else:
            meaning = f"{look.paint('??', terminal.RED)}            {data.hex(' ').upper()}"
        self._line(look.fit(f"{self._time(time_ns)}  {head}  {meaning}", name))

    def _head(self, channel: str, stream: Stream) -> str:
        # The colour is that of the first sight: whose partner is not known yet may change it.
        if len(self._heads) > _HEADS_MAX:
            self._heads.clear()
        head = self._heads[stream] = self._look.head(channel, stream, with_partner=False)
        return head

    def _name(self, data: bytes) -> str:
        if not self._names:
            return ""
        words = uds.describe(data)
        return "" if words is None else str(words)

    def event(self, channel: str, event: ObservedMessage | Fault) -> None:
        """See `Display`: what failed, below the frame that showed it."""
        if isinstance(event, Fault):
            what = event.reason
        elif event.error is not None:
            what = error_text(event.error)
        else:
            return
        link = self._look.head(channel, event.stream, with_partner=True)
        self._out.line(self._look.fit(f"    {link}", self._look.paint(f"! {what}", terminal.RED)), counts=False)
