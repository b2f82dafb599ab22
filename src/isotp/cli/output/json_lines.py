"""Frames or messages as JSON, one object a line."""

import json
from typing import Any

from ...capture import uds
from ...capture.stream import Fault, ObservedMessage, Stream
from ...engine.n_pdu import ConsecutiveFrame, FirstFrame, FlowControl, Malformed, SingleFrame, decode
from .display import Writer
from .units import json_link, json_seconds, short_address


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

    def frame(self, channel: str, stream: Stream, time_ns: int, data: bytes, is_fd: bool) -> None:
        """See `Display`."""
        n_pdu = decode(data, stream.address_size)
        known = {
            "time": json_seconds(time_ns),
            "channel": channel,
            "id": short_address(stream.address),
            "raw": data.hex(),
        }
        if is_fd:
            known["fd"] = True
        match n_pdu:
            case SingleFrame(payload):
                known |= {"type": "SF", "length": len(payload), "data": payload.hex(), **self._name(payload)}
            case FirstFrame(length, payload):
                known |= {"type": "FF", "length": length, "data": payload.hex(), **self._name(payload)}
            case ConsecutiveFrame(sn, payload):
                known |= {"type": "CF", "sn": sn, "data": payload.hex()}
            case FlowControl(status, bs, stmin):
                known |= {"type": "FC", "fs": status, "bs": bs, "stmin": stmin}
            case Malformed(_, reason):
                known |= {"type": None, "fault": reason}
        self._out.line(json.dumps(known))

    def _name(self, data: bytes) -> dict[str, Any]:
        words = uds.describe(data) if self._names and data else None
        return {} if words is None else {"uds": words._asdict()}

    def event(self, channel: str, event: ObservedMessage | Fault) -> None:
        """See `Display`."""
        partner = event.stream.partner
        whose = json_link(channel, event.stream.address, partner.address if partner else None)
        if isinstance(event, Fault):
            fault = {"time": json_seconds(event.time_ns), **whose, "fault": event.reason, "raw": event.frame_data.hex()}
            self._out.line(json.dumps(fault), counts=not self.shows_frames)
            return
        if self.shows_frames and event.error is None:
            return
        known: dict[str, Any] = {
            "time": json_seconds(event.end_ns),
            "begin": json_seconds(event.begin_ns),
            **whose,
            "length": event.length,
            "done": event.done,
            "data": event.data.hex(),
            **self._name(event.data),
        }
        if event.rate is not None:
            known["bytes_per_s"] = round(event.rate, 1)
        if (timing := event.timing) is not None:
            known |= {"bs": timing.bs, "stmin": timing.stmin, "waits": timing.waits}
            known |= {
                name: None if ns is None else json_seconds(ns)
                for name, ns in (
                    ("n_bs", timing.n_bs_ns),
                    ("n_cr", timing.n_cr_ns),
                    ("min_gap", timing.min_gap_ns),
                )
            }
        if event.error is not None:
            n_result = event.error.n_result
            known["error"] = {"n_result": n_result.name if n_result else None, "text": event.error.what}
        self._out.line(json.dumps(known), counts=not self.shows_frames)
