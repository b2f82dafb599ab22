"""Frames of a link's own that are ignored: each is reported, with its reason, and changes nothing."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotp.address import Address
from isotp.can_frame import CanFrame
from isotp.engine.engine import Engine
from isotp.engine.events import FrameIgnored, IgnoreReason
from isotp.engine.params import Params

from .link import MS, can, engine, events_of, take


def idle(link: Engine) -> None:
    pass


def first_frame_due(link: Engine) -> None:
    link.send(bytes(range(200)), 0)


def first_frame_out(link: Engine) -> None:
    first_frame_due(link)
    link.frames_to_send(0)


def awaiting_flow_control(link: Engine) -> None:
    first_frame_due(link)
    take(link)


def block_due(link: Engine) -> None:
    awaiting_flow_control(link)
    link.receive_frame(CanFrame(0x123, bytes.fromhex("300200"), link.params.can_fd), 0)


def block_out(link: Engine) -> None:
    block_due(link)
    link.frames_to_send(0)


def flow_control_due(link: Engine) -> None:
    link.receive_frame(CanFrame(0x123, bytes.fromhex("1064010203040506"), link.params.can_fd), 0)


def flow_control_out(link: Engine) -> None:
    flow_control_due(link)
    link.frames_to_send(0)


def awaiting_consecutive(link: Engine) -> None:
    flow_control_due(link)
    take(link)


def not_ready(link: Engine) -> None:
    link.set_ready(False, 0)
    flow_control_due(link)


def wait_due(link: Engine) -> None:
    not_ready(link)
    link.handle_timer(250 * MS)


SITUATIONS = [
    idle,
    first_frame_due,
    first_frame_out,
    awaiting_flow_control,
    block_due,
    block_out,
    flow_control_due,
    flow_control_out,
    awaiting_consecutive,
    not_ready,
    wait_due,
]
FD = Params(can_fd=True)


@pytest.mark.parametrize(
    ("params", "situation", "frame", "why", "says"),
    [
        (Params(), idle, "2301", "UNEXPECTED_CONSECUTIVE_FRAME", "SN 3 of a message that never began"),
        (Params(), not_ready, "2107080910111213", "UNEXPECTED_CONSECUTIVE_FRAME", "SN 1 .* not ready"),
        (Params(), wait_due, "2107080910111213", "UNEXPECTED_CONSECUTIVE_FRAME", "SN 1 .* WAIT"),
        (Params(), idle, "300000", "UNEXPECTED_FLOW_CONTROL", "idle"),
        (Params(), idle, "30", "UNEXPECTED_FLOW_CONTROL", "idle"),
        (Params(), block_due, "310000", "UNEXPECTED_FLOW_CONTROL", "sending consecutive frames"),
        (Params(listen_only=True), awaiting_consecutive, "300000", "UNEXPECTED_FLOW_CONTROL", "idle"),
        (FD, idle, "0341424344" + "00" * 7, "MISSING_ESCAPE", "12 bytes"),
        (Params(), awaiting_consecutive, "210102", "RX_DL_CHANGED", "SN 1 in 3 bytes: .* 8, and 7 of data are due"),
        (FD, awaiting_consecutive, "21" + "00" * 11, "RX_DL_CHANGED", "SN 1 in 12 bytes"),
        (Params(), idle, "10640102", "RX_DL_TOO_SMALL", "first frame of 4 bytes"),
        (FD, awaiting_consecutive, "1064" + "00" * 9, "RX_DL_TOO_SMALL", "first frame of 11 bytes"),
        (Params(), idle, "", "INVALID", "empty"),
        (Params(), awaiting_consecutive, "51", "INVALID", "type 5"),
        (Params(listen_only=True), idle, "00", "INVALID", "SF_DL 0"),
        (Params(half_duplex=True), awaiting_flow_control, "0141", "HALF_DUPLEX", "half duplex"),
        (Params(half_duplex=True), awaiting_flow_control, "1064010203040506", "HALF_DUPLEX", "half duplex"),
        (Params(half_duplex=True), awaiting_flow_control, "2101", "UNEXPECTED_CONSECUTIVE_FRAME", "SN 1"),
    ],
)
def test_why(params: Params, situation: Callable[[Engine], None], frame: str, why: str, says: str) -> None:
    link = engine(params)
    situation(link)
    events_of(link)
    sent = can(frame, is_fd=params.can_fd)
    link.receive_frame(sent, 0)
    (event,) = events_of(link)
    assert isinstance(event, FrameIgnored)
    assert (event.frame, event.why) == (sent, IgnoreReason[why])
    assert re.search(says, event.text)


def test_first_frame_by_functional_addressing() -> None:
    link = Engine(Address.normal(rxid=0x7DF, functional=True))
    frame = can("1064010203040506", 0x7DF)
    link.receive_frame(frame, 0)
    text = "first frame of 100 bytes by functional addressing"
    assert events_of(link) == [FrameIgnored(frame, IgnoreReason.FUNCTIONAL_FIRST_FRAME, text)]


def progress(link: Engine) -> object:
    """What frames change."""
    sender, receiver = link._sender, link._receiver
    return sender.state, sender._wait_ns, receiver.state, receiver.done, receiver.run.heard_ns


@given(
    st.sampled_from(SITUATIONS),
    st.lists(st.tuples(st.sampled_from(["", "", "00", "1064", "21", "22", "30", "31"]), st.binary(max_size=70))),
    st.sampled_from([Params(), FD, Params(listen_only=True), Params(half_duplex=True, bs=1)]),
    st.booleans(),
)
def test_no_frame_is_ignored_in_silence(
    situation: Callable[[Engine], None], frames: list[tuple[str, bytes]], params: Params, cut: bool
) -> None:
    """Whatever arrives is ignored, with an event and without any other effect, or it is not, with an effect."""
    link = engine(params)
    situation(link)
    events_of(link)
    for now, (head, rest) in enumerate(frames, 300 * MS):
        data = bytes.fromhex(head) + rest
        before = progress(link)
        link.receive_frame(CanFrame(0x123, data[:8] if cut else data, params.can_fd), now)
        events = events_of(link)
        if any(isinstance(event, FrameIgnored) for event in events):
            assert len(events) == 1
            assert progress(link) == before
        else:
            assert events or progress(link) != before
