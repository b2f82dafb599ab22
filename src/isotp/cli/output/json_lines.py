"""Frames or messages as JSON, one object a line."""

from typing import Any

from ...capture import uds
from ...capture.message import Fault, LinkFrame, Message
from ...capture.observer import Event
from ...engine.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, Malformed, SingleFrame, decode
from .display import Writer
from .units import json_link, json_seconds, json_text, short_address


class JsonLines:
    """Shows frames or messages.

    Args:
        shows_frames: which of them.
        names: whether UDS services are named.
        out: where lines go.
    """

    def __init__(self, shows_frames: bool, names: bool, out: Writer) -> None:
        self.shows_frames = shows_frames
        self._names = names
        self._out = out
        self.flush = out.flush

    def begin(self, time_ns: int) -> None:
        """See `Display`; times are absolute here."""

    def event(self, event: Event) -> None:
        """See `Display`."""
        if isinstance(event, LinkFrame):
            self._out.line(json_text(self._frame(event)))
        elif isinstance(event, Fault):
            self._out.line(json_text(_fault(event)), counts=not self.shows_frames)
        elif not self.shows_frames or event.error is not None:
            self._out.line(json_text(self._message(event)), counts=not self.shows_frames)

    def _frame(self, frame: LinkFrame) -> dict[str, Any]:
        stream = frame.stream
        known = {
            "time": json_seconds(frame.time_ns),
            "channel": stream.channel,
            "id": short_address(stream.address),
            "raw": frame.data.hex(),
        }
        if frame.is_fd:
            known["fd"] = True
        match decode(frame.data, stream.address_size):
            case SingleFrame(data):
                known |= {"type": "SF", "length": len(data), "data": data.hex(), **self._name(data, len(data))}
            case FirstFrame(length, data):
                known |= {"type": "FF", "length": length, "data": data.hex(), **self._name(data, length)}
            case ConsecutiveFrame(sn, data):
                known |= {"type": "CF", "sn": sn, "data": data.hex()}
            case FlowControl(status, bs, stmin):
                known |= {"type": "FC", "fs": status, "bs": bs, "stmin": stmin}
            case Malformed(_, reason):
                known |= {"type": None, "fault": reason}
        return known

    def _name(self, data: bytes, length: int) -> dict[str, Any]:
        words = uds.describe(data, length) if self._names else None
        return {} if words is None else {"uds": words._asdict()}

    def _message(self, message: Message) -> dict[str, Any]:
        known: dict[str, Any] = {
            "time": json_seconds(message.end_ns),
            "begin": json_seconds(message.begin_ns),
            **json_link(message.channel, message.source, message.target),
            "length": message.length,
            "done": message.done,
            "data": message.data.hex(),
            **self._name(message.data, message.length),
        }
        if message.rate is not None:
            known["bytes_per_s"] = round(message.rate, 1)
        if (timing := message.timing) is not None:
            known |= {"bs": timing.bs, "stmin": timing.stmin, "waits": timing.waits}
            known |= {
                name: None if ns is None else json_seconds(ns)
                for name, ns in (
                    ("n_bs", timing.n_bs_ns),
                    ("n_cr", timing.n_cr_ns),
                    ("min_gap", timing.min_gap_ns),
                )
            }
        if message.error is not None:
            known["error"] = {"n_result": message.n_result.name, "text": message.error.what}
        return known


def _fault(fault: Fault) -> dict[str, Any]:
    stream = fault.stream
    link = json_link(stream.channel, stream.address, stream.target)
    return {"time": json_seconds(fault.time_ns), **link, "fault": fault.reason, "raw": fault.frame_data.hex()}
