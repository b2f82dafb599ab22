"""A line for each frame of a link, as isotpdump has it, and one below for what went wrong."""

from typing import Final

from ...capture import uds
from ...capture.message import Fault, LinkFrame, StreamView
from ...capture.observer import Event
from ...engine.n_pdu import FirstFrame, FlowControl, NPciType, SingleFrame, decode
from . import terminal
from .display import Writer
from .look import Look
from .message_lines import error_text
from .units import short_address, stmin_text

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
        self._heads: dict[StreamView, str] = {}
        self._time, self._text, self._line = look.time, look.text, out.line
        self.begin, self.flush = look.begin, out.flush

    def event(self, event: Event) -> None:
        """See `Display`; what failed stands below the frame that showed it."""
        if isinstance(event, LinkFrame):
            self._frame(*event)
            return
        if isinstance(event, Fault):
            what, target = event.reason, event.stream.target
        elif event.error is not None:
            what, target = error_text(event.error), event.target
        else:
            return
        link = self._look.link(event.stream.channel, event.stream.address, target)
        self._out.line(self._look.fit(f"    {link}", self._look.paint(f"! {what}", terminal.RED)), counts=False)

    def _frame(self, stream: StreamView, time_ns: int, data: bytes, is_fd: bool) -> None:
        look = self._look
        head = self._heads.get(stream) or self._head(stream)
        size = stream.address_size
        if len(data) > size and data[size] >> 4 == _CF:  # most frames are such
            payload = self._text(data[size + 1 :])
            self._line(f"{self._time(time_ns)}  {head}  CF SN {data[size] & 15:X}       {payload}")
            return
        n_pdu = decode(data, size)
        name = ""
        if isinstance(n_pdu, SingleFrame):
            meaning = f"SF len {len(n_pdu.data):<7}{look.text(n_pdu.data)}"
            name = self._name(n_pdu.data, len(n_pdu.data))
        elif isinstance(n_pdu, FirstFrame):
            meaning = f"FF len {n_pdu.length:<7}{look.text(n_pdu.data)}"
            name = self._name(n_pdu.data, n_pdu.length)
        elif isinstance(n_pdu, FlowControl):
            status = FLOW_STATUS[n_pdu.status] if n_pdu.status < len(FLOW_STATUS) else f"reserved {n_pdu.status}"
            meaning = f"FC {status:<11}BS {n_pdu.bs}, STmin {stmin_text(n_pdu.stmin)}"
        else:
            meaning = f"{look.paint('??', terminal.RED)}            {data.hex(' ').upper()}"
        self._line(look.fit(f"{self._time(time_ns)}  {head}  {meaning}", name))

    def _head(self, stream: StreamView) -> str:
        # The colour is that of the first sight: a target that is found later may change it.
        if len(self._heads) > _HEADS_MAX:
            self._heads.clear()
        head = self._heads[stream] = self._look.head(
            stream.channel, short_address(stream.address), stream.address, stream.target
        )
        return head

    def _name(self, data: bytes, length: int) -> str:
        if not self._names:
            return ""
        words = uds.describe(data, length)
        return "" if words is None else str(words)
